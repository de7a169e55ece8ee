//! `--log-driver` and `--log-opt`: where what a container writes is kept, read from words and checked.

use crate::error::{Error, Kind, Result, of_image};
use crate::size;
use crate::template::Template;
use crate::wish::LogDriver;
use regex_lite::Regex;
use std::net::SocketAddr;
use std::time::Duration;
use supervisor::log::syslog::{Address, Form};
use sys::Context;

/// The drivers by name, each with the options that are its own.
const DRIVERS: [(&str, &[&str]); 6] = [
    ("json-file", &["max-size", "max-file", "compress"]),
    ("local", &["max-size", "max-file", "compress"]),
    ("journald", &[]),
    ("syslog", &["syslog-address", "syslog-facility", "syslog-format"]),
    ("none", &[]),
    ("passthrough", &[]),
];

/// What those that keep lines have in common.
const COMMON: [&str; 7] = ["tag", "labels", "labels-regex", "env", "env-regex", "mode", "max-buffer-size"];

/// Bytes that wait for a slow reader with `mode=non-blocking`, as docker has it.
const BUFFER: u64 = 1 << 20;

/// RFC 5424, 6.2.1, in their order.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// The options of a driver, by name.
pub type Options = Vec<(String, String)>;

fn wrong(text: &str, why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Usage, format!("invalid value {text:?} for --log-opt: {why}"))
}

/// The driver and its options; every one of them has a meaning.
///
/// # Errors
/// A driver or an option that there is not, or that contradicts another.
pub fn parse(driver: &str, typed: &[String]) -> Result<(LogDriver, Options)> {
    let Some((name, own)) = DRIVERS.iter().find(|(name, _)| *name == driver) else {
        let names = names();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        let message =
            format!("invalid value {driver:?} for --log-driver: write {} or {last}", others.join(", "));
        return Err(Error::new(Kind::Usage, message));
    };
    let mut options: Options = Vec::new();
    for text in typed {
        let (key, value) = text.split_once('=').ok_or_else(|| wrong(text, "write KEY=VALUE"))?;
        let keeps = !["none", "passthrough"].contains(name);
        let is_known = own.contains(&key) || (keeps && COMMON.contains(&key));
        if !is_known {
            let mut all = own.to_vec();
            all.extend(COMMON.iter().filter(|_| keeps));
            let known =
                if all.is_empty() { "has no options".to_owned() } else { format!("has {}", all.join(", ")) };
            return Err(wrong(text, format!("the driver {name} {known}")));
        }
        check(key, value).map_err(|why| wrong(text, why))?;
        options.retain(|(earlier, _)| earlier != key);
        options.push((key.to_owned(), value.to_owned()));
    }
    if value(&options, "max-buffer-size").is_some() && value(&options, "mode") != Some("non-blocking") {
        return Err(Error::new(Kind::Usage, "--log-opt max-buffer-size needs --log-opt mode=non-blocking"));
    }
    let max_size = |usual: u64| match value(&options, "max-size") {
        None => Ok(usual),
        Some("-1") => Ok(u64::MAX),
        Some(text) => size::parse("--log-opt max-size", text),
    };
    let max_file =
        |usual: u32| value(&options, "max-file").and_then(|text| text.parse().ok()).unwrap_or(usual);
    let driver = match *name {
        "local" => LogDriver::Local { max_size: max_size(20 << 20)?, max_file: max_file(5) },
        "journald" => LogDriver::Journald,
        "syslog" => LogDriver::Syslog,
        "none" => LogDriver::None,
        "passthrough" => LogDriver::Passthrough,
        _ => LogDriver::JsonFile { max_size: max_size(10 << 20)?, max_file: max_file(3) },
    };
    Ok((driver, options))
}

/// The names of the drivers.
pub fn names() -> Vec<&'static str> {
    DRIVERS.iter().map(|(name, _)| *name).collect()
}

/// What is wrong with a value.
fn check(key: &str, value: &str) -> Result<(), String> {
    let one_of = |known: &[&str]| match known.contains(&value) {
        true => Ok(()),
        false => Err(format!("write {}", known.join(" or "))),
    };
    match key {
        "max-size" if value == "-1" => Ok(()),
        "max-size" | "max-buffer-size" => match size::parse("--log-opt", value) {
            Ok(1..) => Ok(()),
            _ => Err("write a number with one of the units b, k, m, g, such as 10m".to_owned()),
        },
        "max-file" => match value.parse::<u32>() {
            Ok(1..) => Ok(()),
            _ => Err("the number of files is 1 or more".to_owned()),
        },
        "compress" if value == "true" => {
            Err("older files are not compressed: max-size and max-file limit them".to_owned())
        }
        "compress" => one_of(&["false"]),
        "mode" => one_of(&["blocking", "non-blocking"]),
        "labels-regex" | "env-regex" => Regex::new(value).map(drop).map_err(|error| one_line(&error)),
        "tag" => tag(value, &tag_example()).map(drop).map_err(|error| error.to_string()),
        "syslog-address" => endpoint(value).map(drop),
        "syslog-facility" => facility_of(value)
            .map(drop)
            .ok_or_else(|| format!("write a number or one of {}", FACILITIES.join(", "))),
        "syslog-format" if value == "rfc3164" => {
            Err("its time has no zone: write rfc5424 or rfc5424micro".to_owned())
        }
        "syslog-format" => one_of(&["rfc5424", "rfc5424micro"]),
        _ => Ok(()),
    }
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value of an option.
pub fn value<'a>(options: &'a Options, key: &str) -> Option<&'a str> {
    options.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

