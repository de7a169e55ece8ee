//! A stream of tar(5) with GNU headers; what they do not hold stands in PAX records before them.

use crate::Result;
use crate::kind::unwritten;
use crate::layer::unpack::{Meta, What};
use rustix::fs::FileType;
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

pub struct Writer<'a>(Builder<Box<dyn Write + 'a>>);

/// Where a header has no more room.
const NAME: usize = 100;

impl<'a> Writer<'a> {
    pub fn new(out: Box<dyn Write + 'a>) -> Self {
        Self(Builder::new(out))
    }

    pub fn put(
        &mut self,
        path: &[u8],
        what: &What,
        meta: &Meta,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        let mut header = Header::new_gnu();
        let mut name = if path.is_empty() { b".".to_vec() } else { path.to_vec() };
        let mut link: &[u8] = b"";
        header.set_size(0);
        let kind = match what {
            What::File { .. } => {
                header.set_size(size);
                EntryType::Regular
            }
            // Its content cannot be told.
            What::Hole { .. } => {
                return Err(crate::Error::new(crate::Kind::Unsupported, "a file without its content"));
            }
            What::Directory => {
                name.push(b'/');
                EntryType::Directory
            }
            What::Symlink(target) => {
                link = target;
                EntryType::Symlink
            }
            What::Hardlink(target) => {
                link = target;
                EntryType::Link
            }
            What::Node { kind, device } => {
                let bad = |error: io::Error| unwritten(&error);
                header.set_device_major(rustix::fs::major(*device)).map_err(bad)?;
                header.set_device_minor(rustix::fs::minor(*device)).map_err(bad)?;
                match kind {
                    FileType::Fifo => EntryType::Fifo,
                    FileType::BlockDevice => EntryType::Block,
                    _ => EntryType::Char,
                }
            }
        };
        header.set_entry_type(kind);
        header.set_mode(meta.mode.as_raw_mode());
        header.set_uid(meta.owner.as_raw().into());
        header.set_gid(meta.group.as_raw().into());
        header.set_mtime(u64::try_from(meta.time.tv_sec).unwrap_or_default());
        let mut records: Vec<(String, &[u8])> = Vec::new();
        if name.len() > NAME {
            records.push(("path".to_owned(), &name));
        }
        if link.len() > NAME {
            records.push(("linkpath".to_owned(), link));
        }
        for (key, value) in &meta.attributes {
            records.push((format!("SCHILY.xattr.{key}"), value));
        }
        let written = |done: io::Result<()>| done.map_err(|error| unwritten(&error));
        if !records.is_empty() {
            written(self.0.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), *value))))?;
        }
        let old = header.as_old_mut();
        let (short, short_link) = (name.len().min(NAME), link.len().min(NAME));
        old.name[..short].copy_from_slice(&name[..short]);
        old.linkname[..short_link].copy_from_slice(&link[..short_link]);
        header.set_cksum();
        written(self.0.append(&header, content))
    }

    pub fn finish(self) -> Result<()> {
        let mut out = self.0.into_inner().map_err(|error| unwritten(&error))?;
        out.flush().map_err(|error| unwritten(&error))
    }
}
