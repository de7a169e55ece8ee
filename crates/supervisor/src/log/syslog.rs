//! A syslog server: the local one as syslog(3) writes to it, another in the words of RFC 5424.

use super::Stream;
use super::sent::{Sent, Words};
use crate::Result;

pub use super::outbox::Address;

/// The words around a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `<30>TAG[PID]: LINE`: the server of this host knows the time, and whose the line is.
    Local,
    /// RFC 5424, with whole seconds.
    Rfc5424,
    /// RFC 5424, with microseconds.
    Rfc5424Micro,
}

/// How a container writes to a server.
#[derive(Debug, Clone)]
pub struct Manner {
    /// The words around a line.
    pub form: Form,
    /// RFC 5424, 6.2.1: what kind of program it is.
    pub facility: u8,
    /// What stands where the program's name does.
    pub tag: String,
    /// The host's name.
    pub host: String,
}

/// A syslog server as a keeper of lines.
#[derive(Debug)]
pub struct Syslog {
    manner: Manner,
    pid: u32,
}

/// Printable letters of ASCII without spaces, at most so many; `-` for none.
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

impl Syslog {
    /// A connection to a server. `most` as in the outbox: none lets the container wait for a server that is slow.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn open(address: Address, manner: Manner, most: Option<usize>) -> Result<Sent<Self>> {
        Sent::open(address, Self { manner, pid: std::process::id() }, most)
    }

    fn head(&self, stream: Stream, time: &str) -> String {
        let Manner { form, facility, tag, host } = &self.manner;
        // 3 is an error, 6 is information.
        let priority = u16::from(*facility) * 8 + if stream == Stream::Error { 3 } else { 6 };
        let pid = self.pid;
        // Of 2026-11-25T05:10:18.000000001Z.
        let seconds = time.get(..19).unwrap_or(time);
        let time = match form {
            Form::Local => return format!("<{priority}>{}[{pid}]: ", tag.replace(['\n', '\0'], " ")),
            Form::Rfc5424 => format!("{seconds}Z"),
            Form::Rfc5424Micro => format!("{}Z", time.get(..26).unwrap_or(seconds)),
        };
        let (host, name, id) = (word(host, 255), word(tag, 48), word(tag, 32));
        format!("<{priority}>1 {time} {host} {name} {pid} {id} - ")
    }
}

impl Words for Syslog {
    fn message(&mut self, stream: Stream, line: &[u8], time: &str, ends: bool) -> Vec<u8> {
        let mut message = self.head(stream, time).into_bytes();
        message.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        if ends {
            message.push(b'\n');
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_lines() {
        let directory = std::env::temp_dir().join(format!("devoxx-syslog-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("log");
        let _server = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
        let check = |form: Form, tag: &str, stream: Stream, expected: &str| {
            let manner = Manner { form, facility: 3, tag: tag.to_owned(), host: "h".to_owned() };
            let one = Syslog::open(Address::Unix(path.clone()), manner, None).expect("somebody listens");
            let head = one.words.head(stream, "2026-11-25T05:10:18.123456789Z");
            assert_eq!(head, expected.replace("PID", &std::process::id().to_string()));
        };
        check(Form::Local, "web", Stream::Output, "<30>web[PID]: ");
        check(Form::Rfc5424, "web", Stream::Error, "<27>1 2026-11-25T05:10:18Z h web PID web - ");
        check(
            Form::Rfc5424Micro,
            "a b\u{e4}",
            Stream::Output,
            "<30>1 2026-11-25T05:10:18.123456Z h ab PID ab - ",
        );
        check(Form::Rfc5424, "", Stream::Output, "<30>1 2026-11-25T05:10:18Z h - PID - - ");
        std::fs::remove_dir_all(&directory).expect("it goes");
    }
}
