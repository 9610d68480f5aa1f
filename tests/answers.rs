//! What a forge answers, or who is in its place: answers without an end, and texts that are more than text.

use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::{Cml, VENDORS};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MB: usize = 1 << 20;

/// A server that answers every request with a head and a body without an end. Its address, and how much of bodies it
/// got rid of.
fn endless(head: &'static str, chunked: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, count) = (socket.unwrap(), count.clone());
            std::thread::spawn(move || {
                let _ = socket.read(&mut [0; 65536]);
                let _ = socket.write_all(head.as_bytes());
                let body = vec![b' '; 65536];
                let piece = if chunked { [b"10000\r\n".as_slice(), &body, b"\r\n"].concat() } else { body };
                while socket.write_all(&piece).is_ok() {
                    count.fetch_add(piece.len(), Ordering::Relaxed);
                }
            });
        }
    });
    (address, sent)
}

#[test]
fn an_answer_without_an_end_is_not_read_to_it() {
    let plain = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let packed = "HTTP/1.1 404 Not Found\r\nContent-Encoding: gzip\r\nContent-Length: 1099511627776\r\n\r\n";
    for (vendor, (head, is_chunked)) in VENDORS.into_iter().zip([(plain, false), (chunked, true), (packed, false)]) {
        for (verb, most) in [("update", 64), ("create", 8)] {
            let (address, sent) = endless(head, is_chunked);
            let forge = Forge::start();
            let mut cml = Cml::on(&forge, vendor);
            for name in ["GITHUB_API_URL", "CI_API_V4_URL", "BITBUCKET_API_URL"] {
                cml.set(name, &address);
            }
            let ran = cml.run(&["comment", verb, "report.md"]);
            ran.fails(9, &format!("the answer from 127.0.0.1 is larger than {most} MB"), "");
            // What the system's buffers hold was sent as well.
            assert!(sent.load(Ordering::Relaxed) < (most + 24) * MB, "{sent:?}");
        }
    }
}

#[test]
fn an_answer_of_the_largest_size_is_read() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let body = format!("[{}]", " ".repeat(40 * MB));
    forge.fault("GET /github/*/comments", 1, Kind::answer(200, &[], &body));
    cml.run(&["comment", "update", "report.md"]).ok();
    assert_eq!(forge.live_comments(Vendor::GitHub, &Target::Pull(7)).len(), 1);
}

/// Whether something in it controls a terminal, the order of characters, or the runner.
fn controls(text: &str) -> bool {
    let is_bad =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}' | '\u{2028}' | '\u{200f}');
    text.contains(is_bad) || text.lines().any(|line| line.trim_start().starts_with("::"))
}

const EVIL: &str = "\u{1b}]0;pwned\u{7}\u{9b}2K\u{202e}gpj\u{2066}\u{2028}\n::error::forged\r::add-mask::e\u{200f}";

#[test]
fn an_address_is_one_line_without_control_characters() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let [output, dotenv] = ["output", "dotenv"].map(|name| cml.path().join(name).display().to_string());
        cml.set("GITHUB_OUTPUT", &output).set("CML_DOTENV", &dotenv);
        let address = format!("https://host/{EVIL}");
        let body = serde_json::json!({
            "id": 1, "body": "x", "html_url": address, "created_at": "2026-01-01T00:00:00Z", "created_on": "2026-01-01T00:00:00Z",
            "content": { "raw": "x" }, "links": { "html": { "href": address } },
        });
        forge.fault("POST ", 1, Kind::answer(201, &[], &body.to_string()));
        let printed = cml.run(&["comment", "create", "report.md", "--log", "debug"]);
        let all = format!("{}{}", printed.stdout, printed.stderr);
        assert!(!controls(&all), "{all:?}");
        assert_eq!(printed.ok().lines().count(), 1);
        let (output, dotenv) = (cml.read("output"), cml.read("dotenv"));
        let lines = if vendor == Vendor::GitHub { 3 } else { 0 };
        assert_eq!((output.lines().count(), dotenv.lines().count()), (lines, 1), "{output:?} {dotenv:?}");
        assert!(!controls(&output) && !controls(&dotenv), "{output:?} {dotenv:?}");
    }
}

#[test]
fn a_refusal_is_one_line_without_control_characters() {
    for vendor in VENDORS {
        for format in ["debug", "json:debug"] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            let body = serde_json::json!({ "message": EVIL, "error": { "message": EVIL } });
            forge.fault("POST ", 1, Kind::answer(418, &[], &body.to_string()));
            let ran = cml.run(&["comment", "create", "report.md", "--log", format]);
            assert_eq!(ran.code, Some(9), "{ran:#?}");
            assert!(ran.stderr.contains("pwned") && !controls(&ran.stderr), "{:?}", ran.stderr);
            assert!(!ran.stderr.lines().any(|line| line.starts_with("::") || line.starts_with("forged")), "{ran:#?}");
        }
    }
}

#[test]
fn names_of_runners_are_cells_of_a_table() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let label = serde_json::json!({ "id": 1, "name": EVIL, "type": "custom" });
    let runner = serde_json::json!({ "id": 1, "name": EVIL, "os": "linux", "status": "online", "busy": false, "labels": [label] });
    let body = serde_json::json!({ "total_count": 1, "runners": [runner] });
    forge.fault("GET /github/*/actions/runners", 1, Kind::answer(200, &[], &body.to_string()));
    let printed = cml.run(&["runner", "list"]).ok();
    assert!(printed.lines().count() == 2 && !controls(&printed), "{printed:?}");
}

#[test]
fn what_a_forge_tells_the_doctor_is_one_line_each() {
    for (vendor, paths) in [
        (
            Vendor::GitHub,
            &["GET /github/user", "POST /github/repos/octo/model/pulls", "GET /github/repos/octo/model"][..],
        ),
        (
            Vendor::GitLab,
            &["GET /gitlab/api/v4/personal_access_tokens", "GET /gitlab/api/v4/user", "GET /gitlab/api/v4/projects"],
        ),
        (
            Vendor::Bitbucket,
            &["GET /bitbucket/2.0/user", "GET /bitbucket/2.0/repositories", "POST /bitbucket/2.0/repositories"],
        ),
    ] {
        for path in paths {
            for status in [200, 403, 418] {
                let forge = Forge::start();
                let mut cml = Cml::on(&forge, vendor);
                cml.set("GITHUB_HEAD_REF", EVIL).set("CI_COMMIT_REF_NAME", EVIL).set("BITBUCKET_BRANCH", EVIL);
                let body = serde_json::json!({
                    "message": EVIL, "error": { "message": EVIL, "detail": EVIL }, "login": EVIL, "username": EVIL, "name": EVIL,
                    "nickname": EVIL, "display_name": EVIL, "full_name": EVIL, "id": 1, "scopes": [EVIL], "type": EVIL,
                });
                forge.fault(path, 1, Kind::answer(status, &[], &body.to_string()));
                let ran = cml.run(&["doctor"]);
                let all = format!("{}{}", ran.stdout, ran.stderr);
                assert!(!controls(&all), "{path} {status} {all:?}");
                let is_forged =
                    |line: &str| line.starts_with("::") || line.starts_with(": :") || line.starts_with("forged");
                assert!(!all.lines().any(is_forged), "{path} {status} {all}");
            }
        }
    }
}
