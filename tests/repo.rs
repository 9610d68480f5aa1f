//! `cml repo prepare`: what it leaves in the repository's configuration, and what it never does.

use crate::support::VENDORS;
use crate::support::clone::Clone;
use crate::support::fake::Vendor;

fn config(clone: &Clone, key: &str) -> String {
    clone.cml.git(&["config", "--local", "--get-all", key])
}

#[test]
fn the_author_is_set_and_nothing_else() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        clone.cml.run(&["repo", "prepare"]).ok();
        assert!(config(&clone, "user.email").contains('@'));
        let text = clone.cml.read(".git/config");
        assert!(!text.contains("good") && !text.contains("extraheader") && !text.contains("credential"), "{text}");
        clone.cml.set("CML_CI_USER_NAME", "Old Name");
        let ran = clone.cml.run(&["ci", "--user-email", "me@example.org"]);
        assert!(ran.stderr.contains("\"cml ci\" is deprecated, please use \"cml repo prepare\""), "{ran:#?}");
        ran.ok();
        assert_eq!(
            (config(&clone, "user.name").as_str(), config(&clone, "user.email").as_str()),
            ("Old Name", "me@example.org")
        );
        assert!(clone.forge.requests().is_empty());
    }
}

#[test]
fn a_shallow_clone_gets_more_of_the_history() {
    for (option, commits) in [("--fetch-depth=2", "2"), ("--fetch-depth=0", "4"), ("--unshallow", "4")] {
        let clone = Clone::on(Vendor::GitHub);
        let (bare, cml) = (clone.bare().display().to_string(), &clone.cml);
        for n in 0..3 {
            cml.git(&["commit", "-q", "--allow-empty", "-m", &format!("commit {n}")]);
        }
        cml.git(&["push", "-q", &bare, "HEAD:refs/heads/main", "HEAD:refs/heads/other"]);
        std::fs::remove_dir_all(cml.path().join(".git")).unwrap();
        cml.git(&["init", "-q"]);
        cml.git(&["remote", "add", "origin", &format!("{}.git", clone.forge.repo_url(Vendor::GitHub))]);
        cml.git(&["fetch", "-q", "--depth=1", &format!("file://{bare}"), "main"]);
        cml.git(&["checkout", "-q", "-f", "FETCH_HEAD"]);
        for _ in 0..2 {
            cml.run(&["repo", "prepare", option]).ok();
            assert_eq!(cml.git(&["rev-list", "--count", "HEAD"]), commits, "{option}");
        }
        assert_eq!(cml.git(&["rev-list", "--count", "origin/other"]), commits);
    }
}

#[test]
fn later_git_commands_use_the_token_only_when_asked_and_from_its_variable() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        let fetch = |cml: &crate::support::Cml| {
            let mut command = std::process::Command::new("git");
            command.args(["fetch", "-q", "origin"]).current_dir(cml.path()).env_clear().envs(&cml.env);
            command.env("GIT_TERMINAL_PROMPT", "0").output().unwrap().status.success()
        };
        clone.cml.run(&["repo", "prepare"]).ok();
        assert!(!fetch(&clone.cml), "{vendor:?}");
        for _ in 0..2 {
            clone.cml.run(&["repo", "prepare", "--credentials"]).ok();
            assert!(fetch(&clone.cml), "{vendor:?}");
        }
        let text = clone.cml.read(".git/config");
        assert!(!text.contains("good") && text.contains("REPO_TOKEN"), "{text}");
        let mut without = clone.cml.clone();
        assert!(!fetch(without.unset("REPO_TOKEN")), "{vendor:?}");
    }
    let mut clone = Clone::on(Vendor::Bitbucket);
    clone.cml.set("REPO_TOKEN", "me@example.org:good");
    clone.cml.run(&["repo", "prepare", "--credentials"]).ok();
    clone.cml.git(&["fetch", "-q", "origin"]);
    clone.cml.unset("REPO_TOKEN");
    let before = clone.cml.read(".git/config");
    let ran = clone.cml.run(&["repo", "prepare", "--credentials", "--token", "good", "--user-name", "x"]);
    ran.fails(3, "--credentials needs the token in a variable*", "give it to the whole job: *");
    assert_eq!(clone.cml.read(".git/config"), before);
}
