//! `--network` and what belongs to it: where a container's network comes from, and what it is there.

use engine::{Attachment, Error, Kind, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What is wrong with the value of an option.
pub fn usage(option: &str, text: &str, why: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid value {text:?} for {option}: {why}"))
}

/// A name that others look up: it stands in a line of /etc/hosts.
pub fn alias(option: &str, text: &str) -> Result<String> {
    let fine = (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fine { Ok(text.to_owned()) } else { Err(usage(option, text, "use letters, digits, _, . and -")) }
}

fn mac(option: &str, text: &str) -> Result<[u8; 6]> {
    let wrong = || usage(option, text, "write six bytes such as 02:42:ac:11:00:02, not one of a group");
    let parts: Vec<&str> = text.split(':').collect();
    let byte = |part: &&str| {
        (part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .then(|| u8::from_str_radix(part, 16).ok())
            .flatten()
    };
    let bytes: Vec<u8> = parts.iter().map(byte).collect::<Option<_>>().ok_or_else(wrong)?;
    let mac: [u8; 6] = bytes.try_into().map_err(|_| wrong())?;
    // The lowest bit is that of groups; all zeros is no address.
    if mac[0] & 1 == 1 || mac == [0; 6] { Err(wrong()) } else { Ok(mac) }
}

/// `--network` and what belongs to it.
#[derive(Debug, clap::Args)]
pub struct NetworkArguments {
    /// bridge, host, none, container:NAME, or a network's name; several for a container on several
    #[arg(long, alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// A further name by which others find it
    #[arg(long, alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// Its IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// Its IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// The address of its link
    #[arg(long, value_name = "MAC")]
    mac_address: Option<String>,
}

impl NetworkArguments {
    /// Where a container's network comes from, and what it is connected to.
    pub fn wish(&self) -> Result<(engine::Network, Vec<Attachment>)> {
        let mut attachments = Vec::new();
        let mut alone = None;
        for text in &self.network {
            match text.as_str() {
                "host" => alone = Some(engine::Network::Host),
                "none" => alone = Some(engine::Network::None),
                text => match text.strip_prefix("container:") {
                    Some("") => return Err(usage("--network", text, "write container:NAME")),
                    Some(name) => alone = Some(engine::Network::Container(name.to_owned())),
                    None => attachments.push(attachment(text)?),
                },
            }
        }
        if let Some(alone) = alone {
            if self.network.len() > 1 {
                let all = self.network.join(", ");
                return Err(Error::new(Kind::Usage, format!("--network: {all} contradict each other")));
            }
            let further = [
                ("--network-alias", !self.network_alias.is_empty()),
                ("--ip", self.ip.is_some()),
                ("--ip6", self.ip6.is_some()),
                ("--mac-address", self.mac_address.is_some()),
            ];
            if let Some((option, _)) = further.iter().find(|(_, given)| *given) {
                let message = format!("{option} has no meaning with --network {}", self.network[0]);
                return Err(Error::new(Kind::Usage, message));
            }
            return Ok((alone, Vec::new()));
        }
        if attachments.is_empty() {
            attachments.push(Attachment { network: "bridge".to_owned(), ..Attachment::default() });
        }
        let aliases = self.network_alias.iter().map(|text| alias("--network-alias", text));
        let aliases = aliases.collect::<Result<Vec<_>>>()?;
        for one in &mut attachments {
            one.aliases.extend(aliases.iter().cloned());
        }
        // An address belongs to one network: the first.
        let first = &mut attachments[0];
        first.ipv4 = self.ip.or(first.ipv4);
        first.ipv6 = self.ip6.or(first.ipv6);
        if let Some(text) = &self.mac_address {
            first.mac = Some(mac("--mac-address", text)?);
        }
        Ok((engine::Network::Bridge, attachments))
    }
}

/// `NAME`, or docker's long form: `name=app,alias=db,ip=10.5.0.9`.
fn attachment(text: &str) -> Result<Attachment> {
    let wrong = |why: &str| usage("--network", text, why);
    if text.is_empty() {
        return Err(wrong("the name is empty"));
    }
    let mut one = Attachment::default();
    if !text.contains('=') {
        one.network = if text == "default" { "bridge".to_owned() } else { text.to_owned() };
        return Ok(one);
    }
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("name", name)) => one.network = name.to_owned(),
            Some(("alias", name)) => one.aliases.push(alias("--network", name)?),
            Some(("ip", ip)) => one.ipv4 = Some(ip.parse().map_err(|_| wrong("ip is no IPv4 address"))?),
            Some(("ip6", ip)) => one.ipv6 = Some(ip.parse().map_err(|_| wrong("ip6 is no IPv6 address"))?),
            Some(("mac-address", text)) => one.mac = Some(mac("--network", text)?),
            _ => return Err(wrong("write name=, alias=, ip=, ip6= and mac-address=, parted by commas")),
        }
    }
    if ["", "host", "none"].contains(&one.network.as_str()) {
        return Err(wrong("name= is a network that containers share"));
    }
    Ok(one)
}
