//! What a push asks of a registry (distribution-spec, "Push"): whether it has a blob, another repository's, a new one; a manifest.

use super::transport::{Answer, Trouble};
use super::url::{Url, encoded};
use super::{ATTEMPTS, Registry};
use crate::digest::Digest;
use crate::{Error, Kind, Result};
use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::Duration;
use sys::Context;

/// What is sent.
pub(crate) enum Media<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// With its media type.
    Document(&'a str, &'a [u8]),
    /// With who hears how much of it is sent.
    File(&'a File, &'a dyn Fn(u64)),
}

impl Registry<'_> {
    /// Whether the repository has a blob.
    pub fn has_blob(&self, digest: &str) -> Result<bool> {
        let url = self.base.at(&format!("/v2/{}/blobs/{digest}", self.name()))?;
        let answer = self.ask("HEAD", &url, &Media::Nothing, &[200, 301, 302, 303, 307, 308, 404])?;
        Ok(answer.status() != 404)
    }

    /// Gives the repository a blob that another one of the registry has; false if it does not.
    pub fn mount_blob(&self, digest: &str, from: &str) -> Result<bool> {
        let fields = [("mount", digest.to_owned()), ("from", from.to_owned())];
        let url =
            self.base.at(&format!("/v2/{}/blobs/uploads/", self.name()))?.with_query(&encoded(&fields))?;
        // 202 is the beginning of an upload instead, which nobody goes on with.
        let answer = self.ask("POST", &url, &Media::Nothing, &[201, 202, 400, 401, 403, 404, 405])?;
        Ok(answer.status() == 201)
    }

    /// Sends a blob whole.
    pub fn upload(&self, digest: &Digest, media: Media<'_>) -> Result<()> {
        let url = self.base.at(&format!("/v2/{}/blobs/uploads/", self.name()))?;
        let mut attempt = 1;
        loop {
            let begun = self.ask("POST", &url, &Media::Nothing, &[202])?;
            let location = begun.header("location").ok_or_else(|| {
                Error::new(Kind::Other, format!("POST {url}: the registry says not where to send the blob"))
            })?;
            let place = begun.url.join(&location)?;
            if begun.url.is_https() && !place.is_https() {
                return Err(Error::new(Kind::Other, format!("POST {url}: from https to http")));
            }
            if place.is_link_local() || (place.leads_here() && !begun.url.is_loopback()) {
                return Err(Error::new(Kind::Other, format!("POST {url}: to an address of this machine")));
            }
            let place = place.with_query(&encoded(&[("digest", digest.to_string())]))?;
            match self.once("PUT", &place, &media, &[201, 204]) {
                Ok(_) => return Ok(()),
                // A broken upload is begun anew.
                Err(trouble) if trouble.again && attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(200 << attempt));
                    attempt += 1;
                }
                Err(trouble) => return Err(trouble.error),
            }
        }
    }

    /// Gives a manifest a tag.
    pub fn put_manifest(&self, tag: &str, kind: &str, bytes: &[u8]) -> Result<()> {
        let url = self.base.at(&format!("/v2/{}/manifests/{tag}", self.name()))?;
        self.ask("PUT", &url, &Media::Document(kind, bytes), &[201, 200]).map(drop)
    }

    /// One of the answers that are fine, after retries of what may pass.
    fn ask(&self, method: &'static str, url: &Url, media: &Media<'_>, fine: &[u16]) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            if self.cancelled.load(Ordering::Relaxed) {
                return Err(Error::new(Kind::Cancelled, "cancelled"));
            }
            match self.once(method, url, media, fine) {
                Ok(answer) => return Ok(answer),
                Err(trouble) if trouble.again && attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(200 << attempt));
                    attempt += 1;
                }
                Err(trouble) => return Err(trouble.error),
            }
        }
    }

    fn once(
        &self,
        method: &'static str,
        url: &Url,
        media: &Media<'_>,
        fine: &[u16],
    ) -> Result<Answer, Trouble> {
        // Who we are is for the registry alone, and not for where it keeps its blobs.
        let own = url.same_origin(&self.base) || sys::mutant!("mutant_im_10_upload");
        let known = self.lock().clone().filter(|_| own);
        let mut answer = self.transport.send(method, url, known.as_deref(), media)?;
        if answer.status() == 401 && own {
            let fresh = self.authenticate(&answer).within(|| format!("authenticate at {}", self.registry))?;
            *self.lock() = Some(fresh.clone());
            answer = self.transport.send(method, url, Some(&fresh), media)?;
        }
        if fine.contains(&answer.status()) {
            return Ok(answer);
        }
        Err(self.refusal(url, answer))
    }
}
