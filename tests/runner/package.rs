//! The runner program on its way to this machine.

use cml::app::App;
use cml::forge::runners::{Package, PackageContent};
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use cml::runner::package;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A server that answers each request with the next of some answers, the last one again and again.
fn serve(answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/package", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let number = seen.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&answers[number.min(answers.len() - 1)]);
        }
    });
    (url, count)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A real archive of a program.
fn archive(folder: &Path) -> Vec<u8> {
    std::fs::create_dir_all(folder.join("src/bin")).unwrap();
    std::fs::write(folder.join("src/bin/Runner.Listener"), "#!/bin/sh\n").unwrap();
    let status = Command::new("tar").args(["-czf", "a.tgz", "-C", "src", "."]).current_dir(folder).status().unwrap();
    assert!(status.success());
    std::fs::read(folder.join("a.tgz")).unwrap()
}

fn package(url: &str, bytes: &[u8]) -> Package {
    Package { url: url.into(), sha256: cml::digest::hash(bytes), token: None, content: PackageContent::TarGz }
}

fn install(home: &Path, package: &Package, to: &str) -> (PathBuf, cml::error::Result<()>) {
    let env = [("HOME", home.display().to_string())];
    let host = Rc::new(Native::default().in_env(env.into_iter().collect()));
    let log = Log::new(host.clone(), Level::Error);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(30));
    let app = App { host, log, http };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = home.join(to);
    let result = runtime.block_on(package::install(&app, package, &folder));
    (folder, result)
}

fn cached(home: &Path) -> Vec<String> {
    let files = std::fs::read_dir(home.join(".cache/cml/runners")).unwrap();
    files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_program_is_downloaded_once_and_checked_each_time() {
    let home = tempfile::tempdir().unwrap();
    let bytes = archive(home.path());
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    let (url, count) = serve(vec![redirect, ok(&bytes)]);
    let package = package(&url, &bytes);
    for (to, requests) in [("one", 2), ("two", 2)] {
        let (folder, result) = install(home.path(), &package, to);
        result.unwrap();
        assert!(folder.join("bin/Runner.Listener").is_file());
        assert_eq!(count.load(Ordering::SeqCst), requests);
    }
    // Somebody changed what is in the cache.
    std::fs::write(home.path().join(".cache/cml/runners").join(&package.sha256), "x").unwrap();
    install(home.path(), &package, "three").1.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode(".cache/cml/runners"), mode("three")), (0o700, 0o700));
    assert_eq!(cached(home.path()), [package.sha256]);
}

#[test]
fn a_program_without_an_archive() {
    let home = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![ok(b"#!/bin/sh\n")]);
    let package = Package { content: PackageContent::Program("gitlab-runner".into()), ..package(&url, b"#!/bin/sh\n") };
    let (folder, result) = install(home.path(), &package, "one");
    result.unwrap();
    assert!(Command::new(folder.join("gitlab-runner")).status().unwrap().success());
}

#[test]
fn what_is_not_what_it_should_be_is_not_run() {
    let home = tempfile::tempdir().unwrap();
    let bytes = archive(home.path());
    let (url, _) = serve(vec![ok(b"something else")]);
    let (folder, result) = install(home.path(), &package(&url, &bytes), "one");
    let error = result.unwrap_err();
    let found = cml::digest::hash(b"something else");
    let message = format!("{url} has the SHA-256 digest {found}, expected {}", cml::digest::hash(&bytes));
    assert_eq!((error.to_string(), error.kind().exit_code()), (message, 9));
    assert!(std::fs::read_dir(folder).unwrap().next().is_none() && cached(home.path()).is_empty());
}

#[test]
fn a_cut_download_is_tried_again() {
    let home = tempfile::tempdir().unwrap();
    let bytes = archive(home.path());
    let whole = ok(&bytes);
    let (url, count) = serve(vec![
        whole[..whole.len() - 9].to_vec(),
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        whole,
    ]);
    install(home.path(), &package(&url, &bytes), "one").1.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3);
    let (url, _) = serve(vec![b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()]);
    let error = install(home.path(), &package(&url, b"x"), "two").1.unwrap_err();
    assert!(error.to_string().starts_with("cannot download the runner program: "), "{error}");
    assert_eq!(error.kind().exit_code(), 5);
    assert_eq!(cached(home.path()).len(), 1);
}
