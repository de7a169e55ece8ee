//! The owner of a cgroup: who may make cgroups beneath it and move processes there (cgroups(7), "Cgroup delegation").

use super::Cgroup;
use crate::Result;
use crate::place::{self, Version};
use rustix::fs::{AtFlags, Uid, chownat};
use sys::{Context, Errno, called};

/// Those of a kernel that does not say so itself (config-linux.md, "Cgroup ownership").
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Gives the directory to a user, with those files in it that the kernel lets owners have; no limit is among them.
    /// Nothing where v1 is in use, which has no safe delegation.
    pub fn give_to(&self, uid: u32) -> Result<()> {
        let doing = || format!("give cgroup {} to user {uid}", self.name);
        if self.places.iter().any(|place| place.version == Version::V1) {
            return Ok(());
        }
        let files = match place::read_path("/sys/kernel/cgroup/delegate") {
            Ok(list) => list,
            Err(error) if error.errno == Errno::NOENT => FILES.to_owned(),
            Err(error) => return Err(error).within(doing),
        };
        let uid = Some(Uid::from_raw(uid));
        for place in &self.places {
            let (dir, path) = (self.open(place).within(doing)?, place.path(&self.name));
            for file in files.lines().filter(|file| !file.is_empty() && !file.contains('/')) {
                match chownat(&dir, file, uid, None, AtFlags::SYMLINK_NOFOLLOW) {
                    // Of a controller that is not here.
                    Err(Errno::NOENT) => {}
                    done => done
                        .map_err(called::<Errno>(|| format!("fchownat {:?}", path.join(file))))
                        .within(doing)?,
                }
            }
            chownat(&dir, "", uid, None, AtFlags::EMPTY_PATH)
                .map_err(called::<Errno>(|| format!("fchownat {path:?}")))
                .within(doing)?;
        }
        Ok(())
    }
}
