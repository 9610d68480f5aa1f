//! What a pull request is made of: own commits, repositories in the checkout, large files. git is real; git-lfs is a script
//! that writes down how it is called.

use super::pulls;
use crate::support::clone::Clone;
use crate::support::fake::Vendor;
use crate::support::{VENDORS, executable};

#[test]
fn without_a_file_the_jobs_own_commits_are_pushed() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.cml.file("model.json", "1\n");
        let ran = clone.cml.run(&["pr", "create"]);
        assert!(ran.stderr.contains("nothing to push: no commits after the run's commit"), "{ran:#?}");
        assert_eq!(ran.ok(), "");
        clone.cml.git(&["commit", "-q", "-a", "-m", "my own"]);
        clone.cml.file("data/old.csv", "changed\n");
        let before = clone.state();
        clone.cml.run(&["pr", "create"]).ok();
        assert_eq!(clone.state(), before);
        assert_eq!(pulls(&clone).len(), 1);
        assert_eq!(clone.there(&["log", "--format=%s", &format!("main..{}", clone.branch())]), "my own");
        assert_eq!(clone.changes(&clone.branch()), "M model.json");
    }
}

#[test]
fn a_target_that_does_not_exist_is_refused_before_anything_is_pushed() {
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        clone.cml.file("model.json", "1\n");
        let ran = clone.cml.run(&["pr", "create", ".", "--target-branch=release"]);
        ran.fails(5, "branch release not found on origin", "check --target-branch, or push that branch first");
        assert_eq!(clone.there(&["for-each-ref", "--format=%(refname)", "refs/heads"]), "refs/heads/main");
        clone.there(&["branch", "release", "main"]);
        clone.cml.run(&["pr", "create", ".", "--target-branch=release"]).ok();
        assert_eq!(pulls(&clone)[0].base, "release");
    }
}

#[test]
fn a_repository_inside_the_checkout_is_left_out_with_a_warning() {
    for globs in [&["."][..], &["dep"], &["**"]] {
        let clone = Clone::on(Vendor::GitHub);
        clone.cml.git(&["init", "-q", "dep"]);
        clone.cml.git(&["-C", "dep", "commit", "-q", "--allow-empty", "-m", "x"]);
        clone.cml.file("dep/file.json", "1\n");
        clone.cml.git(&["init", "-q", "empty"]);
        clone.cml.file("model.json", "1\n");
        let ran = clone.cml.run(&[&["pr", "create", "model.json"], globs].concat());
        assert!(ran.stderr.contains("warning: dep is a repository of its own and was left out\nhint: "), "{ran:#?}");
        ran.ok();
        assert_eq!(clone.changes(&clone.branch()), "M model.json", "{globs:?}");
    }
}

#[test]
fn large_files_are_sent_though_no_hook_runs() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        let tools = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\ncase $1 in clean) sed s/^/pointer:/;; *) echo \"$*\" >> $0.log;; esac\n";
        executable(&tools.path().join("git-lfs"), script);
        let path = format!("{}:{}", tools.path().display(), clone.cml.env["PATH"]);
        clone.cml.set("PATH", &path);
        clone.cml.git(&["config", "filter.lfs.clean", "git-lfs clean -- %f"]);
        clone.cml.file("model.json", "1\n");
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        let log = tools.path().join("git-lfs.log");
        assert!(!log.exists(), "nothing is large");
        clone.cml.file("data/.gitattributes", "*.bin filter=lfs\n");
        clone.cml.file("data/model.bin", "large\n");
        clone.cml.run(&["pr", "create", "data", "--branch=large"]).ok();
        assert_eq!(clone.there(&["show", "large:data/model.bin"]), "pointer:large");
        let commit = clone.there(&["rev-parse", "large"]);
        assert_eq!(std::fs::read_to_string(&log).unwrap(), format!("push origin {commit}\n"));
    }
}
