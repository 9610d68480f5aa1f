//! A real proxy, <https://github.com/abhinavsingh/proxy.py>, in a process of its own: `pip install proxy.py`.
//! `CML_TEST_PROXY` names the program; without one the test says so and passes, except in CI.

use crate::support::fake::{Forge, Target};
use crate::support::ignored::skipped;
use crate::support::{Cml, VENDORS};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CREDENTIALS: &str = "user:right-password";

struct Proxy {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Proxy {
    fn start() -> Option<Proxy> {
        let program = std::env::var("CML_TEST_PROXY").unwrap_or_else(|_| "proxy".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let (port, log) = (folder.path().join("port"), folder.path().join("log"));
        let mut command = Command::new(&program);
        command.args(["--hostname", "127.0.0.1", "--port", "0", "--num-workers", "1", "--num-acceptors", "1"]);
        command.args(["--basic-auth", CREDENTIALS, "--log-file"]).arg(&log).arg("--port-file").arg(&port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.env("HOME", folder.path()).spawn() else {
            skipped("proxy.py", "set CML_TEST_PROXY");
            return None;
        };
        let mut proxy = Proxy { child, folder, port: 0 };
        let began = Instant::now();
        while proxy.port == 0 {
            assert!(began.elapsed() < Duration::from_secs(30), "the proxy does not start: {}", proxy.log());
            std::thread::sleep(Duration::from_millis(50));
            proxy.port = std::fs::read_to_string(&port).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        }
        Some(proxy)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It ends its workers itself, when it is asked to.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

#[test]
fn a_proxy_and_a_company_ca_lead_to_the_forge() {
    let Some(proxy) = Proxy::start() else { return };
    for (forge, variable) in [(Forge::start(), "http_proxy"), (Forge::start_tls(), "https_proxy")] {
        for vendor in VENDORS {
            let mut cml = Cml::on(&forge, vendor);
            if variable == "https_proxy" {
                let ca = cml.file("ca.pem", forge.ca_pem()).display().to_string();
                cml.set("NODE_EXTRA_CA_CERTS", &ca);
            }
            let posted = || forge.live_comments(vendor, &Target::Pull(7)).len();
            cml.set(variable, &format!("http://{CREDENTIALS}@127.0.0.1:{}", proxy.port));
            let ran = cml.run(&["comment", "create", "report.md", "--log", "debug"]);
            assert!(!ran.stderr.contains("right-password"), "{ran:#?}");
            ran.ok();
            assert_eq!(posted(), 1);
            cml.set(variable, &format!("http://user:wrong@127.0.0.1:{}", proxy.port));
            let refused = cml.run(&["comment", "create", "report.md"]);
            assert_eq!((refused.code, posted()), (Some(9), 1), "{refused:#?}");
            assert!(refused.stderr.contains("the proxy refused the request"), "{refused:#?}");
            cml.set("no_proxy", "127.0.0.1").run(&["comment", "create", "report.md"]).ok();
            assert_eq!(posted(), 2);
        }
    }
}
