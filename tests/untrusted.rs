//! Repositories of strangers, with real git: an artifact that brings `.git`, a bare repository among the files of a checkout,
//! another user's repository above. Each would run the stranger's command; none may. And what git and other programs that
//! are started get of the job's secrets.

use crate::support::clone::Clone;
use crate::support::fake::{Forge, Vendor};
use crate::support::reader::{posted, uploads};
use crate::support::{Cml, VENDORS, executable};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

mod children;

/// A program of the stranger's, and whether it ran.
struct Trap {
    folder: tempfile::TempDir,
}

impl Trap {
    fn new() -> Trap {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("ran");
        executable(
            &folder.path().join("trap"),
            format!("#!/bin/sh\n{{ echo \"$0 $*\"; env; }} >> {}\nexit 1\n", note.display()),
        );
        Trap { folder }
    }

    fn program(&self) -> String {
        self.folder.path().join("trap").display().to_string()
    }

    #[track_caller]
    fn is_unsprung(&self, what: &str) {
        let note = std::fs::read_to_string(self.folder.path().join("ran")).unwrap_or_default();
        assert_eq!(note, "", "{what}");
    }
}

/// The ways in which a repository's configuration names a program that reading it may run.
const WAYS: [&str; 5] = ["ssh", "ext", "helper", "upload-pack", "fsmonitor"];

/// Makes a repository in a folder that runs a program when git reads it: its index lacks a `.gitignore`, for which git
/// asks the remote that promises all objects; and its monitor of files.
fn lay(cml: &Cml, folder: &Path, way: &str, trap: &Trap) {
    let (program, there) = (trap.program(), folder.display().to_string());
    let git = |args: &[&str]| cml.git(&[&["-C", &there], args].concat());
    std::fs::create_dir_all(folder).unwrap();
    git(&["init", "-q", "."]);
    std::fs::write(folder.join(".gitignore"), "x\n").unwrap();
    git(&["add", "-f", ".gitignore"]);
    let blob = git(&["rev-parse", ":.gitignore"]);
    git(&["update-index", "--skip-worktree", ".gitignore"]);
    std::fs::remove_file(folder.join(".gitignore")).unwrap();
    std::fs::remove_file(folder.join(".git/objects").join(&blob[..2]).join(&blob[2..])).unwrap();
    let url = match way {
        "ext" => format!("ext::{program}"),
        "upload-pack" => folder.join("away").display().to_string(),
        _ => "ssh://x/y".to_owned(),
    };
    if way == "fsmonitor" {
        git(&["config", "core.fsmonitor", &program]);
        return;
    }
    if way == "upload-pack" {
        cml.git(&["init", "-q", "--bare", &url]);
    }
    for (key, value) in [
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "evil"),
        ("remote.evil.url", &url),
        ("remote.evil.promisor", "true"),
        ("remote.evil.uploadpack", &program),
        ("core.sshCommand", &format!("{program} #")),
        ("core.gitProxy", &program),
        ("core.askPass", &program),
        ("core.pager", &program),
        ("credential.helper", &program),
        ("diff.external", &program),
        ("protocol.allow", "always"),
        ("alias.check-ignore", &format!("!{program}")),
    ] {
        git(&["config", key, value]);
    }
    if way == "helper" {
        git(&["config", "remote.evil.vcs", "trap"]);
    }
}

/// A job with a report of a stranger's in `report/`, which links a table beside it.
fn job(forge: &Forge, vendor: Vendor, trap: &Trap) -> Cml {
    let mut cml = Cml::on(forge, vendor);
    cml.file("report/data.csv", "a,b\n");
    cml.file("report/report.md", "# hi\n\n[data](data.csv)\n");
    let here = cml.path().display().to_string();
    // For `git-remote-trap`, which a stranger can bring only where PATH leads to.
    symlink(trap.program(), trap.folder.path().join("git-remote-trap")).unwrap();
    let path = format!("{}:{}", cml.env["PATH"], trap.folder.path().display());
    cml.set(vendor.checkout_variable(), &here).set("PATH", &path);
    cml
}

/// Posts the report, whose link stays as it is, and nothing of the stranger's runs.
#[track_caller]
fn stays_a_link(forge: &Forge, vendor: Vendor, cml: &Cml, folder: &Path, report: &str, trap: &Trap, what: &str) {
    let text = std::fs::read_to_string(folder.join(report)).unwrap();
    for option in ["--strict=false", "--publish-links"] {
        let mut command = cml.command(&["comment", "update", option, report]);
        crate::support::Ran::of(command.current_dir(folder)).ok();
        trap.is_unsprung(what);
        assert_eq!(posted(forge, vendor), text, "{what}");
        assert!(uploads(forge).is_empty(), "{what}: {}", forge.transcript());
    }
}

