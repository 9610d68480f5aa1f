//! Metrics that only DVC's remote has. The program, git and, where it is named, DVC are real; S3 is an emulator, and HTTP a server of
//! the test's.

use super::{repository, rows};
use crate::support::Cml;
use crate::support::gce::Gce;
use crate::support::ignored::skipped;
use crate::support::moto::Moto;
use crate::support::net;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const OLD: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const KEYS: &str =
    "access_key_id = AKIAIOSFODNN7EXAMPLE\nsecret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";

/// A project whose metric is in a remote only.
fn project(remote: &str) -> Cml {
    let lock = |md5: &str| {
        format!(
            "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: m.cached\n      hash: md5\n      md5: {md5}\n      size: 9\n"
        )
    };
    let (old, new) = (lock(OLD), lock(NEW));
    let config = format!("[core]\n    remote = there\n['remote \"there\"']\n    {remote}\n");
    let declares = ("dvc.yaml", "stages:\n  train:\n    cmd: x\n    metrics: [m.cached]\n");
    repository(&[declares, ("dvc.lock", &old), (".dvc/config", &config)], &[("dvc.lock", &new)])
}

fn path(md5: &str) -> String {
    format!("files/md5/{}/{}", &md5[..2], &md5[2..])
}

/// What the comparison of the two versions prints: `a` was 1 and is 2.
#[track_caller]
fn compares(cml: &Cml) {
    let ran = cml.run(&["metrics", "diff", "--log", "debug"]);
    assert!(!ran.stderr.contains(SECRET), "{ran:?}");
    assert_eq!(rows(&ran.ok()), [["m.cached", "a", "1", "2", "+1"]]);
    // The cache stays as it is.
    assert!(!cml.path().join(".dvc/cache").exists());
}

#[test]
fn a_folder_can_be_a_remote() {
    let cml = project("url = ../store");
    let missing = "m.cached of the working copy is in neither git, DVC's cache (*), nor its remote there (../store)";
    cml.run(&["metrics", "diff"]).fails(3, missing, "run `dvc pull m.cached` first");
    cml.file(&format!("store/{}", path(NEW)), "a: 2\n");
    let missing = "m.cached of HEAD (*) is in neither git, DVC's cache (*), nor its remote there (../store)";
    cml.run(&["metrics", "diff"]).fails(3, missing, "run `dvc fetch --all-commits m.cached` first; *");
    cml.file(&format!("store/{}", path(OLD)), "a: 1\n");
    compares(&cml);
    // The configuration of the machine goes before that of the project.
    cml.file(".dvc/config.local", "['remote \"there\"']\nurl = ../elsewhere\n");
    cml.run(&["metrics", "diff"]).fails(3, "* nor its remote there (../elsewhere)", "run `dvc pull m.cached` first");
}

#[test]
fn a_bucket_can_be_a_remote() {
    let Some(moto) = Moto::shared() else { return };
    moto.make_bucket("dvc-remote");
    for (md5, text) in [(OLD, "a: 1\n"), (NEW, "a: 2\n")] {
        let url = format!("{}/dvc-remote/models/{}", moto.url, path(md5));
        assert_eq!(net::send("PUT", &url, &[], text.as_bytes()).unwrap().status, 200);
    }
    // With keys from the environment, and from the configuration.
    let remote = format!("url = s3://dvc-remote/models\n    endpointurl = {}\n    region = eu-west-1", moto.url);
    let mut cml = project(&remote);
    cml.set("AWS_EC2_METADATA_DISABLED", "true");
    let ran = cml.run(&["metrics", "diff"]);
    ran.fails(
        4,
        "cannot read m.cached of the working copy from DVC's remote there (s3://dvc-remote/models): *",
        "*AWS_ACCESS_KEY_ID*",
    );
    cml.file(".dvc/config.local", format!("['remote \"there\"']\n{KEYS}"));
    compares(&cml);
    std::fs::remove_file(cml.path().join(".dvc/config.local")).unwrap();
    cml.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", SECRET);
    compares(&cml);
    let mut empty = project(&format!("url = s3://dvc-remote/other\n    endpointurl = {}", moto.url));
    empty.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", SECRET);
    let missing =
        "m.cached of the working copy is in neither git, DVC's cache (*), nor its remote there (s3://dvc-remote/other)";
    empty.run(&["metrics", "diff"]).fails(3, missing, "run `dvc pull m.cached` first");
}

