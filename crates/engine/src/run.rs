//! `run`: from a wish to an exit code.

use crate::bundle::{self, Settled};
use crate::error::{Error, Kind, Result, of_network, of_runtime};
use crate::images::{Images, Progress};
use crate::mount::VolumeMount;
use crate::paths::{Paths, make};
use crate::record::{self, Record};
use crate::security::Security;
use crate::user_namespace::Ranges;
use crate::wish::{Network, Source, Wish};
use crate::{capabilities, cgroups, devices, etc, names, security, volume};
use oci_spec::image::Config;
use runtime::bundle::Beyond;
use runtime::plan::{Overlay, Root, Upper};
use rustix::fd::AsFd;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use supervisor::{Foreground, Streams};
use sys::{Context, Errno, called};

/// What a wish needs to be fulfilled.
pub struct Host<'a> {
    /// Where everything is.
    pub paths: &'a Paths,
    /// The images.
    pub images: &'a Images,
    /// Set when this process is root of a user namespace only.
    pub rootless: Option<Ranges>,
    /// Hears of a pull.
    pub progress: Progress<'a>,
    /// Hears of what a person should know and is no error.
    pub warn: &'a dyn Fn(&str),
}

/// Where the root comes from, settled.
struct Base {
    config: Config,
    image: String,
    image_id: String,
    layers: Option<Vec<PathBuf>>,
    directory: Option<PathBuf>,
}

/// Runs a container in the foreground and returns its exit code.
pub fn run(host: &Host<'_>, wish: &Wish) -> Result<i32> {
    // Everything that can be refused without touching anything is refused here.
    cgroups::check(wish)?;
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
    let security = security::of(wish, &capabilities)?;
    let base = base(host, wish)?;
    let command = bundle::command(wish, &base.config)?;

    let id = names::new_id()?;
    let name = wish.name.clone().unwrap_or_else(|| names::from_id(&id));
    let mut record = Record {
        id: id.clone(),
        name: name.clone(),
        image: base.image.clone(),
        image_id: base.image_id.clone(),
        command,
        created: std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        labels: labels(wish, &base.config),
        own_volumes: own_volumes(&id, wish, &base.config),
        leased: wish.network == Network::Bridge && host.rootless.is_none(),
        pasta: None,
        stop_signal: stop_signal(wish, &base.config),
        exit_code: None,
    };
    if wish.network == Network::Bridge && host.rootless.is_some() {
        record.pasta = Some(host.paths.run.join(format!("{}.pasta", names::short(&id))));
    }
    make(&host.paths.container(&id))?;
    let done = record::write(host.paths, &record)
        .and_then(|()| names::claim(host.paths, &name, &id))
        .and_then(|()| run_recorded(host, wish, &base, &mut record, capabilities, security));
    match done {
        Ok(code) if wish.remove => {
            record::discard(host.paths, &id, true)?;
            Ok(code)
        }
        Ok(code) => {
            let failures = record::stop_using(host.paths, &id, Some(&record));
            record.exit_code = Some(code);
            record::write(host.paths, &record)?;
            if failures.is_empty() { Ok(code) } else { Err(Error::new(Kind::Failed, failures.join("; "))) }
        }
        Err(error) => Err(match discard_unclaimed(host.paths, &record) {
            Ok(()) => error,
            Err(left) => error.with_hint(format!("something is left behind: {left}")),
        }),
    }
}

/// Removes a container that did not come to be, but not the name when another has it.
fn discard_unclaimed(paths: &Paths, record: &Record) -> Result<()> {
    let owner = std::fs::read_link(paths.names().join(&record.name));
    if owner.is_ok_and(|owner| owner != Path::new(&record.id)) {
        let directory = paths.container(&record.id);
        return std::fs::remove_dir_all(&directory)
            .map_err(called(|| format!("remove {directory:?}")))
            .map_err(Error::from);
    }
    record::discard(paths, &record.id, true)
}

fn own_capabilities() -> Result<u64> {
    let sets = rustix::thread::capabilities(None).map_err(called::<Errno>(|| "capget".to_owned()))?;
    Ok(sets.permitted.bits())
}

fn base(host: &Host<'_>, wish: &Wish) -> Result<Base> {
    match &wish.source {
        Source::Rootfs(rootfs) => {
            let directory = std::fs::canonicalize(&rootfs.directory)
                .map_err(called(|| format!("realpath({:?})", rootfs.directory)))
                .within(|| format!("--rootfs {}", rootfs.directory.display()))?;
            if !directory.is_dir() {
                return Err(Error::new(
                    Kind::Failed,
                    format!("--rootfs {}: not a directory", directory.display()),
                ));
            }
            let image = directory.display().to_string();
            let layers = rootfs.overlay.then(|| vec![directory.clone()]);
            Ok(Base {
                config: Config::default(),
                image,
                image_id: String::new(),
                layers,
                directory: Some(directory),
            })
        }
        Source::Image(name) => {
            let image = host.images.need(name, wish.platform.as_deref(), wish.pull, host.progress)?;
            if wish.platform.is_none() {
                runs_here(&image)?;
            }
            let config = image.config.config().clone().unwrap_or_default();
            let shown = image.reference.clone();
            Ok(Base { config, image: shown, image_id: image.id, layers: Some(image.layers), directory: None })
        }
    }
}

