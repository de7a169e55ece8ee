//! Sets limits: of a new cgroup, and of one that is in use.

use super::Cgroup;
use crate::limits::{Batch, CONTROLLERS, Limits, Setting, Warning, Writes};
use crate::place::{self, Place, Version};
use crate::{Error, Kind, Result};
use rustix::fd::OwnedFd;
use std::path::Path;
use sys::{CallError, Errno};

/// Writes, and the hierarchy that they go to.
type Placed<'a> = (&'a Place, Vec<Batch>);

impl Cgroup {
    /// Sets the limits of a new cgroup, and returns what of them does not hold. They are all translated before the
    /// first is written; one that cannot be set is an error that names it, and those before it stay set.
    pub fn apply(&self, limits: &Limits) -> Result<Vec<Warning>> {
        let mut warnings = self.set(limits)?;
        warnings.extend(self.apply_devices(&limits.devices)?);
        Ok(warnings)
    }

    /// Changes limits while processes are in the cgroup; those that are not given stay, and so do all of devices.
    ///
    /// A memory limit alone keeps the limit of memory and swap together, a period alone keeps the quota.
    pub fn update(&self, limits: &Limits) -> Result<Vec<Warning>> {
        limits.check()?;
        let limits = self.with_what_stays(limits)?;
        if limits.memory.check_before_update {
            self.check_usage(&limits)?;
        }
        if let Some(unit) = &self.unit {
            unit.set(&limits, self.version())?;
        }
        self.set(&limits)
    }

    /// What of the limits will not hold here, before anything is made; also the errors that can be seen by then.
    pub fn foresee(&self, limits: &Limits) -> Result<Vec<Warning>> {
        self.translate(limits).map(|(warnings, _)| warnings)
    }

    fn set(&self, limits: &Limits) -> Result<Vec<Warning>> {
        let (warnings, all) = self.translate(limits)?;
        for (place, batches) in all {
            let dir = self.open(place)?;
            for batch in batches {
                self.write(place, &dir, &batch)?;
            }
        }
        Ok(warnings)
    }

    fn translate(&self, limits: &Limits) -> Result<(Vec<Warning>, Vec<Placed<'_>>)> {
        limits.check()?;
        let mut warnings = Vec::new();
        let mut all: Vec<Placed<'_>> = Vec::new();
        for controller in CONTROLLERS {
            let place = match (controller, self.place_of(controller)) {
                // On a hybrid host most of v2's files are missing.
                ("unified", _) => self.places.first(),
                (_, place) => place,
            };
            let Some(place) = place else {
                let settings = limits.settings(controller, Version::V1)?;
                if let Some(setting) = settings.batches.iter().flatten().find(|one| !one.optional) {
                    return Err(absent(&setting.what, controller, Path::new("/sys/fs/cgroup")));
                }
                continue;
            };
            let Writes { batches, warnings: more } = limits.settings(controller, place.version)?;
            warnings.extend(more);
            if !batches.is_empty() {
                all.push((place, batches));
            }
        }
        Ok((warnings, all))
    }

    /// Adds to limits what v1 keeps by itself, in files of their own, and v2 does not.
    fn with_what_stays(&self, limits: &Limits) -> Result<Limits> {
        let mut limits = limits.clone();
        let (memory, cpu) = (&mut limits.memory, &mut limits.cpu);
        let v2 = |controller| self.place_of(controller).filter(|place| place.version == Version::V2);
        let given = |number: Option<i64>| number.is_some_and(|number| number != 0);
        let one_of_both = given(cpu.quota) != cpu.period.is_some_and(|us| us != 0);
        if let Some(place) = v2("cpu").filter(|_| one_of_both)
            && let Some(text) = self.read_if_there(place, "cpu.max")?
        {
            let mut fields = text.split_ascii_whitespace();
            let (quota, period) = (fields.next(), fields.next());
            if given(cpu.quota) {
                cpu.period = period.and_then(|us| us.parse().ok());
            } else {
                cpu.quota = Some(quota.and_then(|us| us.parse().ok()).unwrap_or(-1));
            }
        }
        if let Some(place) = v2("memory").filter(|_| given(memory.limit) != given(memory.swap)) {
            let number = |file: &str| -> Result<Option<i64>> {
                Ok(self.read_if_there(place, file)?.and_then(|text| text.trim().parse().ok()))
            };
            let (limit, swap) = (number("memory.max")?, number("memory.swap.max")?);
            if given(memory.swap) {
                // Not written again: a page or two may have been rounded off.
                memory.limit = limit.filter(|_| memory.swap != Some(-1));
            } else if let (Some(limit), Some(swap), Some(new)) = (limit, swap, memory.limit) {
                memory.swap = (new > 0).then(|| limit.saturating_add(swap));
                limits.check().map_err(|error| {
                    error.with_hint("change the limit of memory and swap together with that of memory")
                })?;
            }
        }
        Ok(limits)
    }

