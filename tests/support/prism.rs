//! Prism, <https://stoplight.io/open-source/prism>, between the program and the fake GitHub: a proxy that lets pass what
//! GitHub's own description of its API allows, in both directions, and refuses anything else.
//!
//! `CML_TEST_NODE`, `CML_TEST_PRISM` and `CML_TEST_OPENAPI` name Node.js, Prism's entry and the folder of the
//! descriptions, as `cargo xtask test` sets them. Without them the tests that need it say so and pass, except in CI.

use super::fake::http::{Framing, Request, Response, read_request, write_response};
use super::fake::server::{Life, Port, Server, lock};
use super::fake::{Forge, Vendor};
use super::net::{Answer, send};
use super::node::skipped;
use super::openapi;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const VARIABLES: [&str; 3] = ["CML_TEST_NODE", "CML_TEST_PRISM", "CML_TEST_OPENAPI"];

/// A running checker of GitHub's REST API; it ends when it is dropped.
pub struct Prism {
    child: Child,
    _folder: tempfile::TempDir,
    tap: Server,
    seen: Arc<Seen>,
}

/// What went through.
#[derive(Default)]
struct Seen {
    checker: String,
    query: BTreeSet<String>,
    violations: Mutex<Vec<Violation>>,
}

struct Violation {
    /// The repository's.
    slug: String,
    says: String,
}

impl Prism {
    /// One before a forge, with the description of github.com.
    pub fn before(forge: &Forge) -> Option<Prism> {
        Prism::with("api.github.com.json", forge)
    }

    /// One before a forge, with the description of that name, such as `ghes-3.17.json` for an Enterprise Server.
    pub fn with(description: &str, forge: &Forge) -> Option<Prism> {
        let named = VARIABLES.map(std::env::var);
        let [Ok(node), Ok(program), Ok(all)] = named else {
            skipped("description of GitHub's API", &VARIABLES.join(", "));
            return None;
        };
        let whole = std::fs::read(Path::new(&all).join(description)).unwrap();
        let whole = serde_json::from_slice(&whole).unwrap();
        let description = openapi::cut(&whole);
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("description.json");
        std::fs::write(&document, description.document.to_string()).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(node);
        command.arg(program).args(["proxy", "--errors", "--host", "127.0.0.1", "--port", "0"]);
        command.arg(document).arg(forge.api(Vendor::GitHub));
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        let mut child = command.spawn().unwrap();
        let checker = address(&mut child, &folder);
        let seen = Arc::new(Seen { checker, query: description.query, violations: Mutex::default() });
        let tap = Port::bind().serve({
            let seen = Arc::clone(&seen);
            move |socket: TcpStream, _: &Life| {
                let _ = seen.connection(socket); // a broken connection is the client's affair
            }
        });
        Some(Prism { child, _folder: folder, tap, seen })
    }

    /// The base URL of the API that is checked.
    pub fn api(&self) -> String {
        format!("http://{}", self.tap.address)
    }

    /// What was against the description in requests about a repository, and in the answers to them.
    pub fn violations(&self, slug: &str) -> Vec<String> {
        let violations = lock(&self.seen.violations);
        let of_it = violations.iter().filter(|violation| violation.slug == slug);
        of_it.map(|violation| violation.says.clone()).collect()
    }

    /// The same, and forgets it.
    pub fn forgive(&self, slug: &str) -> Vec<String> {
        let found = self.violations(slug);
        lock(&self.seen.violations).retain(|violation| violation.slug != slug);
        found
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until it listens: where.
fn address(child: &mut Child, folder: &tempfile::TempDir) -> String {
    let started = Instant::now();
    loop {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        if let Some((address, _)) = log.split_once("listening on ").and_then(|(_, rest)| rest.split_once('\n')) {
            return address.trim().to_owned();
        }
        if child.try_wait().unwrap().is_some() || started.elapsed().as_secs() > 120 {
            let _ = child.kill();
            panic!("Prism does not start:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Seen {
    /// Passes requests on and answers back, and keeps what the checker says about them.
    fn connection(&self, socket: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(socket);
        while let Some(request) = read_request(&mut reader, || ())? {
            let answer = self.checked(&request)?;
            if !write_response(reader.get_mut(), &request, &answer, Framing::Whole)? {
                break;
            }
        }
        Ok(())
    }

    fn checked(&self, request: &Request) -> std::io::Result<Response> {
        const OURS: [&str; 5] = ["host", "connection", "content-length", "transfer-encoding", "user-agent"];
        let headers = request.headers.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
        let headers: Vec<(&str, &str)> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let address = format!("{}{}", self.checker, request.target);
        let answer = send(&request.method, &address, &headers, &request.body)?;
        let unknown = request.query().into_iter().find(|(name, _)| !self.query.contains(name));
        let problem = match unknown {
            Some((name, _)) => Some(format!("no query has a parameter {name}")),
            None => problem(&answer),
        };
        let Some(problem) = problem else {
            let dropped = |name: &str| OURS.contains(&name) || name == "keep-alive";
            let headers = answer.headers.into_iter().filter(|(name, _)| !dropped(name)).collect();
            return Ok(Response { status: answer.status, headers, body: answer.body });
        };
        let slug = request.path().split('/').skip(2).take(2).collect::<Vec<_>>().join("/");
        let says = format!("{} {}: {problem}", request.method, request.target);
        lock(&self.violations).push(Violation { slug, says });
        // Nothing that a client would try again.
        Ok(Response::json(400, &json!({ "message": problem })))
    }
}

/// What the checker has against a request or an answer: it refuses errors, and notes what is merely not described.
fn problem(answer: &Answer) -> Option<String> {
    let said = match answer.header("content-type") {
        "application/problem+json" => answer.text(),
        _ => Some(answer.header("sl-violations").to_owned()).filter(|noted| !noted.is_empty())?,
    };
    let json: Value = serde_json::from_str(&said).unwrap_or_default();
    let problems = json.as_array().or_else(|| json["validation"].as_array()).into_iter().flatten().chain([&json]);
    let messages = problems.flat_map(|problem| [problem.get("message"), problem.get("title")]).flatten();
    let messages: Vec<&str> = messages.filter_map(Value::as_str).collect();
    Some(if messages.is_empty() { said } else { messages.join("; ") })
}
