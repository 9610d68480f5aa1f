//! An HTTP proxy: absolute-form requests for http, `CONNECT` tunnels for https; with a password if asked.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::git_http::is_git;
use super::http::{Framing, Request, Response, read_request, write_response};
use super::server::{Life, Port, Server, lock};

/// A running proxy; it ends when dropped.
pub struct Proxy {
    server: Server,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    credentials: Option<String>,
    signs: bool,
    targets: Mutex<Vec<String>>,
    refused: Mutex<usize>,
    /// Addresses that stand for others, as `host:port`.
    routes: Mutex<BTreeMap<String, String>>,
}

impl Proxy {
    /// A proxy for everybody.
    pub fn start() -> Proxy {
        Proxy::run(Shared::default())
    }

    /// A proxy that answers 407 without these Basic credentials.
    pub fn start_with_credentials(user: &str, password: &str) -> Proxy {
        let credentials = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Proxy::run(Shared { credentials: Some(credentials), ..Shared::default() })
    }

    /// A proxy that signs requests for Code Insights and git's, and no others, as the one of Bitbucket's pipelines.
    pub fn start_signing() -> Proxy {
        Proxy::run(Shared { signs: true, ..Shared::default() })
    }

    fn run(shared: Shared) -> Proxy {
        let shared = Arc::new(shared);
        let handler = {
            let shared = Arc::clone(&shared);
            move |socket: TcpStream, life: &Life| {
                let _ = shared.connection(socket, life); // a broken connection is the client's affair
            }
        };
        Proxy { server: Port::bind().serve(handler), shared }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Sends what is meant for one `host:port` to another, such as a name that doesn't exist to a [`super::Forge`].
    pub fn route(&self, from: &str, to: &str) {
        lock(&self.shared.routes).insert(from.to_owned(), to.to_owned());
    }

    /// What was asked of it, in order: `CONNECT host:port`, `GET http://host:port/path`. Without refused requests.
    pub fn targets(&self) -> Vec<String> {
        lock(&self.shared.targets).clone()
    }

    /// How many requests came without the right credentials.
    pub fn refused(&self) -> usize {
        *lock(&self.shared.refused)
    }
}

impl Shared {
    fn connection(&self, socket: TcpStream, life: &Life) -> io::Result<()> {
        let mut reader = BufReader::new(socket);
        while let Some(request) = read_request(&mut reader, || ())? {
            if self.credentials.as_deref().is_some_and(|right| request.header("proxy-authorization") != Some(right)) {
                *lock(&self.refused) += 1;
                let answer = Response::bytes(407, "text/plain", "Proxy Authentication Required")
                    .header("Proxy-Authenticate", "Basic realm=\"proxy\"");
                if write_response(reader.get_mut(), &request, &answer, Framing::Whole)? {
                    continue;
                }
                return Ok(());
            }
            lock(&self.targets).push(format!("{} {}", request.method, request.target));
            return match request.method.as_str() {
                "CONNECT" => self.tunnel(reader, &request, life),
                _ => self.forward(reader, &request, life),
            };
        }
        Ok(())
    }

    fn open(&self, host: &str) -> io::Result<TcpStream> {
        let route = lock(&self.routes).get(host).cloned();
        let upstream = TcpStream::connect(route.as_deref().unwrap_or(host))?;
        upstream.set_nodelay(true)?;
        Ok(upstream)
    }

    /// Connects client and target, and copies both ways until both are done.
    fn tunnel(&self, mut client: BufReader<TcpStream>, request: &Request, life: &Life) -> io::Result<()> {
        let Ok(upstream) = self.open(&request.target) else { return refuse(client.get_mut(), request) };
        let watched = life.watch(&upstream);
        client.get_mut().write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        let back = (upstream.try_clone()?, client.get_ref().try_clone()?);
        thread::scope(|scope| {
            scope.spawn(move || pipe(back.0, back.1));
            pipe(client, upstream);
        });
        if let Some(key) = watched {
            life.forget(key);
        }
        Ok(())
    }

    /// Sends an absolute-form request on in origin form, and the answer back as it comes; one a connection.
    fn forward(&self, mut client: BufReader<TcpStream>, request: &Request, life: &Life) -> io::Result<()> {
        let Some(rest) = request.target.strip_prefix("http://") else {
            let answer = Response::bytes(400, "text/plain", "an absolute URL is needed");
            return write_response(client.get_mut(), request, &answer, Framing::Whole).map(|_| ());
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let Ok(mut upstream) = self.open(&host) else { return refuse(client.get_mut(), request) };
        let watched = life.watch(&upstream);
        let path = if path.is_empty() { "/" } else { path };
        let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
        const OWN: [&str; 6] =
            ["connection", "proxy-connection", "proxy-authorization", "content-length", "transfer-encoding", "expect"];
        for (name, value) in request.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.signs && path.contains("/reports") {
            head.push_str("authorization: Bearer good\r\n");
        } else if self.signs && is_git(path) {
            head.push_str(&format!("authorization: Basic {}\r\n", STANDARD.encode("x-token-auth:good")));
        }
        head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len()));
        upstream.write_all(head.as_bytes())?;
        upstream.write_all(&request.body)?;
        pipe(upstream, client.get_ref().try_clone()?);
        if let Some(key) = watched {
            life.forget(key);
        }
        Ok(())
    }
}

fn refuse(client: &mut TcpStream, request: &Request) -> io::Result<()> {
    let answer = Response::bytes(502, "text/plain", "the proxy can't reach the target");
    write_response(client, request, &answer, Framing::Whole).map(|_| ())
}

/// Copies until the end of input, and passes the end on.
fn pipe(mut from: impl Read, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
