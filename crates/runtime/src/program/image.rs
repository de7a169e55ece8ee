//! Containers to an image and back: checkpoint, restore.

use super::arguments::Words;
use super::lifecycle::{manager, path};
use super::{Program, invalid, number};
use runtime::checkpoint::{self, Options};
use runtime::criu::choices::{Choices, page_server};
use runtime::error::Result;
use runtime::restore;
use std::path::PathBuf;
use std::str::FromStr;
use sys::Context;

fn choices(words: &Words) -> Result<Choices> {
    for namespace in words.values("empty-ns") {
        if namespace != "network" {
            return Err(invalid(&format!("--empty-ns: {namespace:?} is not network")));
        }
    }
    Ok(Choices {
        image: path(words, "image-path").unwrap_or_else(|| PathBuf::from("checkpoint")),
        work: path(words, "work-path"),
        tcp_established: words.is_set("tcp-established"),
        ext_unix_sk: words.is_set("ext-unix-sk"),
        shell_job: words.is_set("shell-job"),
        file_locks: words.is_set("file-locks"),
        lazy_pages: words.is_set("lazy-pages"),
        auto_dedup: words.is_set("auto-dedup"),
        empty_network: words.value("empty-ns").is_some(),
        cgroups: FromStr::from_str(words.value("manage-cgroups-mode").unwrap_or_default())?,
        network_lock: text(words, "network-lock")
            .map(|lock| lock.parse())
            .transpose()
            .within(|| "--network-lock")?,
    })
}

fn text(words: &Words, name: &str) -> Option<String> {
    words.value(name).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `checkpoint ID`.
pub fn checkpoint(program: &mut Program, words: &Words) -> Result<i32> {
    let server = text(words, "page-server").map(|text| page_server(&text)).transpose();
    let options = Options {
        choices: choices(words)?,
        parent: path(words, "parent-path"),
        leave_running: words.is_set("leave-running"),
        pre_dump: words.is_set("pre-dump"),
        tcp_skip_in_flight: words.is_set("tcp-skip-in-flight"),
        link_remap: words.is_set("link-remap"),
        page_server: server.within(|| "--page-server")?,
        // -1 is how runc's callers say that there is none.
        status_fd: text(words, "status-fd")
            .filter(|text| text != "-1")
            .map(|text| number("status-fd", &text))
            .transpose()?,
    };
    let warnings = checkpoint::checkpoint(&program.root, &words.arguments[0], &options)?;
    warnings.iter().for_each(|warning| program.log.warning(warning));
    Ok(0)
}

/// `restore ID`.
pub fn restore(program: &mut Program, words: &Words) -> Result<i32> {
    runtime::own_program::protect()?;
    let options = restore::Options {
        choices: choices(words)?,
        bundle: path(words, "bundle").unwrap_or_else(|| PathBuf::from(".")),
        console_socket: path(words, "console-socket"),
        pid_file: path(words, "pid-file"),
        detached: words.is_set("detach"),
        subreaper: !words.is_set("no-subreaper"),
        manager: manager(program)?,
        tcp_close: words.is_set("tcp-close"),
        lsm_profile: text(words, "lsm-profile").map(lsm_profile).transpose()?,
        lsm_mount_context: text(words, "lsm-mount-context"),
    };
    let log = &mut program.log;
    restore::restore(&program.root, &words.arguments[0], &options, &mut |warning| log.warning(warning))
}

/// `KIND:LABEL`, where CRIU knows two kinds.
fn lsm_profile(text: String) -> Result<String> {
    match text.split_once(':') {
        Some(("apparmor" | "selinux", label)) if !label.is_empty() => Ok(text),
        _ => Err(invalid(&format!("--lsm-profile: {text:?} is not apparmor:LABEL or selinux:LABEL"))),
    }
}
