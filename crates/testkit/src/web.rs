//! A small HTTP server inside a test host, for what a registry leaves to others: the realm that gives out tokens, and
//! the store that blobs are redirected to. It keeps every request, so that a test sees what was sent where.

use crate::Host;
use rustix::net::{Shutdown, shutdown};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Name in lower case, and value.
    pub headers: Vec<(String, String)>,
    /// As many bytes as `content-length` says.
    pub body: String,
}

impl Request {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Status and body.
pub type Answer = (u16, Vec<u8>);

/// A server that runs; dropping it ends it.
pub struct Web {
    /// The address to put behind `http://`.
    pub address: String,
    listener: Arc<TcpListener>,
    seen: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

/// Opens sockets in the network of a host: they stay there.
pub fn inside<T: Send>(host: &Host, open: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(format!("/proc/{}/ns/net", host.pid())).expect("the host's network namespace");
    // A thread that ends with it: no other of this program may be in the host.
    let enter = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
        open()
    };
    std::thread::scope(|scope| scope.spawn(enter).join()).expect("the thread in the host")
}

impl Web {
    /// Serves what `handler` answers on 127.0.0.1 of the host.
    #[track_caller]
    pub fn start(
        host: &Host,
        port: u16,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let namespace =
            File::open(format!("/proc/{}/ns/net", host.pid())).expect("the host's network namespace");
        // The thread ends with what it opens: no other thread of this program may be in the host.
        let bind = move || -> std::io::Result<TcpListener> {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpListener::bind(("127.0.0.1", port))
        };
        let bound = std::thread::spawn(bind).join().expect("the thread that binds");
        let listener = Arc::new(bound.unwrap_or_else(|error| panic!("bind 127.0.0.1:{port}: {error}")));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (accepts, keeps) = (Arc::clone(&listener), Arc::clone(&seen));
        let handler = Arc::new(handler);
        let serve = move || {
            for stream in accepts.incoming() {
                let Ok(stream) = stream else { return };
                let (handler, keeps) = (Arc::clone(&handler), Arc::clone(&keeps));
                // A client that goes away in the middle is that client's business.
                std::thread::spawn(move || serve(&stream, &*handler, &keeps).ok());
            }
        };
        let thread = Some(std::thread::spawn(serve));
        Self { address: format!("127.0.0.1:{port}"), listener, seen, thread }
    }

    /// Every request since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().expect("no handler has panicked"))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // accept(2) of the thread returns with EINVAL.
        shutdown(&self.listener, Shutdown::Both).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(
    stream: &TcpStream,
    handler: &impl Fn(&Request) -> Answer,
    keeps: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: String::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    input.take(length).read_to_string(&mut request.body)?;
    let (status, body) = handler(&request);
    keeps.lock().expect("no handler has panicked").push(request);
    let mut output = stream;
    write!(output, "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len())?;
    output.write_all(&body)
}
