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

/// Makes the clone anew as a CI does: `refspec` at some depth, in another shape for each.
fn check_out(clone: &Clone, depth: &str, refspec: &str) {
    let (bare, cml) = (clone.bare().display().to_string(), &clone.cml);
    std::fs::remove_dir_all(cml.path().join(".git")).unwrap();
    cml.git(&["init", "-q"]);
    cml.git(&["remote", "add", "origin", &format!("{}.git", clone.forge.repo_url(clone.vendor))]);
    cml.git(&["fetch", "-q", "--no-tags", depth, &format!("file://{bare}"), refspec]);
    let name = refspec.rsplit(':').next().unwrap();
    cml.git(&["checkout", "-q", "-f", if name == refspec { "FETCH_HEAD" } else { name }]);
}

#[test]
fn what_is_checked_out_gets_the_depth_in_every_layout() {
    for (vendor, refspec) in [
        (Vendor::GitHub, "+refs/heads/main:refs/remotes/origin/main"),
        (Vendor::GitHub, "+refs/pull/9/merge:refs/remotes/pull/9/merge"),
        (Vendor::GitLab, "+refs/pipelines/5:refs/pipelines/5"),
        (Vendor::Bitbucket, "main"),
    ] {
        for other in [true, false] {
            let clone = Clone::on(vendor);
            let (bare, cml) = (clone.bare().display().to_string(), &clone.cml);
            for n in 0..5 {
                cml.git(&["commit", "-q", "--allow-empty", "-m", &format!("commit {n}")]);
            }
            cml.git(&["push", "-q", &bare, "HEAD:refs/heads/main", "HEAD:refs/pipelines/5"]);
            let main = cml.git(&["rev-parse", "HEAD"]);
            cml.git(&["checkout", "-q", "HEAD~1"]);
            cml.git(&["commit", "-q", "--allow-empty", "-m", "work"]);
            cml.git(&["merge", "-q", "--no-ff", "-m", "test merge", &main]);
            cml.git(&["push", "-q", &bare, "HEAD:refs/pull/9/merge"]);
            if other {
                cml.git(&["push", "-q", &bare, "HEAD^1:refs/heads/work"]);
            }
            check_out(&clone, "--depth=1", refspec);
            cml.run(&["repo", "prepare", "--fetch-depth=3"]).ok();
            let depth =
                |name: &str| -> u32 { cml.git(&["rev-list", "--count", "--first-parent", name]).parse().unwrap() };
            // Where a branch leads to more of it, there is more.
            let merge = refspec.contains("merge");
            let has = depth("HEAD");
            assert!(has == 3 || (merge && has == 4), "{refspec} {other}: {has}");
            assert!(depth("origin/main") >= 3, "{refspec} {other}");
            // What it has by now stays.
            let ran = cml.run(&["repo", "prepare", "--fetch-depth=2"]);
            let says = format!("the clone already has {has} commits; keeping them");
            assert!(ran.stderr.contains(&says), "{ran:#?}");
            assert!(depth("HEAD") >= has, "{refspec} {other}");
            cml.run(&["repo", "prepare", "--unshallow"]).ok();
            let ran = cml.run(&["repo", "prepare", "--fetch-depth=2"]);
            assert!(ran.stderr.contains("the clone already has the whole history"), "{ran:#?}");
            assert_eq!(cml.git(&["rev-parse", "--is-shallow-repository"]), "false", "{refspec} {other}");
        }
    }
}

#[test]
fn a_commit_that_only_the_clone_has_does_not_get_in_the_way() {
    let clone = Clone::on(Vendor::GitHub);
    for n in 0..3 {
        clone.cml.git(&["commit", "-q", "--allow-empty", "-m", &format!("commit {n}")]);
    }
    clone.cml.git(&["push", "-q", &clone.bare().display().to_string(), "HEAD:refs/heads/main"]);
    check_out(&clone, "--depth=1", "main");
    clone.cml.git(&["commit", "-q", "--allow-empty", "-m", "own"]);
    clone.cml.run(&["repo", "prepare", "--fetch-depth=3"]).ok();
    assert_eq!(clone.cml.git(&["rev-list", "--count", "HEAD"]), "4");
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
    ran.fails(3, "--credentials requires the token in an environment variable*", "set it for the whole job: *");
    assert_eq!(clone.cml.read(".git/config"), before);
}
