//! `--userns`, as podman writes it.

use crate::error::{Error, Kind, Result};
use crate::wish::UserNamespace;

/// The most that may be asked for.
const MOST: u32 = 1 << 28;

/// Reads `auto[:size=N]`, `keep-id[:uid=N,gid=N]`, `host` or `container:NAME`.
pub fn parse_userns(text: &str) -> Result<UserNamespace> {
    let wrong =
        |why: &str| Err(Error::new(Kind::Usage, format!("invalid value {text:?} for --userns: {why}")));
    const WORDS: &str = "write auto[:size=N], keep-id[:uid=N,gid=N], host or container:NAME";
    let (word, rest) = text.split_once(':').map_or((text, None), |(word, rest)| (word, Some(rest)));
    if word == "container" {
        return match rest {
            Some(name) if !name.is_empty() => Ok(UserNamespace::Container(name.to_owned())),
            _ => wrong("the name of the container is missing"),
        };
    }
    let mut numbers = Vec::new();
    for option in rest.iter().flat_map(|rest| rest.split(',')) {
        let Some((key, number)) = option.split_once('=') else { return wrong(WORDS) };
        // A sign is none of an id.
        let number = number.parse::<u32>().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = number.filter(|number| *number < u32::MAX) else {
            return wrong(&format!("{key} is no id"));
        };
        if numbers.iter().any(|(other, _)| *other == key) {
            return wrong(&format!("{key} is given twice"));
        }
        numbers.push((key, number));
    }
    let known: &[&str] = match word {
        "auto" => &["size"],
        "keep-id" => &["uid", "gid"],
        _ => &[],
    };
    if let Some((key, _)) = numbers.iter().find(|(key, _)| !known.contains(key)) {
        return wrong(&format!("{word} has no {key}"));
    }
    let number = |key: &str| numbers.iter().find(|(other, _)| *other == key).map(|(_, number)| *number);
    match (word, rest) {
        ("auto", _) => match number("size") {
            Some(0) => wrong("size is 0: a container needs an id for its root"),
            Some(size) if size > MOST => wrong(&format!("size is more than {MOST}")),
            size => Ok(UserNamespace::Auto { size }),
        },
        ("keep-id", _) => Ok(UserNamespace::KeepId { uid: number("uid"), gid: number("gid") }),
        ("host", None) => Ok(UserNamespace::Host),
        ("", None) => Ok(UserNamespace::Usual),
        _ => wrong(WORDS),
    }
}

/// As it is typed.
impl std::fmt::Display for UserNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = |f: &mut std::fmt::Formatter<'_>, all: &[(&str, Option<u32>)]| {
            let given = all.iter().filter_map(|(key, number)| number.map(|number| format!("{key}={number}")));
            let given: Vec<String> = given.collect();
            if given.is_empty() { Ok(()) } else { write!(f, ":{}", given.join(",")) }
        };
        match self {
            Self::Usual => Ok(()),
            Self::Host => f.write_str("host"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Auto { size } => {
                f.write_str("auto")?;
                numbers(f, &[("size", *size)])
            }
            Self::KeepId { uid, gid } => {
                f.write_str("keep-id")?;
                numbers(f, &[("uid", *uid), ("gid", *gid)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_userns() {
        fn check(text: &str, expected: Result<UserNamespace, &str>) {
            match (parse_userns(text), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found, expected, "{text}");
                    assert_eq!(found.to_string(), text);
                }
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        check("", Ok(UserNamespace::Usual));
        check("host", Ok(UserNamespace::Host));
        check("auto", Ok(UserNamespace::Auto { size: None }));
        check("auto:size=1024", Ok(UserNamespace::Auto { size: Some(1024) }));
        check("keep-id", Ok(UserNamespace::KeepId { uid: None, gid: None }));
        check("keep-id:uid=200,gid=210", Ok(UserNamespace::KeepId { uid: Some(200), gid: Some(210) }));
        check("container:web", Ok(UserNamespace::Container("web".into())));
        for (text, why) in [
            ("own", "write auto"),
            ("auto:", "write auto"),
            ("auto:1024", "write auto"),
            ("host:x=1", "host has no x"),
            ("auto:size=", "size is no id"),
            ("auto:size=-1", "size is no id"),
            ("auto:size=+1", "size is no id"),
            ("auto:size=0", "size is 0"),
            ("auto:size=4294967296", "size is no id"),
            ("auto:size=4294967295", "size is no id"),
            ("auto:size=4000000000", "size is more than"),
            ("auto:uid=1", "auto has no uid"),
            ("auto:size=1,size=2", "size is given twice"),
            ("keep-id:size=1", "keep-id has no size"),
            ("keep-id:uid=x", "uid is no id"),
            ("container:", "name of the container is missing"),
            ("container", "name of the container is missing"),
            ("AUTO", "write auto"),
        ] {
            check(text, Err(why));
        }
    }
}
