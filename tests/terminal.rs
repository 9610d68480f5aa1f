//! What people see: help that fits, colours on a terminal and nowhere else; and what programs see: `--log json`.

use crate::support::fake::{Forge, Vendor};
use crate::support::{Cml, is_wasm, png};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::Read;
use std::process::Stdio;

const RED: &str = "\x1b[1;31merror:\x1b[0m ";

fn alone() -> Cml {
    let mut cml = Cml::alone();
    cml.set("TERM", "xterm-256color");
    cml
}

/// Whether that is what `--version` prints: in a released program with the commit and its date.
pub fn is_version(text: &str) -> bool {
    let commit = text.strip_prefix(concat!("cml ", env!("CARGO_PKG_VERSION"))).map(str::trim_end);
    commit.is_some_and(|commit| {
        let words: Vec<&str> = commit.trim_matches([' ', '(', ')']).split(' ').collect();
        match words[..] {
            [""] => commit.is_empty(),
            [hash, date] => hash.len() == 9 && hash.bytes().all(|b| b.is_ascii_hexdigit()) && date.len() == 10,
            _ => false,
        }
    })
}

/// Which streams are a terminal; the other is a pipe.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Both,
    Output,
    Error,
}

/// Runs on a terminal of so many columns. What it shows, and what comes out of the pipe.
fn shown(cml: &Cml, args: &[&str], columns: u16, on: On) -> (String, String) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).unwrap();
    let slave = pty.slave;
    let stream = |is_terminal: bool| if is_terminal { Stdio::from(slave.try_clone().unwrap()) } else { Stdio::piped() };
    let child = cml.command(args).stdout(stream(on != On::Error)).stderr(stream(on != On::Output)).spawn().unwrap();
    drop(slave);
    let mut screen = Vec::new();
    // Linux says that it is an error when nobody writes to a terminal any more.
    let _ = File::from(pty.master).read_to_end(&mut screen);
    let piped = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    (text(screen), text([piped.stdout, piped.stderr].concat()))
}