/// How many bytes wait before lines are dropped; none where the container waits instead.
pub fn buffer(options: &Options) -> Option<usize> {
    if value(options, "mode") != Some("non-blocking") {
        return None;
    }
    let most = value(options, "max-buffer-size").and_then(|text| size::parse("--log-opt", text).ok());
    usize::try_from(most.unwrap_or(BUFFER)).ok()
}

/// What a tag can be made of, for a container that there is not.
fn tag_example() -> serde_json::Value {
    tag_fields(["0"; 8])
}

/// What a tag can be made of: id, its beginning, name, the image's id, its beginning, the image's name, the command, the host name.
pub fn tag_fields(values: [&str; 8]) -> serde_json::Value {
    let [full_id, id, name, image_full_id, image_id, image_name, command, hostname] = values;
    serde_json::json!({
        "FullID": full_id,
        "ID": id,
        "Name": name,
        "ImageFullID": image_full_id,
        "ImageID": image_id,
        "ImageName": image_name,
        "Command": command,
        "Hostname": hostname,
        "DaemonName": "devoxx-container",
    })
}

/// A tag from its template.
pub fn tag(template: &str, fields: &serde_json::Value) -> Result<String> {
    Template::parse(template)?.render(fields)
}

/// Where a syslog server is, before its name is looked up.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint<'a> {
    Unix(&'a str),
    Udp(String),
    Tcp(String),
}

/// The port of syslog.
const PORT: u16 = 514;

fn endpoint(text: &str) -> Result<Endpoint<'_>, String> {
    let form = "write unix://PATH, udp://HOST[:PORT] or tcp://HOST[:PORT]";
    let (scheme, rest) = text.split_once("://").ok_or(form)?;
    if scheme == "tcp+tls" {
        return Err("there is no TLS to syslog: let a syslog server of this host pass it on".to_owned());
    }
    if ["unix", "unixgram"].contains(&scheme) {
        return if rest.starts_with('/') {
            Ok(Endpoint::Unix(rest))
        } else {
            Err("a path is absolute".to_owned())
        };
    }
    let bare_v6 = rest.starts_with('[') && rest.ends_with(']');
    let host = match rest.rsplit_once(':') {
        Some((host, port)) if !bare_v6 => {
            port.parse::<u16>().ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535")?;
            host
        }
        _ => rest,
    };
    if host.is_empty() || host.contains(['/', ' ', '@']) {
        return Err(form.to_owned());
    }
    let whole = if host.len() == rest.len() { format!("{host}:{PORT}") } else { rest.to_owned() };
    match scheme {
        "udp" => Ok(Endpoint::Udp(whole)),
        "tcp" => Ok(Endpoint::Tcp(whole)),
        _ => Err(form.to_owned()),
    }
}

fn facility_of(text: &str) -> Option<u8> {
    let by_name = FACILITIES.iter().position(|name| *name == text);
    let number = by_name.or_else(|| text.parse().ok().filter(|number| *number < FACILITIES.len()))?;
    u8::try_from(number).ok()
}

/// The facility of the lines.
pub fn facility(options: &Options) -> u8 {
    // daemon
    value(options, "syslog-facility").and_then(facility_of).unwrap_or(3)
}

/// How long a name is looked up.
const LOOK_UP: Duration = Duration::from_secs(15);

