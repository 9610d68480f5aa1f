//! The GitHub Action in workflows: `uses:`, inputs, outputs and events, by act on Node 24.

mod attacks;
mod container;
mod examples;
mod failures;
mod recipes;

use crate::support::act::Consumer;
use crate::support::fake::{Forge, Kind, PullRequest, Target, Vendor};
use crate::support::png;
use crate::support::prism::Prism;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const GITHUB: Vendor = Vendor::GitHub;

/// The body of the only comment.
#[track_caller]
fn only(forge: &Forge, target: &Target) -> String {
    let mut live = forge.live_comments(GITHUB, target);
    assert_eq!(live.len(), 1, "{}", forge.transcript());
    live.remove(0).body
}

/// What ends any process of Node that reaches for the network.
const GUARD: &str = r"
const refuse = (what) => () => {
  require('node:fs').writeSync(2, `reached for the network by ${what}\n`);
  process.exit(99);
};
const ways = {
  net: ['connect', 'createConnection'], tls: ['connect'], dns: ['lookup', 'resolve', 'resolve4', 'resolve6'],
  http: ['request', 'get'], https: ['request', 'get'], http2: ['connect'], dgram: ['createSocket'],
};
for (const [name, functions] of Object.entries(ways)) {
  const module = require(`node:${name}`);
  for (const way of functions) module[way] = refuse(`${name}.${way}`);
}
for (const way of ['lookup', 'resolve']) require('node:dns').promises[way] = refuse(`dns.promises.${way}`);
require('node:net').Socket.prototype.connect = refuse('net.Socket');
globalThis.fetch = refuse('fetch');
";

fn guarded(consumer: &mut Consumer) {
    let path = consumer.path("guard.js");
    std::fs::write(&path, GUARD).unwrap();
    consumer.set("NODE_OPTIONS", &format!("--require={}", path.display()));
}

#[test]
fn setting_up_puts_every_name_on_path_without_any_network() {
    let Some(mut consumer) = Consumer::new() else { return };
    guarded(&mut consumer);
    let alone = consumer.go_offline();
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  id: cml
- run: |
    cml --version > "$OUT/version"
    cml-send-comment --help > "$OUT/help"
    for name in cml cml-send-comment cml-send-github-check cml-publish cml-tensorboard-dev cml-runner cml-pr; do
      command -v "$name"
    done > "$OUT/names"
    echo '${{ steps.cml.outputs.version }}' > "$OUT/output"
    cat /proc/net/dev > "$OUT/interfaces" || true
"#,
    );
    let done = consumer.pull_request().ok();
    assert_eq!(done.annotations(), [], "{done}");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(consumer.out("version"), format!("cml {version}\n"));
    assert_eq!(consumer.out("output"), format!("{version}\n"));
    assert!(consumer.out("help").contains("--watermark-title"), "{}", consumer.out("help"));
    let folder = format!("/setup-cml-rs/{version}/bin/");
    let names = consumer.out("names");
    assert!(names.lines().count() == 7 && names.lines().all(|name| name.contains(&folder)), "{names}");
    let interfaces: Vec<String> = consumer.out("interfaces").lines().skip(2).map(str::to_owned).collect();
    assert!(!alone || interfaces.iter().all(|line| line.trim().starts_with("lo:")), "{interfaces:?}");
}

#[test]
fn the_guard_against_the_network_bites() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    guarded(&mut consumer);
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
- id: report
  run: cml comment create report.md 2> "$OUT/log"
  env: { REPO_TOKEN: '${{ secrets.GITHUB_TOKEN }}' }
"#,
    );
    let done = consumer.pull_request().failed();
    assert_eq!(done.step("report"), "failure", "{done}");
    // Under load act loses the last lines of a step that fails.
    assert!(consumer.out("log").contains("reached for the network by http.request"), "{done}");
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

#[test]
fn a_later_step_comments_with_the_token_in_its_environment() {
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
- id: report
  run: cml comment create report.md > "$OUT/url"
  env: { REPO_TOKEN: '${{ secrets.GITHUB_TOKEN }}' }
- id: without
  run: cml comment create report.md 2> "$OUT/log"
"#,
    );
    let done = consumer.pull_request().failed();
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Report\n\nAccuracy: **0.99**\n"), "{body}");
    let id = forge.comments(GITHUB, &Target::Pull(7))[0].id;
    assert_eq!(consumer.out("url"), format!("{}/octo/model/pull/7#issuecomment-{id}\n", forge.url()));
    assert_eq!(done.summary("report"), "# Report\n\nAccuracy: **0.99**\n\n\n");
    // The action's own token was for its own step.
    assert!(consumer.out("log").contains("error: no token found for GitHub"), "{done}");
}

#[test]
fn the_step_itself_comments_and_hands_its_address_on() {
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.file("report.md", "# Report\n\n![](plot.png)\n");
    consumer.file("plot.png", png(1));
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  id: report
  with: { command: comment update, report: report.md, watermark-title: '{workflow} on ${{ runner.os }}' }
- run: echo '${{ steps.report.outputs.comment-url }}' > "$OUT/url"
- uses: org/setup-cml-rs@v1
  id: again
  with:
    command: cml comment update --rm-watermark=false
    report: report.md
    watermark-title: '{workflow} on ${{ runner.os }}'
    publish: false
    no-summary: true
- run: echo '${{ steps.again.outputs.comment-url }}' > "$OUT/again"
"#,
    );
    let done = consumer.pull_request().ok();
    assert_eq!(done.annotations(), [], "{done}");
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Report\n\n![](plot.png)\n"), "the second was told not to publish: {body}");
    assert!(body.contains("CML watermark train on Linux"), "{body}");
    assert_eq!(forge.refs().keys().filter(|name| *name == "refs/cml/assets").count(), 1, "{:?}", forge.refs());
    let id = forge.comments(GITHUB, &Target::Pull(7))[0].id;
    let url = format!("{}/octo/model/pull/7#issuecomment-{id}\n", forge.url());
    assert_eq!((consumer.out("url"), consumer.out("again")), (url.clone(), url));
    assert!(done.summary("report").starts_with("# Report") && done.summary("again").is_empty(), "{done}");
}