#[test]
fn an_artifact_with_a_repository_in_it_runs_nothing() {
    for (vendor, way) in VENDORS.into_iter().cycle().zip(WAYS) {
        for checked_out in [true, false] {
            let (forge, trap) = (Forge::start(), Trap::new());
            let cml = job(&forge, vendor, &trap);
            if checked_out {
                cml.git(&["init", "-q"]);
            }
            lay(&cml, &cml.path().join("report"), way, &trap);
            let what = format!("{vendor:?} {way}, with a checkout: {checked_out}");
            stays_a_link(&forge, vendor, &cml, cml.path(), "report/report.md", &trap, &what);
            // A step may enter the artifact's folder.
            stays_a_link(&forge, vendor, &cml, &cml.path().join("report"), "report.md", &trap, &what);
        }
    }
}

#[test]
fn a_repository_that_is_elsewhere_than_it_seems_runs_nothing() {
    for (vendor, how) in VENDORS.into_iter().cycle().zip(["file", "link", "deeper", "beside"]) {
        let (forge, trap) = (Forge::start(), Trap::new());
        let cml = job(&forge, vendor, &trap);
        cml.git(&["init", "-q"]);
        let (report, hidden) = (cml.path().join("report"), cml.path().join("report/hidden"));
        lay(&cml, &report, "ssh", &trap);
        match how {
            "file" => {
                std::fs::rename(report.join(".git"), &hidden).unwrap();
                std::fs::write(report.join(".git"), "gitdir: hidden\n").unwrap();
            }
            "link" => {
                std::fs::rename(report.join(".git"), &hidden).unwrap();
                symlink("hidden", report.join(".git")).unwrap();
            }
            "deeper" => {
                cml.file("report/a/b/data.csv", "a,b\n");
                cml.file("report/report.md", "# hi\n\n[data](a/b/data.csv)\n");
            }
            _ => {
                // The link leads to a file of the repository through the checkout.
                symlink("report/data.csv", cml.path().join("table.csv")).unwrap();
                cml.file("report/report.md", "# hi\n\n[data](../table.csv)\n");
            }
        }
        stays_a_link(&forge, vendor, &cml, cml.path(), "report/report.md", &trap, how);
    }
}

#[test]
fn a_bare_repository_among_the_files_of_a_checkout_runs_nothing() {
    for (vendor, deep) in VENDORS.into_iter().zip([false, true, false]) {
        let (forge, trap) = (Forge::start(), Trap::new());
        let cml = job(&forge, vendor, &trap);
        cml.git(&["init", "-q"]);
        let plots = cml.path().join("plots");
        lay(&cml, &plots, "ssh", &trap);
        // As a checkout leaves what was committed: no `.git`, and its parts as ordinary files.
        for entry in std::fs::read_dir(plots.join(".git")).unwrap() {
            let entry = entry.unwrap();
            std::fs::rename(entry.path(), plots.join(entry.file_name())).unwrap();
        }
        std::fs::remove_dir(plots.join(".git")).unwrap();
        let folder = plots.display().to_string();
        cml.git(&["config", "-f", &format!("{folder}/config"), "core.worktree", "."]);
        let table = if deep { "plots/deep/data.csv" } else { "plots/data.csv" };
        cml.file(table, "a,b\n");
        cml.file("report.md", format!("# hi\n\n[data]({table})\n"));
        stays_a_link(&forge, vendor, &cml, cml.path(), "report.md", &trap, table);
        // A step may be in that folder.
        cml.file("plots/report.md", format!("# hi\n\n[data]({})\n", &table[6..]));
        stays_a_link(&forge, vendor, &cml, &plots, "report.md", &trap, table);
    }
}

#[test]
fn an_artifact_that_is_unpacked_where_the_checkout_would_be_runs_nothing() {
    for (vendor, way) in VENDORS.into_iter().cycle().zip(WAYS) {
        let (forge, trap) = (Forge::start(), Trap::new());
        let cml = job(&forge, vendor, &trap);
        lay(&cml, cml.path(), way, &trap);
        cml.run(&["comment", "update", "report/report.md"]).ok();
        cml.run(&["doctor"]);
        trap.is_unsprung(way);
    }
}

