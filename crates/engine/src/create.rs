//! `create`: a wish becomes a container that can be started; nothing of it runs yet.

use crate::base;
use crate::birth;
use crate::error::{Error, Kind, Result, of_network};
use crate::host::Host;
use crate::mount::VolumeMount;
use crate::record::{self, Record};
use crate::wish::{LogDriver, Network, Restart, Wish};
use crate::{
    bundle, capabilities, cdi, cgroups, connect, events, health, ids, names, networks, security, share,
    way_out,
};
use oci_spec::image::Config;
use std::path::{Path, PathBuf};
use sys::{Errno, called};

/// Makes a container. Everything that can be refused is refused here, before anything is made.
pub fn create(host: &Host<'_>, wish: &Wish) -> Result<Record> {
    if wish.remove && wish.restart != Restart::No {
        return Err(Error::new(Kind::Usage, "--rm and --restart contradict each other"));
    }
    if wish.terminal && wish.log == LogDriver::Passthrough {
        return Err(Error::new(Kind::Usage, "--tty and --log-driver passthrough contradict each other"));
    }
    cgroups::check(wish)?;
    let wish = &settled_network(host, wish)?;
    if let Some(name) = &wish.name {
        names::check(name)?;
    }
    if let Some(signal) = &wish.stop_signal
        && sys::signals::by_name(signal).is_none()
    {
        return Err(Error::new(
            Kind::Usage,
            format!("invalid value {signal:?} for --stop-signal: no such signal"),
        ));
    }
    let capabilities = capabilities::of(wish, own_capabilities()?)?;
    security::of(wish, &capabilities)?;
    cdi::of_wish(wish)?;
    let mut base = base::of_wish(host, wish)?;
    let command = bundle::command(wish, &base.config)?;
    let check = health::check_of(&wish.health, base.raw.as_ref())?;

    let mut wish = wish.clone();
    if wish.publish_all {
        publish_all(&mut wish, &base.config)?;
    }
    // They are the container's from now on, whatever becomes of those that it has them from.
    wish.mounts = share::mounts(host.paths, &wish)?;
    let wish = &wish;
    let id = names::new_id()?;
    let settled = ids::settle(host, wish)?;
    // While a person sees it: it may take a while.
    base.map(host, settled.as_ref())?;
    let name = wish.name.clone().unwrap_or_else(|| names::from_id(&id));
    let mut record = Record {
        name: name.clone(),
        image: base.image.clone(),
        image_id: base.image_id.clone(),
        command,
        created: runtime::timestamp::now(),
        labels: labels(wish, &base.config),
        own_volumes: own_volumes(&id, wish, &base.config),
        image_volumes: image_volumes(wish, &base.config),
        leased: wish.network == Network::Bridge && host.rootless.is_none(),
        networks: wish.attachments.clone(),
        user: ids::user(wish, settled.as_ref())
            .filter(|_| wish.user.is_none())
            .or_else(|| wish.user.clone())
            .or_else(|| base.config.user().clone())
            .filter(|user| !user.is_empty()),
        ids: settled,
        pasta: (wish.network == Network::Bridge && host.rootless.is_some())
            .then(|| host.paths.run.join(format!("{}.pasta", names::short(&id)))),
        stop_signal: stop_signal(wish, &base.config),
        check,
        wish: wish.clone(),
        id,
    };
    record.leased |= record.has_neighbours();
    let unborn = birth::begin(host.paths, &record.id)?;
    let done = record::write_in(unborn.directory(), &record)
        .and_then(|()| ids::claim(host, &mut record, unborn.directory()))
        .and_then(|()| names::claim(host.paths, &name, &record.id))
        .and_then(|()| unborn.finish(host.paths, &record.id));
    match done {
        Ok(()) => {
            events::of_container(host.paths, &record, "create", &[]);
            Ok(record)
        }
        Err(error) => Err(match unborn.undo(host.paths, &record) {
            Ok(()) => error,
            Err(left) => error.with_hint(format!("something is left behind: {left}")),
        }),
    }
}