/// An image for another kind of machine is refused, unless its platform was asked for.
fn runs_here(image: &image::Image) -> Result<()> {
    let host = image::Platform::host();
    let of = image::Platform::normal(
        &image.config.os().to_string(),
        &image.config.architecture().to_string(),
        None,
    );
    if of.os == host.os && of.architecture == host.architecture {
        return Ok(());
    }
    let message = format!("image {} is for {of}, this machine is {host}", image.reference);
    Err(Error::new(Kind::Failed, message).with_hint(format!("with an emulator installed: --platform {of}")))
}

/// What was typed has been checked; an image may say anything.
fn stop_signal(wish: &Wish, config: &Config) -> String {
    let of_image = config.stop_signal().clone().filter(|name| sys::signals::by_name(name).is_some());
    wish.stop_signal.clone().or(of_image).unwrap_or_else(|| "SIGTERM".to_owned())
}

fn labels(wish: &Wish, config: &Config) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        config.labels().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
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
fn image_volumes(wish: &Wish, config: &Config) -> Vec<PathBuf> {
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

/// Everything between the record and the end.
fn run_recorded(
    host: &Host<'_>,
    wish: &Wish,
    base: &Base,
    record: &mut Record,
    capabilities: Vec<String>,
    security: Security,
) -> Result<i32> {
    let id = record.id.clone();
    let directory = host.paths.container(&id);
    let (lease, _held) = if record.leased {
        let (lease, held) =
            network::lease(&host.paths.network(), &id, wish.ports.clone()).map_err(of_network)?;
        (Some(lease), Some(held))
    } else {
        (None, None)
    };
    let cgroups::Placed { cgroup, warning, wish } = cgroups::place(&id, host.rootless.is_some(), wish)?;
    let wish = &wish;
    if let Some(warning) = warning {
        (host.warn)(&warning);
    }
    let hostname = hostname(wish, &id);
    let mut ips: Vec<IpAddr> = lease
        .iter()
        .flat_map(|lease| [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)])
        .flatten()
        .collect();
    if record.pasta.is_some() {
        // The address is known to pasta alone, and later. As Debian does for a host in that case: a server that is
        // asked for a name that only this container has answers late or never.
        ips.push(IpAddr::from([127, 0, 1, 1]));
    }
    let local_dns = record.pasta.is_some() && etc::has_local_dns(wish);
    let forwarder = local_dns.then_some(IpAddr::from(network::pasta::DNS));
    let (binds, fill) = binds(host, wish, base, record)?;
    let filtered = cgroup.as_ref().is_some_and(|cgroup| cgroup.enforces_devices());
    let no_devices = host.rootless.is_some() || (!wish.privileged && !filtered);
    let devices = devices::of(wish, host.rootless.is_some(), filtered || wish.privileged)?;
    let settled = Settled {
        id: id.clone(),
        etc: etc::write(&directory, &hostname, &record.name, &ips, forwarder, wish)?,
        hostname,
        binds,
        capabilities,
        security,
        devices: devices.nodes,
        device_rules: devices.rules,
        rootless: host.rootless.is_some(),
        no_devices,
        has_cgroup: cgroup.is_some(),
        has_tty_group: host.rootless.is_none_or(|ranges| ranges.subordinate),
        size: Foreground::terminal_size(),
    };
    let spec = bundle::spec(wish, &base.config, &settled)?;
    let beyond = Beyond {
        root: Some(root(host, wish, base, &directory)?),
        user: Some(wish.user.clone().or_else(|| base.config.user().clone()).unwrap_or_default()),
        reaper: wish.init,
        make_cwd: true,
        fill,
        bind_devices: no_devices,
        device_sources: devices.sources,
        only_written_devices: true,
        ..Beyond::default()
    };
    let plan = runtime::bundle::plan(&id, &spec, &directory, beyond).map_err(of_runtime)?;

    let streams = Streams { interactive: wish.interactive, terminal: wish.terminal };
    let (foreground, stdio) = Foreground::prepare(streams).map_err(of_runtime)?;
    let launch =
        runtime::launch(&host.paths.states(), &plan, cgroup, runtime::Given { stdio, ..Default::default() })
            .map_err(of_runtime)?;
    // While init mounts, the network is made: neither waits for the other.
    let connected = connect(host, wish, record, lease.as_ref(), &launch, local_dns);
    if let Err(error) = connected {
        // The removal of the record, by the caller, ends init as well.
        let failed = launch.discard(runtime::Error::new(runtime::Kind::Other, ""));
        debug_assert!(failed.chain.len() == 1);
        return Err(error);
    }
    let created = launch
        .ready()
        .map_err(of_runtime)
        .map_err(|error| error.within(format!("create {}", record.name)))?;
    let running = created.start().map_err(of_runtime)?;
    foreground.attend(&running).map_err(of_runtime)
}

