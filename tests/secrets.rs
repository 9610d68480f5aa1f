//! A secret of the job never leaves it: not in a text, not in a file, not in a log, in no form. The forges are scripted, the
//! program and its files are real.

use crate::support::clone::Clone;
use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::{Cml, Ran, VENDORS};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

const PASSWORD: &str = "hunter2-0123456789/abcdef";
const HINT: &str = "nothing was sent: remove it, and rotate the secret if it was published before; if it is not a secret, run cml without the variable";

/// A token that the fake takes, long enough to be one.
fn token(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::GitHub => "github_pat_good",
        Vendor::GitLab => "glpat-good",
        Vendor::Bitbucket => "ATCTT3xFfGN0good",
    }
}

fn start(vendor: Vendor) -> (Forge, Cml) {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, vendor);
    cml.set("REPO_TOKEN", token(vendor)).set("DB_PASSWORD", PASSWORD);
    (forge, cml)
}

/// A run that is refused before the secret is sent.
#[track_caller]
fn refused(forge: &Forge, cml: &Cml, args: &[&str], error: &str) -> Ran {
    forge.clear_requests();
    let ran = cml.run(&[args, &["--log", "debug"]].concat());
    ran.fails(3, error, HINT);
    let secrets = [cml.env["REPO_TOKEN"].as_bytes(), PASSWORD.as_bytes()];
    for secret in secrets.iter().flat_map(|secret| [secret.to_vec(), BASE64_STANDARD.encode(secret).into_bytes()]) {
        let secret = String::from_utf8(secret).unwrap();
        assert!(!ran.stderr.contains(&secret), "{ran:#?}");
        for request in forge.requests() {
            assert!(!String::from_utf8_lossy(&request.body).contains(&secret), "{}", forge.transcript());
        }
    }
    ran
}

#[test]
fn a_report_with_a_secret_is_not_sent_in_any_form() {
    for vendor in VENDORS {
        let (forge, mut cml) = start(vendor);
        let summary = cml.path().join("summary.md").display().to_string();
        cml.set("GITHUB_STEP_SUMMARY", &summary);
        let token = token(vendor);
        let header = format!("AUTHORIZATION: basic {}", BASE64_STANDARD.encode(format!("x-access-token:{token}")));
        for (name, form) in [
            ("REPO_TOKEN", token.to_owned()),
            ("REPO_TOKEN", header),
            ("REPO_TOKEN", BASE64_STANDARD.encode(format!("A=1\noauth2:{token}\n"))),
            ("DB_PASSWORD", PASSWORD.replace('/', "%2f")),
            ("DB_PASSWORD", PASSWORD.replace('/', "\\/")),
            ("DB_PASSWORD", format!("{:?}", PASSWORD)),
        ] {
            cml.file("report.md", format!("# Report\n\nThe environment is {form}.\n"));
            let error = format!("the value of {name} is in line 3 of report.md");
            for verb in [
                &["comment", "create"][..],
                &["comment", "update"],
                &["comment", "update", "--section", "a"],
                &["check", "create"],
            ] {
                refused(&forge, &cml, &[verb, &["report.md"]].concat(), &error);
                assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
            }
        }
        assert_eq!(cml.read("summary.md"), "");
        cml.file("report.md", "# Report\n");
        cml.run(&["comment", "create", "report.md"]).ok();
    }
}

#[test]
fn no_other_text_has_a_secret() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        let secret = token(vendor);
        let titled = format!("{secret} report");
        let ran = refused(
            &forge,
            &cml,
            &["comment", "create", "report.md", "--watermark-title", &titled],
            "the value of REPO_TOKEN is in line * of the field *",
        );
        assert!(!ran.stderr.contains("POST "), "{ran:#?}");
        for args in [["--title", &titled], ["--data", &format!("loss={secret}")]] {
            let args = [&["check", "create", "report.md"][..], &args].concat();
            refused(&forge, &cml, &args, "the value of REPO_TOKEN is in line * of *");
        }
        let note = serde_json::json!({ "path": "a.py", "line": 3, "message": format!("bad {secret}") });
        cml.file("notes.jsonl", format!("\n{note}\n"));
        refused(
            &forge,
            &cml,
            &["check", "create", "report.md", "--annotations", "notes.jsonl"],
            "the value of REPO_TOKEN is in line 2 of notes.jsonl",
        );
        assert!(forge.live_comments(vendor, &Target::Pull(7)).is_empty());
    }
}

#[test]
fn a_published_file_has_no_secret() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        // Linked files are those of a repository.
        cml.git(&["init", "-q"]);
        let wrapped = BASE64_STANDARD.encode(format!("DB_PASSWORD={PASSWORD}"));
        for (name, content) in [
            ("table.csv", format!("a,b\n1,{PASSWORD}\n")),
            ("page.html", format!("<p>\n{PASSWORD}</p>\n")),
            ("plot.svg", format!("<svg xmlns='http://www.w3.org/2000/svg'>\n<desc>{PASSWORD}</desc></svg>")),
            ("dump.csv", format!("environment\n{}\n{}\n", &wrapped[..20], &wrapped[20..])),
        ] {
            cml.file(name, content);
            let error = format!("the value of DB_PASSWORD is in line 2 of {name}");
            refused(&forge, &cml, &["asset", "publish", name], &format!("*{error}"));
            let how = if name.ends_with("svg") { "!" } else { "" };
            cml.file("report.md", format!("{how}[x]({name})\n"));
            refused(&forge, &cml, &["comment", "create", "report.md"], &format!("*{error}"));
        }
        assert!(forge.live_comments(vendor, &Target::Pull(7)).is_empty());
    }
}

