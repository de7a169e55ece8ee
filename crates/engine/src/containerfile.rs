//! `--change` of `commit` and `import`: a line of a Containerfile that changes an image's configuration.

use crate::error::{Error, Kind, Result};
use crate::filter;
use serde_json::{Map, Value, json};

const KNOWN: &str =
    "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR";

/// Changes the `config` of an image by one line.
pub fn apply(config: &mut Value, line: &str) -> Result<()> {
    let wrong =
        |why: &str| Err(Error::new(Kind::Usage, format!("invalid value {line:?} for --change: {why}")));
    let trimmed = line.trim();
    let (word, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
    let rest = rest.trim();
    if rest.contains(['\n', '\0']) {
        return wrong("it has more than one line");
    }
    let word = word.to_ascii_uppercase();
    if rest.is_empty()
        && matches!(word.as_str(), "ENV" | "EXPOSE" | "LABEL" | "STOPSIGNAL" | "VOLUME" | "WORKDIR")
    {
        return wrong("it has no value");
    }
    match word.as_str() {
        "CMD" => config["Cmd"] = json!(command(rest)),
        "ENTRYPOINT" => config["Entrypoint"] = json!(command(rest)),
        "USER" => config["User"] = json!(rest),
        "STOPSIGNAL" => config["StopSignal"] = json!(rest),
        "WORKDIR" => {
            let before = config["WorkingDir"].as_str().filter(|path| !path.is_empty()).unwrap_or("/");
            config["WorkingDir"] = json!(std::path::Path::new(before).join(rest));
        }
        "ONBUILD" => list(config, "OnBuild").push(json!(rest)),
        "ENV" => {
            let Some(pairs) = pairs(rest) else { return wrong("write KEY=VALUE") };
            for (key, value) in pairs {
                set_env(config, &format!("{key}={value}"));
            }
        }
        "LABEL" => {
            let Some(pairs) = pairs(rest) else { return wrong("write KEY=VALUE") };
            for (key, value) in pairs {
                object(config, "Labels").insert(key, json!(value));
            }
        }
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                let fine = number.split('-').all(|number| number.parse::<u16>().is_ok());
                if !fine || !matches!(protocol, "tcp" | "udp" | "sctp") {
                    return wrong("a port is a number, with /tcp, /udp or /sctp");
                }
                object(config, "ExposedPorts").insert(format!("{number}/{protocol}"), json!({}));
            }
        }
        "HEALTHCHECK" => match health_check(rest) {
            Ok(check) => config["Healthcheck"] = check,
            Err(why) => return wrong(&why),
        },
        "VOLUME" => {
            let paths = array(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
            for path in paths {
                object(config, "Volumes").insert(path, json!({}));
            }
        }
        _ => return wrong(&format!("the words are {KNOWN}")),
    }
    Ok(())
}

/// Sets a variable, in place of an earlier one.
pub fn set_env(config: &mut Value, entry: &str) {
    let key = entry.split('=').next().unwrap_or_default().to_owned();
    let all = list(config, "Env");
    let same = |one: &Value| one.as_str().and_then(|one| one.split('=').next()) == Some(key.as_str());
    match all.iter().position(same) {
        Some(index) => all[index] = json!(entry),
        None => all.push(json!(entry)),
    }
}

/// The object at a key, made where there is none.
pub fn object<'a>(config: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !config[key].is_object() {
        config[key] = json!({});
    }
    match &mut config[key] {
        Value::Object(object) => object,
        _ => unreachable!("it was just made one"),
    }
}

fn list<'a>(config: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !config[key].is_array() {
        config[key] = json!([]);
    }
    match &mut config[key] {
        Value::Array(list) => list,
        _ => unreachable!("it was just made one"),
    }
}

fn array(text: &str) -> Option<Vec<String>> {
    if !text.starts_with('[') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// An array of words, or a line for a shell. Nothing at all takes the command away.
fn command(text: &str) -> Vec<String> {
    match array(text) {
        Some(words) => words,
        None if text.is_empty() => Vec::new(),
        None => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()],
    }
}

