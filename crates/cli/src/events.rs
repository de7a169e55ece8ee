//! `events`: what happens, as it happens.

use crate::moment;
use crate::place::{place, print};
use engine::events::{Occurrence, Subject};
use engine::filter::Filters;
use engine::template::{Template, printable};
use engine::{Error, Result};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering;

/// Show what happens, as it happens
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container events --since 10m --until 0s\n  devoxx-container events --filter type=container --filter event=die --format '{{.Actor.Attributes.name}}'"
)]
pub struct Events {
    /// Only those that fit: container, event, image, label, network, scope, type, volume
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A template for each, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// Also what happened since then: 10m, a date, RFC 3339 or seconds since 1970
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Until then
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

const KEYS: [&str; 9] =
    ["container", "event", "image", "label", "network", "scope", "type", "volume", "daemon"];

/// `events`.
pub fn events(arguments: &Events) -> Result<i32> {
    let filters = Filters::parse(&arguments.filter, &KEYS)?;
    filters.check("type", &["container", "image", "volume", "network", "daemon", "plugin"])?;
    filters.check("scope", &["local", "swarm"])?;
    let template = match arguments.format.as_deref() {
        None | Some("" | "json") => None,
        Some(text) => Some(Template::parse(&text.replace("\\t", "\t").replace("\\n", "\n"))?),
    };
    let is_json = arguments.format.as_deref() == Some("json");
    let time = |option: &str, typed: &Option<String>| {
        typed.as_ref().map(|text| moment::parse(option, text).map(nanoseconds)).transpose()
    };
    let (since, until) = (time("--since", &arguments.since)?, time("--until", &arguments.until)?);
    let place = place()?;
    // There is nothing to be tidied up.
    place.interrupted.store(true, Ordering::Relaxed);
    let mut failed: Option<Error> = None;
    engine::events::events(&place.paths, since, until, &mut |occurrence| {
        if !fits(occurrence, &filters) {
            return true;
        }
        let text = match &template {
            Some(template) => template.render(&printable(&value(occurrence))),
            None if is_json => Ok(value(occurrence).to_string()),
            None => Ok(line(occurrence)),
        };
        match text.and_then(|text| print(&text)) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        }
    })?;
    failed.map_or(Ok(0), Err)
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

/// `2026-11-25T09:28:46.123456789Z container start ID (image=busybox, name=web)`.
fn line(occurrence: &Occurrence) -> String {
    let time = Timestamp::from_nanosecond(occurrence.time.into()).unwrap_or_default();
    let attributes: Vec<String> =
        occurrence.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let text = format!(
        "{} {} {} {} ({})",
        moment::exact_local_text(time),
        occurrence.subject,
        occurrence.action,
        occurrence.id,
        attributes.join(", ")
    );
    text.replace(['\n', '\r'], " ")
}

/// As docker's API has it.
fn value(occurrence: &Occurrence) -> Value {
    let attributes: Map<String, Value> =
        occurrence.attributes.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    json!({
        "Type": occurrence.subject.to_string(),
        "Action": occurrence.action,
        "Actor": {"ID": occurrence.id, "Attributes": attributes},
        "scope": "local",
        "time": occurrence.time / 1_000_000_000,
        "timeNano": occurrence.time,
        "status": occurrence.action,
        "id": occurrence.id,
        "from": occurrence.attributes.get("image").map_or("", String::as_str),
    })
}

fn fits(occurrence: &Occurrence, filters: &Filters) -> bool {
    let attribute = |key: &str| occurrence.attributes.get(key).map(String::as_str);
    let is = |subject: Subject, wanted: &str| {
        occurrence.subject == subject
            && (attribute("name") == Some(wanted)
                || (!wanted.is_empty() && occurrence.id.trim_start_matches("sha256:").starts_with(wanted)))
    };
    let word = occurrence.action.split(':').next().unwrap_or_default();
    filters.any("event", |wanted| wanted == word || wanted == occurrence.action)
        && filters.any("type", |wanted| wanted == occurrence.subject.to_string())
        && filters.any("container", |wanted| {
            is(Subject::Container, wanted) || attribute("container").is_some_and(|id| id.starts_with(wanted))
        })
        && filters.any("image", |wanted| {
            let tagless = |name: &str| {
                name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(':'))
            };
            is(Subject::Image, wanted)
                || attribute("image")
                    .or_else(|| attribute("name").filter(|_| occurrence.subject == Subject::Image))
                    .is_some_and(tagless)
        })
        && filters.any("volume", |wanted| is(Subject::Volume, wanted))
        && filters.any("network", |wanted| is(Subject::Network, wanted))
        && filters.any("scope", |wanted| wanted == "local")
        && filters.any("daemon", |_| true)
        && filters.labels(|key| attribute(key))
}
