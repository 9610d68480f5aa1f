//! How files that are posted or published are opened. Real files, links, pipes, devices and `/proc`; the forge is scripted.
//!
//! In the working copy a link, a pipe or a device may be a stranger's, and nothing behind it is posted. What the command line
//! names elsewhere is the user's own word.
#![cfg(target_os = "linux")]

use crate::support::fake::{Forge, Target, Vendor};
use crate::support::reader::{leaked, posted};
use crate::support::{Cml, Ran, VENDORS, is_wasm, png};
use cml::files::{Files, Refusal};
use cml::host::Host;
use cml::host::native::Native;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

const CANARY: &str = "canary-9d1e77aa";
const OUTSIDE: &str = "it is outside the working copy";
const GIT: &str = "it belongs to git's own folder";
const SYSTEM: &str = "files in /proc, /sys and /dev are never published";
const PIPE: &str = "it is a named pipe";

/// A forge, a working copy with a secret in git's configuration and in the environment, and a folder outside with another.
fn scene(vendor: Vendor) -> (Forge, Cml, tempfile::TempDir) {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, vendor);
    cml.set("CANARY", CANARY).git(&["init", "-q"]);
    cml.git(&["config", "http.extraHeader", CANARY]);
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), CANARY).unwrap();
    (forge, cml, outside)
}

/// Every command that posts or publishes the file `victim`, and what it says it cannot do.
fn commands(file: &str) -> Vec<(Vec<&str>, String)> {
    let report = || format!("cannot read the report {file}");
    vec![
        (vec!["comment", "create", file], report()),
        (vec!["comment", "update", file], report()),
        (vec!["comment", "update", "--section", "a", file], report()),
        (vec!["check", "create", file], report()),
        (vec!["check", "create", "report.md", "--annotations", file], format!("cannot read the annotations {file}")),
        (vec!["asset", "publish", file], format!("cannot read {file}")),
        (vec!["comment", "create", "report.md", "--ca-cert", file], format!("cannot use --ca-cert {file}")),
    ]
}

/// Nothing was sent, and the error says why.
#[track_caller]
fn refused(forge: &Forge, ran: &Ran, error: &str) {
    assert!(forge.requests().is_empty(), "{}", forge.transcript());
    assert!(!leaked(forge, CANARY.as_bytes()) && !ran.stderr.contains(CANARY), "{ran:#?}");
    ran.fails(3, error, "*");
}

