//! Spellings that stand in users' workflows: those of CML's READMEs, tutorials and example repositories, old and older.
//! Each does what the spelling of today does, request by request, and says once what that is.
//!
//! A row is a line of a shell, with variables in front of it where it has some. `{sha}` is the commit of the run, and
//! `{store}` an asset store.
use crate::support::clone::Clone;
use crate::support::fake::{Forge, HEAD, Phase, Run, Vendor};
use crate::support::{Cml, Ran, VENDORS, executable, is_wasm, png, program};
use std::process::{Command, Stdio};

/// An old spelling, today's, and what is said about the old one.
type Row = (&'static str, &'static str, &'static [&'static str]);

const SEND: &str = "\"cml send-comment\" is deprecated, please use \"cml comment create\"";
const TO_PR: &str = "--pr is deprecated, please use --target=pr";
const TO_COMMIT: &str = "--commit-sha={sha} is deprecated, please use --target=commit/{sha}";

const COMMENT: &[Row] = &[
    ("cml-send-comment report.md", "cml comment create report.md", &[SEND]),
    ("cml send-comment report.md", "cml comment create report.md", &[SEND]),
    ("cml send-comment report.md --update", "cml comment update report.md", &[SEND]),
    ("cml send-comment --pr report.md", "cml comment create --target=pr report.md", &[SEND, TO_PR]),
    ("cml send-comment --pr --update report.md", "cml comment update --target=pr report.md", &[SEND, TO_PR]),
    ("cml send-comment --pr --update --publish report.md", "cml comment update --target=pr report.md", &[SEND, TO_PR]),
    (
        "cml-send-comment --commit-sha {sha} report.md",
        "cml comment create --target=commit/{sha} report.md",
        &[SEND, TO_COMMIT],
    ),
    (
        "cml-send-comment report.md --head-sha {sha}",
        "cml comment create --target=commit/{sha} report.md",
        &[SEND, TO_COMMIT],
    ),
    (
        "cml-send-comment report.md --headSha={sha}",
        "cml comment create --target=commit/{sha} report.md",
        &[SEND, TO_COMMIT],
    ),
    ("cml-send-comment --token good report.md", "cml comment create --driver-token=good report.md", &[SEND]),
    ("cml-send-comment --rm-watermark report.md", "cml comment create --rm-watermark report.md", &[SEND]),
    ("cml-send-comment --rmWatermark true report.md", "cml comment create --rm-watermark report.md", &[SEND]),
    (
        "cml send-comment --watermark-title 'a b' report.md",
        "cml comment create --watermark-title='a b' report.md",
        &[SEND],
    ),
    ("cml send-comment --publish --native report.md", "cml comment create --publish-native report.md", &[SEND]),
    ("cml --log=debug send-comment report.md", "cml --log=debug comment create report.md", &[SEND]),
    ("cml comment create --publish report.md", "cml comment create report.md", &[]),
    ("cml comment create --no-publish report.md", "cml comment create --publish=false report.md", &[]),
    ("cml comment create --publish false report.md", "cml comment create --publish=false report.md", &[]),
    ("cml comment create --pr=false report.md", "cml comment create report.md", &[]),
    ("cml comment update --pr report.md", "cml comment update --target=pr report.md", &[TO_PR]),
    ("cml comment create --update --target=issue/3 report.md", "cml comment update --target=issue/3 report.md", &[]),
    ("REPO_TOKEN= repo_token=good cml-send-comment report.md", "cml comment create report.md", &[SEND]),
    (
        "REPO_TOKEN= CML_TOKEN=good cml-send-comment report.md",
        "CML_DRIVER_TOKEN=good cml comment create report.md",
        &[SEND],
    ),
    (
        "CML_SEND_COMMENT_PUBLISH=false cml send-comment report.md",
        "CML_COMMENT_PUBLISH=false cml comment create report.md",
        &[SEND],
    ),
    (
        "CML_SEND_COMMENT_PUBLISH=true cml-send-comment report.md",
        "CML_COMMENT_PUBLISH=true cml comment create report.md",
        &[SEND],
    ),
    ("CML_SEND_COMMENT_PR=true cml send-comment report.md", "cml comment create --target=pr report.md", &[SEND, TO_PR]),
    ("CML_SEND_COMMENT_UPDATE=true cml comment create report.md", "cml comment update report.md", &[]),
    (
        "CML_SEND_COMMENT_COMMIT_SHA={sha} cml comment create report.md",
        "CML_COMMENT_TARGET=commit/{sha} cml comment create report.md",
        &[TO_COMMIT],
    ),
    (
        "CML_COMMENT_HEAD_SHA={sha} cml comment create report.md",
        "cml comment create report.md --target=commit/{sha}",
        &[TO_COMMIT],
    ),
];

