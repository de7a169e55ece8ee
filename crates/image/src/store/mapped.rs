//! Images once more with other owners, for user namespaces of an ordinary user: the kernel maps the ids of a mount for nobody else.
//!
//! ```text
//! mapped/CHAIN/marked-KEY/diff   all layers as one tree, with its owners; the contents of files are marked to be those of the layers
//! mapped/CHAIN/whole-KEY/diff    with the contents, for kernels that do not follow such marks in a user namespace
//! ```
//! One tree, because overlayfs follows marks from the lowest layer alone there. CHAIN stands for the layers, KEY for the way in which
//! ids are changed. They are made once, and go with the last image that has these layers.

use super::check::LayerUse;
use super::{Store, damage, hold_shared, mapped_check};
use crate::archive::{Ids, Options, changed, merged};
use crate::digest::Digest;
use crate::kind::failed;
use crate::layer::unpack::{Unpacker, What};
use crate::{Error, Kind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use sys::Context;

/// The files of an image with other owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The directory for `lowerdir`.
    pub tree: PathBuf,
    /// The directory for `datadir+` that has the contents of its files, where it has none itself.
    pub data: Option<PathBuf>,
}

/// Stands for a list of diff ids, with or without the name of their algorithm.
pub(crate) fn chain<'a>(layers: impl Iterator<Item = &'a str>) -> String {
    let hex: Vec<&str> = layers.map(|layer| layer.rsplit(':').next().unwrap_or_default()).collect();
    Digest::of(hex.join("\n").as_bytes()).hex().to_owned()
}

