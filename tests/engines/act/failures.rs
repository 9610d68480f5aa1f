//! What a workflow shows when a step fails or warns: annotations, conclusions, masks.

use super::GITHUB;
use crate::support::act::Consumer;
use crate::support::fake::{Forge, Target};
use crate::support::{native, png};

/// A step that fails: its inputs, and the annotation.
const REFUSED: &[(&str, &str)] = &[
    (
        "command: comment update, report: missing.md",
        "cannot read the report missing.md (No such file or directory (os error 2))\n\
         hint: check the path: it is relative to the current directory",
    ),
    (
        "command: comment create, report: report.md, watch: true",
        "unknown input watch for the action\n\
         hint: the step would never end: set cml up, and run `cml comment update --watch report.md &`, \
         or `cml tensorboard connect --watch … &`, in a later step",
    ),
    (
        "command: comment create --watch, report: report.md",
        "--watch is not supported in the action's own step\n\
         hint: the step would never end: set cml up, and run `cml comment update --watch report.md &`, \
         or `cml tensorboard connect --watch … &`, in a later step",
    ),
    (
        "command: comment, report: report.md",
        "the input command is incomplete: cml comment\nhint: add one of: create or update",
    ),
    (
        "report: report.md",
        "the input report is set without a command\n\
         hint: add a command, for instance command: comment update, or remove it",
    ),
    (
        "command: 'comment create \"report.md'",
        "the input command has an unclosed quote: comment create \"report.md\nhint: close the quote",
    ),
    ("command: comment update, report: report.md, timeout: soon", "invalid value 'soon' for '--timeout <SECONDS>'"),
    ("command: coment update, report: report.md", "unrecognized subcommand 'coment'"),
    (
        "command: comment update, report: report.md, native: true",
        "the input native is for later steps, but this step has a command\n\
         hint: use two steps: one that sets cml up and one with run: cml …",
    ),
    ("vega: maybe", "the input vega is maybe\nhint: it takes true, false or auto"),
];

#[test]
fn a_step_that_fails_says_why_in_one_annotation_and_the_job_fails() {
    std::thread::scope(|scope| {
        for (inputs, text) in REFUSED {
            scope.spawn(move || {
                let forge = Forge::start();
                let Some(consumer) = Consumer::on(&forge) else { return };
                let step = format!("- uses: org/setup-cml-rs@v1\n  id: cml\n  with: {{ {inputs} }}");
                let after = "- run: touch \"$OUT/after\"\n- if: failure()\n  run: touch \"$OUT/failure\"";
                consumer.steps(&format!("{step}\n{after}"));
                let done = consumer.refused(GITHUB.slug());
                assert_eq!(done.step("cml"), "failure", "{inputs}: {done}");
                let (kind, about, told) = done.annotation();
                assert_eq!((kind.as_str(), about.as_str()), ("error", ""), "{inputs}");
                assert!(told.starts_with(text), "{inputs}: {told}");
                assert!(consumer.path("out/failure").exists() && !consumer.path("out/after").exists(), "{done}");
                assert_eq!(forge.requests().len(), 0, "{inputs}: {}", forge.transcript());
            });
        }
    });
}

#[test]
fn a_step_that_may_fail_lets_the_job_go_on() {
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  id: cml
  continue-on-error: true
  with: { command: comment update, report: missing.md }
- run: echo '${{ steps.cml.outcome }} ${{ steps.cml.conclusion }} <${{ steps.cml.outputs.comment-url }}>' > "$OUT/cml"
"#,
    );
    let done = consumer.pull_request().ok();
    assert_eq!(consumer.out("cml"), "failure success <>\n", "{done}");
    assert_eq!(done.annotation().0, "error");
}

#[test]
fn a_missing_image_is_a_warning_at_its_line() {
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.file("reports/a,b.md", "# Report\n\n![](here.png)\n\n![](gone.png)\n");
    consumer.file("reports/here.png", png(1));
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  with: { command: comment update, report: 'reports/a,b.md' }
"#,
    );
    let done = consumer.pull_request().ok();
    let (kind, about, text) = done.annotation();
    assert_eq!((kind.as_str(), about.as_str()), ("warning", "file=reports/a,b.md,line=5"), "{done}");
    assert!(text.contains("gone.png"), "{text}");
    assert_eq!(forge.live_comments(GITHUB, &Target::Pull(7)).len(), 1, "{}", forge.transcript());
}

#[test]
fn a_token_that_is_no_secret_of_the_repository_is_masked_all_the_same() {
    const TOKEN: &str = "hunter2-0123456789abcdef";
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.file("token", TOKEN);
    consumer.steps(&format!(
        "- id: before\n  run: cut -c 1-7 token\n\
         - uses: org/setup-cml-rs@v1\n  id: cml\n  continue-on-error: true\n  \
         with: {{ command: comment update, report: report.md, token: {TOKEN}, log: debug }}\n\
         - id: after\n  run: cat token"
    ));
    let done = consumer.pull_request().ok();
    assert_eq!((done.said("before").as_str(), done.said("after").trim()), ("hunter2\n", "***"), "{done}");
    let (_, _, text) = done.annotation();
    let told = "GitHub does not accept the token (Bad credentials)\n\
                hint: check the token in with: token: it may have expired, been revoked or been cut off";
    assert_eq!(text, told);
    assert!(done.said("cml").contains("debug: "), "{done}");
    done.hides(TOKEN);
}

#[test]
fn a_run_repeated_with_debug_logging_tells_each_request() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    consumer.set("RUNNER_DEBUG", "1");
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  id: cml
  with: { command: comment update, report: report.md }
"#,
    );
    let done = consumer.pull_request().ok();
    assert!(done.said("cml").matches("debug: ").count() >= forge.requests().len(), "{done}");
}

#[test]
fn a_report_gives_the_runner_no_commands() {
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.program("cml", &format!("exec '{}' \"$@\"\n", native().display()));
    let names = ["::set-output name=owned::yes", "::add-mask::e", "##[add-mask]o", "::stop-commands::x"];
    let images: String = names.iter().map(|name| format!("\n![](<a&#10;{name}>)\n")).collect();
    consumer.file("report.md", format!("# Of a stranger\n{images}"));
    consumer.steps(
        r#"
- id: plain
  run: cml comment update report.md
  env: { REPO_TOKEN: '${{ github.token }}' }
- uses: org/setup-cml-rs@v1
  id: step
  with: { command: comment update, report: report.md }
- run: echo '${{ steps.plain.outputs.comment-url }} <${{ steps.plain.outputs.owned }}>' > "$OUT/outputs"
"#,
    );
    let done = consumer.pull_request().ok();
    let id = forge.comments(GITHUB, &Target::Pull(7))[0].id;
    let url = format!("{}/octo/model/pull/7#issuecomment-{id}", forge.url());
    assert_eq!(consumer.out("outputs"), format!("{url} <>\n"), "{done}");
    // The program's own: the output and the summary, and in the action's step the mask and the warnings.
    assert_eq!(done.commands("plain"), ["set-output", "summary"], "{done}");
    let warnings = vec!["warning"; names.len()];
    assert_eq!(done.commands("step"), [vec!["add-mask"], warnings, vec!["set-output", "summary"]].concat(), "{done}");
}
