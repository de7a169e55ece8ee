//! `linux.seccomp`: the filter, and who answers its questions; with crun's annotations.

use super::invalid;
use crate::error::{Error, Kind, Result};
use crate::plan::Listener;
use oci_spec::runtime::{Linux, LinuxSeccomp, Spec};
use std::path::{Path, PathBuf};

const RAW: &str = "run.oci.seccomp_bpf_data";
const FAIL_UNKNOWN: &str = "run.oci.seccomp_fail_unknown_syscall";
const RECEIVER: &str = "run.oci.seccomp.receiver";
const PLUGINS: &str = "run.oci.seccomp.plugins";

/// The filter of the profile, or the raw one of an annotation in its place. `receiver` is that of the environment.
pub fn filter(
    spec: &Spec,
    linux: &Linux,
    receiver: Option<&Path>,
) -> Result<(seccomp::Program, Option<Listener>)> {
    let annotation = |name: &str| spec.annotations().as_ref().and_then(|all| all.get(name));
    if annotation(PLUGINS).is_some_and(|plugins| !plugins.is_empty()) {
        let message =
            format!("config.json: annotations: {PLUGINS}: not supported: this program loads no other");
        return Err(
            Error::new(Kind::Unsupported, message).with_hint(format!("{RECEIVER} is a socket instead"))
        );
    }
    let listener = listener(linux, annotation(RECEIVER), receiver)?;
    let refused = |refused| Error::new(Kind::Invalid, format!("config.json: {refused}"));
    let program = match (annotation(RAW), linux.seccomp()) {
        (Some(raw), profile) => {
            let flags = profile.as_ref().and_then(|profile| profile.flags().as_deref()).unwrap_or_default();
            let program = seccomp::Program::from_base64(raw, flags).map_err(refused)?;
            if program.notifies && listener.is_none() {
                return Err(invalid(
                    &format!("annotations: {RAW}"),
                    "asks somebody, and there is no listener",
                ));
            }
            program
        }
        (None, Some(profile)) => {
            let options = seccomp::Options {
                fail_unknown: annotation(FAIL_UNKNOWN).is_some_and(|value| value != "0"),
                has_listener: listener.is_some(),
            };
            let program = seccomp::compile(profile, options).map_err(refused)?;
            kernel_has(profile)?;
            program
        }
        (None, None) => seccomp::Program::default(),
    };
    Ok((program, listener))
}

/// Refuses what this kernel lacks: an action that it does not know would kill the process. What it does not say (another
/// filter may keep it from saying anything) comes out when it gets the filter.
fn kernel_has(profile: &LinuxSeccomp) -> Result<()> {
    let lacks = |field: String, name: &dyn std::fmt::Display| {
        Err(Error::new(
            Kind::Unsupported,
            format!("config.json: linux.seccomp.{field}: this kernel does not have {name}"),
        ))
    };
    let mut asked: Vec<u32> = Vec::new();
    let rules = profile.syscalls().iter().flatten().enumerate();
    let of_rules = rules.map(|(index, rule)| (Some(index), rule.action()));
    for (index, action) in std::iter::once((None, profile.default_action())).chain(of_rules) {
        let code = seccomp::code_of(action);
        if asked.contains(&code) {
            continue;
        }
        asked.push(code);
        if matches!(sys::seccomp::has_action(code), Ok(false)) {
            let field = index.map_or("defaultAction".to_owned(), |index| format!("syscalls[{index}].action"));
            return lacks(field, &action);
        }
    }
    for flag in profile.flags().iter().flatten() {
        if matches!(sys::seccomp::has_flag(seccomp::bit_of(*flag)), Ok(false)) {
            return lacks("flags".to_owned(), flag);
        }
    }
    Ok(())
}

/// Where seccomp's questions go: as the profile has it, else the annotation, else the environment.
fn listener(
    linux: &Linux,
    annotation: Option<&String>,
    environment: Option<&Path>,
) -> Result<Option<Listener>> {
    let profile = linux.seccomp().as_ref();
    let metadata = profile.and_then(|profile| profile.listener_metadata().clone()).unwrap_or_default();
    let written = profile.and_then(|profile| profile.listener_path().clone());
    if let Some(path) = written.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(Some(Listener { path, metadata }));
    }
    let Some(path) = annotation.map(PathBuf::from).or_else(|| environment.map(Path::to_owned)) else {
        return Ok(None);
    };
    if !path.is_absolute() {
        return Err(invalid(&format!("annotations: {RECEIVER}"), "not an absolute path"));
    }
    Ok(Some(Listener { path, metadata }))
}
