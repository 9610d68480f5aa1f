//! The wrappers as the CI systems' own engines, or emulators of them, run them.

mod act;
mod bitbucket;
mod gitlab;
mod image;
mod pipe;
#[cfg(all(feature = "kubernetes", target_os = "linux"))]
mod pod;

use crate::support::ec2::Ec2;
use crate::support::fake::{Doing, Forge, Vendor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A file of this repository.
fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A workflow of the recipes of `docs/gates.md`, by its heading, and its platform or path.
fn recipe(heading: &str, platform: &str) -> String {
    let page = read("docs/gates.md");
    let section = page.split("\n### ").find(|section| section.starts_with(&format!("{heading}\n")));
    let block = section
        .and_then(|section| section.split("```yaml\n").find(|block| block.starts_with(&format!("# {platform}\n"))));
    let block = block.unwrap_or_else(|| panic!("docs/gates.md has no recipe {heading} for {platform}"));
    block.split("```").next().unwrap().to_owned()
}

/// The files of `examples/dvc`, and what `dvc init` leaves, by name.
fn dvc_project() -> Vec<(&'static str, String)> {
    let mut files: Vec<_> =
        ["dvc.yaml", "params.toml", "train.py"].map(|name| (name, read(&format!("examples/dvc/{name}")))).into();
    files.push((".dvc/config", "[core]\n    analytics = false\n".to_owned()));
    files
}

/// What launching a machine takes, by variable: keys in place of a role, as no engine gives a job an identity.
fn cloud_variables(ec2: &Ec2) -> [(&'static str, String); 6] {
    [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        ("AWS_ENDPOINT_URL", ec2.url()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("CML_RUNNER_AGENT_URL", "https://mirror.example/cml-linux-x86_64".to_owned()),
        ("CML_RUNNER_AGENT_SHA256", "5e".repeat(32)),
    ]
}

/// Whether the launcher waits for a machine of EC2.
fn is_awaited(ec2: &Ec2) -> bool {
    !ec2.of("DescribeInstances").is_empty()
}

/// The runners of instances that have been launched come online.
fn boot(forge: &Forge, vendor: Vendor, boots: bool) {
    let runners = forge.runners(vendor, vendor.slug());
    if let Some(runner) = runners.iter().find(|runner| boots && runner.doing == Doing::Offline) {
        forge.set_runner(&runner.name, Doing::Idle);
    }
}

/// Runs an engine, during which instances boot as soon as they are there.
fn booting<T>(forge: &Forge, vendor: Vendor, boots: impl Fn() -> bool + Send, run: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                boot(forge, vendor, boots());
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let _over = Over(over);
        run()
    })
}
