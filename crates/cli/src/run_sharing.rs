//! The options of `run` for what is shared with the host and with other containers.

use crate::run_arguments::{pairs, usage};
use engine::user_namespace;
use engine::{Namespace, Result, Sharing, UserNamespace, parse_userns};

/// What is shared
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Sharing")]
pub struct RunSharing {
    /// Whose processes it sees: private, host, container:NAME
    #[arg(long, value_name = "MODE", default_value = "private")]
    pid: String,
    /// Whose shared memory it has: private, shareable, host, container:NAME
    #[arg(long, value_name = "MODE", default_value = "private")]
    ipc: String,
    /// Whose host name it has: private, host
    #[arg(long, value_name = "MODE", default_value = "private")]
    uts: String,
    /// Whose user ids it has: auto[:size=N] for its own, keep-id[:uid=N,gid=N], host, container:NAME
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// Whose cgroups it sees: private, host
    #[arg(long, value_name = "MODE", default_value = "private", value_parser = ["private", "host"])]
    cgroupns: String,
    /// Domain name of the container
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// Further group of its user
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Annotation of its config.json
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Domain that names are looked up in; . for none
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Option of resolv.conf
    #[arg(long, alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Mount the volumes of another container too
    #[arg(long, value_name = "NAME[:ro]")]
    volumes_from: Vec<String>,
}

impl RunSharing {
    /// What these words mean.
    pub fn sharing(&self, hardened: bool) -> Result<Sharing> {
        for (option, texts) in [("--dns-search", &self.dns_search), ("--dns-option", &self.dns_option)] {
            for text in texts {
                if text.is_empty()
                    || text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
                {
                    return Err(usage(option, text, "one word"));
                }
            }
        }
        Ok(Sharing {
            pid: namespace("--pid", &self.pid)?,
            ipc: if self.ipc == "shareable" { Namespace::Own } else { namespace("--ipc", &self.ipc)? },
            shareable: self.ipc == "shareable",
            uts: namespace("--uts", &self.uts)?,
            userns: match &self.userns {
                Some(text) => parse_userns(text)?,
                // An ordinary user's containers are in a user namespace already.
                None if hardened && !user_namespace::is_needed() => UserNamespace::Auto { size: None },
                None => UserNamespace::Usual,
            },
            host_cgroup: self.cgroupns == "host",
            domainname: self.domainname.clone(),
            groups: self.group_add.clone(),
            annotations: pairs("--annotation", &self.annotation)?,
            dns_search: self.dns_search.clone(),
            dns_options: self.dns_option.clone(),
            volumes_from: self.volumes_from.iter().map(|text| volumes_from(text)).collect::<Result<_>>()?,
        })
    }
}

fn namespace(option: &str, text: &str) -> Result<Namespace> {
    match text.split_once(':') {
        None if text == "private" || text.is_empty() => Ok(Namespace::Own),
        None if text == "host" => Ok(Namespace::Host),
        Some(("container", name)) if !name.is_empty() => Ok(Namespace::Container(name.to_owned())),
        _ => Err(usage(option, text, "write private, host or container:NAME")),
    }
}

fn volumes_from(text: &str) -> Result<(String, bool)> {
    match text.split_once(':') {
        None if !text.is_empty() => Ok((text.to_owned(), false)),
        Some((name, "ro")) => Ok((name.to_owned(), true)),
        Some((name, "rw")) => Ok((name.to_owned(), false)),
        _ => Err(usage("--volumes-from", text, "write NAME, NAME:ro or NAME:rw")),
    }
}
