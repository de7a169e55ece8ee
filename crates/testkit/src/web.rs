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
    /// As many bytes as `content-length` says; what is no text in them is replaced.
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

/// Status, headers and body.
pub type Full = (u16, Vec<(&'static str, String)>, Vec<u8>);

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
        let full = move |request: &Request| {
            let (status, body) = handler(request);
            (status, Vec::new(), body)
        };
        Self::start_at(host, ("127.0.0.1", port), full)
    }

    /// The same on some address of the host, with headers.
    #[track_caller]
    pub fn start_at(
        host: &Host,
        (address, port): (&'static str, u16),
        handler: impl Fn(&Request) -> Full + Send + Sync + 'static,
    ) -> Self {
        let whole = move |request: &Request, output: &mut dyn Write| {
            let (status, headers, body) = handler(request);
            write!(output, "HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n", body.len())?;
            headers.iter().try_for_each(|(name, value)| write!(output, "{name}: {value}\r\n"))?;
            output.write_all(b"\r\n")?;
            if request.method == "HEAD" { Ok(()) } else { output.write_all(&body) }
        };
        Self::start_raw(host, (address, port), whole)
    }

    /// The same with whatever a handler writes, from the status on; the connection ends with it, or when the client is gone.
    #[track_caller]
    pub fn start_raw(
        host: &Host,
        (address, port): (&'static str, u16),
        handler: impl Fn(&Request, &mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let namespace =
            File::open(format!("/proc/{}/ns/net", host.pid())).expect("the host's network namespace");
        // The thread ends with what it opens: no other thread of this program may be in the host.
        let bind = move || -> std::io::Result<TcpListener> {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            TcpListener::bind((address, port))
        };
        let bound = std::thread::spawn(bind).join().expect("the thread that binds");
        let listener = Arc::new(bound.unwrap_or_else(|error| panic!("bind {address}:{port}: {error}")));
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
        Self { address: format!("{address}:{port}"), listener, seen, thread }
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
    handler: &impl Fn(&Request, &mut dyn Write) -> std::io::Result<()>,
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
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    keeps.lock().expect("no handler has panicked").push(request.clone());
    let mut output = stream;
    handler(&request, &mut output)
}