#[test]
fn the_local_preview_refuses_what_a_pipeline_would() {
    let mut cml = Cml::alone();
    cml.set("DB_PASSWORD", PASSWORD).file("report.md", PASSWORD);
    cml.run(&["comment", "create", "report.md"]).fails(3, "the value of DB_PASSWORD is in line 1 of report.md", HINT);
}

#[test]
fn each_line_of_a_private_key_is_a_secret() {
    let (forge, mut cml) = start(Vendor::GitHub);
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\nAAAEAAAAB3NzaC1yc2EAAAADAQABAAABgQC7\n-----END OPENSSH PRIVATE KEY-----\n";
    cml.set("DEPLOY_KEY", key).file("report.md", "x\nAAAEAAAAB3NzaC1yc2EAAAADAQABAAABgQC7\n");
    refused(&forge, &cml, &["comment", "create", "report.md"], "the value of DEPLOY_KEY is in line 2 of report.md");
    cml.file("report.md", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
    cml.run(&["comment", "create", "report.md"]).ok();
}

#[test]
fn words_that_are_a_password_of_a_test_may_be_published() {
    let (forge, mut cml) = start(Vendor::GitHub);
    for (name, value) in [
        ("POSTGRES_PASSWORD", "postgres"),
        ("API_TOKEN", "$API_TOKEN"),
        ("CACHE_KEY", "linux-0123456789abcdef"),
        ("SECRET_FILE", "/run/secrets/token1"),
        ("TOKEN_COUNT", "1234567890"),
    ] {
        cml.set(name, value).file("report.md", format!("postgres {value}\n"));
        cml.run(&["comment", "create", "report.md"]).ok();
    }
    assert_eq!(forge.live_comments(Vendor::GitHub, &Target::Pull(7)).len(), 5);
}

#[test]
fn what_a_forge_repeats_of_a_secret_is_not_told() {
    for vendor in VENDORS {
        let (forge, cml) = start(vendor);
        let token = token(vendor);
        let basic = BASE64_STANDARD.encode(format!("x-access-token:{token}"));
        let says = format!("you sent {token}, {basic} and {}", PASSWORD.replace('/', "%2F"));
        let body = serde_json::json!({ "message": says, "error": { "message": says } });
        forge.fault("POST ", 1, Kind::answer(403, &[], &body.to_string()));
        let ran = cml.run(&["comment", "create", "report.md", "--log", "debug"]);
        assert_eq!(ran.code, Some(4), "{ran:#?}");
        assert!(ran.stderr.contains("you sent ***"), "{ran:#?}");
        let middle = &BASE64_STANDARD.encode(token)[..10];
        let known = [token, &basic[24..], middle, "hunter2-0123456789"];
        assert!(known.iter().all(|form| !ran.stderr.contains(form)), "{ran:#?}");
    }
}

#[test]
fn no_result_has_a_secret() {
    let (forge, mut cml) = start(Vendor::GitHub);
    let output = cml.path().join("output").display().to_string();
    cml.set("GITHUB_OUTPUT", &output);
    let url = format!("https://host/{}", token(Vendor::GitHub));
    let body = serde_json::json!({ "id": 1, "body": "", "html_url": url, "created_at": "2026-01-01T00:00:00Z" });
    forge.fault("POST ", 1, Kind::answer_after(201, &[], &body.to_string()));
    let ran = Ran::of(&mut cml.command(&["comment", "create", "report.md"]));
    assert_eq!((ran.code, cml.read("output").as_str()), (Some(3), ""), "{ran:#?}");
    assert!(ran.stderr.contains("the value of REPO_TOKEN is in line 1 of the result comment-url"), "{ran:#?}");
}

#[test]
fn a_pull_request_has_no_secret() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        let (forge, mut cml) = (&clone.forge, clone.cml.clone());
        cml.set("DB_PASSWORD", PASSWORD).file("model.txt", "new\n");
        for option in ["--title", "--body", "--message", "--branch"] {
            let error = format!("the value of DB_PASSWORD is in line 1 of {option}");
            refused(forge, &cml, &["pr", "create", "model.txt", option, PASSWORD], &error);
        }
        cml.file("model.txt", format!("new\nDB_PASSWORD={PASSWORD}\n"));
        refused(forge, &cml, &["pr", "create", "model.txt"], "the value of DB_PASSWORD is in line 2 of model.txt");
        assert!(forge.requests().iter().all(|request| request.method != "POST"), "{}", forge.transcript());
    }
}
