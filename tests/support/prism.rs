//! Prism, <https://stoplight.io/open-source/prism>, between the program and a fake forge: a proxy that lets pass
//! what the vendor's own description of its API allows, in both directions, and refuses anything else.
//!
//! `CML_TEST_NODE`, `CML_TEST_PRISM`, and `CML_TEST_OPENAPI` (GitHub) or `CML_TEST_OPENAPI_BITBUCKET`, name Node.js,
//! Prism's entry and the folder of the descriptions, as `cargo xtask test` sets them. Without them the tests that need it say so and pass, except in CI.

use super::fake::http::{Framing, Request, Response, read_request, write_response};
use super::fake::server::{Life, Port, Server, lock};
use super::fake::{Forge, Vendor};
use super::ignored::skipped;
use super::net::{Answer, send};
use super::openapi::{self, Source};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A module that ends the program with the one that started it, whose pipe it has for its input.
const ENDS_WITH_US: &str = "data:text/javascript,process.stdin.on('end', () => process.exit()).resume()";

/// A running checker of a vendor's REST API; it ends when it is dropped, or with this program.
pub struct Prism {
    child: Child,
    _behind: Server,
    tap: Server,
    seen: Arc<Seen>,
}

/// What went through.
#[derive(Default)]
struct Seen {
    query: BTreeSet<String>,
    forge: String,
    /// Bodies that are not text, which the checker does not pass on as they are.
    bodies: Mutex<Vec<Vec<u8>>>,
    violations: Mutex<Vec<Violation>>,
}

struct Violation {
    /// The repository's.
    slug: String,
    says: String,
}

/// The vendor's description of its API.
fn source(vendor: Vendor) -> &'static Source {
    match vendor {
        Vendor::GitHub => &openapi::github::SOURCE,
        Vendor::Bitbucket => &openapi::bitbucket::SOURCE,
        Vendor::GitLab => panic!("GitLab's description is not used yet"),
    }
}

impl Prism {
    /// One before a forge, with the description that the vendor has of its own service: give the program [`Prism::api`]
    /// as that vendor's, and look at [`Prism::violations`] in the end. `None` where the tools are missing.
    pub fn guarding(vendor: Vendor, forge: &Forge) -> Option<Prism> {
        Prism::with(vendor, source(vendor).file, forge)
    }

    /// The same, with the description of that name, such as `ghes-3.17.json` for an Enterprise Server.
    pub fn with(vendor: Vendor, description: &str, forge: &Forge) -> Option<Prism> {
        let source = source(vendor);
        let variables = ["CML_TEST_NODE", "CML_TEST_PRISM", source.variable];
        let [Ok(node), Ok(program), Ok(all)] = variables.map(std::env::var) else {
            skipped(&format!("description of {}'s API", source.title), &format!("set {}", variables.join(", ")));
            return None;
        };
        let whole = std::fs::read(Path::new(&all).join(description)).unwrap();
        let description = openapi::cut(source, serde_json::from_slice(&whole).unwrap());
        let document = written(&description.document.to_string());
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(node);
        command.args(["--import", ENDS_WITH_US]).arg(program).args([
            "proxy",
            "--errors",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
        ]);
        let (seen, behind) = behind(forge, description.query);
        command.arg(document).arg(forge.api(vendor).replace(forge.url(), &format!("http://{}", behind.address)));
        command.stdin(Stdio::piped()).stderr(log.reopen().unwrap()).stdout(log.reopen().unwrap());
        let mut child = command.spawn().unwrap();
        let checker = address(&mut child, log.path());
        let tap = serve(&seen, move |seen, request| seen.checked(&checker, request));
        Some(Prism { child, _behind: behind, tap, seen })
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

/// A document's place, by its content: the checker looks whether it changes.
fn written(document: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("openapi-{}.json", &cml::digest::hash(document.as_bytes())[..16]));
    if !path.exists() {
        let mut file = tempfile::NamedTempFile::new_in(folder).unwrap();
        file.write_all(document.as_bytes()).unwrap();
        file.persist(&path).unwrap();
    }
    path
}

/// Waits until it listens: where.
fn address(child: &mut Child, log: &Path) -> String {
    let started = Instant::now();
    loop {
        let log = std::fs::read_to_string(log).unwrap_or_default();
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

/// What stands between the checker and a forge.
fn behind(forge: &Forge, query: BTreeSet<String>) -> (Arc<Seen>, Server) {
    let seen = Arc::new(Seen { query, forge: forge.url().to_owned(), ..Seen::default() });
    let server = serve(&seen, Seen::behind);
    (seen, server)
}

/// A server that answers requests by a function of them and of what went through.
fn serve(
    seen: &Arc<Seen>,
    answer: impl Fn(&Seen, &Request) -> std::io::Result<Response> + Send + Sync + 'static,
) -> Server {
    let seen = Arc::clone(seen);
    Port::bind().serve(move |socket: TcpStream, _: &Life| {
        let _ = connection(socket, |request| answer(&seen, request)); // a broken connection is the client's affair
    })
}

fn connection(socket: TcpStream, answer: impl Fn(&Request) -> std::io::Result<Response>) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    while let Some(request) = read_request(&mut reader, || ())? {
        let answer = answer(&request)?;
        if !write_response(reader.get_mut(), &request, &answer, Framing::Whole)? {
            break;
        }
    }
    Ok(())
}

/// Names the body of a request that is not text.
const BODY: &str = "x-body";
/// Headers of one connection.
const OURS: [&str; 6] = ["host", "connection", "content-length", "transfer-encoding", "user-agent", BODY];

fn pass_on(request: &Request, to: &str, body: &[u8], number: Option<String>) -> std::io::Result<Answer> {
    let headers = request.headers.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    let mut headers: Vec<(&str, &str)> = headers.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.extend(number.as_deref().map(|number| (BODY, number)));
    send(&request.method, &format!("{to}{}", request.target), &headers, body)
}

fn response(answer: Answer) -> Response {
    let dropped = |name: &str| OURS.contains(&name) || name == "keep-alive";
    let headers = answer.headers.into_iter().filter(|(name, _)| !dropped(name)).collect();
    Response { status: answer.status, headers, body: answer.body }
}

impl Seen {
    /// Behind the checker: the forge gets bodies as they were sent.
    fn behind(&self, request: &Request) -> std::io::Result<Response> {
        let number = request.header(BODY).and_then(|number| number.parse::<usize>().ok());
        let body = number.map_or_else(|| request.body.clone(), |number| lock(&self.bodies)[number].clone());
        Ok(response(pass_on(request, &self.forge, &body, None)?))
    }

    /// Before it: passes requests on and answers back, and keeps what it says about them.
    fn checked(&self, checker: &str, request: &Request) -> std::io::Result<Response> {
        let answer = match std::str::from_utf8(&request.body) {
            Ok(_) => pass_on(request, checker, &request.body, None)?,
            Err(_) => {
                let mut bodies = lock(&self.bodies);
                bodies.push(request.body.clone());
                let number = bodies.len() - 1;
                drop(bodies);
                let text: Vec<u8> =
                    request.body.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }).collect();
                pass_on(request, checker, &text, Some(number.to_string()))?
            }
        };
        let unknown = request.query().into_iter().find(|(name, _)| !self.query.contains(name));
        let problem = match unknown {
            Some((name, _)) => Some(format!("no query has a parameter {name}")),
            None => problem(&answer),
        };
        let Some(problem) = problem else {
            return Ok(response(answer));
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