/// The commands with their words, `cml` left out.
fn commands(command: &clap::Command, above: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
    found.push((above.to_vec(), command.clone()));
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        commands(command, &[above, &[command.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn help_fits_on_a_terminal_and_has_examples() {
    let mut found = Vec::new();
    commands(&cml::cli::command(false), &[], &mut found);
    assert!(found.len() > 15);
    for (words, command) in found {
        let is_leaf = !command.has_subcommands();
        for columns in [80, 100] {
            let help = command.clone().term_width(columns).render_help().to_string();
            let long = help.lines().find(|line| line.chars().count() > columns);
            assert!(long.is_none(), "{words:?} at {columns}: {long:?}\n{help}");
            let is_group = !is_leaf && !words.is_empty();
            assert_eq!(help.contains("\n\nGlobal options:\n"), !is_group, "{help}");
            assert!(!help.contains("\nOptions:\n"), "an option without a heading: {help}");
            assert!(!is_leaf || help.contains("\nExamples:\n  #"), "{help}");
        }
    }
}

#[test]
fn help_is_as_wide_as_the_terminal_and_long_help_names_the_variables() {
    let cml = alone();
    let args = ["comment", "create", "-h"];
    let short = cml.run(&args).ok();
    assert!(short.contains("\nPublishing:\n") && short.contains("\n  cml comment update report.md\n"), "{short}");
    assert!(!short.contains("[env: ") && short.lines().count() < 90, "{short}");
    let long = cml.run(&["comment", "create", "--help"]).ok();
    assert!(long.contains("[env: CML_COMMENT_SECTION]") && long.contains("[env: CML_LOG]"), "{long}");
    for words in [&["help", "comment", "create"][..], &["help", "send-comment"]] {
        assert_eq!(cml.run(words).ok(), long);
    }
    assert_eq!(cml.run(&["help"]).ok(), cml.run(&["--help"]).ok());
    let ran = cml.run(&["help", "coment"]);
    assert_eq!(ran.code, Some(2), "{ran:#?}");
    assert!(ran.stderr.contains("unrecognized subcommand 'coment'") && ran.stderr.contains("'comment'"), "{ran:#?}");
    if !is_wasm() {
        let widest = |columns| {
            let (screen, _) = shown(cml.clone().set("NO_COLOR", "1"), &args, columns, On::Both);
            screen.lines().map(|line| line.chars().count()).max().unwrap()
        };
        assert!((70..=80).contains(&widest(80)) && (90..=100).contains(&widest(120)));
    }
}

#[test]
fn only_clouds_of_this_build_are_offered() {
    let help = alone().run(&["runner", "launch", "--help"]).ok();
    let offered = help.lines().filter(|line| line.contains("[possible values: aws")).collect::<Vec<_>>();
    let clouds = [("azure", cfg!(feature = "azure")), ("gcp", cfg!(feature = "gcp")), ("ibm", false)];
    for (cloud, is_built) in clouds {
        assert_eq!(offered.iter().any(|line| line.contains(cloud)), is_built, "{cloud}: {help}");
    }
    let ran = alone().run(&["runner", "launch", "--cloud", "ibm"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("'ibm'"), "{ran:#?}");
}

#[test]
fn letters_say_how_much_is_logged() {
    let forge = Forge::start();
    let run = |letters: &[&str]| {
        let mut cml = Cml::on(&forge, Vendor::GitHub);
        cml.file("report.md", "![](none.png)\n");
        cml.set("CML_LOG", "info");
        let ran = cml.run(&[&["comment", "create", "report.md"], letters].concat());
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        ran.stderr
    };
    let said = |letters: &[&str]| {
        let text = run(letters);
        [text.contains("DEBUG") || text.contains("debug:"), text.contains("none.png")]
    };
    assert_eq!(
        [said(&[]), said(&["-v"]), said(&["-q"]), said(&["-qq"])],
        [[false, true], [true, true], [false, true], [false, false]]
    );
    for wrong in [["-v", "-q"], ["-q", "--log=debug"]] {
        let ran = Cml::alone().run(&[&["comment", "create", "report.md"], &wrong[..]].concat());
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert!(ran.stderr.contains("cannot be used with"), "{ran:#?}");
    }
}

#[test]
fn a_variable_that_is_almost_one_of_ours_is_named() {
    let mut cml = Cml::alone();
    cml.set("CML_COMENT_TARGET", "pr").set("CML_DRVIER", "x").set("CML_OF_SOMEBODY", "1").set("CML_CHECK_TITLE", "t");
    let said = cml.run(&["comment", "create", "none.md"]).stderr;
    for (wrong, right) in [("CML_COMENT_TARGET", "CML_COMMENT_TARGET"), ("CML_DRVIER", "CML_DRIVER")] {
        let warning = format!("{wrong} is not a variable of cml and has no effect; did you mean {right}?");
        assert!(said.contains(&warning), "{said}");
    }
    assert!(!said.contains("SOMEBODY") && !said.contains("CHECK"), "{said}");
}

#[test]
fn the_version_is_told_after_any_command() {
    let version = alone().run(&["--version"]).ok();
    assert!(is_version(&version), "{version}");
    for line in ["--version", "-V", "comment --version", "comment create --version", "send-comment --version", "pr -V"]
    {
        assert_eq!(alone().run(&line.split(' ').collect::<Vec<_>>()).ok(), version, "{line}");
    }
    // A pipeline's own variable of that name is no option.
    assert!(alone().set("CML_VERSION", "1").run(&["comment", "create", "none.md"]).stderr.contains("none.md"));
}

#[test]
fn only_a_terminal_has_colours() {
    let (wrong, strange, help) = (["comment", "create", "none.md"], ["comment", "create", "--strange"], ["--help"]);
    let coloured = |cml: &Cml, args: &[&str], on| shown(cml, args, 80, on);
    let (screen, _) = coloured(&alone(), &wrong, On::Both);
    assert!(screen.contains(&format!("{RED}cannot read the report none.md")), "{screen:?}");
    assert!(screen.contains("\n\x1b[1;36mhint:\x1b[0m check the path"), "{screen:?}");
    assert!(coloured(&alone(), &strange, On::Both).0.contains("\x1b["));
    assert!(coloured(&alone(), &help, On::Both).0.contains("\x1b[1m\x1b[32mExamples:\x1b[0m"));
    // Each stream for itself.
    let (screen, pipe) = coloured(&alone(), &help, On::Output);
    assert!(screen.contains("\x1b[") && pipe.is_empty(), "{screen:?}");
    let (screen, pipe) = coloured(&alone(), &help, On::Error);
    assert!(screen.is_empty() && !pipe.contains('\x1b') && pipe.contains("Examples:"), "{pipe:?}");
    let (screen, pipe) = coloured(&alone(), &wrong, On::Output);
    assert!(screen.is_empty() && pipe.starts_with("error: "), "{pipe:?}");
    for args in [&wrong[..], &strange, &help] {
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", ""), ("CLICOLOR", "0")] {
            let (screen, _) = coloured(alone().set(name, value), args, On::Both);
            assert!(!screen.contains('\x1b') && !screen.is_empty(), "{name}={value}: {screen:?}");
        }
        let ran = alone().run(args);
        assert!(!(ran.stdout + &ran.stderr).contains('\x1b'), "{args:?}");
        let ran = alone().set("CLICOLOR_FORCE", "1").run(args);
        assert!((ran.stdout + &ran.stderr).contains('\x1b'), "{args:?}");
        let ran = alone().set("CLICOLOR_FORCE", "1").set("NO_COLOR", "1").run(args);
        assert!(!(ran.stdout + &ran.stderr).contains('\x1b'), "{args:?}");
    }
}

#[test]
fn progress_leaves_the_screen_before_the_result() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitLab);
    cml.set("TERM", "xterm").file("plot.png", png(1));
    cml.file("report.md", "![](plot.png)");
    let (screen, _) = shown(&cml, &["comment", "create", "report.md"], 80, On::Both);
    let result = screen.rfind("http").unwrap();
    assert!(screen[..result].contains("publishing "), "{screen:?}");
    assert!(screen[..result].ends_with("\r\x1b[K") || screen[..result].ends_with('\n'), "{screen:?}");
    let (screen, _) = shown(cml.set("TERM", "dumb"), &["comment", "create", "report.md"], 80, On::Both);
    assert!(!screen.contains('\x1b') && !screen.contains("publishing "), "{screen:?}");
    let (screen, _) = shown(cml.set("TERM", "xterm"), &["comment", "create", "report.md", "--log=json"], 80, On::Error);
    assert!(!screen.contains('\x1b') && !screen.contains("publishing "), "{screen:?}");
}

/// The lines of a log, each an object; their keys are in order.
fn objects(text: &str) -> Vec<serde_json::Value> {
    let object = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(value.to_string(), line);
        value
    };
    text.lines().map(object).collect()
}

#[test]
fn json_is_one_object_a_line() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("REPO_TOKEN", "good").file("report.md", "a\n\n![](none.png)\n");
    let run = |cml: &Cml, log: &str| cml.run(&["comment", "create", "report.md", "--log", log]);
    let ran = run(&cml, "json");
    let told = objects(&ran.stderr);
    assert!(ran.ok().starts_with("http"));
    assert!(
        told.iter().any(|line| line["level"] == "warn" && line["file"] == "report.md" && line["line"] == 3),
        "{told:?}"
    );
    assert!(told.iter().all(|line| line["level"] != "debug" && line["message"].is_string()), "{told:?}");
    assert!(objects(&run(&cml, "json:debug").stderr).iter().any(|line| line["level"] == "debug"));
    assert_eq!(run(&cml, "json:error").stderr, "");
    // The variable, for what is wrong with the command line too.
    cml.set("CML_LOG", "json");
    for (args, kind, message) in [
        (&["comment", "create", "none.md"][..], "config", "cannot read the report none.md"),
        (&["comment", "create"], "usage", "the following required arguments were not provided: <REPORT>"),
        (&["coment"], "usage", "unrecognized subcommand 'coment'"),
        (&["comment", "create", "report.md", "--target", "x"], "usage", ""),
    ] {
        let ran = cml.run(args);
        let told = objects(&ran.stderr);
        assert_eq!((told.len(), ran.stdout.as_str()), (1, ""), "{ran:#?}");
        assert_eq!((&told[0]["level"], &told[0]["kind"]), (&"error".into(), &kind.into()), "{ran:#?}");
        assert!(told[0]["message"].as_str().unwrap().starts_with(message), "{ran:#?}");
    }
    let told = objects(&cml.run(&["workflo"]).stderr);
    assert_eq!(told[0]["hint"], "a similar subcommand exists: 'workflow'");
    let told = objects(&cml.run(&["send-comment", "none.md"]).stderr);
    assert_eq!(
        (&told[0]["level"], &told[1]["hint"]),
        (&"warn".into(), &"check the path: it is relative to the current directory".into())
    );
}

#[test]
fn a_log_in_json_keeps_secrets() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitLab);
    let secret = "a\"quoted\\secret-0123456789";
    let ran = cml.set("REPO_TOKEN", secret).run(&["comment", "create", "report.md", "--log", "json:debug"]);
    assert_eq!(ran.code, Some(4), "{ran:#?}");
    assert!(!objects(&ran.stderr).is_empty() && !ran.stderr.contains("quoted"), "{ran:#?}");
}

#[test]
fn old_names_are_found_behind_global_options() {
    for args in [
        &["--log", "debug", "send-comment"][..],
        &["--driver", "local", "send-comment"],
        &["--token=t", "send-comment"],
    ] {
        let ran = alone().run(&[args, &["none.md"]].concat());
        assert!(ran.stderr.contains("\"cml send-comment\" is deprecated"), "{ran:#?}");
        ran.fails(3, "cannot read the report none.md (*)", "check the path: it is relative to the current directory");
    }
}

#[test]
fn an_unknown_log_is_refused() {
    let ran = alone().run(&["comment", "create", "report.md", "--log", "yaml"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("[possible values: error, warn, info, debug, json, json:debug]"), "{ran:#?}");
}