impl Store {
    /// Where files of images are once more with other owners, for whatever ids, and the images that have those layers.
    pub fn mapped_trees(&self) -> Result<Vec<LayerUse>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for record in self.records()?.images.into_values() {
            let chain = chain(record.layers.iter().map(String::as_str));
            all.entry(chain).or_default().insert(record.config);
        }
        let place = self.path("mapped");
        let trees = all.into_iter().map(|(chain, images)| LayerUse { path: place.join(chain), images });
        Ok(trees.filter(|tree| tree.path.is_dir()).collect())
    }

    /// The files of these layers with the owners that `ids` gives them; `key` stands for that way to change them. With `marked` the
    /// contents are those of the layers themselves. Made where it is missing: then `told` hears of it.
    pub fn mapped(
        &self,
        layers: &[PathBuf],
        key: &str,
        ids: &Ids<'_>,
        marked: bool,
        told: &dyn Fn(),
        cancelled: &AtomicBool,
    ) -> Result<Mapped> {
        let mut names = Vec::new();
        for layer in layers {
            let name = layer.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            names.push(name.ok_or_else(|| Error::new(Kind::Other, format!("{layer:?} is no layer")))?);
        }
        let kind = if marked { "marked" } else { "whole" };
        let all = self.path("mapped").join(chain(names.iter().copied()));
        let to = all.join(format!("{kind}-{key}"));
        if !is_whole(&to)? {
            told();
            // No sweep takes away what is being made.
            let _hold = hold_shared(self)?;
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&all)
                .map_err(failed(|| format!("mkdir {all:?}")))?;
            self.map(layers, &names, &to, ids, marked, cancelled)
                .within(|| "change the owners of an image's files")?;
        }
        Ok(Mapped { tree: to.join("diff"), data: marked.then(|| self.path("layers")) })
    }

    /// The trees that were made of these layers, and whether they take their contents from there. One that was put aside is none.
    fn trees_of(&self, layers: &[String]) -> Result<Vec<(PathBuf, bool)>> {
        let place = self.path("mapped").join(chain(layers.iter().map(String::as_str)));
        let entries = match std::fs::read_dir(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed(|| format!("list {place:?}")))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed(|| format!("list {place:?}")))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.contains('.') {
                all.push((entry.path(), mapped_check::is_marked(&name)?));
            }
        }
        all.sort();
        Ok(all)
    }

    /// What is wrong with the trees that were made of these layers, which are proven already where it is looked at every byte.
    pub(super) fn wrong_with_trees(&self, layers: &[String], deep: bool) -> Result<Vec<String>> {
        let below: Vec<PathBuf> = layers.iter().map(|layer| self.layer(layer).join("diff")).collect();
        let mut all = Vec::new();
        for (tree, marked) in self.trees_of(layers)? {
            if deep {
                let found = match damage::is_sealed(&tree)? {
                    true => mapped_check::difference(&below, self.ownership, &tree.join("diff"), marked)?,
                    false => Some("what is noted beside it is another".to_owned()),
                };
                let wrong = found.map(|how| format!("has been changed: {how}"));
                damage::note(&tree, wrong.as_deref())?;
            }
            if let Some(wrong) = damage::noted(&tree)? {
                all.push(format!("{} {wrong}", tree.display()));
            }
        }
        Ok(all)
    }

    /// Puts aside what is known to be damaged of the trees of these layers: the next container has it made anew.
    pub(crate) fn mend_trees(&self, layers: &[String]) -> Result<()> {
        for (tree, _) in self.trees_of(layers)? {
            if damage::noted(&tree)?.is_some() {
                damage::put_aside(&tree)?;
            }
        }
        Ok(())
    }

    fn map(
        &self,
        layers: &[PathBuf],
        names: &[&str],
        to: &Path,
        ids: &Ids<'_>,
        marked: bool,
        cancelled: &AtomicBool,
    ) -> Result<()> {
        let go_on = || !cancelled.load(Ordering::Relaxed);
        let ends = [to.parent(), Some(to)].map(|path| path.and_then(Path::file_name).unwrap_or_default());
        let name = ends.map(|end| end.to_string_lossy().into_owned()).join(".");
        let Some(staged) = self.stage_at(name, to.to_owned(), &|| is_whole(to), &go_on)? else {
            return Ok(());
        };
        let mut unpacker = Unpacker::new(staged.root()?, self.ownership);
        let options = Options { ids: Some(ids), ..Options::default() };
        let mut bytes = 0;
        merged::tree(layers, self.ownership, &mut |item, layer| {
            if !go_on() {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            let mut meta = changed(item.meta, &options);
            let hole = What::Hole { size: item.size };
            let (mut what, mut content): (&What, &mut dyn Read) = (item.what, item.content);
            let mut nothing = std::io::empty();
            if marked && item.size > 0 {
                // Overlayfs has the content from there (Documentation/filesystems/overlayfs.rst, "Data-only lower layers").
                let place = [b"/", names.get(layer).unwrap_or(&"").as_bytes(), b"/diff/", item.path].concat();
                meta.attributes.push(("user.overlay.metacopy".to_owned(), Vec::new()));
                meta.attributes.push(("user.overlay.redirect".to_owned(), place));
                (what, content) = (&hole, &mut nothing);
            } else {
                bytes += item.size;
            }
            unpacker
                .layered(item.path, what, &meta, content, None)
                .within(|| format!("{:?}", String::from_utf8_lossy(item.path)))
        })?;
        unpacker.finish()?;
        staged.commit(bytes, None)
    }
}