/// Makes a named pipe.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Runs the words of a shell in which `$CML` is the program.
fn shell(cml: &Cml, script: &str) -> Ran {
    let program = cml.command(&[]);
    let words = [program.get_program()].into_iter().chain(program.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut command = Command::new("bash");
    command.args(["-c", &script.replace("$CML", &words.join(" "))]).current_dir(cml.path());
    Ran::of(command.env_clear().envs(&cml.env).stdin(Stdio::null()))
}

#[test]
fn a_link_in_the_working_copy_leads_nowhere_else_whatever_takes_it() {
    for vendor in VENDORS {
        let (forge, cml, outside) = scene(vendor);
        let secret = outside.path().join("secret");
        symlink("loop", cml.path().join("loop")).unwrap();
        symlink("/proc/self/environ", cml.path().join("first")).unwrap();
        std::fs::create_dir(cml.path().join(".GIT")).unwrap();
        cml.file(".GIT/config", CANARY);
        for (target, why) in [
            ("/proc/self/environ", SYSTEM),
            ("/proc/thread-self/environ", SYSTEM),
            ("/proc/self/root/proc/self/environ", SYSTEM),
            ("/proc/self/cwd/../../../../../../proc/self/environ", SYSTEM),
            ("first", SYSTEM),
            ("/dev/zero", SYSTEM),
            ("/dev/stdin", SYSTEM),
            ("/sys/kernel/uevent_seqnum", SYSTEM),
            (".git/config", GIT),
            (".GIT/config", GIT),
            (secret.to_str().unwrap(), OUTSIDE),
            ("/proc/self/root/etc/hostname", OUTSIDE),
            ("loop", "*os error 40*"),
        ] {
            let link = cml.path().join("link.md");
            let _ = std::fs::remove_file(&link);
            symlink(target, &link).unwrap();
            let all = commands("link.md");
            let some = if why == SYSTEM && target != "/proc/self/environ" { 1 } else { all.len() };
            for (args, error) in &all[..some] {
                refused(&forge, &cml.run(args), &format!("{error} ({why})"));
            }
        }
    }
}

#[test]
fn a_link_leads_nowhere_else_wherever_the_command_starts() {
    for vendor in VENDORS {
        let (forge, mut cml, outside) = scene(vendor);
        let here = cml.path().display().to_string();
        cml.set(vendor.checkout_variable(), &here);
        symlink(outside.path().join("secret"), cml.path().join("link.md")).unwrap();
        let link = cml.path().join("link.md").display().to_string();
        for folder in [Path::new("/"), outside.path()] {
            // The others need a report in the current directory.
            for (args, error) in commands(&link).into_iter().filter(|(args, _)| !args.contains(&"report.md")) {
                let mut command = cml.command(&args);
                refused(&forge, &Ran::of(command.current_dir(folder)), &format!("{error} ({OUTSIDE})"));
            }
        }
    }
}

#[test]
fn a_folder_that_is_a_link_leads_nowhere_else_either() {
    for vendor in VENDORS {
        let (forge, cml, outside) = scene(vendor);
        symlink(outside.path(), cml.path().join("out")).unwrap();
        symlink("/proc/self", cml.path().join("here")).unwrap();
        let whole = cml.path().join("out/secret").display().to_string();
        // The name of the working copy may be a link, too.
        let alias = outside.path().join("alias");
        symlink(cml.path(), &alias).unwrap();
        let by_alias = alias.join("out/secret").display().to_string();
        // So may a file that leads into it, and out again.
        symlink(cml.path().join("out/secret"), outside.path().join("there-and-back")).unwrap();
        let back = outside.path().join("there-and-back").display().to_string();
        for (file, why) in [
            ("out/secret", OUTSIDE),
            (&whole, OUTSIDE),
            (&by_alias, OUTSIDE),
            (&back, OUTSIDE),
            ("here/environ", SYSTEM),
        ] {
            let (args, error) = &commands(file)[0];
            refused(&forge, &cml.run(args), &format!("{error} ({why})"));
        }
    }
}

#[test]
fn pipes_and_devices_in_the_working_copy_neither_hang_nor_fill_the_memory() {
    for vendor in VENDORS {
        let (forge, cml, _) = scene(vendor);
        pipe(&cml.path().join("pipe.md"));
        for (args, error) in commands("pipe.md") {
            refused(&forge, &cml.run(&args), &format!("{error} ({PIPE})"));
        }
    }
}

#[test]
fn what_git_keeps_elsewhere_in_the_working_copy_stays_there() {
    for vendor in VENDORS {
        let (forge, mut cml, _) = scene(vendor);
        // As after `git init --separate-git-dir`.
        std::fs::rename(cml.path().join(".git"), cml.path().join("meta")).unwrap();
        cml.file(".git", "gitdir: meta\n");
        let (args, error) = &commands("meta/config")[0];
        refused(&forge, &cml.run(args), &format!("{error} ({GIT})"));
        cml.file("meta/plot.png", [png(1), CANARY.into()].concat());
        cml.file("report.md", "![p](meta/plot.png) [c](meta/config)\n");
        cml.run(&["comment", "create", "--publish-links", "report.md"]).ok();
        assert_eq!(posted(&forge, vendor), "![p](meta/plot.png) [c](meta/config)\n");
        assert!(!leaked(&forge, CANARY.as_bytes()));
        // As a link.
        forge.clear_requests();
        std::fs::remove_file(cml.path().join(".git")).unwrap();
        symlink("meta", cml.path().join(".git")).unwrap();
        refused(&forge, &cml.run(args), &format!("{error} ({GIT})"));
        std::fs::remove_file(cml.path().join(".git")).unwrap();
        // As in a linked worktree, whose common folder is another.
        forge.clear_requests();
        std::fs::rename(cml.path().join("meta"), cml.path().join("common")).unwrap();
        cml.file("own/commondir", "../common\n");
        cml.file(".git", "gitdir: own\n");
        let (args, error) = &commands("common/config")[0];
        refused(&forge, &cml.run(args), &format!("{error} ({GIT})"));
        std::fs::remove_file(cml.path().join(".git")).unwrap();
        cml.set("GIT_DIR", "common");
        refused(&forge, &cml.run(args), &format!("{error} ({GIT})"));
    }
}

#[test]
fn the_kernels_files_are_never_read_whoever_names_them() {
    for vendor in VENDORS {
        let (forge, cml, outside) = scene(vendor);
        let link = outside.path().join("link.md");
        symlink("/proc/self/environ", &link).unwrap();
        let (link, up) = (link.display().to_string(), "/tmp/../proc/self/environ");
        let names = [
            "/proc/self/environ",
            "/proc/thread-self/environ",
            "/proc/self/task/../environ",
            "/proc/self/root/etc/hostname",
            "/dev/fd/../../proc/self/environ",
            "/dev/fd/../environ",
            "/dev/fd/0/../../environ",
            "/dev/zero",
            "/dev/null",
            "/dev/tty",
            "//proc/self/environ",
            up,
            &link,
        ];
        for name in names {
            let (args, error) = &commands(name)[0];
            refused(&forge, &cml.run(args), &format!("{error} ({SYSTEM})"));
        }
        for (script, name) in [
            ("$CML comment create - < /proc/self/environ", "on standard input"),
            ("$CML comment create /dev/stdin < /proc/self/environ", "/dev/stdin"),
            ("$CML comment create /dev/fd/5 5< /proc/self/environ", "/dev/fd/5"),
            ("$CML comment create /proc/self/fd/5 5< /proc/self/environ", "/proc/self/fd/5"),
        ] {
            refused(&forge, &shell(&cml, script), &format!("cannot read the report {name} ({SYSTEM})"));
        }
        let ran = shell(&cml, "$CML comment create - < /dev/zero");
        refused(&forge, &ran, "cannot read the report on standard input (it is a device)");
        let ran = shell(&cml, "$CML comment create - < .git/config");
        refused(&forge, &ran, &format!("cannot read the report on standard input ({GIT})"));
    }
}

#[test]
fn the_users_own_word_is_taken() {
    for vendor in VENDORS {
        let (forge, mut cml, outside) = scene(vendor);
        let path = |name: &str| outside.path().join(name).display().to_string();
        cml.set("OUT", &path("")).set("SUB", "sub");
        std::fs::write(path("report.md"), "outside").unwrap();
        symlink("report.md", path("link.md")).unwrap();
        cml.file("inside.md", "inside");
        symlink("inside.md", cml.path().join("own.md")).unwrap();
        symlink(cml.path().join("inside.md"), path("into.md")).unwrap();
        symlink(cml.path(), path("alias")).unwrap();
        cml.file("sub/x", "");
        pipe(Path::new(&path("pipe")));
        for (script, text) in [
            ("$CML comment create $OUT/report.md", "outside"),
            ("$CML comment create $OUT/link.md", "outside"),
            ("$CML comment create $OUT/into.md", "inside"),
            ("$CML comment create own.md", "inside"),
            ("$CML comment create $OUT/alias/own.md", "inside"),
            ("cd sub; $CML comment create ../inside.md", "inside"),
            ("echo piped | $CML comment create -", "piped\n"),
            ("echo piped | $CML comment create /dev/stdin", "piped\n"),
            ("echo piped | $CML comment create /dev/fd/0", "piped\n"),
            ("$CML comment create - < inside.md", "inside"),
            ("read first; $CML comment create -", "second\n"),
            ("$CML comment create - <<< here", "here\n"),
            ("$CML comment create /dev/stdin <<< here", "here\n"),
            ("$CML comment create <(sleep 0.1; echo substituted)", "substituted\n"),
            ("$CML comment create /dev/fd/5 5< inside.md", "inside"),
            ("$CML comment create /proc/self/fd/5 5< inside.md", "inside"),
            ("(sleep 0.1; echo late > $OUT/pipe) & $CML comment create $OUT/pipe", "late\n"),
        ] {
            let script = if script.starts_with("read ") {
                format!("printf 'first\\nsecond\\n' > two; {{ {script}; }} < two")
            } else {
                script.to_owned()
            };
            shell(&cml, &script).ok();
            assert_eq!(posted(&forge, vendor), text, "{script}");
        }
        // What a shell hands over has its images in the current folder.
        cml.file("plot.png", png(1));
        for script in ["echo '![p](plot.png)' | $CML comment create -", "$CML comment create <(echo '![p](plot.png)')"]
        {
            shell(&cml, script).ok();
            assert!(posted(&forge, vendor).starts_with("![p](http"), "{script}");
        }
    }
}

#[test]
fn annotations_and_assets_come_from_standard_input_too() {
    for vendor in VENDORS {
        let (forge, cml, _) = scene(vendor);
        let line = r#"{"path": "a.py", "line": 1, "message": "piped remark"}"#;
        let script = format!("echo '{line}' | $CML check create report.md --annotations -");
        shell(&cml, &script).ok();
        assert!(forge.transcript().contains("piped remark") || vendor == Vendor::GitLab, "{}", forge.transcript());
        forge.clear_requests();
        let ran = shell(&cml, &format!("echo '{line}' | $CML check create - --annotations -"));
        ran.fails(2, "the report and --annotations are both standard input", "pass one of them as a file");
        let ran = shell(&cml, "echo x | $CML comment update --watch -");
        ran.fails(2, "--watch needs a file to follow", "pass the report as a file");
        assert!(forge.requests().is_empty());
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    for vendor in VENDORS {
        let (forge, cml, outside) = scene(vendor);
        File::create(cml.path().join("huge")).unwrap().set_len(1 << 40).unwrap();
        let most = |error: &str| if error.contains("the report") { 32 } else { 100 };
        for (args, error) in commands("huge").into_iter().filter(|(args, _)| !args.contains(&"--ca-cert")) {
            let ran = cml.run(&args);
            let text = format!("{error} (it is larger than {} MB)", most(&error));
            ran.fails(10, &text, "keep large data in a bucket and link to it");
        }
        // What has no size is read so far and no further.
        pipe(&outside.path().join("pipe"));
        let name = outside.path().join("pipe").display().to_string();
        for (script, name) in [
            ("yes | $CML comment create -".to_owned(), "on standard input"),
            (format!("yes > {name} & $CML comment create {name}"), &*name),
        ] {
            let ran = shell(&cml, &script);
            let text = format!("cannot read the report {name} (it is larger than 32 MB)");
            ran.fails(10, &text, "keep large data in a bucket and link to it");
        }
        assert!(forge.requests().is_empty());
    }
}

/// Changes a name while it is opened: between a file of the working copy and a link to one outside.
#[test]
fn changing_a_name_while_it_is_opened_gains_nothing() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = std::fs::canonicalize(folder.path()).unwrap();
    std::fs::write(outside.path().join("secret"), CANARY).unwrap();
    let secret = outside.path().join("secret");
    let victim = root.join("victim");
    std::fs::write(&victim, "public").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                symlink(&secret, root.join("new")).unwrap();
                std::fs::rename(root.join("new"), &victim).unwrap();
                std::fs::write(root.join("new"), "public").unwrap();
                std::fs::rename(root.join("new"), &victim).unwrap();
            }
        });
        let host: Rc<dyn Host> = Rc::new(Native::default());
        let files = Files::new(host, root.clone());
        let (mut taken, mut refusals) = (0, 0);
        // Both must have been seen, so that the two met.
        for round in 0.. {
            let both = taken > 20 && refusals > 20;
            if (round > 2000 && both) || round > 200_000 {
                break;
            }
            for opened in [files.named(&victim), files.found(&victim)] {
                match opened.and_then(|file| file.read(100)) {
                    Ok(bytes) => {
                        assert_eq!(bytes, b"public");
                        taken += 1;
                    }
                    Err(Refusal::Outside) => refusals += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(taken > 20 && refusals > 20, "{taken} taken, {refusals} refused");
    });
}

