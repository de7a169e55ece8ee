//! `--gpus`, as docker writes it, as names of CDI devices.

use super::name::Name;
use crate::error::{Error, Kind, Result};

/// What docker knows of capabilities. A CDI spec gives all that its device can do, so that they only have to be words.
const CAPABILITIES: [&str; 9] =
    ["all", "compat32", "compute", "display", "gpu", "graphics", "ngx", "utility", "video"];

fn wrong(text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid value {text:?} for --gpus: {why}"))
}

/// Reads `all`, a number, or `device=0,1`, with `driver=` and `capabilities=` beside.
pub fn parse_gpus(text: &str) -> Result<Vec<Name>> {
    let (mut count, mut devices, mut driver) = (None, Vec::new(), "nvidia");
    let mut list = None;
    for field in fields(text).ok_or_else(|| wrong(text, "a quote is not closed"))? {
        let (key, value) = match field.split_once('=') {
            // A device of another driver has its whole name as its value.
            Some((key, value))
                if matches!(key, "driver" | "count" | "device" | "capabilities" | "options") =>
            {
                (Some(key.to_owned()), value.to_owned())
            }
            // Further ones of a list, which a shell has taken the quotes of; else the number alone.
            _ => (list.clone(), field.clone()),
        };
        match key.as_deref() {
            None | Some("count") => {
                if count.is_some() {
                    return Err(wrong(text, "there are two numbers"));
                }
                count = Some(match value.as_str() {
                    "all" | "-1" => None,
                    number => Some(
                        number.parse::<u32>().ok().filter(|number| (1..=1024).contains(number)).ok_or_else(
                            || wrong(text, "write all, a number from 1 on, or device=ID[,ID...]"),
                        )?,
                    ),
                });
            }
            Some("device") => {
                devices.extend(value.split(',').map(str::to_owned));
                list = Some("device".to_owned());
            }
            Some("driver") => {
                driver = match value.as_str() {
                    "nvidia" => "nvidia",
                    "amd" => "amd",
                    "cdi" => "cdi",
                    _ => return Err(wrong(text, "driver is none of nvidia, amd and cdi")),
                };
                list = None;
            }
            Some("capabilities") => {
                if let Some(word) = value.split(',').find(|word| !CAPABILITIES.contains(word)) {
                    return Err(wrong(
                        text,
                        &format!("capability {word:?} is none of {}", CAPABILITIES.join(", ")),
                    ));
                }
                list = Some("capabilities".to_owned());
            }
            Some(key) => return Err(wrong(text, &format!("there is no {key}"))),
        }
    }
    let kind = format!("{}.com/gpu", if driver == "cdi" { "nvidia" } else { driver });
    let names: Vec<String> = match (count, devices.is_empty()) {
        (Some(_), false) => return Err(wrong(text, "a number and device= say different things")),
        (Some(None), _) => vec!["all".to_owned()],
        (None, true) => return Err(wrong(text, "write all, a number, or device=ID[,ID...]")),
        (Some(Some(number)), _) => (0..number).map(|index| index.to_string()).collect(),
        (None, false) => devices,
    };
    let name = |device: &String| {
        let whole = if device.contains('=') { device.clone() } else { format!("{kind}={device}") };
        Name::parse(&whole).map_err(|error| wrong(text, &error.to_string()))
    };
    names.iter().map(name).collect()
}

/// Parted by commas, but for those in double quotes; those quotes go.
fn fields(text: &str) -> Option<Vec<String>> {
    let (mut all, mut one, mut quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut one)),
            _ => one.push(letter),
        }
    }
    all.push(one);
    (!quoted).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_as_docker_writes_them() {
        fn check(text: &str, expected: Result<&[&str], &str>) {
            match (parse_gpus(text), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
                }
                (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        check("all", Ok(&["nvidia.com/gpu=all"]));
        check("2", Ok(&["nvidia.com/gpu=0", "nvidia.com/gpu=1"]));
        check("count=1", Ok(&["nvidia.com/gpu=0"]));
        check("count=-1", Ok(&["nvidia.com/gpu=all"]));
        check("device=0", Ok(&["nvidia.com/gpu=0"]));
        check("\"device=0,2\"", Ok(&["nvidia.com/gpu=0", "nvidia.com/gpu=2"]));
        check("device=0,2", Ok(&["nvidia.com/gpu=0", "nvidia.com/gpu=2"]));
        check("device=GPU-3a-23", Ok(&["nvidia.com/gpu=GPU-3a-23"]));
        check("all,capabilities=utility", Ok(&["nvidia.com/gpu=all"]));
        check("all,\"capabilities=compute,utility\"", Ok(&["nvidia.com/gpu=all"]));
        check("driver=amd,count=all", Ok(&["amd.com/gpu=all"]));
        check("driver=cdi,device=vendor.com/class=x", Ok(&["vendor.com/class=x"]));
        for (text, why) in [
            ("", "write all"),
            ("0", "number from 1 on"),
            ("-2", "number from 1 on"),
            ("1.5", "number from 1 on"),
            ("99999", "number from 1 on"),
            ("some", "number from 1 on"),
            ("1,2", "two numbers"),
            ("1,device=0", "different things"),
            ("device=", "device \"\""),
            ("device=a b", "device \"a b\""),
            ("driver=other,all", "driver is none"),
            ("all,capabilities=magic", "\"magic\""),
            ("all,options=x", "there is no options"),
            ("\"device=0", "quote"),
            ("capabilities=gpu", "write all"),
        ] {
            check(text, Err(why));
        }
    }
}
