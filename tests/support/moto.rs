//! A real S3 emulator, <https://docs.getmoto.org>: `pip install 'moto[server]'`.
//!
//! `CML_TEST_MOTO` names the program, else `moto_server` is looked for on PATH. Without one the tests that need
//! it say so and pass, except in CI.

use super::ignored::skipped;
use super::net::{Answer, send};
use serde_json::json;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// A running emulator; it ends when it is dropped.
pub struct Moto {
    child: Child,
    folder: tempfile::TempDir,
    /// `http://127.0.0.1:PORT`
    pub url: String,
}

impl Moto {
    /// The one that all tests share while one of them runs; each has buckets of its own.
    pub fn shared() -> Option<Arc<Moto>> {
        static SHARED: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(moto) = shared.upgrade() {
            return Some(moto);
        }
        let moto = Arc::new(Moto::start()?);
        *shared = Arc::downgrade(&moto);
        Some(moto)
    }

    /// One with machines: only images of `amis.json`, and types that there are. Tests share emulators, and each has its
    /// region for itself: where somebody has had that of a running emulator, another one is started.
    pub fn with_machines(region: &'static str) -> Option<Arc<Moto>> {
        static SHARED: Mutex<Vec<(Weak<Moto>, Vec<&str>)>> = Mutex::new(Vec::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.retain(|(moto, _)| moto.strong_count() > 0);
        for (moto, taken) in shared.iter_mut().filter(|(_, taken)| !taken.contains(&region)) {
            if let Some(moto) = moto.upgrade() {
                taken.push(region);
                return Some(moto);
            }
        }
        let moto = Arc::new(Moto::start_with_machines()?);
        shared.push((Arc::downgrade(&moto), vec![region]));
        Some(moto)
    }

    /// The same, of a test's own.
    pub fn start_with_machines() -> Option<Moto> {
        let amis = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/amis.json");
        Moto::start_with(&[
            ("MOTO_AMIS_PATH", amis),
            ("MOTO_ENABLE_AMI_VALIDATION", "true"),
            ("MOTO_ENABLE_KEYPAIR_VALIDATION", "true"),
            ("MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "true"),
        ])
    }

    /// One of its own. Between finding a free port and using it somebody else may take it: then another.
    pub fn start() -> Option<Moto> {
        Moto::start_with(&[])
    }

    fn start_with(env: &[(&str, &str)]) -> Option<Moto> {
        let program = std::env::var("CML_TEST_MOTO").unwrap_or_else(|_| "moto_server".to_owned());
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let log = File::create(folder.path().join("log")).unwrap();
            let mut command = Command::new(&program);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdin(Stdio::null()).envs(env.iter().copied());
            command.stdout(Stdio::null()).stderr(log);
            let Ok(child) = command.spawn() else {
                skipped("moto_server", "set CML_TEST_MOTO");
                return None;
            };
            let mut moto = Moto { child, folder, url: format!("http://127.0.0.1:{port}") };
            if moto.is_up() {
                return Some(moto);
            }
        }
        panic!("{program} does not start");
    }

    /// Waits until it answers; `false` when it ended.
    fn is_up(&mut self) -> bool {
        let started = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            let answer = send("GET", &format!("{}/moto-api/", self.url), &[], b"");
            if answer.is_ok_and(|answer| answer.status == 200 && answer.text().contains("Moto")) {
                return true;
            }
            assert!(started.elapsed().as_secs() < 60, "moto does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The requests about a bucket, as `METHOD status` in their order.
    pub fn requests(&self, bucket: &str) -> Vec<String> {
        // Refusals are in colours.
        let log =
            self.log().replace("\x1b[33m", "").replace("\x1b[31m", "").replace("\x1b[1m", "").replace("\x1b[0m", "");
        let found = log.lines().filter_map(|line| {
            let (method, rest) = line.split_once("] \"")?.1.split_once(' ')?;
            let (path, rest) = rest.split_once(" HTTP/1.1\" ")?;
            path.starts_with(&format!("/{bucket}/")).then(|| format!("{method} {}", &rest[..3]))
        });
        found.collect()
    }

    /// Makes a bucket that only its owner sees.
    pub fn make_bucket(&self, name: &str) {
        let place = "<LocationConstraint>eu-west-1</LocationConstraint>";
        self.put(name, &format!("<CreateBucketConfiguration>{place}</CreateBucketConfiguration>"));
    }

    /// Makes a bucket that everybody may read.
    pub fn make_public_bucket(&self, name: &str) {
        self.make_bucket(name);
        let resource = format!("arn:aws:s3:::{name}/*");
        let statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource });
        self.put(&format!("{name}?policy"), &json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string());
    }

    fn put(&self, path: &str, body: &str) {
        let answer = send("PUT", &format!("{}/{path}", self.url), &[], body.as_bytes()).unwrap();
        assert!(matches!(answer.status, 200 | 204), "{} {}", answer.status, answer.text());
    }

    /// From now on only users may do something, and only what they may: makes one, and returns the names of
    /// the key and the secret.
    pub fn guard(&self, policy: &str) -> (String, String) {
        self.iam("CreateUser", "");
        self.iam("PutUserPolicy", &format!("&PolicyName=p&PolicyDocument={policy}"));
        let made = self.iam("CreateAccessKey", "").text();
        let text = |tag: &str| {
            let (_, rest) = made.split_once(&format!("<{tag}>")).unwrap_or_else(|| panic!("no {tag}: {made}"));
            rest.split('<').next().unwrap_or_default().to_owned()
        };
        let plain = [("Content-Type", "text/plain")];
        assert_eq!(send("POST", &format!("{}/moto-api/reset-auth", self.url), &plain, b"0").unwrap().status, 200);
        (text("AccessKeyId"), text("SecretAccessKey"))
    }

    /// Makes an identity that machines may have.
    pub fn instance_profile(&self, name: &str) {
        self.iam("CreateInstanceProfile", &format!("&InstanceProfileName={name}"));
    }

    fn iam(&self, action: &str, more: &str) -> Answer {
        let scope =
            "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        let headers = [("Authorization", scope), ("Content-Type", "application/x-www-form-urlencoded")];
        let body = format!("Action={action}&Version=2010-05-08&UserName=writer{more}");
        let answer = send("POST", &self.url, &headers, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
