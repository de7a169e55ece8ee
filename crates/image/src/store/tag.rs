//! Names for images that are here.

use super::Store;
use crate::reference::Reference;
use crate::{Error, Kind, Result};
use sys::Context;

impl Store {
    /// Gives the image of a name or id one more name. A name that another image had moves to this one.
    pub fn tag(&self, text: &str, name: &Reference) -> Result<()> {
        if name.digest.is_some() {
            return Err(Error::new(
                Kind::Usage,
                format!("{}: a name that is given has no digest", name.familiar()),
            ));
        }
        let tag = || {
            // All platforms of a name get the new one, or the one image of an id.
            let records = self.records()?;
            let known = Reference::parse(text)
                .ok()
                .and_then(|reference| records.references.get(&reference.to_string()).cloned());
            let digests = match known {
                Some(digests) => digests,
                None => {
                    let image = self.find_by_name_or_id(text)?;
                    let missing = || Error::new(Kind::NotFound, format!("no such image: {text}"));
                    vec![image.ok_or_else(missing)?.manifest_digest]
                }
            };
            self.change(|records| {
                if digests.iter().any(|digest| !records.images.contains_key(digest)) {
                    return Err(Error::new(Kind::NotFound, format!("no such image: {text}")));
                }
                records.tag(&name.to_string(), &digests);
                Ok(())
            })
        };
        tag().within(|| format!("tag {}", text.escape_debug()))
    }

    /// Remembers by what name a registry has an image.
    pub(crate) fn note_alias(&self, digest: &str, alias: &str) -> Result<()> {
        self.change(|records| {
            if let Some(record) = records.images.get_mut(digest) {
                record.aliases.insert(alias.to_owned());
            }
            Ok(())
        })
    }
}