const CHECKING: &str = "\"cml send-github-check\" is deprecated, please use \"cml check create\"";

const CHECK: &[Row] = &[
    ("cml-send-github-check report.md", "cml check create report.md", &[CHECKING]),
    ("cml send-github-check report.md", "cml check create report.md", &[CHECKING]),
    ("cml-send-github-check report.md --head-sha {sha}", "cml check create report.md --commit-sha={sha}", &[CHECKING]),
    (
        "cml send-github-check --token good --title 'CML test' --conclusion failure report.md",
        "cml check create --driver-token=good --title='CML test' --conclusion=failure report.md",
        &[CHECKING],
    ),
    (
        "cml send-github-check --status=in_progress report.md",
        "cml check create --status=in_progress report.md",
        &[CHECKING],
    ),
    (
        "CML_SEND_GITHUB_CHECK_TITLE=t CML_SEND_GITHUB_CHECK_CONCLUSION=neutral cml-send-github-check report.md",
        "CML_CHECK_TITLE=t CML_CHECK_CONCLUSION=neutral cml check create report.md",
        &[CHECKING],
    ),
    (
        "CML_SEND_GITHUB_CHECK_HEAD_SHA={sha} cml check create report.md",
        "CML_CHECK_COMMIT_SHA={sha} cml check create report.md",
        &[],
    ),
];

const PUBLISH: &str = "\"cml publish\" is deprecated, please use \"cml asset publish\"";
const UPLOADS: &str = "--gitlab-uploads is deprecated, please use --publish-native";

const ASSET: &[Row] = &[
    ("cml-publish plot.png", "cml asset publish plot.png", &[PUBLISH]),
    ("cml-publish plot.png --md", "cml asset publish plot.png --md", &[PUBLISH]),
    ("cml publish --md plot.png", "cml asset publish --md plot.png", &[PUBLISH]),
    (
        "cml publish plot.png --md --title='Confusion Matrix'",
        "cml asset publish --md --title='Confusion Matrix' plot.png",
        &[PUBLISH],
    ),
    (
        "cml-publish plot.png --md --title  'confusion-matrix'",
        "cml asset publish --md --title=confusion-matrix plot.png",
        &[PUBLISH],
    ),
    ("cml-publish plot.png -t x --md", "cml asset publish plot.png --md --title=x", &[PUBLISH]),
    // CML writes the file anew, where its help says append.
    ("cml-publish plot.png --md --file report.md", "cml asset publish plot.png --md --file=report.md", &[PUBLISH]),
    ("cml-publish plot.png --md -f report.md", "cml asset publish plot.png --md --file=report.md", &[PUBLISH]),
    (
        "cml-publish plot.png --md --gitlab-uploads",
        "cml asset publish plot.png --md --publish-native",
        &[PUBLISH, UPLOADS],
    ),
    ("cml publish --gitlabUploads plot.png", "cml asset publish plot.png --publish-native", &[PUBLISH, UPLOADS]),
    ("cml publish --native plot.png", "cml asset publish plot.png --publish-native", &[PUBLISH]),
    ("cml publish --mime-type=image/x-own plot.png", "cml asset publish plot.png --mime-type=image/x-own", &[PUBLISH]),
    ("cml publish --rm-watermark plot.png", "cml asset publish plot.png", &[PUBLISH]),
    ("cml publish --url={store} plot.png", "cml asset publish --publish-url={store} plot.png", &[PUBLISH]),
    ("CML_PUBLISH_MD=true cml-publish plot.png", "CML_ASSET_MD=true cml asset publish plot.png", &[PUBLISH]),
    (
        "CML_PUBLISH_URL={store} cml publish plot.png",
        "CML_ASSET_PUBLISH_URL={store} cml asset publish plot.png",
        &[PUBLISH],
    ),
    ("CML_ASSET_URL={store} cml asset publish plot.png", "cml asset publish plot.png --publish-url={store}", &[]),
];