#[test]
fn images_of_a_report_lie_in_the_working_copy_wherever_the_report_does() {
    for vendor in VENDORS {
        let (forge, cml, outside) = scene(vendor);
        let image = [png(1), CANARY.into()].concat();
        std::fs::write(outside.path().join("plot.png"), &image).unwrap();
        symlink(outside.path().join("plot.png"), cml.path().join("link.png")).unwrap();
        symlink("/proc/self/environ", cml.path().join("environ.png")).unwrap();
        symlink("/dev/zero", cml.path().join("zero.png")).unwrap();
        pipe(&cml.path().join("pipe.png"));
        cml.file(".GIT/plot.png", &image);
        let text =
            "![a](link.png) ![b](environ.png) ![c](zero.png) ![d](pipe.png) ![e](.GIT/plot.png) [f](environ.png)\n";
        cml.file("report.md", text);
        cml.run(&["comment", "create", "--publish-links", "report.md"]).ok();
        assert_eq!(posted(&forge, vendor), text);
        std::fs::write(outside.path().join("report.md"), "![a](plot.png)\n").unwrap();
        cml.run(&["comment", "create", outside.path().join("report.md").to_str().unwrap()]).ok();
        assert_eq!(posted(&forge, vendor), "![a](plot.png)\n");
        assert!(!leaked(&forge, CANARY.as_bytes()), "{}", forge.transcript());
    }
}