#[test]
fn a_repository_of_another_user_above_is_not_asked() {
    for vendor in VENDORS {
        let (forge, trap) = (Forge::start(), Trap::new());
        let mut cml = job(&forge, vendor, &trap);
        lay(&cml, cml.path(), "fsmonitor", &trap);
        let inner = cml.path().join("report");
        cml.unset(vendor.checkout_variable()).unset("GIT_CEILING_DIRECTORIES");
        // git's own tests say so that the repository is another user's.
        cml.set("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
        stays_a_link(&forge, vendor, &cml, &inner, "report.md", &trap, "above");
        // Nor where the CI names a folder below it.
        cml.set(vendor.checkout_variable(), inner.to_str().unwrap());
        stays_a_link(&forge, vendor, &cml, &inner, "report.md", &trap, "above what the CI names");
        // Nor are its files inside of the working copy, where it really is another user's: only root can try.
        cml.unset(vendor.checkout_variable()).unset("GIT_TEST_ASSUME_DIFFERENT_OWNER");
        if chown(cml.path().join(".git"), Some(65_534), None).is_ok() {
            cml.file("other.png", crate::support::png(1));
            cml.file("report/report.md", "![x](../other.png) [data](data.csv)\n");
            stays_a_link(&forge, vendor, &cml, &inner, "report.md", &trap, "of another user");
        }
    }
}

#[test]
fn a_pull_request_is_made_without_hooks_and_monitors_of_the_repository() {
    let (trap, clone) = (Trap::new(), Clone::on(Vendor::GitHub));
    let hooks = clone.cml.path().join(".husky");
    for hook in ["pre-push", "post-index-change", "reference-transaction", "post-commit", "pre-auto-gc"] {
        executable(&hooks.join(hook), format!("#!/bin/sh\n{} {hook}\nexit 1\n", trap.program()));
    }
    clone.cml.git(&["config", "core.hooksPath", ".husky"]);
    clone.cml.git(&["config", "core.fsmonitor", &trap.program()]);
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "model.json"]).ok();
    clone.cml.run(&["repo", "prepare", "--fetch-depth=0"]).ok();
    trap.is_unsprung("hooks");
}

/// A working copy below the folder that the CI names.
fn nested(vendor: Vendor) -> Clone {
    let mut clone = Clone::on(vendor);
    let above = clone.cml.path().parent().unwrap().display().to_string();
    clone.cml.set(vendor.checkout_variable(), &above);
    clone
}

/// Real: the program, git. An artifact may bring a repository along, and a step may enter its folder.
#[test]
fn a_repository_that_the_ci_does_not_name_is_used_only_with_harmless_settings() {
    for vendor in VENDORS {
        for (key, value, named) in [
            ("core.sshCommand", "TRAP #", "core.sshcommand"),
            ("filter.x.process", "TRAP", "filter.x.process"),
            ("url.ssh://x/.insteadOf", "http://", "url.ssh://x/.insteadof"),
            ("http.proxy", "http://127.0.0.1:9", "http.proxy"),
            ("include.path", "more", "core.sshcommand"),
        ] {
            let (trap, clone) = (Trap::new(), nested(vendor));
            clone.cml.git(&["config", key, &value.replace("TRAP", &trap.program())]);
            std::fs::write(clone.cml.path().join(".git/more"), "[core]\n\tsshCommand = x\n").unwrap();
            std::fs::write(clone.cml.path().join(".git/info/attributes"), "* filter=x\n").unwrap();
            clone.cml.file("model.json", "1\n");
            for args in [&["pr", "create", "model.json"][..], &["repo", "prepare", "--unshallow"], &["repo", "prepare"]]
            {
                let ran = clone.cml.run(args);
                ran.fails(
                    3,
                    &format!("the git repository in * has the setting {named}, *"),
                    "it is not the CI's working copy *",
                );
                trap.is_unsprung(key);
            }
        }
    }
}

/// Real: the program, git. `actions/checkout` with `path:` makes such a working copy.
#[test]
fn a_checkout_below_the_folder_that_the_ci_names_makes_pull_requests() {
    for vendor in VENDORS {
        let clone = nested(vendor);
        clone.cml.file("model.json", "1\n");
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        clone.cml.run(&["repo", "prepare", "--fetch-depth=0"]).ok();
    }
}

/// Real: the program, git, with a program in place of ssh.
#[test]
fn credentials_for_http_stay_away_from_other_ways_to_a_remote() {
    let (trap, clone) = (Trap::new(), Clone::on(Vendor::GitHub));
    let seen = clone.cml.path().join(".git/seen");
    let ssh = trap.folder.path().join("ssh");
    executable(&ssh, format!("#!/bin/sh\nenv >> {}\nexit 1\n", seen.display()));
    clone.cml.git(&["config", "core.sshCommand", &ssh.display().to_string()]);
    clone.cml.git(&["remote", "set-url", "origin", "ssh://x/y"]);
    clone.cml.file("model.json", "1\n");
    for args in [&["pr", "create", "model.json"][..], &["repo", "prepare", "--fetch-depth=0"]] {
        let _ = std::fs::remove_file(&seen);
        assert_ne!(clone.cml.run(args).code, Some(0));
        let env = std::fs::read_to_string(&seen).unwrap();
        assert!(!env.contains("Authorization") && !env.contains(&clone.cml.env["REPO_TOKEN"]), "{env}");
    }
}

/// A git before the real one that does something first.
pub fn wrap_git(cml: &mut Cml, script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let folders = std::env::var_os("PATH").unwrap();
    let real: PathBuf = std::env::split_paths(&folders).map(|f| f.join("git")).find(|git| git.is_file()).unwrap();
    let text = format!("#!/bin/sh\nhere={}\n{script}\nexec {} \"$@\"\n", folder.path().display(), real.display());
    executable(&folder.path().join("git"), text);
    let path = format!("{}:{}", folder.path().display(), cml.env["PATH"]);
    cml.set("PATH", &path);
    folder
}