const BOARD: &str = "\"cml tensorboard-dev\" is deprecated, please use \"cml tensorboard connect\"";
const GONE: &str =
    "--credentials and TB_CREDENTIALS have no effect: tensorboard.dev was shut down, and the logs are read locally";

/// CML prints the address of a page on tensorboard.dev; that is gone, and what is printed are the curves.
const TENSORBOARD: &[Row] = &[
    (
        "cml-tensorboard-dev --logdir logs --name 'Go to tensorboard' --md",
        "cml tensorboard connect --logdir=logs --name='Go to tensorboard'",
        &[BOARD],
    ),
    ("cml tensorboard-dev --logdir=logs --title x --md", "cml tensorboard connect --logdir=logs --title=x", &[BOARD]),
    (
        "cml tensorboard-dev --logdir logs -t x --description y",
        "cml tensorboard connect --logdir=logs --title=x --description=y",
        &[BOARD],
    ),
    (
        "cml-tensorboard-dev --logdir logs --md -f report.md",
        "cml tensorboard connect --logdir=logs --file=report.md",
        &[BOARD],
    ),
    (
        "cml-tensorboard-dev --credentials='{}' --logdir logs --rm-watermark",
        "cml tensorboard connect --logdir=logs",
        &[BOARD, GONE],
    ),
    (
        "TB_CREDENTIALS='{}' cml-tensorboard-dev --logdir logs --md",
        "cml tensorboard connect --logdir=logs",
        &[BOARD, GONE],
    ),
    (
        "CML_TENSORBOARD_DEV_LOGDIR=logs cml-tensorboard-dev",
        "CML_TENSORBOARD_LOGDIR=logs cml tensorboard connect",
        &[BOARD],
    ),
];

const RERUN: &str = "\"cml rerun-workflow\" is deprecated, please use \"cml workflow rerun\"";

const WORKFLOW: &[Row] = &[
    ("cml rerun-workflow --id 5", "cml workflow rerun --id=5", &[RERUN]),
    ("cml rerun-workflow --id=5 --token=good", "cml workflow rerun --id=5 --driver-token=good", &[RERUN]),
    ("CML_RERUN_WORKFLOW_ID=5 cml rerun-workflow", "CML_WORKFLOW_ID=5 cml workflow rerun", &[RERUN]),
];

const PR_CREATE: &str = "\"cml pr\" is deprecated, please use \"cml pr create\"";

const PR: &[Row] = &[
    ("cml-pr .", "cml pr create .", &[PR_CREATE]),
    ("cml pr model.json --md", "cml pr create --md model.json", &[PR_CREATE]),
    ("cml-pr --md 'data/*' model.json", "cml pr create --md 'data/*' model.json", &[PR_CREATE]),
    ("cml pr --auto-merge .", "cml pr create --merge .", &[PR_CREATE]),
    ("cml pr --squash --skip-ci --title 'a b' .", "cml pr create --squash --skip-ci --title='a b' .", &[PR_CREATE]),
    (
        "cml-pr --remote origin --userEmail=me@example.org --user-name Me .",
        "cml pr create --user-email=me@example.org --user-name=Me .",
        &[PR_CREATE],
    ),
    (
        "CML_PR_MD=true CML_PR_AUTO_MERGE=true cml-pr .",
        "CML_PR_MD=true CML_PR_MERGE=true cml pr create .",
        &[PR_CREATE],
    ),
];

const CI: &str = "\"cml ci\" is deprecated, please use \"cml repo prepare\"";

const REPO: &[Row] = &[
    ("cml ci", "cml repo prepare", &[CI]),
    ("cml ci --unshallow", "cml repo prepare --unshallow", &[CI]),
    ("cml ci --fetch-depth=0", "cml repo prepare --fetch-depth=0", &[CI]),
    ("cml ci --unshallow --fetch-depth=0", "cml repo prepare --unshallow --fetch-depth=0", &[CI]),
    (
        "cml ci --unshallow --user-email=me@example.org --user-name Me",
        "cml repo prepare --unshallow --user-email=me@example.org --user-name=Me",
        &[CI],
    ),
    (
        "CML_CI_FETCH_DEPTH=2 CML_CI_USER_NAME=Me cml ci",
        "CML_REPO_FETCH_DEPTH=2 CML_REPO_USER_NAME=Me cml repo prepare",
        &[CI],
    ),
];

