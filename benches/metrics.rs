//! What `cml metrics diff` and `cml report create` cost beside DVC, in the same repositories, in one run.
//!
//! `CML_BENCH_BIN` names the program, `CML_TEST_DVC` the Python that has DVC; without DVC only ours is measured. With
//! `CML_BENCH_DROP_CACHES=1`, for root on a machine of one's own, the first line is of a cold start: the system forgets all files before
//! each run. Times are shown, and nothing fails because of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

use nix::sys::resource::{UsageWho, getrusage};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs of a case.
const RUNS: usize = 7;
const COMMITS: usize = 10_000;
const FILES: usize = 10;

fn main() {
    let cml = std::env::var_os("CML_BENCH_BIN").map_or(env!("CARGO_BIN_EXE_cml").into(), PathBuf::from);
    let cml = cml.canonicalize().expect("the program to measure");
    let dvc = std::env::var_os("CML_TEST_DVC").map(|python| PathBuf::from(python).with_file_name("dvc"));
    let bench = Bench { cml, dvc };
    println!("| case | cml: ms, CPU ms | dvc: ms, CPU ms | wall | CPU |\n| --- | ---: | ---: | ---: | ---: |");
    let (one, ten, many) = (repository(1, 1), repository(FILES, 1), repository(FILES, COMMITS));
    bench.first();
    if std::env::var_os("CML_BENCH_DROP_CACHES").is_some() {
        bench.row("cold, one file", one.path(), "metrics", true);
    }
    bench.row("one file", one.path(), "metrics", false);
    bench.row("ten files", ten.path(), "metrics", false);
    bench.row("ten files, 10,000 commits", many.path(), "metrics", false);
    bench.row("parameters, 10,000 commits", many.path(), "params", false);
    let report = measure(Command::new(&bench.cml).args(["report", "create", "--base", "HEAD~1"]), many.path(), false);
    println!("| a whole report with four plots, 10,000 commits | {:.1}, {:.1} | | | |", report.wall, report.cpu);
}

struct Bench {
    cml: PathBuf,
    dvc: Option<PathBuf>,
}

impl Bench {
    /// The first process in a new clone, with git's index and objects as `git clone` leaves them; each has one of its own.
    fn first(&self) {
        let source = repository(FILES, 1);
        let clone = |at: usize| {
            let folder = source.path().join(format!("home/{at}"));
            let mut git = Command::new("git");
            git.args(["clone", "-q", "--no-local"]).arg(source.path()).arg(&folder);
            assert!(git.status().unwrap().success());
            folder
        };
        let clones: Vec<PathBuf> = (0..2 * RUNS).map(clone).collect();
        let (for_cml, for_dvc) = clones.split_at(RUNS);
        let args = ["metrics", "diff", "HEAD~1"];
        let ours = measure_in(Command::new(&self.cml).args(args), for_cml, false);
        let theirs = self.dvc.as_ref().map(|dvc| measure_in(Command::new(dvc).args(args).arg("--md"), for_dvc, false));
        show("ten files, first in a clone", &ours, theirs.as_ref());
    }

    fn row(&self, case: &str, folder: &Path, subject: &str, is_cold: bool) {
        let args = [subject, "diff", "HEAD~1"];
        let ours = measure(Command::new(&self.cml).args(args), folder, is_cold);
        let theirs = self.dvc.as_ref().map(|dvc| measure(Command::new(dvc).args(args).arg("--md"), folder, is_cold));
        show(case, &ours, theirs.as_ref());
    }
}

/// Prints a line of the table.
fn show(case: &str, ours: &Times, theirs: Option<&Times>) {
    let beside = theirs.map_or_else(
        || "not measured | | ".to_owned(),
        |theirs| {
            let ratios = format!("{:.0} × | {:.0} ×", theirs.wall / ours.wall, theirs.cpu / ours.cpu);
            format!("{:.0}, {:.0} | {ratios}", theirs.wall, theirs.cpu)
        },
    );
    println!("| {case} | {:.1}, {:.1} | {beside} |", ours.wall, ours.cpu);
}

/// The medians of some runs, in milliseconds; the CPU time with that of git.
struct Times {
    wall: f64,
    cpu: f64,
}

fn measure(command: &mut Command, folder: &Path, is_cold: bool) -> Times {
    measure_in(command, &vec![folder.to_owned(); RUNS], is_cold)
}

/// Measures one run in each folder.
fn measure_in(command: &mut Command, folders: &[PathBuf], is_cold: bool) -> Times {
    command.env("DVC_NO_ANALYTICS", "1").env_remove("CI").stdout(Stdio::null());
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for folder in folders {
        command.current_dir(folder).env("HOME", folder.join("home"));
        if is_cold {
            std::fs::write("/proc/sys/vm/drop_caches", "3").expect("CML_BENCH_DROP_CACHES needs root");
        }
        let (before, started) = (cpu(), Instant::now());
        let status = command.status().expect("the program");
        assert!(status.success(), "{command:?}");
        walls.push(started.elapsed().as_secs_f64() * 1e3);
        cpus.push(cpu() - before);
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Times { wall: median(walls), cpu: median(cpus) }
}

/// The CPU time of all children so far, in milliseconds.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let times = [usage.user_time(), usage.system_time()];
    times.iter().map(|time| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3).sum()
}

/// A project of DVC's with four plots and so many files of metrics and commits, each of which changes them.
fn repository(files: usize, commits: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::null());
        command
    };
    assert!(git(&["init", "-q", "-b", "main"]).status().unwrap().success());
    let file = |path: &str, text: &str| format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    let names: Vec<String> = (0..files).map(|at| format!("eval/m{at}.json")).collect();
    let plots: Vec<String> = (0..4).map(|at| format!("{{logs/p{at}.csv: {{x: step, y: loss}}}}")).collect();
    let declared = format!("metrics: [{}]\nparams: [params.yaml]\nplots: [{}]\n", names.join(", "), plots.join(", "));
    let fixed =
        [(".dvc/config", ""), (".dvc/.gitignore", "/tmp\n/cache\n"), (".gitignore", "home\n"), ("dvc.yaml", &declared)];
    let head: String = fixed.iter().map(|(path, text)| file(path, text)).collect();
    let mut all = String::new();
    for commit in 0..=commits {
        let _ = write!(
            all,
            "commit refs/heads/main\ncommitter b <b@example.org> {} +0000\ndata 1\nx\n",
            1_700_000_000 + commit
        );
        if commit == 0 {
            all.push_str(&head);
        }
        for name in &names {
            let text =
                format!("{{\"accuracy\": 0.{commit}, \"train\": {{\"loss\": {commit}e-7, \"steps\": {commit}}}}}\n");
            all.push_str(&file(name, &text));
        }
        if commit == 0 || commit == commits {
            let rows: String = (0..200).map(|step| format!("{step},{}\n", 1.0 / f64::from(step + 1))).collect();
            (0..4).for_each(|at| {
                all.push_str(&file(&format!("logs/p{at}.csv"), &format!("step,loss\n{rows}{commit},0\n")))
            });
        }
        all.push_str(&file("params.yaml", &format!("lr: 0.{commit}\ndepth: 3\n")));
    }
    let mut import = git(&["fast-import", "--quiet"]).spawn().unwrap();
    import.stdin.take().unwrap().write_all(all.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
    assert!(git(&["reset", "-q", "--hard"]).status().unwrap().success());
    folder
}