#[test]
fn a_file_to_append_to_is_not_a_way_out_or_in() {
    for vendor in VENDORS {
        let (_forge, mut cml, outside) = scene(vendor);
        cml.file("plot.png", png(1));
        symlink(outside.path().join("secret"), cml.path().join("link.md")).unwrap();
        symlink(outside.path().join("new"), cml.path().join("dangling.md")).unwrap();
        symlink(outside.path(), cml.path().join("out")).unwrap();
        pipe(&cml.path().join("pipe.md"));
        for (file, why) in [
            ("link.md", OUTSIDE),
            ("dangling.md", OUTSIDE),
            ("out/new", OUTSIDE),
            (".git/config", GIT),
            (".git/new", OUTSIDE),
            ("pipe.md", PIPE),
        ] {
            let ran = cml.run(&["asset", "publish", "plot.png", "--md", "--file", file]);
            ran.fails(3, &format!("cannot write to {file} ({why})"), "*");
        }
        assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), CANARY);
        assert!(!outside.path().join("new").exists());
        // A file that takes results may be one of the job's artifacts.
        symlink("/proc/self/environ", cml.path().join("results.env")).unwrap();
        cml.set("COMMENT_URL", "x").set("CML_DOTENV", "results.env");
        let ran = cml.run(&["comment", "create", "report.md"]);
        assert_eq!(ran.code, Some(3), "{ran:#?}");
        assert!(ran.stderr.contains(&format!("cannot write the step's results to results.env ({SYSTEM})")), "{ran:#?}");
        assert!(cml.path().join("results.env").is_symlink());
        // TestHost the user's word counts.
        let outside = outside.path().join("new.md").display().to_string();
        cml.unset("CML_DOTENV").run(&["asset", "publish", "plot.png", "--md", "--file", &outside]).ok();
        let ran = cml.run(&["asset", "publish", "plot.png", "--file", "/dev/stderr"]);
        assert!(ran.stderr.starts_with("http") && ran.code == Some(0), "{ran:#?}");
    }
}