/// Whether a tree is there, and not known to be damaged.
fn is_whole(tree: &Path) -> Result<bool> {
    Ok(tree.is_dir() && damage::noted(tree)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ownership;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    /// What is at each path: kind and owner, and what is in it.
    fn listed(tree: &Path) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut ahead = vec![tree.to_owned()];
        while let Some(path) = ahead.pop() {
            let about = fs::symlink_metadata(&path).unwrap();
            let shown = path.strip_prefix(tree).unwrap().display().to_string();
            let content = if about.is_dir() {
                ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                "directory".to_owned()
            } else if about.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                format!("{:?} {}", fs::read_to_string(&path).unwrap(), about.nlink())
            };
            let mode = about.permissions().mode() & 0o7777;
            all.insert(shown, format!("{}:{} {mode:o} {content}", about.uid(), about.gid()));
        }
        all
    }

    #[test]
    fn layers_are_one_tree_with_other_owners() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root gives files away");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), Ownership::UserNamespace).unwrap();
        let layer = |name: &str| {
            let path = directory.path().join("layers").join(name).join("diff");
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (low, high) = (layer("aa"), layer("bb"));
        let put = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(low.join("etc/kept"), "kept");
        put(low.join("etc/changed"), "old");
        put(low.join("etc/removed"), "removed");
        put(low.join("hidden/old"), "old");
        put(low.join("was/directory"), "old");
        put(low.join("file"), "old");
        fs::hard_link(low.join("etc/kept"), low.join("etc/other")).unwrap();
        symlink("kept", low.join("etc/link")).unwrap();
        chown(low.join("etc/kept"), Some(5), Some(6)).unwrap();
        fs::set_permissions(low.join("etc/kept"), fs::Permissions::from_mode(0o4755)).unwrap();
        put(high.join("etc/changed"), "new");
        put(high.join("hidden/new"), "");
        put(high.join("was"), "a file now");
        put(high.join("file/now"), "a directory");
        let no_device = 0;
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            high.join("etc/removed"),
            kind,
            rustix::fs::Mode::empty(),
            no_device,
        )
        .unwrap();
        let opaque = |path: PathBuf| {
            rustix::fs::setxattr(&path, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
                .unwrap();
        };
        opaque(high.join("hidden"));
        let ids = |uid, gid| (uid + 1000, gid + 2000);
        let never = AtomicBool::new(false);
        let made = std::cell::Cell::new(0);
        let told = || made.set(made.get() + 1);
        let layers = [low, high];
        let map = |marked| store.mapped(&layers, "k", &ids, marked, &told, &never).unwrap();
        let whole = map(false);
        assert_eq!(whole.data, None);
        let expected: BTreeMap<String, String> = [
            ("", "1000:2000 755 directory"),
            ("etc", "1000:2000 755 directory"),
            ("etc/changed", "1000:2000 644 \"new\" 1"),
            ("etc/kept", "1005:2006 4755 \"kept\" 2"),
            ("etc/link", "1000:2000 777 kept"),
            ("etc/other", "1005:2006 4755 \"kept\" 2"),
            ("file", "1000:2000 755 directory"),
            ("file/now", "1000:2000 644 \"a directory\" 1"),
            ("hidden", "1000:2000 755 directory"),
            ("hidden/new", "1000:2000 644 \"\" 1"),
            ("was", "1000:2000 644 \"a file now\" 1"),
        ]
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .into();
        assert_eq!(listed(&whole.tree), expected);
        // The same with marks: of the same size, and where the content is.
        let marked = map(true);
        assert_eq!(marked.data, Some(fs::canonicalize(directory.path()).unwrap().join("layers")));
        assert_eq!(listed(&marked.tree).keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (path, size, place) in [
            ("etc/changed", 3, "/bb/diff/etc/changed"),
            ("etc/other", 4, "/aa/diff/etc/kept"),
            ("was", 10, "/bb/diff/was"),
        ] {
            let path = marked.tree.join(path);
            let mut value = [0; 100];
            let length = rustix::fs::getxattr(&path, "user.overlay.redirect", &mut value).unwrap();
            assert_eq!(String::from_utf8_lossy(&value[..length]), place);
            assert_eq!(fs::metadata(&path).unwrap().len(), size);
        }
        assert!(
            rustix::fs::getxattr(marked.tree.join("hidden/new"), "user.overlay.redirect", &mut [0; 9])
                .is_err()
        );
        // Made once, and gone with the last image that has the layers.
        assert_eq!((made.get(), map(true)), (2, marked.clone()));
        assert_eq!(made.get(), 2);
        store.prune(&|_| true).unwrap();
        assert!(!marked.tree.exists() && !whole.tree.exists());
    }
}