const LAUNCH: &str = "\"cml runner\" is deprecated, please use \"cml runner launch\"";
const LABELS: &str = "RUNNER_LABELS is deprecated, please use CML_RUNNER_LABELS";

/// With a runner program in the folder that ends at once.
const RUNNER: &[Row] = &[
    (
        "cml-runner --labels=cml,gpu --name=a --runner-path=.",
        "cml runner launch --labels=cml,gpu --name=a --runner-path=.",
        &[LAUNCH],
    ),
    (
        "cml runner --labels cml --idle-timeout=-1 --name a --runner-path .",
        "cml runner launch --labels=cml --idle-timeout=never --name=a --runner-path=.",
        &[LAUNCH],
    ),
    (
        "cml runner launch --noRetry --name=a --runnerPath=.",
        "cml runner launch --no-retry --name=a --runner-path=.",
        &[],
    ),
    (
        "RUNNER_LABELS=old DOCKER_MACHINE=x cml runner launch --name=a --runner-path=.",
        "CML_RUNNER_LABELS=old cml runner launch --name=a --runner-path=.",
        &[LABELS],
    ),
];

/// Spellings that differ on purpose: how they end, a part of what is said, and why.
const OTHERWISE: &[(&str, i32, &str, &str)] = &[
    (
        "cml-publish --md",
        2,
        "<FILE>",
        "a file on standard input is `-`: without a word, a runner that feeds the script to its shell would lose the rest of it",
    ),
    (
        "cml send-comment --rm-watermark --update report.md",
        2,
        "--rm-watermark",
        "what has no mark cannot be found again, as in CML",
    ),
];

/// What a line did.
#[derive(Debug, PartialEq, Eq)]
struct Did {
    code: Option<i32>,
    printed: String,
    said: Vec<String>,
    requests: String,
    left: String,
}

/// Runs a line; the program's older names are links to it.
fn run(line: &str, forge: &Forge, cml: &Cml) -> Ran {
    let line = line.replace("{sha}", HEAD).replace("{store}", &forge.store_url());
    let words = shlex::split(&line).unwrap();
    let at = words.iter().position(|word| !word.contains('=')).unwrap();
    let (name, args) = (&words[at], &words[at + 1..]);
    let mut cml = cml.clone();
    for (name, value) in words[..at].iter().filter_map(|word| word.split_once('=')) {
        cml.set(name, value);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = match name.strip_prefix("cml-") {
        None => program(),
        Some(old) if is_wasm() => {
            let mut command = program();
            command.arg(old);
            command
        }
        Some(_) => {
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(program().get_program(), &link).unwrap();
            Command::new(link)
        }
    };
    Ran::of(command.args(args).current_dir(cml.path()).env_clear().envs(&cml.env).stdin(Stdio::null()))
}

/// A text without what differs between two runs: addresses, times, and names that the forges make up.
fn masked(text: &str, forge: &Forge, cml: &Cml) -> String {
    let text = text.replace(forge.url(), "http://forge").replace(&cml.path().display().to_string(), "FOLDER");
    let time = |line: &str| match (line.split_once("ed_at\": \""), line.strip_prefix("{\"date\":\"")) {
        (Some((before, _)), _) => format!("{before}ed_at\": \"TIME\"\n"),
        (_, Some(dated)) => format!("{{{}\n", dated.split_once(',').map_or("", |(_, rest)| rest)),
        _ => format!("{line}\n"),
    };
    let text: String = text.replace(HEAD, "{sha}").lines().map(time).collect();
    let words = text.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    words
        .map(|word| if word.len() > 32 { format!("NAME{}", &word[word.len() - 1..]) } else { word.to_owned() })
        .collect()
}

fn did(line: &str, forge: &Forge, cml: &Cml, left: impl Fn() -> String) -> Did {
    let Ran { code, stdout, stderr } = run(line, forge, cml);
    let said = masked(&stderr, forge, cml);
    Did {
        code,
        printed: masked(&stdout, forge, cml),
        // Times of requests are in the debug log.
        said: said.lines().filter(|line| !line.starts_with("debug: ")).map(str::to_owned).collect(),
        requests: masked(&forge.transcript(), forge, cml),
        left: masked(&left(), forge, cml),
    }
}

/// Each row does the same as today's spelling, and says so.
fn same(rows: &[Row], vendors: &[Vendor], what: impl Fn(&str, Vendor) -> Did) {
    for &vendor in vendors {
        for (old, new, notes) in rows {
            let (mut one, other) = (what(old, vendor), what(new, vendor));
            for note in *notes {
                let note = format!("warning: {note}");
                let at: Vec<usize> = (0..one.said.len()).filter(|&at| one.said[at] == note).collect();
                assert_eq!(at.len(), 1, "{old} on {vendor:?} should say once {note}: {one:#?}");
                one.said.remove(at[0]);
            }
            assert!(one == other && one.code == Some(0), "{old} on {vendor:?}: {one:#?}\n{new}: {other:#?}");
        }
    }
}

/// In the pipeline of a pull request, with a report, its image, logs, and a run that failed.
fn in_pipeline(line: &str, vendor: Vendor) -> Did {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, vendor);
    cml.file("report.md", "# Report\n\n![](plot.png)\n");
    cml.file("plot.png", png(1));
    cml.file("logs/events.out.tfevents.1", events());
    cml.set("CI_PIPELINE_ID", "99");
    forge.repo(vendor, vendor.slug(), |repo| repo.runs.insert(5, Run::new(5, Phase::Failed)));
    did(line, &forge, &cml, || cml.read("report.md"))
}

