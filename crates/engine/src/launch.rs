//! From a record to a running process: everything that a container gets at each start.

use crate::base::{self, Base};
use crate::binds::{Bound, binds};
use crate::bundle::{self, Settled};
use crate::connect::{namespace_of, request};
use crate::create::own_capabilities;
use crate::error::{Error, Kind, Result, of_network, of_runtime};
use crate::host::Host;
use crate::networks::{self, ListedNetwork};
use crate::output::Passed;
use crate::paths::make;
use crate::record::Record;
use crate::wish::{Network, Wish};
use crate::{
    capabilities, cdi, cgroups, devices, etc, ids, names, neighbours, published, record, security, share,
    user_networks, way_out,
};
use runtime::bundle::Beyond;
use runtime::plan::{Overlay, Root, Upper};
use runtime::steps::step;
use runtime::{Running, Stdio};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use std::net::IpAddr;
use std::path::PathBuf;
use supervisor::Streams;
use sys::{Errno, called};

/// A container that runs, and what its supervisor holds of it.
pub struct Launched {
    /// Its PID 1.
    pub running: Running,
    /// Our ends of its streams.
    pub streams: Streams,
    /// The networks that it was connected to.
    pub networks: Vec<ListedNetwork>,
    /// Its ports, which nobody else may have meanwhile.
    _held: Option<network::Reservation>,
}