/// Where the server is, and the words that it is spoken to with; its name is looked up.
///
/// # Errors
/// There is no such host.
pub fn server(options: &Options) -> Result<(Address, Form)> {
    let text = value(options, "syslog-address").unwrap_or("unix:///dev/log");
    let look_up = |host: &str| -> Result<SocketAddr> {
        let none = || Error::new(Kind::Failed, format!("{host}: no address"));
        let (name, port) = host.rsplit_once(':').ok_or_else(none)?;
        let found = image::host_name::addresses(name, LOOK_UP).map_err(of_image)?;
        let (address, port) = found.first().copied().zip(port.parse().ok()).ok_or_else(none)?;
        Ok(SocketAddr::new(address, port))
    };
    let address = match endpoint(text).map_err(|why| wrong(text, why))? {
        Endpoint::Unix(path) => Address::Unix(path.into()),
        Endpoint::Udp(host) => Address::Udp(look_up(&host).within(|| "--log-driver syslog".to_owned())?),
        Endpoint::Tcp(host) => Address::Tcp(look_up(&host).within(|| "--log-driver syslog".to_owned())?),
    };
    let form = match (value(options, "syslog-format"), &address) {
        (Some("rfc5424micro"), _) => Form::Rfc5424Micro,
        (None, Address::Unix(_)) => Form::Local,
        _ => Form::Rfc5424,
    };
    Ok((address, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn drivers_and_their_options() {
        let check = |driver: &str, options: &[&str], expected: LogDriver| {
            assert_eq!(parse(driver, &typed(options)).expect(driver).0, expected, "{driver} {options:?}");
        };
        check("json-file", &[], LogDriver::JsonFile { max_size: 10 << 20, max_file: 3 });
        check(
            "json-file",
            &["max-size=1k", "max-file=1"],
            LogDriver::JsonFile { max_size: 1024, max_file: 1 },
        );
        check("json-file", &["max-size=-1"], LogDriver::JsonFile { max_size: u64::MAX, max_file: 3 });
        check(
            "json-file",
            &["max-size=1k", "max-size=2k"],
            LogDriver::JsonFile { max_size: 2048, max_file: 3 },
        );
        check("local", &["compress=false"], LogDriver::Local { max_size: 20 << 20, max_file: 5 });
        check("journald", &["tag={{.Name}}/{{.ID}}", "labels=a,b", "env-regex=^A"], LogDriver::Journald);
        check("journald", &["mode=non-blocking", "max-buffer-size=4m"], LogDriver::Journald);
        check("syslog", &["syslog-address=udp://127.0.0.1", "syslog-facility=local7"], LogDriver::Syslog);
        check("none", &[], LogDriver::None);
        check("passthrough", &[], LogDriver::Passthrough);
    }

    #[test]
    fn what_is_refused() {
        let check = |driver: &str, option: &str, words: &[&str]| {
            let error = parse(driver, &typed(&[option])).expect_err(option).to_string();
            for word in words.iter().chain(&["--log-"]) {
                assert!(error.contains(word), "{word} in {error}");
            }
            assert_eq!(error.lines().count(), 1, "{error}");
        };
        check("pigeon", "a=b", &["pigeon", "json-file", "or passthrough"]);
        check("", "a=b", &["--log-driver"]);
        check("none", "max-size=1", &["has no options"]);
        check("passthrough", "tag=x", &["has no options"]);
        check("journald", "max-size=1k", &["journald has tag, labels"]);
        check("json-file", "syslog-address=udp://a", &["json-file has max-size"]);
        for garbage in ["", "=", "max-size", "MAX-SIZE=1", "nope=1", "=1"] {
            check("json-file", garbage, &[]);
        }
        for bad in [
            "max-size=0",
            "max-size=many",
            "max-size=-2",
            "max-size=",
            "max-file=0",
            "max-file=-1",
            "max-file=1.5",
        ] {
            check("json-file", bad, &[bad]);
        }
        for bad in
            ["compress=true", "compress=maybe", "mode=fast", "max-buffer-size=1m", "mode=non-blocking "]
        {
            check("local", bad, &[]);
        }
        for bad in ["tag={{.Nope}}", "tag={{", "labels-regex=(", "env-regex=[", "tag={{.ID"] {
            check("journald", bad, &[]);
        }
        for bad in [
            "",
            "http://a",
            "udp://",
            "udp://:514",
            "udp://a:0",
            "udp://a:99999",
            "tcp+tls://a",
            "unix://log",
            "/dev/log",
            "tcp://a/b",
            "tcp://u@a",
        ] {
            check("syslog", &format!("syslog-address={bad}"), &[]);
        }
        for bad in [
            "syslog-facility=24",
            "syslog-facility=nobody",
            "syslog-facility=",
            "syslog-format=rfc3164",
            "syslog-format=x",
        ] {
            check("syslog", bad, &[bad]);
        }
    }

    #[test]
    fn servers() {
        let check = |text: &str, expected: Endpoint<'_>| assert_eq!(endpoint(text), Ok(expected), "{text}");
        check("unix:///dev/log", Endpoint::Unix("/dev/log"));
        check("unixgram:///run/x", Endpoint::Unix("/run/x"));
        check("udp://log", Endpoint::Udp("log:514".into()));
        check("tcp://10.0.0.1:6514", Endpoint::Tcp("10.0.0.1:6514".into()));
        check("udp://[::1]", Endpoint::Udp("[::1]:514".into()));
        check("udp://[::1]:99", Endpoint::Udp("[::1]:99".into()));
    }
}