/// `NONE`, or `[--interval=, --timeout=, --start-period=, --start-interval=, --retries=] CMD ...`; times are nanoseconds.
fn health_check(text: &str) -> Result<Value, String> {
    let (mut check, mut rest) = (json!({}), text);
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let (name, value) = option.split_once('=').ok_or_else(|| format!("write --{option}=VALUE"))?;
        let key = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => "Retries",
            _ => return Err(format!("no such option --{name}")),
        };
        let number = match key {
            "Retries" => value.parse::<u32>().ok().map(u128::from),
            _ => filter::duration(value).map(|time| time.as_nanos()),
        };
        let number = number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0);
        check[key] = json!(number.ok_or_else(|| format!("invalid value {value:?} for --{name}"))?);
        rest = after.trim_start();
    }
    let (word, words) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let words = words.trim();
    let test = match word.to_ascii_uppercase().as_str() {
        "NONE" if words.is_empty() && check == json!({}) => vec!["NONE".to_owned()],
        "CMD" if !words.is_empty() => match array(words) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), words.to_owned()],
        },
        _ => return Err("write NONE, or CMD and a command".to_owned()),
    };
    check["Test"] = json!(test);
    Ok(check)
}

/// `KEY=VALUE...` with quotes, or `KEY VALUE`.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let words = words(text);
    if !words.first()?.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace)?;
        return Some(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    words
        .iter()
        .map(|word| {
            let (key, value) = word.split_once('=')?;
            (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => word.extend(letters.next()),
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(of)) if letter == of => quote = None,
            (letter, None) if letter.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
                continue;
            }
            (letter, _) => word.push(letter),
        }
        begun = true;
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_change_a_configuration() {
        fn check(line: &str, expected: Value) {
            let mut config = json!({"Env": ["A=1", "B=2"], "WorkingDir": "/srv"});
            apply(&mut config, line).unwrap_or_else(|error| panic!("{line}: {error}"));
            for (key, value) in expected.as_object().expect("an object") {
                assert_eq!(&config[key], value, "{line}");
            }
        }
        check(r#"CMD ["a", "b c"]"#, json!({"Cmd": ["a", "b c"]}));
        check("cmd a b", json!({"Cmd": ["/bin/sh", "-c", "a b"]}));
        check("CMD", json!({"Cmd": []}));
        check(r#"ENTRYPOINT ["/x"]"#, json!({"Entrypoint": ["/x"]}));
        check("ENV A=3", json!({"Env": ["A=3", "B=2"]}));
        check(r#"ENV C="x y" D='z' E=a\ b"#, json!({"Env": ["A=1", "B=2", "C=x y", "D=z", "E=a b"]}));
        check("ENV C some words", json!({"Env": ["A=1", "B=2", "C=some words"]}));
        check("USER app:app", json!({"User": "app:app"}));
        check("WORKDIR /x", json!({"WorkingDir": "/x"}));
        check("WORKDIR x", json!({"WorkingDir": "/srv/x"}));
        check("EXPOSE 80 53/udp", json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}));
        check("LABEL a=b c=\"d e\"", json!({"Labels": {"a": "b", "c": "d e"}}));
        check(r#"VOLUME ["/a", "/b"]"#, json!({"Volumes": {"/a": {}, "/b": {}}}));
        check("VOLUME /a /b", json!({"Volumes": {"/a": {}, "/b": {}}}));
        check("STOPSIGNAL SIGINT", json!({"StopSignal": "SIGINT"}));
        check("HEALTHCHECK NONE", json!({"Healthcheck": {"Test": ["NONE"]}}));
        check("HEALTHCHECK CMD a b", json!({"Healthcheck": {"Test": ["CMD-SHELL", "a b"]}}));
        check(
            r#"healthcheck --interval=50ms --retries=2 CMD ["a", "b"]"#,
            json!({"Healthcheck": {"Interval": 50_000_000, "Retries": 2, "Test": ["CMD", "a", "b"]}}),
        );
    }

    #[test]
    fn bad_lines_are_refused() {
        for line in [
            "",
            "FROM x",
            "ENV",
            "ENV A",
            "LABEL =x",
            "EXPOSE x",
            "EXPOSE 99999",
            "RUN x",
            "USER a\nb",
            "WORKDIR",
            "HEALTHCHECK",
            "HEALTHCHECK a",
            "HEALTHCHECK CMD",
            "HEALTHCHECK NONE a",
            "HEALTHCHECK --retries=1 NONE",
            "HEALTHCHECK --retries=x CMD a",
            "HEALTHCHECK --retries=0 CMD a",
            "HEALTHCHECK --interval=5 CMD a",
            "HEALTHCHECK --interval CMD a",
            "HEALTHCHECK --often=1s CMD a",
        ] {
            let error = apply(&mut json!({}), line).expect_err(line);
            assert_eq!(error.kind, Kind::Usage, "{line}");
        }
    }
}
