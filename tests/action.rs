//! The action's step by itself, as the runner starts it: `node dist/index.js` with inputs in the environment, and
//! the launchers that it leaves for the later steps.

mod cloud;
mod native;
mod vega;
mod windows;

use crate::support::Ran;
use crate::support::fake::{Forge, Target, Vendor};
use crate::support::node::Runner;
use std::process::Stdio;
use std::time::Duration;

const SECRET: &str = "hunter2-0123456789abcdef";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A step that failed: its exit code, and the one annotation, which is all that it printed.
#[track_caller]
fn refused(ran: &Ran, code: i32, text: &str) {
    assert_eq!((ran.code, ran.stdout.trim_end()), (Some(code), format!("::error::{text}").as_str()), "{ran:#?}");
    assert_eq!(ran.stderr, "", "{ran:#?}");
}

#[test]
fn folders_of_any_name_give_launchers_that_work() {
    let action = r#"_actions/org's "cml" $HOME `id` \v1/%PATH%"#;
    let Some(runner) = Runner::named(action, r#"_temp; it's $(id) "x" \"#) else { return };
    runner.uses(&[]).ok();
    let bin = runner.temp.join("setup-cml-rs").join(VERSION).join("bin");
    assert_eq!(runner.read("GITHUB_PATH"), format!("{}\n", bin.display()));
    assert!(runner.read("GITHUB_OUTPUT").contains(&format!("\n{VERSION}\n")), "{}", runner.read("GITHUB_OUTPUT"));
    assert_eq!(runner.run("cml --version").ok(), format!("cml {VERSION}\n"));
    for (old, new) in [("cml-send-comment", "cml comment create"), ("cml send-comment", "cml comment create")] {
        let help = runner.run(&format!("{old} --help")).ok();
        assert!(help.contains(&format!("Usage: {new} ")), "{help}");
    }
}

#[test]
fn words_exit_codes_and_output_pass_through_the_launcher() {
    let Some(runner) = Runner::new() else { return };
    runner.uses(&[]).ok();
    let name = r#"it's "$HOME" `id` * \ é %PATH%.md"#;
    runner.run(&format!("cml comment create --driver local -- '{}'", name.replace('\'', r"'\''"))).fails(
        3,
        // It has an asterisk.
        &format!("no file matches {name}"),
        "check the pattern: it is relative to the current directory",
    );
    // What the file is for: it is read, and then there is no forge.
    std::fs::write(runner.path("work").join(name), "# Any name\n").unwrap();
    let page = runner.run(&format!("cml-send-comment --driver local '{}'", name.replace('\'', r"'\''")));
    assert!(page.stderr.contains("deprecated"), "{page:?}");
    page.fails(7, "the GitHub Action's build has no local preview", "set REPO_TOKEN *");
    for (line, code) in [("cml", 2), ("cml comment create", 2), ("cml --version", 0), ("cml-pr", 2)] {
        assert_eq!(runner.run(line).code, Some(code), "{line}");
    }
    let piped =
        runner.run("printf 'from a pipe\\nNUL: \\0\\n' | cml comment create --driver local /dev/stdin 2>&1 | cat").ok();
    assert!(piped.contains("has a NUL byte (line 2)"), "{piped}");
}

#[test]
fn a_signal_for_the_launcher_is_one_for_the_program() {
    let forge = Forge::start();
    let Some(mut runner) = Runner::new() else { return };
    runner.set("GITHUB_SERVER_URL", forge.url()).set("GITHUB_API_URL", &forge.api(Vendor::GitHub));
    runner.set("REPO_TOKEN", "good");
    runner.uses(&[]).ok();
    std::fs::write(runner.path("work").join("report.md"), "# Report\n").unwrap();
    let ran = runner.run(
        "cml comment update --watch --target pr/7 report.md > page & child=$!\n\
         until test -s page; do sleep 0.05; done\n\
         kill -TERM $child\n\
         wait $child",
    );
    assert_eq!(ran.code, Some(0), "{ran:#?}");
}

#[test]
fn a_step_outside_of_a_workflow_says_what_is_missing() {
    let Some(mut runner) = Runner::new() else { return };
    let path = runner.env.remove("GITHUB_PATH").unwrap();
    let hint = "hint: this is the step of a GitHub workflow: uses: org/setup-cml-rs@v1";
    refused(&runner.uses(&[]), 3, &format!("GITHUB_PATH is not set; cannot add cml to PATH%0A{hint}"));
    runner.set("GITHUB_PATH", &path).env.remove("RUNNER_TEMP");
    let hint = "hint: on the command line pass the program's name: node index.js cml …";
    refused(&runner.uses(&[]), 3, &format!("RUNNER_TEMP is not set; this is not a step of a GitHub workflow%0A{hint}"));
    assert_eq!(runner.read("GITHUB_PATH"), "");
}

#[test]
fn inputs_of_the_action_are_checked_before_anything_is_done() {
    let Some(runner) = Runner::new() else { return };
    let takes = "hint: it takes true, false or auto";
    for (name, value) in [("vega", "maybe"), ("native", "sometimes")] {
        refused(&runner.uses(&[(name, value)]), 2, &format!("the input {name} is {value}%0A{takes}"));
    }
    let token = "unknown input driver-token for the action%0Ahint: the input is called token";
    let ran = runner.uses(&[("command", "comment create"), ("report", "r.md"), ("driver-token", SECRET)]);
    refused(&ran, 2, token);
    assert_eq!((runner.read("GITHUB_PATH"), runner.temp.read_dir().unwrap().count()), (String::new(), 0));
}

#[test]
fn the_version_of_cml_that_somebody_asked_for_is_a_warning() {
    let Some(runner) = Runner::new() else { return };
    for ours in ["latest", VERSION, &format!("v{VERSION}"), ""] {
        assert_eq!(runner.uses(&[("version", ours)]).ok(), "", "{ours}");
    }
    let warning = format!(
        "::warning::the input version is v0.20.6, but this is {VERSION}; choose the version in uses: org/setup-cml-rs@v{VERSION}\n"
    );
    assert_eq!(runner.uses(&[("version", "v0.20.6")]).ok(), warning);
    assert_eq!(runner.run("cml --version").ok(), format!("cml {VERSION}\n"));
}

#[test]
fn a_repeated_set_up_changes_nothing() {
    let Some(runner) = Runner::new() else { return };
    for _ in 0..2 {
        runner.uses(&[("vega", "false")]).ok();
    }
    let names: Vec<String> = {
        let bin = runner.temp.join("setup-cml-rs").join(VERSION).join("bin");
        bin.read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let expected = [
        "cml",
        "cml-pr",
        "cml-publish",
        "cml-runner",
        "cml-send-comment",
        "cml-send-github-check",
        "cml-tensorboard-dev",
    ];
    assert_eq!(sorted, expected);
}

/// The command lines of all processes, where the system shows them as files.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

#[test]
fn no_list_of_processes_shows_the_token() {
    let forge = Forge::start();
    forge.latency(Duration::from_millis(400));
    let Some(mut runner) = Runner::new() else { return };
    let api = forge.api(Vendor::GitHub);
    runner.set("GITHUB_SERVER_URL", forge.url()).set("GITHUB_API_URL", &api);
    std::fs::write(runner.path("work").join("report.md"), "# Report\n").unwrap();
    let inputs = [("command", "comment create"), ("report", "report.md"), ("target", "pr/7"), ("token", SECRET)];
    let mut child = runner.step(&inputs).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut seen, mut shown) = (0, Vec::new());
    while child.try_wait().unwrap().is_none() {
        let lines = command_lines();
        seen += lines.iter().filter(|line| line.contains(&*runner.action.to_string_lossy())).count();
        shown.extend(lines.into_iter().filter(|line| line.contains(SECRET)));
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(shown, Vec::<String>::new());
    assert!(seen > 0 || !cfg!(target_os = "linux"), "the step was not seen among the processes");
    // It was used all the same, and the log has it in the line only that masks it.
    let used = forge.requests().iter().all(|r| r.header("authorization").is_some_and(|value| value.contains(SECRET)));
    assert!(used && !forge.requests().is_empty() && output.status.code() == Some(4), "{out}{err}");
    assert_eq!((out.matches(SECRET).count(), err.matches(SECRET).count()), (1, 0), "{out}{err}");
    assert!(out.contains(&format!("::add-mask::{SECRET}\n")), "{out}");
}

#[test]
fn a_token_of_the_environment_goes_before_the_inputs() {
    let forge = Forge::start();
    let Some(mut runner) = Runner::new() else { return };
    runner.set("GITHUB_SERVER_URL", forge.url()).set("GITHUB_API_URL", &forge.api(Vendor::GitHub));
    runner.set("REPO_TOKEN", "good");
    std::fs::write(runner.path("work").join("report.md"), "# Report\n").unwrap();
    let inputs = [("command", "comment create"), ("report", "report.md"), ("target", "pr/7"), ("token", SECRET)];
    let ran = runner.uses(&inputs);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(forge.live_comments(Vendor::GitHub, &Target::Pull(7)).len(), 1, "{}", forge.transcript());
    assert!(runner.read("GITHUB_OUTPUT").starts_with("comment-url<<"), "{}", runner.read("GITHUB_OUTPUT"));
    assert!(runner.read("GITHUB_STEP_SUMMARY").starts_with("# Report\n"));
}