#[test]
fn jobs_of_a_matrix_share_one_comment() {
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.job(
        "strategy: { matrix: { python: ['3.9', '3.10', '3.11'] } }",
        r#"
- run: "echo 'Accuracy with ${{ matrix.python }}: 0.9' > report.md"
- uses: org/setup-cml-rs@v1
  with: { command: comment update, report: report.md, section: '${{ matrix.python }}' }
"#,
    );
    let done = consumer.pull_request().ok();
    assert_eq!(done.jobs(""), 3, "{done}");
    let body = only(&forge, &Target::Pull(7));
    let places = ["3.9", "3.10", "3.11"].map(|python| body.find(&format!("Accuracy with {python}: 0.9")));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{body}");
}

/// A push of the repository's own commit to a branch.
fn push(consumer: &Consumer, branch: &str) -> Value {
    let sha = consumer.commit();
    json!({ "ref": format!("refs/heads/{branch}"), "after": sha, "head_commit": { "id": sha } })
}

#[test]
fn a_push_comments_on_its_pull_request_or_else_on_the_commit() {
    let steps = r#"
- uses: org/setup-cml-rs@v1
  with: { command: comment create, report: report.md }
"#;
    for (by_commit, on) in [(true, Target::Pull(11)), (false, Target::Pull(7))] {
        let forge = Forge::start();
        let Some(consumer) = Consumer::on(&forge) else { return };
        consumer.steps(steps);
        let event = push(&consumer, "feature");
        if by_commit {
            let sha = event["after"].as_str().unwrap();
            forge.add_pull_request(GITHUB, PullRequest::open(11, sha, "other"));
        }
        consumer.run("push", &event).ok();
        assert!(only(&forge, &on).starts_with("# Report"), "{}", forge.transcript());
    }
    let forge = Forge::start();
    let Some(consumer) = Consumer::on(&forge) else { return };
    consumer.steps(steps);
    consumer.branch("main");
    let event = push(&consumer, "main");
    let sha = event["after"].as_str().unwrap().to_owned();
    forge.add_commit(GITHUB, &sha);
    consumer.run("push", &event).ok();
    assert!(only(&forge, &Target::Commit(sha)).starts_with("# Report"), "{}", forge.transcript());
}

#[test]
fn the_pull_request_of_a_fork_is_told_what_to_do_and_has_its_summary() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    consumer.token = "readonly".into();
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  id: report
  with: { command: comment update, report: report.md }
"#,
    );
    let done = consumer.refused("visitor/model");
    let (kind, about, text) = done.annotation();
    assert_eq!((kind.as_str(), about.as_str()), ("error", ""));
    assert_eq!(
        text,
        "the token is read-only because this run is for a pull request from a fork\n\
         hint: publish the report from a second workflow on workflow_run (see docs/forks.md); until then it is in the job summary"
    );
    assert_eq!(done.summary("report"), "# Report\n\nAccuracy: **0.99**\n\n\n");
    assert_eq!(forge.comments(GITHUB, &Target::Pull(7)).len(), 0);
}

#[test]
fn github_describes_all_that_a_workflow_asks_of_it() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    let Some(prism) = Prism::guarding(Vendor::GitHub, &forge) else { return };
    consumer.api(&prism.api());
    consumer.file("report.md", "# Report\n\n![](plot.png)\n");
    consumer.file("plot.png", png(1));
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  with: { command: comment update, report: report.md }
- uses: org/setup-cml-rs@v1
  with: { command: comment update --delete-previous, report: report.md }
"#,
    );
    consumer.pull_request().ok();
    consumer.run("push", &push(&consumer, "feature")).ok();
    assert_eq!(prism.violations(GITHUB.slug()), Vec::<String>::new(), "{}", forge.transcript());
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Report\n\n![]("), "{}", forge.transcript());
}

#[test]
fn the_native_program_comes_from_the_release_of_the_action() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    let program = "#!/bin/sh\necho \"native $*\"\n";
    let sha256: String = Sha256::digest(program).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let record = json!({ "files": { key: { "name": "cml", "sha256": sha256 } } });
    std::fs::write(consumer.path("action/dist/native.json"), record.to_string()).unwrap();
    let release = format!("GET /org/setup-cml-rs/releases/download/v{}/cml$", env!("CARGO_PKG_VERSION"));
    forge.fault(&release, 1, Kind::answer(200, &[], program));
    // Of the machine, and so of later jobs.
    let cache = consumer.path("tools").display().to_string();
    consumer.set("RUNNER_TOOL_CACHE", &cache);
    consumer.steps(
        r#"
- uses: org/setup-cml-rs@v1
  with: { native: true }
- run: cml comment create report.md >> "$OUT/said"
- run: cml-send-comment report.md >> "$OUT/said"
"#,
    );
    for _ in 0..2 {
        let done = consumer.pull_request().ok();
        assert_eq!(done.annotations(), [], "{done}");
    }
    let said = "native comment create report.md\nnative send-comment report.md\n";
    assert_eq!((consumer.out("said"), forge.requests().len()), (said.repeat(2), 1), "{}", forge.transcript());
}
