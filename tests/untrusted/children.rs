//! What programs that are started get of the job's secrets, and that nothing of them is left: git is scripted where it has to
//! hang or to be killed, and real otherwise.

use super::{executable, wrap_git};
use crate::support::clone::Clone;
use crate::support::fake::{Forge, Vendor};
use crate::support::{Cml, VENDORS, eventually};
use base64::Engine as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Variables of a job with secrets, each with its own value.
const SECRETS: [&str; 12] = [
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "BITBUCKET_STEP_OIDC_TOKEN",
    "CI_REGISTRY_PASSWORD",
    "CML_ID_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "INPUT_NAME",
    "WANDB_API_KEY",
    "my_password",
    "CI_REPOSITORY_URL",
];

fn give_secrets(cml: &mut Cml) {
    for name in SECRETS {
        cml.set(name, "canary-5f0c7d1e");
    }
}

/// Whether a call's environment has the token, as it is or as a header.
fn has_token(vendor: Vendor, call: &str) -> bool {
    let user = ["x-access-token", "oauth2", "x-token-auth"][VENDORS.iter().position(|v| *v == vendor).unwrap()];
    let header = base64::prelude::BASE64_STANDARD.encode(format!("{user}:good"));
    call.lines().any(|line| line.ends_with("=good") || line.contains(&header))
}

#[test]
fn the_token_reaches_git_only_where_it_talks_to_the_forge() {
    for vendor in VENDORS {
        let mut clone = Clone::on(vendor);
        let note = wrap_git(&mut clone.cml, "{ echo \"== $*\"; env; } >> \"$here/calls\"");
        give_secrets(&mut clone.cml);
        clone.forge.add_commit(vendor, &clone.trigger);
        // A filter of the job's own runs, and gets none either.
        let filter = note.path().join("filter");
        executable(
            &filter,
            format!("#!/bin/sh\n{{ echo '== filter'; env; }} >> {}/calls\ncat\n", note.path().display()),
        );
        clone.cml.git(&["config", "filter.own.clean", filter.to_str().unwrap()]);
        clone.cml.file(".gitattributes", "*.json filter=own\n");
        clone.cml.file("model.json", "{\"a\": 1}\n");
        clone.cml.file("report.md", "[m](model.csv)\n");
        clone.cml.file("model.csv", "1\n");
        std::fs::remove_file(note.path().join("calls")).unwrap();
        clone.cml.run(&["pr", "create", "model.json"]).ok();
        clone.cml.run(&["comment", "create", "report.md"]).ok();
        clone.cml.run(&["repo", "prepare", "--fetch-depth=1"]).ok();
        let calls = std::fs::read_to_string(note.path().join("calls")).unwrap();
        assert!(calls.contains("== filter"), "{calls}");
        for call in calls.split("== ").skip(1) {
            assert!(!call.contains("canary"), "{vendor:?} {call}");
            let talks =
                call.lines().next().unwrap().split(' ').any(|word| ["fetch", "push", "read-tree"].contains(&word));
            assert!(talks || !has_token(vendor, call), "{vendor:?} {call}");
            assert!(!call.lines().any(|line| line.starts_with("REPO_TOKEN=")), "{call}");
        }
        assert!(calls.split("== ").any(|call| has_token(vendor, call)));
    }
}

#[test]
fn settings_with_credentials_in_the_environment_stay_away_from_commands_that_look() {
    let mut clone = Clone::on(Vendor::GitHub);
    let note = wrap_git(&mut clone.cml, "{ echo \"== $*\"; env; } >> \"$here/calls\"");
    clone.cml.set("GIT_CONFIG_COUNT", "2");
    clone.cml.set("GIT_CONFIG_KEY_0", "http.https://example.org/.extraHeader").set("GIT_CONFIG_VALUE_0", "canary-1");
    clone.cml.set("GIT_CONFIG_KEY_1", "core.ignoreCase").set("GIT_CONFIG_VALUE_1", "false");
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "model.json"]).ok();
    let calls = std::fs::read_to_string(note.path().join("calls")).unwrap();
    let of = |verb: &str| {
        calls.split("== ").skip(1).find(|call| call.lines().next().unwrap().split(' ').any(|word| word == verb))
    };
    let (status, fetch) = (of("status").unwrap(), of("fetch").unwrap());
    assert!(!status.contains("canary-1") && status.contains("core.ignoreCase"), "{status}");
    assert!(fetch.contains("canary-1"), "{fetch}");
}

