//! Bitbucket's pipe: its image, as Atlassian's own toolkit runs it, by the pipe's own tests. Bitbucket is scripted, and guarded by
//! its own description.

use crate::support::docker::Docker;
use crate::support::fake::{Forge, HEAD, Proxy, Target, Vendor};
use crate::support::ignored::skipped;
use crate::support::prism::Prism;
use crate::support::{Cml, Ran};
use std::path::Path;
use std::process::Command;

const BITBUCKET: Vendor = Vendor::Bitbucket;
const TOKEN: &str = "me@example.org:good";

/// A step of the pipe's own repository, in the pipeline of pull request 7.
struct Step {
    cml: Cml,
    python: std::ffi::OsString,
    forge: Forge,
    proxy: Proxy,
    prism: Prism,
}

impl Step {
    fn start() -> Option<Step> {
        let docker = Docker::find()?;
        let Some(python) = std::env::var_os("CML_TEST_BITBUCKET_PIPES") else {
            skipped("bitbucket-pipes-toolkit", "set CML_TEST_BITBUCKET_PIPES");
            return None;
        };
        let (forge, proxy) = (Forge::start(), Proxy::start_signing());
        let prism = Prism::guarding(BITBUCKET, &forge)?;
        let mut cml = Cml::on(&forge, BITBUCKET);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("bitbucket-pipe"), cml.path());
        for args in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "The pipe"]] {
            cml.git(args);
        }
        let clone = cml.path().display().to_string();
        cml.set("BITBUCKET_API_URL", &prism.api())
            .set("BITBUCKET_CLONE_DIR", &clone)
            .set("CML_BITBUCKET_PROXY", &proxy.url());
        if let Some((name, value)) = docker.environment() {
            cml.set(name, &value);
        }
        cml.set("PIPE_IMAGE", &docker.image("pipe")).set("REPO_TOKEN", TOKEN);
        Some(Step { cml, python, forge, proxy, prism })
    }

    /// The pipe's tests.
    fn run(&self, tests: &[&str]) -> Ran {
        let mut command = Command::new(&self.python);
        command.args(["test/test.py", "-v"]).args(tests).current_dir(self.cml.path());
        Ran::of(command.env_clear().envs(&self.cml.env))
    }
}

/// A folder's files, with those of its folders.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &there);
        } else {
            std::fs::copy(&path, &there).unwrap();
        }
    }
}

#[test]
fn its_own_tests_pass_with_atlassians_toolkit() {
    let Some(step) = Step::start() else { return };
    let ran = step.run(&[]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("skipped"), "{ran:#?}\n{}", step.forge.transcript());
    // What they looked at themselves, seen from Bitbucket.
    let reports = step.forge.repo(BITBUCKET, "team/model", |repo| {
        assert!(repo.builds.is_empty(), "a build status needs a token");
        assert!(repo.insights.keys().all(|(commit, _)| commit == HEAD));
        repo.insights.values().map(|insight| insight.report.clone()).collect::<Vec<_>>()
    });
    let figures = reports.iter().find(|report| report["title"] == "Figures").unwrap();
    assert_eq!(figures["data"][0]["value"], 99.0, "{figures}");
    assert_eq!((reports.len(), reports.iter().filter(|report| report["result"] == "FAILED").count()), (3, 1));
    assert!(step.proxy.targets().iter().all(|target| target.contains("/reports")), "{:?}", step.proxy.targets());
    let comments = step.forge.live_comments(BITBUCKET, &Target::Pull(7));
    assert_eq!(comments.len(), 1, "{}", step.forge.transcript());
    assert!(comments[0].body.starts_with("# Report\n\nAccuracy: **0.99**\n"), "{}", comments[0].body);
    assert_eq!(step.prism.violations(BITBUCKET.slug()), [""; 0]);
    // Nothing is left in the working copy: what pipes share, the tests take away.
    assert_eq!(step.cml.git(&["status", "--porcelain", "--untracked-files=all"]), "");
}

#[test]
fn its_own_tests_fail_with_an_image_that_is_none_of_it() {
    let Some(mut step) = Step::start() else { return };
    // The same program, which the image does not call as a pipe.
    let docker = Docker::find().unwrap();
    step.cml.set("PIPE_IMAGE", &docker.image("cml"));
    let ran = step.run(&["RefusalTest", "InsightsTest"]);
    assert!(ran.stderr.ends_with("\nFAILED (failures=8)\n") && !ran.stderr.contains("... ok"), "{ran:#?}");
}