#[test]
fn logs_of_a_training_are_read_where_they_may_be() {
    let (forge, cml, outside) = scene(Vendor::GitLab);
    let event = [&b"\x18\0\0\0\0\0\0\0"[..], &[0; 24]].concat();
    std::fs::create_dir(outside.path().join("run")).unwrap();
    std::fs::write(outside.path().join("run/events.out.tfevents.1"), event).unwrap();
    std::fs::create_dir(cml.path().join("logs")).unwrap();
    symlink(outside.path(), cml.path().join("elsewhere")).unwrap();
    symlink(outside.path(), cml.path().join("logs/linked")).unwrap();
    symlink(outside.path().join("run/events.out.tfevents.1"), cml.path().join("logs/events.out.tfevents.2")).unwrap();
    pipe(&cml.path().join("logs/events.out.tfevents.3"));
    let ran = cml.run(&["tensorboard", "connect", "--logdir", "elsewhere"]);
    let hint = "check --logdir: it must be a folder, relative to the current directory";
    ran.fails(3, &format!("cannot read the logs in elsewhere ({OUTSIDE})"), hint);
    let ran = cml.run(&["tensorboard", "connect", "--logdir", "logs"]);
    let warning = format!("warning: logs/events.out.tfevents.2 cannot be read ({OUTSIDE})\n");
    assert!(ran.stderr.starts_with(&warning) && !ran.stderr.contains("linked"), "{ran:#?}");
    // The user's own word.
    let ran = cml.run(&["tensorboard", "connect", "--logdir", outside.path().to_str().unwrap()]);
    assert!(ran.stderr.contains("events.out.tfevents.1 is damaged at byte 0"), "{ran:#?}");
    assert!(!leaked(&forge, CANARY.as_bytes()));
}