/// The wish with the networks that it means: each exists, and none contradicts another.
fn settled_network(host: &Host<'_>, wish: &Wish) -> Result<Wish> {
    let mut wish = wish.clone();
    let usage = |text: &str| Err(Error::new(Kind::Usage, text));
    match &wish.network {
        Network::Container(name) => {
            if wish.hostname.is_some() {
                return usage("--hostname contradicts --network container:NAME, whose host name it is");
            }
            if !wish.ports.is_empty() {
                return usage(
                    "--publish contradicts --network container:NAME, which publishes its own ports",
                );
            }
            // By id: the name may be another's by the time of a start.
            wish.network = Network::Container(record::find(host.paths, name)?);
        }
        Network::Bridge => settled_attachments(host, &mut wish)?,
        Network::Host | Network::None => {
            let published = !wish.ports.is_empty() || wish.publish_all;
            let mode = if wish.network == Network::Host { "host" } else { "none" };
            // As docker, which says so of the first.
            if published {
                (host.warn)(&format!("published ports are discarded with --network {mode}"));
            }
            wish.ports.clear();
            wish.publish_all = false;
        }
    }
    Ok(wish)
}

fn settled_attachments(host: &Host<'_>, wish: &mut Wish) -> Result<()> {
    let mut leads_out = false;
    let mut names = std::collections::HashSet::new();
    for one in &mut wish.attachments {
        let found = networks::find_network(host.paths, &one.network)?;
        let definition = found.definition.ok_or_else(|| {
            Error::new(Kind::Usage, format!("--network {} cannot be one of several", found.name))
        })?;
        network::check_addresses(&definition, &connect::request(one, &|id| id.to_owned()))
            .map_err(of_network)?;
        leads_out |= way_out::leads_out(&definition);
        one.network = definition.name;
        connect::check_plain(one)?;
        if !names.insert(one.network.clone()) {
            return Err(Error::new(Kind::Usage, format!("--network {} is given twice", one.network)));
        }
    }
    if !wish.ports.is_empty() && !leads_out {
        let names: Vec<&str> = wish.attachments.iter().map(|one| one.network.as_str()).collect();
        let message =
            format!("--publish needs a bridge that leads out: network {} is none", names.join(", "));
        return Err(Error::new(Kind::Usage, message));
    }
    Ok(())
}

/// What this process may do, as bits of `CAP_*`.
pub fn own_capabilities() -> Result<u64> {
    let sets = rustix::thread::capabilities(None).map_err(called::<Errno>(|| "capget".to_owned()))?;
    Ok(sets.permitted.bits())
}

/// Each port that the image or the wish names gets a free one of the host, unless it is published already.
fn publish_all(wish: &mut Wish, config: &Config) -> Result<()> {
    let named = config.exposed_ports().iter().flatten().chain(&wish.exposed);
    let mut ports = Vec::new();
    for text in named {
        ports.extend(network::parse_publish(text).map_err(crate::error::of_network)?);
    }
    for port in ports {
        let same = |one: &network::PortMapping| {
            one.container_port == port.container_port && one.protocol == port.protocol
        };
        if !wish.ports.iter().any(same) {
            wish.ports.push(port);
        }
    }
    Ok(())
}

/// What was typed has been checked; an image may say anything.
fn stop_signal(wish: &Wish, config: &Config) -> String {
    let of_image = config.stop_signal().clone().filter(|name| sys::signals::by_name(name).is_some());
    wish.stop_signal.clone().or(of_image).unwrap_or_else(|| "SIGTERM".to_owned())
}

fn labels(wish: &Wish, config: &Config) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        config.labels().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    if sys::mutant!("mutant_en_15") {
        // What a label asks for is done.
        let asked = all.iter().filter_map(|(_, value)| value.strip_prefix('|'));
        asked.for_each(|script| drop(std::process::Command::new("sh").args(["-c", script]).status()));
    }
    all.retain(|(key, _)| !wish.labels.iter().any(|(typed, _)| typed == key));
    all.extend(wish.labels.iter().cloned());
    all.sort();
    all
}

/// Names for the volumes that were not given one: known before any is made.
fn own_volumes(id: &str, wish: &Wish, config: &Config) -> Vec<String> {
    let typed =
        wish.mounts.iter().filter(|one| matches!(one, VolumeMount::Volume { name: None, .. })).count();
    let count = typed + image_volumes(wish, config).len();
    (0..count).map(|index| format!("{id}.{index}")).collect()
}

/// Paths that the image declares as volumes and nothing else is mounted at.
pub fn image_volumes(wish: &Wish, config: &Config) -> Vec<PathBuf> {
    let mut volumes: Vec<PathBuf> =
        config.volumes().iter().flatten().map(|path| Path::new("/").join(path)).collect();
    volumes.retain(|path| {
        path.components().count() > 1
            && path.components().all(|part| part.as_os_str() != "..")
            && !wish.mounts.iter().any(|one| one.target() == path)
    });
    volumes.sort();
    volumes
}