#[test]
fn a_program_of_the_users_own_gets_the_token() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    executable(&cml.path().join("bin/cml-own"), "#!/bin/sh\necho \"$REPO_TOKEN $AWS_PROFILE\"\n");
    let path = format!("{}/bin:{}", cml.path().display(), cml.env["PATH"]);
    cml.set("PATH", &path).set("AWS_PROFILE", "mine");
    assert_eq!(cml.run(&["own"]).ok(), "good mine\n");
}

/// Whether a process runs whose number is in a file.
fn runs(file: &Path) -> bool {
    let number = std::fs::read_to_string(file).unwrap_or_default();
    let status = std::fs::read_to_string(format!("/proc/{}/status", number.trim())).unwrap_or_default();
    !number.trim().is_empty() && !status.is_empty() && !status.contains("State:\tZ")
}

#[track_caller]
fn ends(file: &Path) {
    eventually("the end of a process", || !runs(file), || file.display().to_string());
}

/// The script of a git that hangs at a command, with a child of its own.
fn hangs_at(verb: &str) -> String {
    format!("case \" $* \" in *' {verb} '*) sleep 600 & echo $! > $here/child; echo $$ > $here/self; wait;; esac")
}

/// What the program left in git's folder.
fn left(clone: &Clone) -> Vec<String> {
    let entries = std::fs::read_dir(clone.cml.path().join(".git")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("cml-")).collect()
}

#[test]
fn a_git_that_hangs_is_ended_with_all_that_it_started_when_the_time_is_over() {
    for verb in ["fetch", "status", "add", "push"] {
        let mut clone = Clone::on(Vendor::GitHub);
        let note = wrap_git(&mut clone.cml, &hangs_at(verb));
        clone.cml.file("model.json", "1\n");
        let ran = clone.cml.run(&["pr", "create", "model.json", "--timeout=3"]);
        ran.fails(9, &format!("git {verb} failed: timed out after 3 seconds"), "the service or the network is slow*");
        ends(&note.path().join("self"));
        ends(&note.path().join("child"));
        assert_eq!(left(&clone), [""; 0], "{verb}");
    }
    let mut clone = Clone::on(Vendor::GitHub);
    let note = wrap_git(&mut clone.cml, &hangs_at("fetch"));
    let ran = clone.cml.run(&["repo", "prepare", "--unshallow", "--timeout=3"]);
    assert!(ran.code == Some(9) && !runs(&note.path().join("child")), "{ran:#?}");
}

#[test]
fn what_git_leaves_behind_with_its_output_open_holds_nothing_up() {
    let mut clone = Clone::on(Vendor::GitHub);
    let note = wrap_git(&mut clone.cml, "sleep 600 & echo $! > $here/child");
    clone.cml.file("model.json", "1\n");
    clone.cml.run(&["pr", "create", "model.json", "--timeout=60"]).ok();
    ends(&note.path().join("child"));
}

#[test]
fn a_signal_ends_git_and_then_the_program() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut clone = Clone::on(Vendor::GitHub);
        let note = wrap_git(&mut clone.cml, &hangs_at("write-tree"));
        clone.cml.file("model.json", "1\n");
        let mut command = clone.cml.command(&["pr", "create", "model.json"]);
        let mut cml = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !runs(&note.path().join("self")) {
            assert_eq!(cml.try_wait().unwrap(), None);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!left(&clone).is_empty());
        let pid = cml.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(cml.wait().unwrap().code(), Some(code));
        ends(&note.path().join("self"));
        ends(&note.path().join("child"));
        assert_eq!(left(&clone), [""; 0]);
    }
}

#[test]
fn the_next_run_tidies_up_after_one_that_was_killed() {
    let mut clone = Clone::on(Vendor::GitHub);
    let path = clone.cml.env["PATH"].clone();
    let kills = "case \" $* \" in *' write-tree '*) kill -KILL $PPID; exit 1;; esac";
    let _folder = wrap_git(&mut clone.cml, kills);
    clone.cml.file("model.json", "1\n");
    let ran = clone.cml.run(&["pr", "create", "model.json"]);
    assert_eq!(ran.code, None, "{ran:#?}");
    // As git leaves it when it is killed, too.
    let index = left(&clone).into_iter().find(|name| name.ends_with(".index")).unwrap();
    clone.cml.file(&format!(".git/{index}.lock"), "");
    // That of a run which still goes on, or of the user's, stays.
    let other = index.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
    let kept = [format!("{other}-{}-0123456789abcdef.pem", std::process::id()), "cml-notes.txt".to_owned()];
    for name in &kept {
        clone.cml.file(&format!(".git/{name}"), "");
    }
    clone.cml.set("PATH", &path);
    clone.cml.run(&["pr", "create", "model.json"]).ok();
    let mut stays = left(&clone);
    stays.sort();
    assert_eq!(stays, kept);
}
