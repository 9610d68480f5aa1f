//! `cml report create`, and `auto` in its place. The program and git are real, the forges are the fakes.

use super::{base, repository};
use crate::support::fake::{Target, Vendor};
use crate::support::ignored::{is_native_only, skipped};
use crate::support::{Cml, Ran, VENDORS};
use std::path::Path;
use std::process::Command;

fn lock(model: &str, size: u64) -> String {
    let out =
        |path: &str, md5: &str, rest: &str| format!("    - path: {path}\n      hash: md5\n      md5: {md5}\n{rest}");
    let outs = out("model.pkl", &model.repeat(32), &format!("      size: {size}\n"))
        + &out("m.json", &model.repeat(32), "      size: 9\n");
    format!("schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n{outs}")
}

fn data(md5: &str, size: u64, files: u64) -> String {
    format!("outs:\n- md5: {}.dir\n  size: {size}\n  nfiles: {files}\n  hash: md5\n  path: images\n", md5.repeat(32))
}

const DECLARES: (&str, &str) = (
    "dvc.yaml",
    "stages:\n  train:\n    cmd: x\n    params: [lr, depth]\n    metrics: [{m.json: {cache: false}}]\n    outs: [model.pkl]\n",
);

/// A project in which metrics, parameters and data changed.
fn project() -> Cml {
    let (old_lock, new_lock) = (lock("a", 1_000_000), lock("b", 1_200_000));
    let (old_data, new_data) = (data("a", 3_000_000, 10), data("c", 3_300_000, 12));
    repository(
        &[
            DECLARES,
            ("m.json", r#"{"accuracy": 0.91, "loss": 0.3, "same": 1}"#),
            ("params.yaml", "lr: 0.1\ndepth: 3\n"),
            ("dvc.lock", &old_lock),
            ("data/images.dvc", &old_data),
        ],
        &[
            ("m.json", r#"{"accuracy": 0.93, "loss": 0.2, "same": 1}"#),
            ("params.yaml", "lr: 0.2\ndepth: 3\n"),
            ("dvc.lock", &new_lock),
            ("data/images.dvc", &new_data),
        ],
    )
}

#[test]
fn a_report_shows_what_a_change_does() {
    let cml = project();
    let text = cml.run(&["report", "create"]).ok();
    let (sha, day) =
        (cml.git(&["rev-parse", "--short=7", "HEAD"]), cml.git(&["log", "-1", "--format=%cd", "--date=short-local"]));
    let expected = format!(
        "\
## Report

**2 metrics changed, 1 parameter changed and 2 data files and folders changed** compared with HEAD ({sha}, {day}).

### Metrics

| Path   | Metric   | HEAD ({sha})   | workspace   | Change   |
|--------|----------|------------------|-------------|----------|
| m.json | accuracy | 0.91             | 0.93        | +0.02    |
| m.json | loss     | 0.3              | 0.2         | -0.1     |

### Parameters

| Path        | Parameter   | HEAD ({sha})   | workspace   |
|-------------|-------------|------------------|-------------|
| params.yaml | lr          | 0.1              | 0.2         |

### Data

| Path        | HEAD ({sha})   | workspace        | Change            |
|-------------|------------------|------------------|-------------------|
| data/images | 3 MB, 10 files   | 3.3 MB, 12 files | +300 kB, +2 files |
| model.pkl   | 1 MB             | 1.2 MB           | +200 kB           |
"
    );
    assert_eq!(text, expected);
    // The same in has the same out, and in a file.
    let ran = cml.run(&["report", "create", "--output", "out.md"]);
    assert_eq!((ran.ok(), cml.read("out.md")), (String::new(), text.clone()));
    cml.run(&["report", "create", "-o", "out.md"]).ok();
    assert_eq!(cml.read("out.md"), text);
}

#[test]
fn sections_are_those_asked_for() {
    let cml = project();
    let headings = |args: &[&str]| -> Vec<String> {
        let text = cml.run(&[&["report", "create"], args].concat()).ok();
        let heading = |line: &str| line.starts_with('#') || line.starts_with("<summary>");
        text.lines().filter(|line| heading(line)).map(str::to_owned).collect()
    };
    assert_eq!(
        headings(&["--part", "data", "--part", "metrics", "--title", "a_b"]),
        ["## a\\_b", "### Data", "### Metrics"]
    );
    let folded =
        ["## Report", "<summary><b>Metrics (2)</b></summary>", "### Parameters", "<summary><b>Data (2)</b></summary>"];
    assert_eq!(headings(&["--fold", "1"]), folded);
    let all = cml.run(&["report", "create", "--all", "--part", "params", "--base", "main"]).ok();
    assert!(all.contains("| depth ") && all.contains("**1 parameter changed** compared with main ("), "{all}");
    // What did not change is said, and what there is not is left out.
    cml.git(&["commit", "-q", "-a", "-m", "second"]);
    let none = cml.run(&["report", "create"]).ok();
    assert!(none.contains("**no metrics changed, no parameters changed and no data changed**"), "{none}");
    assert!(none.contains("No metric changed.\n") && none.contains("No data changed.\n"), "{none}");
    let empty = repository(&[("a.txt", "x")], &[]);
    let text = empty.run(&["report", "create"]).ok();
    assert!(text.starts_with("## Report\n\n**Nothing to compare was found** compared with"), "{text}");
}

/// A run of a CI without a repository of its own: a push of a branch.
fn pushed(cml: &mut Cml, branch: &str) {
    let head = cml.git(&["rev-parse", "HEAD"]);
    cml.set("CI", "true").set("CML_SHA", &head).set("CML_BRANCH", branch);
}

#[test]
fn without_a_base_the_values_are_reported() {
    let mut cml = project();
    cml.git(&["checkout", "-q", "--orphan", "fresh"]);
    cml.git(&["commit", "-q", "-a", "-m", "fresh"]);
    let table = "\
### Metrics

| Path   | Metric   | workspace   |
|--------|----------|-------------|
| m.json | accuracy | 0.93        |
| m.json | loss     | 0.2         |
| m.json | same     | 1           |

### Parameters

| Path        | Parameter   | workspace   |
|-------------|-------------|-------------|
| params.yaml | depth       | 3           |
| params.yaml | lr          | 0.2         |

### Data

| Path        | workspace        |
|-------------|------------------|
| data/images | 3.3 MB, 12 files |
| model.pkl   | 1.2 MB           |
";
    let counts =
        "## Report\n\n**3 metrics, 2 parameters and 2 data files and folders.** There is nothing to compare with:";
    pushed(&mut cml, "fresh");
    let unrelated = cml.run(&["report", "create"]).ok();
    assert_eq!(unrelated, format!("{counts} this branch and main have no common commit.\n\n{table}"));
    // The others fail as before.
    let hint = "pass --base REVISION";
    for verb in ["metrics", "params", "plots"] {
        let ran = cml.run(&[verb, "diff"]);
        ran.fails(5, "this branch and main have no common commit: there is nothing to compare with", hint);
    }
    // The first commit of all.
    cml.git(&["branch", "-q", "-M", "main"]);
    pushed(&mut cml, "main");
    let first = cml.run(&["report", "create"]).ok();
    assert_eq!(first, format!("{counts} this is the first commit.\n\n{table}"));
    cml.run(&["metrics", "diff"]).fails(5, "this is the first commit: there is nothing to compare with", hint);
    let mut empty = repository(&[("a.txt", "x")], &[]);
    pushed(&mut empty, "main");
    let text = empty.run(&["report", "create"]).ok();
    let start = "## Report\n\n**Nothing to report was found.** There is nothing to compare with: this is the first";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn a_pull_request_without_a_common_commit_is_reported() {
    for vendor in VENDORS {
        let mut history = base::history(vendor);
        let cml = &history.clone.cml;
        cml.git(&["checkout", "-q", "--orphan", "fresh"]);
        cml.git(&["commit", "-q", "-a", "-m", "fresh"]);
        cml.git(&["push", "-q", history.clone.bare().to_str().unwrap(), "HEAD:feature", "--force"]);
        history.head = cml.git(&["rev-parse", "HEAD"]);
        history.pull_request();
        history.shallow(&history.head);
        let text = history.clone.cml.run(&["report", "create"]).ok();
        let start = "**1 metric.** There is nothing to compare with: this branch and main have no common commit. [";
        assert!(text.contains(start) && text.contains("| accuracy | 0.9 "), "{vendor:?} {text}");
        // Without a clone, the forge says so.
        std::fs::remove_dir_all(history.clone.cml.path().join(".git")).unwrap();
        assert_eq!(history.clone.cml.run(&["report", "create"]).ok(), text, "{vendor:?}");
    }
}

#[test]
fn one_command_comments_on_the_pull_request_of_every_forge() {
    for vendor in VENDORS {
        let mut history = base::history(vendor);
        history.pull_request();
        history.shallow(&history.head);
        let clone = &history.clone;
        clone.cml.file("metrics.json", r#"{"accuracy": 0.5}"#);
        let text = clone.cml.run(&["report", "create", "--fold", "0"]).ok();
        let (short, head) = (&history.start[..7], &history.head);
        assert!(text.contains(&format!("**1 metric changed** compared with main ({short}, 2026-01-01).")), "{text}");
        let page = match vendor {
            Vendor::GitHub => format!("{}/commit/{head}", clone.forge.repo_url(vendor)),
            Vendor::GitLab => format!("{}/-/commit/{head}", clone.forge.repo_url(vendor)),
            Vendor::Bitbucket => format!("{}/commits/{head}", clone.forge.repo_url(vendor)),
        };
        assert!(text.contains(&format!("[Commit {}]({page})", &head[..7])), "{text}");
        if vendor == Vendor::GitHub {
            assert!(text.contains(" · [Run](http") && text.contains("/actions/runs/99)"), "{text}");
        }
        // Bitbucket shows HTML as text.
        assert_eq!(text.contains("<details>"), vendor != Vendor::Bitbucket, "{text}");
        assert_eq!(clone.forge.live_comments(vendor, &Target::Pull(7)).len(), 0);
        clone.cml.run(&["comment", "update", "auto"]).ok();
        clone.cml.run(&["comment", "update", "auto"]).ok();
        let comments = clone.forge.live_comments(vendor, &Target::Pull(7));
        let whole = clone.cml.run(&["report", "create"]).ok();
        assert!(comments.len() == 1 && comments[0].body.starts_with(whole.trim_end()), "{vendor:?} {comments:#?}");
    }
}

#[test]
fn the_plots_of_both_versions_are_drawn() {
    for vendor in VENDORS {
        let mut history = base::history(vendor);
        history.pull_request();
        let clone = &history.clone;
        clone.cml.file("dvc.yaml", "plots:\n- log.csv: {x: step, y: loss}\nmetrics: [metrics.json]\n");
        clone.cml.file("log.csv", "step,loss\n0,1\n1,0.5\n2,0.25\n");
        let text = clone.cml.run(&["report", "create", "--part", "plots", "--part", "metrics"]).ok();
        assert!(text.contains("1 plot and 1 metric changed** compared with main ("), "{text}");
        let (_, plots) = text.split_once("### Plots\n\n![log.csv](").unwrap();
        let (address, rest) = plots.split_once(')').unwrap();
        assert!(address.starts_with(clone.forge.url()) && rest.contains("### Metrics"), "{text}");
        // The same picture has the same name. (GitLab gives each upload an address of its own.)
        let again = clone.cml.run(&["report", "create", "--part", "plots", "--part", "metrics"]).ok();
        assert!(again == text || vendor == Vendor::GitLab, "{again}");
    }
    // Where there are none, nothing is drawn, and no token is needed.
    assert!(!project().run(&["report", "create"]).ok().contains("Plots"));
}

#[test]
fn a_plot_that_cannot_be_drawn_is_named_and_the_rest_is_reported() {
    let plots = "plots:\n- gone.csv\n- log.csv: {x: step, y: loss}\n- bad.json\n- roc: {x: fpr, y: {gone.json: tpr}}\n";
    for vendor in VENDORS {
        let mut history = base::history(vendor);
        history.pull_request();
        let clone = &history.clone;
        clone.cml.file("dvc.yaml", format!("{plots}metrics: [metrics.json]\n"));
        clone.cml.file("log.csv", "step,loss\n0,1\n1,0.5\n");
        clone.cml.file("bad.json", "[{");
        let ran = clone.cml.run(&["report", "create"]);
        let text = &ran.stdout;
        assert!(text.contains("**1 metric changed and 4 plots (3 not drawn)** compared with main ("), "{text}");
        let (_, section) = text.split_once("### Plots\n\n![log.csv](").unwrap();
        let (_, section) = section.split_once("\n\nNot drawn:\n\n").unwrap();
        let missing = "which dvc.yaml declares, does not exist in the working copy";
        let reasons = [
            format!("gone.csv, {missing}"),
            "bad.json of the working copy is not valid JSON: ".to_owned(),
            format!("cannot draw the plot roc: gone.json, {missing}"),
        ];
        assert_eq!(section.lines().count(), 3, "{section}");
        for (line, reason) in section.lines().zip(&reasons) {
            assert!(line.starts_with(&format!("- {reason}")), "{line}");
            assert!(ran.stderr.contains(&format!("warning: {reason}")), "{}", ran.stderr);
        }
        assert!(ran.stderr.contains("hint: run the step that writes it, or `dvc pull gone.csv`"), "{}", ran.stderr);
        let ends = |ran: &Ran| {
            let error = "error: cannot draw 3 plots of the report\nhint: see the warnings above\n";
            assert!(ran.code == Some(3) && ran.stderr.ends_with(error), "{ran:?}");
        };
        ends(&ran);
        // The file and the comment are made as well, and the exit code is the same.
        ends(&clone.cml.run(&["report", "create", "-o", "out.md"]));
        assert!(clone.cml.read("out.md").contains("Not drawn:"));
        ends(&clone.cml.run(&["comment", "update", "auto"]));
        let comments = clone.forge.live_comments(vendor, &Target::Pull(7));
        assert!(comments.len() == 1 && comments[0].body.contains("Not drawn:\n\n- gone.csv"), "{comments:#?}");
        // On its own, drawing fails as before, with nothing published.
        let alone = clone.cml.run(&["plots", "diff"]);
        alone.fails(3, &reasons[0], "run the step that writes it, or `dvc pull gone.csv`");
    }
    // Without any picture, nothing is sent.
    let broken = repository(&[("dvc.yaml", "plots: [gone.csv]\n")], &[]);
    let ran = broken.run(&["report", "create"]);
    assert!(ran.stdout.contains("**1 plot (1 not drawn)** compared with HEAD ("), "{ran:?}");
    assert!(ran.code == Some(3) && ran.stderr.contains("error: cannot draw 1 plot of the report\n"), "{ran:?}");
}

#[test]
fn pictures_need_a_forge() {
    let mut cml = repository(&[("log.csv", "loss\n1\n"), ("dvc.yaml", "plots: [log.csv]\n")], &[]);
    let error = "cannot publish the plots: cannot determine the forge";
    let hint = "pass --driver github, gitlab or bitbucket, and --repo URL";
    let ran = cml.run(&["report", "create"]);
    if crate::support::is_wasm() {
        ran.fails(3, error, &format!("{hint}; or run the native program, which needs no forge"));
    } else {
        assert!(ran.ok().contains("![log.csv](.cml/files/"));
    }
    cml.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    pushed(&mut cml, "main");
    cml.run(&["report", "create"]).fails(3, error, hint);
    cml.run(&["plots", "diff"]).fails(3, error, hint);
    // The rest needs none.
    cml.run(&["report", "create", "--part", "metrics"]).ok();
}

#[test]
fn a_file_of_that_name_is_the_report() {
    let cml = project();
    cml.file("auto", "# Mine\n");
    let printed = cml.run(&["comment", "update", "auto", "--driver", "local", "--print"]);
    if !crate::support::is_wasm() {
        assert!(printed.ok().starts_with("# Mine\n"));
    }
}

#[test]
fn the_charts_of_logs_are_drawn() {
    // Into the preview, which the WebAssembly does not have.
    if is_native_only() {
        return;
    }
    let cml = project();
    let Some(logs) = crate::tensorboard::with_logs(&cml) else { return };
    let text = cml.run(&["report", "create", "--logdir", logs.to_str().unwrap(), "--part", "tensorboard"]);
    let text = text.ok();
    assert!(text.contains("<summary><b>TensorBoard (") && text.contains("| tag | run |"), "{text}");
    assert!(text.contains("](.cml/files/") && text.contains(".svg)"), "{text}");
}

#[test]
fn mistakes_are_named() {
    let cml = project();
    let run = |args: &[&str]| cml.run(&[&["report", "create"], args].concat());
    let fails = |ran: Ran, code: i32, error: &str, hint: &str| {
        assert_eq!(ran.stdout, "");
        ran.fails(code, error, hint);
    };
    fails(run(&["--base", "no-such"]), 5, "unknown revision 'no-such'", "*fetch-depth*");
    fails(run(&["--base", "m.json"]), 2, "--base m.json is not a revision", "pass a commit, *");
    fails(run(&["--part", "tensorboard"]), 2, "--part tensorboard needs --logdir", "pass the folder *");
    fails(run(&["--logdir", "gone"]), 3, "cannot read the logs in gone (*", "check --logdir: *");
    fails(run(&["-o", "data"]), 3, "cannot write data (it is a directory)", "*");
    fails(run(&["-o", ".git/report.md"]), 3, "cannot write .git/report.md (*", "*");
    let follow = cml.run(&["comment", "update", "--watch", "auto"]);
    fails(follow, 2, "--watch does not follow the report auto", "run `cml comment update auto` *");
    cml.file("m.json", "{");
    fails(run(&[]), 3, "m.json of the working copy is not valid JSON: *", "check the step that writes it");
    let broken = cml.run(&["comment", "update", "auto", "--driver", "local"]);
    fails(broken, 3, "m.json of the working copy is not valid JSON: *", "check the step that writes it");
    std::fs::remove_file(cml.path().join("m.json")).unwrap();
    let missing = "m.json is in neither git nor DVC's cache*";
    let ran = run(&[]);
    assert!(ran.code == Some(3) && ran.stderr.contains("dvc pull m.json"), "{missing} {ran:?}");
}

/// What `examples/*/dvc-report.yml` do, on the project of `examples/dvc`. DVC is real.
#[test]
fn the_example_is_reported_in_one_line() {
    let Some(python) = std::env::var_os("CML_TEST_DVC") else {
        skipped("DVC", "set CML_TEST_DVC");
        return;
    };
    let bin = Path::new(&python).parent().unwrap().display().to_string();
    for vendor in VENDORS {
        let mut history = base::history(vendor);
        let path = format!("{bin}:{}", history.clone.cml.env["PATH"]);
        history.clone.cml.set("PATH", &path).set("DVC_NO_ANALYTICS", "1");
        let cml = &history.clone.cml;
        let dvc = |args: &[&str]| {
            let output = Command::new("dvc").args(args).current_dir(cml.path()).env_clear().envs(&cml.env).output();
            let output = output.unwrap();
            assert!(output.status.success(), "dvc {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dvc");
        for name in ["dvc.yaml", "params.toml", "train.py"] {
            cml.file(name, std::fs::read(examples.join(name)).unwrap());
        }
        let push = |message: &str, branch: &str| {
            cml.git(&["add", "."]);
            cml.git(&["commit", "-q", "-m", message]);
            cml.git(&["push", "-q", "-f", history.clone.bare().to_str().unwrap(), &format!("HEAD:{branch}")]);
            cml.git(&["rev-parse", "HEAD"])
        };
        // The fixture's own is git's.
        cml.git(&["rm", "-q", "model.json"]);
        dvc(&["init", "-q"]);
        dvc(&["repro", "-q"]);
        push("trained", "main");
        cml.file("params.toml", cml.read("params.toml").replace("epochs = 20", "epochs = 3"));
        let head = push("train less", "feature");
        history.head = head;
        history.pull_request();
        history.shallow(&history.head);
        let cml = &history.clone.cml;
        let ran = Command::new("dvc").args(["repro", "-q"]).current_dir(cml.path()).env_clear().envs(&cml.env).output();
        assert!(ran.unwrap().status.success());
        cml.run(&["comment", "update", "auto"]).ok();
        let comments = history.clone.forge.live_comments(vendor, &Target::Pull(7));
        let [comment] = &comments[..] else { panic!("{comments:#?}") };
        for part in [
            "1 parameter changed, 2 plots and 1 data file or folder changed** compared with main (",
            "| metrics.json | loss ",
            "| params.toml | train.epochs | 20 ",
            "![Loss by epoch](http",
            "![Digits](http",
            "| model.json | ",
        ] {
            let body: Vec<&str> = comment.body.split_whitespace().collect();
            let part: Vec<&str> = part.split_whitespace().collect();
            assert!(body.join(" ").contains(&part.join(" ")), "{vendor:?} {part:?} {}", comment.body);
        }
    }
}
