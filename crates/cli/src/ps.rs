//! `ps`: the table of containers.

use crate::listing::{Listing, Row};
use crate::place::{Place, place, print};
use crate::{human, moment};
use engine::filter::{Filters, Pattern};
use engine::{Error, Kind, Listed, PortMapping, Result, Status, VolumeMount};
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;

/// List containers
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  devoxx-container ps --all --filter status=exited\n  devoxx-container ps --format 'table {{.Names}}\\t{{.Status}}'"
)]
pub struct ListContainers {
    /// Also those that do not run
    #[arg(short, long)]
    all: bool,
    /// Only those that fit: id, name, label, status, exited, ancestor, volume, network, publish, expose, before, since, health
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A table by a template ("table ..."), lines by a template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    /// The last N that were made, whatever they do
    #[arg(short = 'n', long, value_name = "N", default_value = "-1", allow_hyphen_values = true)]
    last: i64,
    /// The last one that was made, whatever it does
    #[arg(short, long)]
    latest: bool,
    /// Show nothing shortened
    #[arg(long)]
    no_trunc: bool,
    /// Print ids alone
    #[arg(short, long)]
    quiet: bool,
    /// Show how much they wrote
    #[arg(short, long)]
    size: bool,
}

const KEYS: [&str; 14] = [
    "id", "name", "label", "status", "exited", "ancestor", "volume", "network", "publish", "expose",
    "before", "since", "health", "is-task",
];

const USUAL: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