#[test]
fn with_few_descriptors_it_works_or_says_why() {
    for vendor in VENDORS {
        let (forge, cml, _) = scene(vendor);
        cml.file("plot.png", png(1));
        cml.file("report.md", "![p](plot.png)\n");
        for most in [5, 6, 7, 8, 9, 10, 12, 16] {
            let ran = shell(&cml, &format!("ulimit -n {most}; exec $CML comment update report.md"));
            if ran.code == Some(0) {
                // What cannot be opened is named; musl has other words for it than glibc.
                let is_whole = posted(&forge, vendor).contains("![p](http");
                let is_named = ran.stderr.contains("plot.png cannot be read (") && ran.stderr.contains("(os error 24)");
                assert!(is_whole || is_named, "{ran:#?}");
            } else if !is_wasm() {
                // Node may not even start.
                let is_told = ["open files", "(os error 24)"].iter().any(|words| ran.stderr.contains(words));
                assert!(ran.stderr.contains("error: ") && is_told, "{most}: {ran:#?}");
                assert!(ran.stdout.is_empty(), "{ran:#?}");
            }
        }
        assert!(forge.live_comments(vendor, &Target::Pull(7)).len() <= 1);
    }
}

#[test]
fn names_that_are_not_utf_8_are_told() {
    for vendor in VENDORS {
        let (forge, cml, _) = scene(vendor);
        let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"r\xff.md");
        File::create(cml.path().join(name)).unwrap().write_all(b"text").unwrap();
        let ran = shell(&cml, "$CML comment create $'r\\xff.md'");
        let error = "cannot read the report r\u{fffd}.md (No such file or directory (os error 2))";
        ran.fails(3, error, "rename the file: its name is not UTF-8");
        assert!(forge.requests().is_empty());
    }
}