fn hostname(wish: &Wish, id: &str) -> String {
    match (&wish.hostname, wish.network) {
        (Some(typed), _) => typed.clone(),
        (None, Network::Host) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        _ => names::short(id).to_owned(),
    }
}

fn connect(
    host: &Host<'_>,
    wish: &Wish,
    record: &Record,
    lease: Option<&network::Lease>,
    launch: &runtime::Launch,
    local_dns: bool,
) -> Result<()> {
    if wish.network == Network::Host {
        return Ok(());
    }
    let namespace = launch.network().map_err(of_runtime)?;
    match (wish.network, lease, &record.pasta) {
        (Network::Bridge, Some(lease), _) => network::attach(lease, namespace.as_fd()).map_err(of_network),
        (Network::Bridge, None, Some(pid_file)) => {
            let mut ports = wish.ports.clone();
            network::pasta::resolve(&mut ports).map_err(of_network)?;
            let copy = namespace.try_clone().map_err(called(|| "dup".to_owned()))?;
            match network::pasta::start(copy, &ports, pid_file, local_dns) {
                // A machine without a network still runs containers; they have what it has.
                Err(error) if error.kind == network::Kind::NoRoute && ports.is_empty() => {
                    (host.warn)("no network but loopback: this machine has no route to the outside");
                    network::loopback(namespace.as_fd()).map_err(of_network)
                }
                done => done.map(drop).map_err(of_network),
            }
        }
        _ => network::loopback(namespace.as_fd()).map_err(of_network),
    }
}

fn root(host: &Host<'_>, wish: &Wish, base: &Base, directory: &Path) -> Result<Root> {
    let Some(layers) = &base.layers else {
        let path = base.directory.clone().unwrap_or_default();
        return Ok(Root::Directory(path));
    };
    let mount_point = directory.join("root");
    make(&mount_point)?;
    let upper = if base.directory.is_some() {
        Upper::Memory
    } else {
        let (upper, work) = (directory.join("upper"), directory.join("work"));
        make(&upper)?;
        make(&work)?;
        // The upper directory is the container's "/": readable by all of its users.
        rustix::fs::chmod(&upper, rustix::fs::Mode::from_raw_mode(0o755))
            .map_err(called::<Errno>(|| format!("chmod({upper:?})")))?;
        Upper::Directories { upper, work }
    };
    let lower = if layers.is_empty() {
        // "FROM scratch" with no layer: an overlay needs one all the same.
        let empty = directory.join("empty");
        make(&empty)?;
        vec![empty]
    } else {
        layers.clone()
    };
    Ok(Root::Overlay(Overlay {
        lower,
        upper,
        mount_point,
        user_xattr: host.rootless.is_some(),
        volatile: wish.remove,
    }))
}

type Binds = Vec<(PathBuf, PathBuf, Vec<String>)>;

fn binds(host: &Host<'_>, wish: &Wish, base: &Base, record: &Record) -> Result<(Binds, Vec<PathBuf>)> {
    let mut binds: Binds = Vec::new();
    let mut fill = Vec::new();
    let mut own = record.own_volumes.iter();
    let access = |read_only: bool| if read_only { "ro" } else { "rw" }.to_owned();
    let mut volume_at = |name: &str, target: &PathBuf, read_only: bool, fills: bool| -> Result<()> {
        let source = volume::ensure(host.paths, name)?;
        binds.push((source, target.clone(), vec!["rbind".into(), "rprivate".into(), access(read_only)]));
        if fills {
            fill.push(target.clone());
        }
        Ok(())
    };
    for wanted in &wish.mounts {
        if let VolumeMount::Volume { name, target, read_only, fill } = wanted {
            let name = name.as_ref().or_else(|| own.next()).cloned().unwrap_or_default();
            volume_at(&name, target, *read_only, *fill)?;
        }
    }
    for target in image_volumes(wish, &base.config) {
        let name = own.next().cloned().unwrap_or_default();
        volume_at(&name, &target, false, true)?;
    }
    for wanted in &wish.mounts {
        if let VolumeMount::Bind { source, target, read_only, make_source, options } = wanted {
            if !source.exists() {
                if !make_source {
                    return Err(Error::new(
                        Kind::Failed,
                        format!("bind source {} does not exist", source.display()),
                    )
                    .with_hint("--volume makes a missing directory, --mount does not"));
                }
                std::fs::create_dir_all(source).map_err(called(|| format!("mkdir({source:?})")))?;
            }
            let mut all = vec!["rbind".to_owned(), if *read_only { "rro" } else { "rw" }.to_owned()];
            all.extend(options.iter().cloned());
            if !options.iter().any(|option| {
                option.ends_with("shared") || option.ends_with("slave") || option.ends_with("private")
            }) {
                all.push("rprivate".to_owned());
            }
            binds.push((source.clone(), target.clone(), all));
        }
    }
    let mut targets: Vec<&PathBuf> = wish.mounts.iter().map(VolumeMount::target).collect();
    targets.sort();
    if let Some(twice) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::new(Kind::Usage, format!("two mounts at {}", twice[0].display())));
    }
    Ok((binds, fill))
}