/// Serves both objects at their addresses, to those with a header that begins so.
fn serve(header: &'static str, address: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let lines = BufReader::new(socket.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let is_allowed =
                head.iter().any(|line| line.to_ascii_lowercase().starts_with(&header.to_ascii_lowercase()));
            let body = match head.first().map(String::as_str) {
                _ if !is_allowed => None,
                Some(line) if line == format!("GET {} HTTP/1.1", address(OLD)) => Some("a: 1\n"),
                Some(line) if line == format!("GET {} HTTP/1.1", address(NEW)) => Some("a: 2\n"),
                _ => None,
            };
            let status = if is_allowed { "404 Not Found" } else { "401 Unauthorized" };
            let answer = body
                .map_or(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), |body| {
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
                });
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_server_can_be_a_remote() {
    // user:hunter2-0123456789
    let address = |md5: &str| format!("/dvc/{}", path(md5));
    let url = serve("Authorization: Basic dXNlcjpodW50ZXIyLTAxMjM0NTY3ODk=", address) + "/dvc";
    let cml = project(&format!("url = {url}"));
    let ran = cml.run(&["metrics", "diff"]);
    ran.fails(
        4,
        "cannot read m.cached of the working copy from DVC's remote there (http://127.0.0.1/dvc): *401*",
        "run `dvc pull m.cached` first",
    );
    cml.file(".dvc/config.local", "['remote \"there\"']\nauth = basic\nuser = user\npassword = hunter2-0123456789\n");
    compares(&cml);
    let ran = cml.run(&["metrics", "diff", "--log", "debug"]);
    assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("dXNlcjpodW50"), "{ran:?}");
    let url = serve("X-Token: hunter2-0123456789", address) + "/dvc";
    cml.file(".dvc/config.local", format!("['remote \"there\"']\nurl = {url}\nauth = custom\ncustom_auth_header = X-Token\npassword = hunter2-0123456789\n"));
    compares(&cml);
}

/// The addresses are those of <https://cloud.google.com/storage/docs/json_api/v1/objects/get>; a key signs its tokens itself.
#[test]
fn a_bucket_of_googles_can_be_a_remote() {
    let gce = Gce::start();
    let address =
        |md5: &str| format!("/storage/v1/b/dvc-remote/o/my%20models%2F{}?alt=media", path(md5).replace('/', "%2F"));
    let url = serve("Authorization: Bearer eyJ", address);
    let mut cml = project("url = gs://dvc-remote/my models");
    cml.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", &url);
    for (name, value) in gce.variables() {
        cml.set(name, &value);
    }
    let remote = "cannot read m.cached of the working copy from DVC's remote there (gs://dvc-remote/my%20models)";
    cml.file("key.json", "{");
    cml.file(".dvc/config.local", "['remote \"there\"']\ncredentialpath = key.json\n");
    let error = format!("{remote}: key.json of DVC's configuration is not a Google Cloud credentials file in JSON");
    cml.run(&["metrics", "diff"]).fails(3, &error, "GOOGLE_APPLICATION_CREDENTIALS_DATA takes *");
    cml.file("key.json", Gce::key());
    compares(&cml);
    let ran = cml.run(&["metrics", "diff", "--log", "debug"]);
    assert!(!ran.stderr.contains("Bearer eyJ"), "{ran:?}");
    // The same account from the environment.
    std::fs::remove_file(cml.path().join(".dvc/config.local")).unwrap();
    cml.set("GOOGLE_APPLICATION_CREDENTIALS_DATA", &Gce::key());
    compares(&cml);
    cml.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", &serve("Authorization: Bearer of-others", address));
    let error = format!("{remote}: Google Cloud Storage answered 401 Unauthorized*");
    cml.run(&["metrics", "diff"]).fails(
        4,
        &error,
        "give the account the role Storage Object Viewer (*) for the bucket",
    );
    // An object that is not there.
    cml.set("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE", &url);
    let lock = cml.read("dvc.lock").replace(NEW, "ffffffffffffffffffffffffffffffff");
    cml.file("dvc.lock", lock);
    let missing = "m.cached of the working copy is in neither git, DVC's cache (*), nor its remote there (gs://dvc-remote/my%20models)";
    cml.run(&["metrics", "diff"]).fails(3, missing, "run `dvc pull m.cached` first");
}