const HEADERS: [(&str, &str); 16] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("HealthStatus", "HEALTH"),
    ("Size", "SIZE"),
    ("Names", "NAMES"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

/// `ps`.
pub fn ps(arguments: &ListContainers) -> Result<i32> {
    let filters = Filters::parse(&arguments.filter, &KEYS)?;
    let usual = if arguments.size { format!("{USUAL}\t{{{{.Size}}}}") } else { USUAL.to_owned() };
    let listing = Listing::new(arguments.format.as_deref(), &usual, &HEADERS)?;
    let wanted = Wanted::of(&filters)?;
    let place = place()?;
    let everything = engine::list(&place.paths)?;
    let wanted = wanted.among(&everything, &filters)?;
    let last = if arguments.latest { Some(1) } else { usize::try_from(arguments.last).ok() };
    // As docker: who asks for a status asks for it among all.
    let all = arguments.all || last.is_some() || ["status", "exited"].iter().any(|key| filters.has(key));
    let mut shown: Vec<&Listed> = everything
        .iter()
        .filter(|one| all || !matches!(one.status, Status::Created | Status::Exited))
        .filter(|one| wanted.fits(&place, one, &filters))
        .collect();
    shown.truncate(last.unwrap_or(usize::MAX));
    if arguments.quiet {
        let ids =
            shown.iter().map(|one| if arguments.no_trunc { &one.record.id } else { short(&one.record.id) });
        // At once: there may be thousands.
        let ids: Vec<&str> = ids.collect();
        return if ids.is_empty() { Ok(0) } else { print(&ids.join("\n")).map(|()| 0) };
    }
    // Only where it is looked at: a large container takes its time.
    let sized = arguments.size || arguments.format.as_deref().is_some_and(|format| format.contains(".Size"));
    let rows: Vec<Row> = shown.into_iter().map(|one| row(&place, one, arguments.no_trunc, sized)).collect();
    listing.print(&rows)?;
    Ok(0)
}

fn short(id: &str) -> &str {
    engine::names::short(id)
}

fn row(place: &Place, one: &Listed, whole: bool, sized: bool) -> Row {
    let record = &one.record;
    let created: Option<Timestamp> = record.created.parse().ok();
    let command = one_line(&record.command.join(" "));
    let command = if whole { command } else { ellipsis(&command, 20) };
    let size = if sized {
        let written = engine::written(&place.paths, &place.images, record);
        format!("{} (virtual {})", human::size(written.own), human::size(written.all))
    } else {
        "0B".to_owned()
    };
    let mounts: Vec<String> = mounts(one);
    let image = if record.image.starts_with("sha256:") && !whole {
        record.image.get(7..19).unwrap_or(&record.image).to_owned()
    } else {
        record.image.clone()
    };
    Row::default()
        .with("ID", if whole { &record.id } else { short(&record.id) })
        .with("Image", image)
        .with("Command", format!("\"{command}\""))
        .with("CreatedAt", created.map_or(String::new(), moment::local_text))
        .with("RunningFor", created.map_or(String::new(), |time| format!("{} ago", since(time))))
        .with("Ports", ports(&engine::published(&place.paths, &record.id)))
        .with("State", one.status.to_string())
        .with("Status", status(one, health(place, one).as_deref()))
        .with("HealthStatus", health(place, one).unwrap_or_default())
        .with("Size", size)
        .with("Names", record.name.as_str())
        .with("Mounts", mounts.join(","))
        .with("LocalVolumes", mounts.iter().filter(|name| !name.starts_with('/')).count().to_string())
        .with("Networks", engine::networks_of(record).join(","))
        .with("Platform", "linux")
        .with_labels(&record.labels)
}

fn since(time: Timestamp) -> String {
    let passed = Timestamp::now().duration_since(time);
    human::duration(Duration::try_from(passed).unwrap_or_default())
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn ellipsis(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// How its check finds a container that runs; none without one.
fn health(place: &Place, one: &Listed) -> Option<String> {
    one.record.check.as_ref()?;
    let up = matches!(one.status, Status::Running | Status::Paused);
    up.then(|| engine::health::read(&place.paths, &one.record.id))?.map(|health| health.status)
}

/// `Up 2 minutes (healthy)`, `Exited (0) 3 hours ago`.
fn status(one: &Listed, health: Option<&str>) -> String {
    let passed = |time: &Option<String>| {
        let time = time.as_ref().and_then(|time| time.parse::<Timestamp>().ok());
        time.map_or_else(|| "some time".to_owned(), since)
    };
    let code = one.life.exit_code.unwrap_or(255);
    match one.status {
        Status::Created => "Created".to_owned(),
        Status::Running => {
            let health = match health {
                None => String::new(),
                Some("starting") => " (health: starting)".to_owned(),
                Some(health) => format!(" ({health})"),
            };
            format!("Up {}{health}", passed(&one.life.started))
        }
        Status::Paused => format!("Up {} (Paused)", passed(&one.life.started)),
        Status::Restarting => format!("Restarting ({code}) {} ago", passed(&one.life.finished)),
        Status::Exited => format!("Exited ({code}) {} ago", passed(&one.life.finished)),
    }
}

/// Names of volumes and sources of binds.
fn mounts(one: &Listed) -> Vec<String> {
    let mut own = one.record.own_volumes.iter();
    let mut all = Vec::new();
    for mount in &one.record.wish.mounts {
        match mount {
            VolumeMount::Bind { source, .. } => all.push(source.display().to_string()),
            VolumeMount::Volume { name, .. } => all.extend(name.as_ref().or_else(|| own.next()).cloned()),
            VolumeMount::Tmpfs { .. } => {}
        }
    }
    all.extend(own.cloned());
    all
}

/// `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`; neighbours are one range.
fn ports(published: &[PortMapping]) -> String {
    let mut all: Vec<(String, &PortMapping)> = Vec::new();
    for port in published {
        match port.host_ip {
            Some(ip) if ip.is_ipv6() => all.push((format!("[{ip}]"), port)),
            Some(ip) => all.push((ip.to_string(), port)),
            None => all.extend([("0.0.0.0".to_owned(), port), ("[::]".to_owned(), port)]),
        }
    }
    all.sort_by(|(a, one), (b, other)| {
        let key = |ip: &String, port: &PortMapping| {
            (port.protocol.number(), ip.clone(), port.container_port, port.host_port)
        };
        key(a, one).cmp(&key(b, other))
    });
    // First and last of each range.
    let mut ranges: Vec<(String, &PortMapping, &PortMapping)> = Vec::new();
    for (ip, port) in all {
        match ranges.last_mut() {
            Some((known, _, last))
                if *known == ip
                    && last.protocol == port.protocol
                    && last.host_port.checked_add(1) == Some(port.host_port)
                    && last.container_port.checked_add(1) == Some(port.container_port) =>
            {
                *last = port;
            }
            _ => ranges.push((ip, port, port)),
        }
    }
    ranges.sort_by_key(|(_, first, _)| (first.container_port, first.protocol.number()));
    let span =
        |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let shown: Vec<String> = ranges
        .iter()
        .map(|(ip, first, last)| {
            format!(
                "{ip}:{}->{}/{}",
                span(first.host_port, last.host_port),
                span(first.container_port, last.container_port),
                first.protocol
            )
        })
        .collect();
    shown.join(", ")
}

/// Filters whose values were read.
struct Wanted {
    id: Vec<Pattern>,
    name: Vec<Pattern>,
    exited: Vec<i32>,
    ports: Vec<Span>,
    exposed: Vec<Span>,
    /// Made before, and after: as records have times.
    before: Option<String>,
    since: Option<String>,
}

/// `80`, `80/udp`, `8000-8080/tcp`.
struct Span {
    first: u16,
    last: u16,
    protocol: String,
}

impl Span {
    fn parse(key: &str, text: &str) -> Result<Self> {
        let read = || {
            let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            let known = ["tcp", "udp", "sctp"].contains(&protocol) && first <= last;
            known.then(|| Self { first, last, protocol: protocol.to_owned() })
        };
        read().ok_or_else(|| {
            Error::new(Kind::Usage, format!("invalid filter \"{key}={text}\": no port"))
                .with_hint("write a port or a range of ports, and /udp for UDP")
        })
    }

    fn has(&self, port: u16, protocol: &str) -> bool {
        (self.first..=self.last).contains(&port) && self.protocol == protocol
    }
}

impl Wanted {
    fn of(filters: &Filters) -> Result<Self> {
        filters
            .check("status", &["created", "restarting", "running", "removing", "paused", "exited", "dead"])?;
        filters.check("health", &["starting", "healthy", "unhealthy", "none"])?;
        filters.check("is-task", &["true", "false"])?;
        let code = |text: &str| {
            text.parse().map_err(|_| {
                Error::new(Kind::Usage, format!("invalid filter \"exited={text}\": no exit code"))
            })
        };
        let spans = |key: &str| filters.values(key).map(|text| Span::parse(key, text)).collect::<Result<_>>();
        Ok(Self {
            id: filters.patterns("id")?,
            name: filters.patterns("name")?,
            exited: filters.values("exited").map(code).collect::<Result<_>>()?,
            ports: spans("publish")?,
            exposed: spans("expose")?,
            before: None,
            since: None,
        })
    }

    /// `before` and `since` name containers.
    fn among(mut self, all: &[Listed], filters: &Filters) -> Result<Self> {
        let made = |wanted: &str| {
            let found = all.iter().find(|one| {
                one.record.name == wanted || (!wanted.is_empty() && one.record.id.starts_with(wanted))
            });
            found
                .map(|one| one.record.created.clone())
                .ok_or_else(|| Error::new(Kind::Failed, format!("no such container: {wanted}")))
        };
        self.before = filters.values("before").map(made).collect::<Result<Vec<_>>>()?.into_iter().min();
        self.since = filters.values("since").map(made).collect::<Result<Vec<_>>>()?.into_iter().max();
        Ok(self)
    }

    fn fits(&self, place: &Place, one: &Listed, filters: &Filters) -> bool {
        let record = &one.record;
        let some = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_in(text))
        };
        let label =
            |key: &str| record.labels.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
        let ended = (one.status == Status::Exited).then(|| one.life.exit_code.unwrap_or(255));
        let ports =
            if self.ports.is_empty() { Vec::new() } else { engine::published(&place.paths, &record.id) };
        some(&self.id, &record.id)
            && (some(&self.name, &record.name) || some(&self.name, &format!("/{}", record.name)))
            && filters.labels(label)
            && filters.any("status", |status| one.status.to_string() == status)
            && (self.exited.is_empty() || ended.is_some_and(|code| self.exited.contains(&code)))
            && filters.any("ancestor", |image| descends(one, image))
            && filters.any("volume", |wanted| has_volume(one, wanted))
            && filters.any("network", |name| engine::networks_of(record).iter().any(|known| known == name))
            && filters.any("health", |wanted| health(place, one).as_deref().unwrap_or("none") == wanted)
            && filters.any("is-task", |task| task == "false")
            && (self.ports.is_empty()
                || ports.iter().any(|port| {
                    self.ports.iter().any(|span| span.has(port.host_port, &port.protocol.to_string()))
                }))
            && (self.exposed.is_empty()
                || record.wish.ports.iter().any(|port| {
                    self.exposed.iter().any(|span| span.has(port.container_port, &port.protocol.to_string()))
                })
                || record
                    .wish
                    .exposed
                    .iter()
                    .filter_map(|text| Span::parse("expose", text).ok())
                    .any(|port| self.exposed.iter().any(|span| span.has(port.first, &port.protocol))))
            && self.before.as_ref().is_none_or(|time| record.created < *time)
            && self.since.as_ref().is_none_or(|time| record.created > *time)
    }
}

/// Whether a container was made from an image: by the name with or without its tag, or the beginning of its id.
fn descends(one: &Listed, image: &str) -> bool {
    let record = &one.record;
    let hex = record.image_id.trim_start_matches("sha256:");
    let same_name = |a: &str, b: &str| {
        let full = |text: &str| engine::Reference::parse(text).ok().map(|reference| reference.to_string());
        a == b || (full(a).is_some() && full(a) == full(b))
    };
    let same_id = image.len() >= 4 && !hex.is_empty() && hex.starts_with(image.trim_start_matches("sha256:"));
    same_name(&record.image, image) || same_id
}

fn has_volume(one: &Listed, wanted: &str) -> bool {
    let named = mounts(one).iter().any(|name| name == wanted);
    named || one.record.wish.mounts.iter().any(|mount| mount.target() == Path::new(wanted))
}