/// Starts the container of a record; the caller is its parent.
///
/// # Errors
/// Nothing of this start is left behind but what the record names.
pub fn launch(
    host: &Host<'_>,
    record: &Record,
    size: Option<(u16, u16)>,
    passed: Option<&Passed>,
) -> Result<Launched> {
    // Until init is in the runtime's record, nobody else changes its networks.
    let hold = record::hold(host.paths, &record.id)?;
    let record = &record::read(host.paths, &record.id)?;
    let wish = &record.wish;
    let joined = joined(host, wish)?;
    ids::check(host.paths, record)?;
    let in_user_namespace = host.rootless.is_some() || record.ids.is_some();
    let mut namespaces = share::namespaces(host.paths, record)?;
    namespaces.extend(joined.iter().map(|joined| ("network", joined.path())));
    let base =
        step("the image: its layers and its configuration", "open(2)", || base::of_record(host, record))?;
    let capabilities = capabilities::of(wish, own_capabilities()?)?;
    let security = security::of(wish, &capabilities)?;
    let id = record.id.clone();
    let directory = host.paths.container(&id);
    let (leases, held) =
        step("network: an address, and its ports", "flock(2), bind(2)", || leases(host, record))?;
    let cgroups::Placed { cgroup, warning, wish } = cgroups::place(&id, host.rootless.is_some(), wish)?;
    let wish = &wish;
    if let Some(warning) = warning {
        (host.warn)(&warning);
    }
    let hostname = joined.as_ref().map_or_else(|| hostname(wish, &id), |joined| joined.hostname.clone());
    let mut ips: Vec<IpAddr> = leases
        .iter()
        .flat_map(|lease| [Some(IpAddr::from(lease.ipv4)), lease.ipv6.map(IpAddr::from)])
        .flatten()
        .collect();
    if record.pasta.is_some() && leases.is_empty() {
        // The address is known to pasta alone, and later. As Debian does for a host in that case: a server that is
        // asked for a name that only this container has answers late or never.
        ips.push(IpAddr::from([127, 0, 1, 1]));
    }
    let local_dns = record.pasta.is_some() && etc::local_dns(wish)?;
    let forwarder = local_dns.then_some(IpAddr::from(network::pasta::DNS));
    let Bound { binds, fill, beneath } = binds(host, wish, &base, record)?;
    let filtered = cgroup.as_ref().is_some_and(|cgroup| cgroup.enforces_devices());
    let no_devices = host.rootless.is_some() || (!wish.privileged && !filtered);
    let devices = devices::of(wish, in_user_namespace, filtered || wish.privileged)?;
    let etc = match &joined {
        Some(joined) => etc::shared(&host.paths.container(&joined.id)),
        None => {
            // A neighbour that starts at the same time adds itself to the file before or after, but not meanwhile.
            let _hosts = neighbours::hold_hosts(host.paths, &id)?;
            let etc = etc::write(&directory, &hostname, &record.name, &ips, forwarder, wish)?;
            if let Some(ids) = &record.ids {
                etc.iter().try_for_each(|(path, _)| ids.give(path))?;
            }
            etc
        }
    };
    let settled = Settled {
        id: id.clone(),
        etc,
        hostname,
        binds,
        capabilities,
        security,
        devices: devices.nodes,
        device_rules: devices.rules,
        ids: record.ids.clone(),
        in_user_namespace,
        no_devices,
        has_cgroup: cgroup.is_some(),
        has_tty_group: match &record.ids {
            Some(ids) => ids.has_group(5),
            None => host.rootless.is_none_or(|ranges| ranges.subordinate),
        },
        size,
        shm: share::memory(host.paths, &id, wish, wish.sharing.shareable)?,
        joined: namespaces,
        cdi: cdi::of_wish(wish)?,
        filtered: filtered || wish.privileged,
        block_io: share::block_io(wish)?,
    };
    let (mut spec, edited) = bundle::spec(wish, &base.config, &settled)?;
    let root = root(host, record, wish, &base)?;
    let mut config = None;
    if edited.hooks {
        config = Some(bundle::write_down(&mut spec, &directory, &root)?);
    }
    let mut groups = wish.sharing.groups.clone();
    groups.extend(edited.groups);
    let mut device_sources = devices.sources;
    device_sources.extend(edited.sources);
    let beyond = Beyond {
        beneath,
        root: Some(root),
        root_by_parent: record.ids.as_ref().map(ids::Ids::root),
        user: Some(record.user.clone().unwrap_or_default()),
        // A directory of the host's is left as it is.
        entry: base.layers.as_ref().and_then(|_| ids::entry(record, spec.process().as_ref()?.cwd())),
        groups,
        config,
        shows_network: has_network(wish, record, &leases),
        reaper: wish.init,
        make_cwd: true,
        fill,
        bind_devices: no_devices,
        device_sources,
        only_written_devices: true,
        new_keyring: true,
        ..Beyond::default()
    };
    let plan = runtime::bundle::plan(&id, &spec, &directory, beyond).map_err(of_runtime)?;
    let (stdio, mut streams) = match passed {
        Some(passed) => (passed.stdio()?, Streams::default()),
        None => streams(wish)?,
    };
    let given = runtime::Given { stdio, ..Default::default() };
    let mut launch = runtime::launch(&host.paths.states(), &plan, cgroup, given).map_err(of_runtime)?;
    // While init mounts, the network is made: neither waits for the other.
    let connected =
        step("network: interfaces, addresses, rules, while init mounts", "netlink(7), veth(4)", || {
            connect(host, wish, record, &leases, &mut launch, local_dns)
        });
    if let Err(error) = connected {
        // The caller gives back what the record names, which ends init as well.
        let failed = launch.discard(runtime::Error::new(runtime::Kind::Other, ""));
        debug_assert!(failed.chain.len() == 1);
        return Err(error);
    }
    // For processes that are executed in it later.
    let config = serde_json::to_vec(&spec).map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    if let Err(error) = runtime::state::keep_config(&host.paths.states(), &id, &config) {
        return Err(of_runtime(launch.discard(error)));
    }
    let created = launch
        .ready()
        .map_err(of_runtime)
        .map_err(|error| error.within(format!("create {}", record.name)))?;
    created.warnings().iter().for_each(|warning| (host.warn)(warning));
    user_networks::stays_for(created.pidfd())?;
    let networks = networks::of_container(host.paths, record);
    drop(hold);
    // Before its first instruction it knows its neighbours, and they know it.
    neighbours::tell_all(host.paths, leases.iter().map(|lease| lease.network.as_str()))?;
    let mut running = created.start().map_err(of_runtime)?;
    streams.terminal = running.terminal.take();
    if let Some(terminal) = &streams.terminal {
        runtime::foreground::nonblocking(terminal).map_err(of_runtime)?;
    }
    Ok(Launched { running, streams, networks, _held: held })
}

/// The container whose network another one has.
struct Joined {
    id: String,
    hostname: String,
    namespace: OwnedFd,
}

impl Joined {
    /// By descriptor: the number of its process may become another's.
    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.namespace.as_raw_fd()).into()
    }
}

fn joined(host: &Host<'_>, wish: &Wish) -> Result<Option<Joined>> {
    let Network::Container(id) = &wish.network else { return Ok(None) };
    let name = networks::name_of(host.paths, id);
    let namespace = namespace_of(host.paths, id)?.ok_or_else(|| {
        Error::new(Kind::Failed, format!("cannot join the network of container {name}: it is not running"))
            .with_hint(format!("devoxx-container start {name}"))
    })?;
    let path = host.paths.container(id).join("hostname");
    let hostname = std::fs::read_to_string(&path).map_err(called(|| format!("read {path:?}")))?;
    Ok(Some(Joined { id: id.clone(), hostname: hostname.trim_end().to_owned(), namespace }))
}