#[test]
fn other_remotes_are_named() {
    let cml = project("url = ssh://host/data");
    let error = "cannot read m.cached of the working copy from DVC's remote there (ssh://host/data): cml does not read remotes of the kind ssh://";
    cml.run(&["metrics", "diff"]).fails(7, error, "run `dvc pull m.cached` first");
    let cml = project("verify = true");
    let error = "cannot read m.cached of the working copy from DVC's remote there (): it has no url in .dvc/config";
    cml.run(&["metrics", "diff"]).fails(3, error, "check `dvc remote list`");
    // The token of one account is not sent to another.
    let mut cml = project("url = azure://box/data\n    account_name = evil");
    cml.set("AZURE_STORAGE_ACCOUNT_NAME", "ours").set("AZURE_STORAGE_SAS_TOKEN", "sig=0123456789abcdef");
    let error = "cannot read m.cached of the working copy from DVC's remote there (azure://box/data): it is in the account evil, but AZURE_STORAGE_ACCOUNT_NAME is ours";
    cml.run(&["metrics", "diff"]).fails(3, error, "set AZURE_STORAGE_ACCOUNT_NAME to the account of the remote, *");
}

/// What DVC itself pushes is read: a file and a folder.
#[test]
fn what_dvc_has_pushed_is_read() {
    let Some(python) = std::env::var_os("CML_TEST_DVC") else {
        skipped("DVC", "set CML_TEST_DVC");
        return;
    };
    let mut cml = Cml::alone();
    let bin = Path::new(&python).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", cml.env["PATH"]);
    cml.set("PATH", &path).set("DVC_NO_ANALYTICS", "1");
    let dvc = |args: &[&str]| {
        let mut command = Command::new("dvc");
        let output = command.args(args).current_dir(cml.path()).env_clear().envs(&cml.env).output().unwrap();
        assert!(output.status.success(), "dvc {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    cml.git(&["init", "-q"]);
    dvc(&["init", "-q"]);
    dvc(&["remote", "add", "-q", "-d", "there", "store"]);
    cml.file(".gitignore", "store\n");
    cml.file("dvc.yaml", "metrics: [m.json, eval]\n");
    for (at, accuracy) in ["0.5", "0.75"].into_iter().enumerate() {
        cml.file("m.json", format!("{{\"accuracy\": {accuracy}}}"));
        cml.file("eval/a.json", format!("{{\"f1\": {accuracy}}}"));
        dvc(&["add", "-q", "m.json", "eval"]);
        dvc(&["push", "-q"]);
        cml.git(&["add", "."]);
        cml.git(&["commit", "-q", "-m", &at.to_string()]);
    }
    for gone in ["m.json", "eval", ".dvc/cache"] {
        let gone = cml.path().join(gone);
        if gone.is_dir() { std::fs::remove_dir_all(gone).unwrap() } else { std::fs::remove_file(gone).unwrap() }
    }
    let table = cml.run(&["metrics", "diff", "HEAD~1"]).ok();
    assert_eq!(
        rows(&table),
        [["eval/a.json", "f1", "0.5", "0.75", "+0.25"], ["m.json", "accuracy", "0.5", "0.75", "+0.25"]]
    );
    let report = cml.run(&["report", "create", "--base", "HEAD~1", "--part", "data"]).ok();
    // They are metrics.
    assert!(report.contains("**Nothing to compare was found**"), "{report}");
}
