//! The options of mounts that have a meaning of their own (config.md, "Linux mount options"; mount(8)).

use sys::mount_setattr::{
    NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, PRIVATE, RDONLY, SHARED, SLAVE, STRICTATIME,
    UNBINDABLE,
};

/// What an option means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A change of the mount, or of the whole tree.
    Attribute(Change, Scope),
    /// A change of propagation.
    Propagation(u64, Scope),
    /// A flag of the file system: set, or taken back.
    Superblock(&'static str, bool),
    /// A bind, or one of the whole tree.
    Bind(Scope),
    /// A change of what is mounted there.
    Remount,
    /// A tmpfs that begins with a copy of its target.
    CopyUp,
    /// A mount with ids of its own.
    IdMap(Scope),
    /// A source that is a link is made again.
    CopyLink,
    /// A source that is a link is mounted itself.
    SourceNoFollow,
    /// A target that is a link is covered itself.
    TargetNoFollow,
    /// Nothing: the default, or a flag that no kernel carries out for a mount.
    Nothing,
}

/// How far an option reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The mount.
    One,
    /// The mount and everything below it.
    Tree,
}

/// A change of a mount's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Sets a bit.
    Set(u64),
    /// Clears a bit.
    Clear(u64),
    /// Chooses one of the ways to keep access times.
    Times(u64),
    /// Chooses the default way, unless this other one is chosen.
    TimesUnless(u64),
    /// Takes back the choice of the default way.
    TimesAny,
}

/// Access times relative to changes: the default, and no bit.
const RELATIME: u64 = 0;

use Change::{Clear, Set, Times, TimesAny, TimesUnless};
use Meaning::{Attribute, Bind, CopyLink, CopyUp, IdMap, Nothing, Propagation, Remount, Superblock};
use Scope::{One, Tree};

/// Every option that is no data of a file system, in the order of the alphabet.
pub const ALL: [(&str, Meaning); 70] = [
    ("async", Superblock("sync", false)),
    ("atime", Attribute(TimesUnless(STRICTATIME), One)),
    ("bind", Bind(One)),
    ("copy-symlink", CopyLink),
    ("defaults", Nothing),
    ("dest-nofollow", Meaning::TargetNoFollow),
    ("dev", Attribute(Clear(NODEV), One)),
    ("diratime", Attribute(Clear(NODIRATIME), One)),
    ("dirsync", Superblock("dirsync", true)),
    ("exec", Attribute(Clear(NOEXEC), One)),
    ("idmap", IdMap(One)),
    ("iversion", Superblock("iversion", true)),
    ("lazytime", Superblock("lazytime", true)),
    // How much the kernel writes to its log at a mount: fsconfig(2) hands its words to the caller instead.
    ("loud", Nothing),
    ("mand", Superblock("mand", true)),
    ("noatime", Attribute(Times(NOATIME), One)),
    ("nodev", Attribute(Set(NODEV), One)),
    ("nodiratime", Attribute(Set(NODIRATIME), One)),
    ("noexec", Attribute(Set(NOEXEC), One)),
    ("noiversion", Superblock("iversion", false)),
    ("nolazytime", Superblock("lazytime", false)),
    ("nomand", Superblock("mand", false)),
    ("norelatime", Attribute(TimesAny, One)),
    ("nostrictatime", Attribute(TimesUnless(NOATIME), One)),
    ("nosuid", Attribute(Set(NOSUID), One)),
    ("nosymfollow", Attribute(Set(NOSYMFOLLOW), One)),
    ("private", Propagation(PRIVATE, One)),
    ("rasync", Nothing),
    ("ratime", Attribute(TimesUnless(STRICTATIME), Tree)),
    ("rbind", Bind(Tree)),
    ("rdev", Attribute(Clear(NODEV), Tree)),
    ("rdiratime", Attribute(Clear(NODIRATIME), Tree)),
    // Flags of file systems: there is no tree of them. Taken, as crun takes them.
    ("rdirsync", Nothing),
    ("relatime", Attribute(Times(RELATIME), One)),
    ("remount", Remount),
    ("rexec", Attribute(Clear(NOEXEC), Tree)),
    ("ridmap", IdMap(Tree)),
    ("rmand", Nothing),
    ("rnoatime", Attribute(Times(NOATIME), Tree)),
    ("rnodev", Attribute(Set(NODEV), Tree)),
    ("rnodiratime", Attribute(Set(NODIRATIME), Tree)),
    ("rnoexec", Attribute(Set(NOEXEC), Tree)),
    ("rnomand", Nothing),
    ("rnorelatime", Attribute(TimesAny, Tree)),
    ("rnostrictatime", Attribute(TimesUnless(NOATIME), Tree)),
    ("rnosuid", Attribute(Set(NOSUID), Tree)),
    ("rnosymfollow", Attribute(Set(NOSYMFOLLOW), Tree)),
    ("ro", Attribute(Set(RDONLY), One)),
    ("rprivate", Propagation(PRIVATE, Tree)),
    ("rrelatime", Attribute(Times(RELATIME), Tree)),
    ("rro", Attribute(Set(RDONLY), Tree)),
    ("rrw", Attribute(Clear(RDONLY), Tree)),
    ("rshared", Propagation(SHARED, Tree)),
    ("rslave", Propagation(SLAVE, Tree)),
    ("rstrictatime", Attribute(Times(STRICTATIME), Tree)),
    ("rsuid", Attribute(Clear(NOSUID), Tree)),
    ("rsymfollow", Attribute(Clear(NOSYMFOLLOW), Tree)),
    ("rsync", Nothing),
    ("runbindable", Propagation(UNBINDABLE, Tree)),
    ("rw", Attribute(Clear(RDONLY), One)),
    ("shared", Propagation(SHARED, One)),
    ("silent", Nothing),
    ("slave", Propagation(SLAVE, One)),
    ("src-nofollow", Meaning::SourceNoFollow),
    ("strictatime", Attribute(Times(STRICTATIME), One)),
    ("suid", Attribute(Clear(NOSUID), One)),
    ("symfollow", Attribute(Clear(NOSYMFOLLOW), One)),
    ("sync", Superblock("sync", true)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation(UNBINDABLE, One)),
];

/// Looks an option up.
pub fn meaning(option: &str) -> Option<Meaning> {
    let found = ALL.binary_search_by_key(&option, |(name, _)| name).ok()?;
    Some(ALL[found].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found_in() {
        assert!(ALL.is_sorted_by_key(|(name, _)| *name));
        for (name, expected) in ALL {
            assert_eq!(meaning(name), Some(expected), "{name}");
        }
        for unknown in ["", "acl", "size=3m", "RO", "rrro", "ro ", "mode"] {
            assert_eq!(meaning(unknown), None, "{unknown:?}");
        }
    }
}