    /// v1 refuses by itself to go below what is used, where v2 ends processes.
    fn check_usage(&self, limits: &Limits) -> Result<()> {
        let Some(limit) = limits.memory.limit.filter(|limit| *limit > 0) else { return Ok(()) };
        let Some(place) = self.place_of("memory").filter(|place| place.version == Version::V2) else {
            return Ok(());
        };
        let used = self.read_if_there(place, "memory.current")?.and_then(|text| text.trim().parse().ok());
        match used {
            Some(used) if limit < used => Err(Error::new(
                Kind::Refused,
                format!("linux.resources.memory.limit: {limit} bytes are less than the {used} in use"),
            )),
            _ => Ok(()),
        }
    }

    /// A control file, if the cgroup has it.
    pub(super) fn read_if_there(&self, place: &Place, file: &str) -> Result<Option<String>> {
        let dir = self.open(place)?;
        match place::read(&dir, &place.path(&self.name), file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a batch: what is refused because of the others is written after them.
    fn write(&self, place: &Place, dir: &OwnedFd, batch: &[Setting]) -> Result<()> {
        let mut pending: Vec<&Setting> = batch.iter().collect();
        loop {
            let before = pending.len();
            let mut refused = None;
            let mut again = Vec::new();
            for setting in pending {
                match self.write_one(place, dir, setting) {
                    Ok(()) => {}
                    Err(error) if error.kind == Kind::Refused => {
                        refused.get_or_insert(error);
                        again.push(setting);
                    }
                    Err(error) => return Err(error),
                }
            }
            match refused {
                None => return Ok(()),
                Some(error) if again.len() == before => return Err(error),
                Some(_) => pending = again,
            }
        }
    }

    fn write_one(&self, place: &Place, dir: &OwnedFd, setting: &Setting) -> Result<()> {
        let path = place.path(&self.name);
        let write = || match place::try_write(dir, &path, &setting.file, &setting.value) {
            Err(error) if error.errno == Errno::NOENT => match &setting.instead {
                Some((file, value)) => place::try_write(dir, &path, file, value),
                None => Err(error),
            },
            other => other,
        };
        let mut written = write();
        if matches!(&written, Err(error) if error.errno == Errno::NOENT) && !setting.optional {
            // A controller that few limits need is handed down when one does.
            self.enable_late(place, setting.controller())?;
            written = write();
        }
        let Err(error) = written else { return Ok(()) };
        if error.errno == Errno::NOENT {
            return if setting.optional { Ok(()) } else { Err(self.why_absent(place, dir, setting)) };
        }
        Err(why_refused(error, setting))
    }

    /// A control file is missing: names the topmost directory that lacks the controller.
    fn why_absent(&self, place: &Place, dir: &OwnedFd, setting: &Setting) -> Error {
        let path = place.path(&self.name);
        let (what, controller) = (&setting.what, setting.controller());
        let lacks = |dir: &OwnedFd, path: &Path| {
            place::read(dir, path, "cgroup.controllers")
                .is_ok_and(|list| !list.split_ascii_whitespace().any(|one| one == controller))
        };
        if place.version == Version::V2 && lacks(dir, &path) {
            let Ok(mount) = place.open() else { return absent(what, controller, &path) };
            let ends = self.name.match_indices('/').map(|(at, _)| at).skip(1).chain([self.name.len()]);
            let mut above = place.mount.clone();
            if lacks(&mount, &above) {
                return absent(what, controller, &above);
            }
            for end in ends {
                let name = &self.name[..end];
                match place::open_beneath(&mount, name) {
                    Ok(Some(dir)) if lacks(&dir, &place.path(name)) => break,
                    _ => above = place.path(name),
                }
            }
            return absent(what, controller, &above).with_hint(format!(
                "echo +{controller} > {}",
                above.join("cgroup.subtree_control").display()
            ));
        }
        Error::new(
            Kind::Unsupported,
            format!("set {what}: this kernel has no {}", path.join(&*setting.file).display()),
        )
    }
}

fn why_refused(error: CallError, setting: &Setting) -> Error {
    let errno = error.errno;
    let mut failure = Error::from(error).within(format!("set {}", setting.what));
    match errno {
        Errno::INVAL | Errno::RANGE | Errno::NODEV => failure.kind = Kind::Refused,
        Errno::BUSY if setting.what == "memory.limit" => {
            return failure.with_hint("more is used, and the kernel cannot reclaim it");
        }
        _ => {}
    }
    match &*setting.what {
        "memory.limit" | "memory.swap" if errno == Errno::INVAL => failure
            .with_hint("the limit of memory is a part of that of memory and swap: change both together"),
        _ => failure,
    }
}

fn absent(what: &str, controller: &str, above: &Path) -> Error {
    let above = above.display();
    Error::new(
        Kind::Unsupported,
        format!("set {what}: the {controller} controller is not available in {above}"),
    )
}