/// On a machine with a runner program, which waits for jobs once and ends.
fn on_machine(line: &str, vendor: Vendor) -> Did {
    let forge = Forge::start();
    let cml = Cml::on(&forge, vendor);
    let listener = cml.path().join("bin/Runner.Listener");
    executable(&listener, "#!/bin/sh\necho '2026-01-01 00:00:00Z: Listening for Jobs'\n");
    did(line, &forge, &cml, String::new)
}

/// In a clone with changes.
fn in_clone(line: &str, vendor: Vendor) -> Did {
    let clone = Clone::on(vendor);
    clone.forge.configure(|switches| switches.auto_merge = true);
    clone.cml.file("model.json", "1\n");
    clone.cml.file("data/new.csv", "2\n");
    did(line, &clone.forge, &clone.cml, || {
        let pushed = clone.there(&["log", "--all", "--format=%T %P %an %ae %B"]);
        format!("{}{pushed}", clone.cml.read(".git/config"))
    })
}

/// An event file with one value: <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>.
pub fn events() -> Vec<u8> {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let check = |bytes: &[u8]| crc.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes();
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let value = [field(1, b"loss"), vec![2 << 3 | 5], 0.5_f32.to_le_bytes().to_vec()].concat();
    let time = [vec![1 << 3 | 1], 1.0_f64.to_le_bytes().to_vec(), vec![2 << 3, 1]].concat();
    let event = [time, field(5, &field(1, &value))].concat();
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &check(&length), &event, &check(&event)].concat()
}

#[test]
fn old_spellings_of_comment() {
    same(COMMENT, &VENDORS, in_pipeline);
}

#[test]
fn old_spellings_of_check() {
    same(CHECK, &VENDORS, in_pipeline);
}

#[test]
fn old_spellings_of_asset() {
    same(ASSET, &VENDORS, in_pipeline);
}

#[test]
fn old_spellings_of_tensorboard() {
    same(TENSORBOARD, &VENDORS, in_pipeline);
}

#[test]
fn old_spellings_of_workflow() {
    same(WORKFLOW, &VENDORS, in_pipeline);
}

#[test]
fn old_spellings_of_pr() {
    same(PR, &[Vendor::GitHub], in_clone);
    same(&PR[..1], &[Vendor::GitLab, Vendor::Bitbucket], in_clone);
}

#[test]
fn old_spellings_of_repo() {
    same(REPO, &[Vendor::GitHub], in_clone);
}

#[test]
fn old_spellings_of_runner() {
    if !is_wasm() {
        same(RUNNER, &[Vendor::GitHub], on_machine);
    }
}

#[test]
fn old_spellings_that_differ_say_how() {
    for (old, code, says, why) in OTHERWISE {
        let did = in_pipeline(old, Vendor::GitHub);
        let said = did.said.join("\n");
        assert!(did.code == Some(*code) && said.contains(says) && did.requests.is_empty(), "{old} ({why}): {did:#?}");
    }
}