/// A lease of each network that the container is on, the first of those that lead out with its ports.
fn leases(host: &Host<'_>, record: &Record) -> Result<(Vec<network::Lease>, Option<network::Reservation>)> {
    if !record.leased {
        return Ok((Vec::new(), None));
    }
    user_networks::ensure(host.paths)?;
    let root = host.paths.network();
    // What is left of a run that was killed.
    network::detach(&root, &record.id).map_err(of_network)?;
    if !record.wish.ports.is_empty()
        || record.networks.iter().any(|one| one.ipv4.is_some() || one.ipv6.is_some())
    {
        networks::reap_all(host.paths)?;
    }
    let called = |id: &str| networks::name_of(host.paths, id);
    let (mut all, mut held) = (Vec::new(), None);
    // By pasta alone: for an ordinary user this is a way out without neighbours, which also has the ports.
    let by_pasta = |network: &str| record.pasta.is_some() && network == network::definition::DEFAULT;
    for (number, attachment) in record.networks.iter().enumerate() {
        if by_pasta(&attachment.network) {
            continue;
        }
        let definition = network::definition::read(&root, &attachment.network).map_err(of_network)?;
        let leads_out = definition.as_ref().is_some_and(way_out::leads_out);
        let publishes = held.is_none() && leads_out && record.pasta.is_none();
        let request = network::Request {
            ports: if publishes { record.wish.ports.clone() } else { Vec::new() },
            inside: format!("eth{number}"),
            is_way_out: !all.iter().any(|lease: &network::Lease| lease.is_way_out),
            ..request(attachment, &called)
        };
        let (lease, reservation) =
            network::lease_in(&root, &attachment.network, &record.id, request).map_err(of_network)?;
        if publishes {
            held = Some(reservation);
            published::keep(host.paths, &record.id, &lease.ports)?;
        }
        all.push(lease);
    }
    Ok((all, held))
}

/// The standard descriptors of the container, and our ends of them.
fn streams(wish: &Wish) -> Result<(Stdio, Streams)> {
    let (mut theirs, mut ours) = (Stdio::default(), Streams::default());
    let null = || {
        rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(called::<Errno>(|| "open(\"/dev/null\")".to_owned()))
    };
    let pipe = || -> Result<(OwnedFd, OwnedFd)> {
        Ok(pipe_with(PipeFlags::CLOEXEC).map_err(called::<Errno>(|| "pipe2".to_owned()))?)
    };
    if wish.terminal {
        // Init puts its own terminal in their place.
        (theirs.input, theirs.output, theirs.error) = (Some(null()?), Some(null()?), Some(null()?));
        return Ok((theirs, ours));
    }
    if wish.interactive {
        let (read, write) = pipe()?;
        (theirs.input, ours.input) = (Some(read), Some(write));
    } else {
        theirs.input = Some(null()?);
    }
    let (read, write) = pipe()?;
    (ours.output, theirs.output) = (Some(read), Some(write));
    let (read, write) = pipe()?;
    (ours.error, theirs.error) = (Some(read), Some(write));
    // Here, and not of the pipe as a whole: the container's ends block, as programs expect.
    for fd in [&ours.input, &ours.output, &ours.error].into_iter().flatten() {
        runtime::foreground::nonblocking(fd).map_err(of_runtime)?;
    }
    Ok((theirs, ours))
}

/// The name that a container has for itself.
pub fn hostname(wish: &Wish, id: &str) -> String {
    match (&wish.hostname, &wish.network) {
        (Some(typed), _) => typed.clone(),
        (None, Network::Host) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        _ => names::short(id).to_owned(),
    }
}

/// Whether more is made in its network namespace than the loopback, which is up without anybody's help.
fn has_network(wish: &Wish, record: &Record, leases: &[network::Lease]) -> bool {
    let alone = leases.is_empty() && way_out::guest(record, leases).is_none();
    !alone && !matches!(wish.network, Network::Host | Network::Container(_))
}

fn connect(
    host: &Host<'_>,
    wish: &Wish,
    record: &Record,
    leases: &[network::Lease],
    launch: &mut runtime::Launch,
    local_dns: bool,
) -> Result<()> {
    if !has_network(wish, record, leases) {
        return Ok(());
    }
    let namespace = launch.network().map_err(of_runtime)?;
    leases.iter().try_for_each(|lease| network::attach(lease, namespace.as_fd())).map_err(of_network)?;
    match way_out::guest(record, leases) {
        Some(guest) => {
            let ports = way_out::resolve(host.paths, record)?;
            way_out::open(record, &guest, &ports, namespace.as_fd(), local_dns, host.warn)
        }
        None => Ok(()),
    }
}

/// Where the root of a container is, with its directories made.
pub fn root(host: &Host<'_>, record: &Record, wish: &Wish, base: &Base) -> Result<Root> {
    let directory = host.paths.container(&record.id);
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
        record.ids.as_ref().map_or(Ok(()), |ids| ids.give(&upper))?;
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
        data: base.data.clone(),
        upper,
        mount_point,
        user_xattr: host.rootless.is_some(),
        volatile: wish.remove,
    }))
}
