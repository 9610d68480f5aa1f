//! What `cml comment` costs: requests, round trips, time and memory, against the fake forge of the tests.
//!
//! `cargo xtask bench` runs it on the program that users get; `CML_BENCH_BIN` names another one. Times are shown
//! and compared with goals, but nothing fails because of them: the machine may be busy.
//!
//! Each run of the program has a new forge, and is started by a process that does nothing else ([`measure`]), as
//! the system tells the time and memory of children only as sums and maxima.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

#[allow(dead_code)] // made for tests, which need more
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::fake::{Forge, HEAD, Target, Vendor};
use support::{Cml, VENDORS, png};

/// The first argument of the process that measures.
const MEASURE: &str = "measure";
const LATENCY: Duration = Duration::from_millis(50);
/// That of a runner far away.
const FAR: Duration = Duration::from_millis(300);
const COMMENTS: usize = 1000;
const IMAGES: u8 = 200;
/// As in most reports.
const FEW_IMAGES: u8 = 3;
/// Runs of a case: at most 200 in all.
const RUNS: usize = 5;
const VERSION_RUNS: usize = 20;
const IMAGE_RUNS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == MEASURE) {
        return measure(&args[1..]);
    }
    let program = program();
    let bench = Bench { program: &program };
    let started = Instant::now();
    let mut rows = vec![bench.version()];
    rows.extend(VENDORS.iter().flat_map(|vendor| bench.forge(*vendor)));
    rows.push(bench.local());
    print_table(&rows);
    print_goals(&rows, &program);
    println!(
        "\nTime on the clock includes the fake forge's work; CPU and memory are the program's and those of the git commands that it runs."
    );
    println!("{} runs in {:.0} s", rows.iter().map(|row| row.runs).sum::<usize>(), started.elapsed().as_secs_f64());
}

fn program() -> PathBuf {
    let named = std::env::var_os("CML_BENCH_BIN").map_or(env!("CARGO_BIN_EXE_cml").into(), PathBuf::from);
    named.canonicalize().expect("the program to measure")
}

/// What one run of the program took.
struct Run {
    wall_ms: f64,
    cpu_ms: f64,
    peak_mib: f64,
    requests: usize,
    round_trips: usize,
}

/// A line of the table: the medians of a case.
struct Row {
    case: String,
    runs: usize,
    typical: Run,
}

impl Row {
    fn new(case: impl Into<String>, runs: &[Run]) -> Row {
        let median = |of: fn(&Run) -> f64| {
            let mut values: Vec<f64> = runs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let most = |of: fn(&Run) -> usize| runs.iter().map(of).max().unwrap_or(0);
        let typical = Run {
            wall_ms: median(|run| run.wall_ms),
            cpu_ms: median(|run| run.cpu_ms),
            peak_mib: runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max),
            requests: most(|run| run.requests),
            round_trips: most(|run| run.round_trips),
        };
        Row { case: case.into(), runs: runs.len(), typical }
    }
}

struct Bench<'a> {
    program: &'a Path,
}

impl Bench<'_> {
    fn version(&self) -> Row {
        let cml = Cml::alone();
        Row::new("--version", &repeat(VERSION_RUNS, || self.run(&cml, &["--version"], None)))
    }

    fn local(&self) -> Row {
        let once = || {
            let cml = Cml::alone();
            let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
            for name in ["report.md", "plots/confusion_matrix.png", "plots/learning_curve.png"] {
                cml.file(name, std::fs::read(examples.join(name)).unwrap());
            }
            self.run(&cml, &["--driver", "local", "comment", "create", "report.md"], None)
        };
        Row::new("local preview of the example", &repeat(RUNS, once))
    }

    /// All cases of a forge.
    fn forge(&self, vendor: Vendor) -> Vec<Row> {
        let mut rows = Vec::new();
        for verb in ["create", "update"] {
            for comments in [0, COMMENTS] {
                let case = format!("{vendor:?} {verb}, {comments} comments");
                rows.extend(self.at_both_latencies(&case, RUNS, vendor, |forge, _| {
                    seed(forge, vendor, comments);
                    vec!["comment", verb, "report.md"]
                }));
            }
        }
        rows.extend(self.at_both_latencies(
            &format!("{vendor:?} create, {IMAGES} images"),
            IMAGE_RUNS,
            vendor,
            |_, cml| {
                illustrate(cml, IMAGES);
                vec!["comment", "create", "report.md"]
            },
        ));
        for (case, args) in [
            ("create", ["comment", "create", "report.md"]),
            ("update", ["comment", "update", "report.md"]),
            ("asset publish", ["asset", "publish", "plots/0.png"]),
        ] {
            let case = format!("{vendor:?} {case}, {FEW_IMAGES} images");
            rows.extend([LATENCY, FAR].map(|latency| {
                self.at(latency, &case, IMAGE_RUNS, vendor, |_, cml| {
                    illustrate(cml, FEW_IMAGES);
                    args.to_vec()
                })
            }));
        }
        rows
    }

    /// Round trips are those seen with latency: without, requests that could go together only seem to be a chain.
    fn at_both_latencies(
        &self,
        case: &str,
        runs: usize,
        vendor: Vendor,
        prepare: impl Fn(&Forge, &Cml) -> Vec<&'static str>,
    ) -> [Row; 2] {
        let with = |latency: Duration| self.at(latency, case, runs, vendor, &prepare);
        let (mut at_once, slow) = (with(Duration::ZERO), with(LATENCY));
        at_once.typical.round_trips = slow.typical.round_trips;
        [at_once, slow]
    }

    /// A case on a forge that takes so long for each answer. `prepare` gives the arguments.
    fn at(
        &self,
        latency: Duration,
        case: &str,
        runs: usize,
        vendor: Vendor,
        prepare: impl Fn(&Forge, &Cml) -> Vec<&'static str>,
    ) -> Row {
        let once = || {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            let args = prepare(&forge, &cml);
            forge.latency(latency);
            self.run(&cml, &args, Some(&forge))
        };
        Row::new(format!("{case}, {} ms", latency.as_millis()), &repeat(runs, once))
    }

    fn run(&self, cml: &Cml, args: &[&str], forge: Option<&Forge>) -> Run {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(MEASURE).arg(self.program).args(args).current_dir(cml.path()).env_clear().envs(&cml.env);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let numbers = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = numbers.split_whitespace().map(|number| number.parse().unwrap()).collect();
        Run {
            wall_ms: numbers[0],
            cpu_ms: numbers[1],
            peak_mib: numbers[2],
            requests: forge.map_or(0, |forge| forge.requests().len()),
            round_trips: forge.map_or(0, Forge::round_trips),
        }
    }
}

fn repeat(times: usize, once: impl Fn() -> Run) -> Vec<Run> {
    (0..times).map(|_| once()).collect()
}

/// Puts comments of a usual size there, in the middle of them the one to update.
fn seed(forge: &Forge, vendor: Vendor, comments: usize) {
    let text = "I trained it again with another seed, and the scores are much the same. ".repeat(10);
    let ours = format!("# Report\n\n![](https://cml.dev/watermark.png#{HEAD} \"CML watermark\")");
    for n in 0..comments {
        let (author, body) = if n == comments / 2 { ("cml-bot", &ours) } else { ("octocat", &text) };
        forge.seed_comment(vendor, &Target::Pull(7), author, body);
    }
}

/// Makes the report show images of 100 KiB.
fn illustrate(cml: &Cml, images: u8) {
    let mut report = String::from("# Report\n");
    for n in 0..images {
        let mut image = png(n);
        image.resize(100 << 10, n);
        cml.file(&format!("plots/{n}.png"), image);
        report += &format!("\n![plot {n}](plots/{n}.png)\n");
    }
    cml.file("report.md", report);
}

/// Runs a program once and prints its milliseconds on the clock and of CPU, and its MiB at the peak. Processes
/// that the program starts and waits for are included. A peak below this process's own 3 MiB cannot be seen.
fn measure(args: &[String]) {
    let started = Instant::now();
    let status = Command::new(&args[0]).args(&args[1..]).stdout(Stdio::null()).status().unwrap();
    let wall_ms = started.elapsed().as_secs_f64() * 1000.0;
    assert!(status.success(), "{status}");
    let (cpu_ms, peak_mib) = used_by_children();
    println!("{wall_ms} {cpu_ms} {peak_mib}");
}

#[cfg(unix)]
fn used_by_children() -> (f64, f64) {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    (cpu as f64 / 1000.0, usage.max_rss() as f64 * unit / f64::from(1 << 20))
}

#[cfg(not(unix))]
fn used_by_children() -> (f64, f64) {
    (f64::NAN, f64::NAN)
}

fn print_table(rows: &[Row]) {
    let bare = rows[0].typical.wall_ms;
    println!("| case | requests | sequential round trips | wall median ms | CPU ms | peak memory MiB | × --version |");
    println!("| :--- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for Row { case, typical, .. } in rows {
        let Run { wall_ms, cpu_ms, peak_mib, requests, round_trips } = typical;
        let ratio = wall_ms / bare;
        println!("| {case} | {requests} | {round_trips} | {wall_ms:.1} | {cpu_ms:.1} | {peak_mib:.1} | {ratio:.1} |");
    }
}

fn print_goals(rows: &[Row], program: &Path) {
    let worst = |case: &[&str], of: fn(&Run) -> f64| {
        let matching = rows.iter().filter(|row| case.iter().all(|part| row.case.contains(part)));
        matching.map(|row| of(&row.typical)).fold(0.0, f64::max)
    };
    let version = worst(&["--version"], |run| run.wall_ms);
    let create = worst(&["create", "comments"], |run| run.requests as f64);
    let update = worst(&["update", "comments"], |run| run.round_trips as f64);
    let images = worst(&["GitHub create, 3 images"], |run| run.round_trips as f64);
    let asset = worst(&["GitHub asset publish"], |run| run.round_trips as f64);
    let peak = worst(&[], |run| run.peak_mib);
    let size = std::fs::metadata(program).unwrap().len() as f64 / f64::from(1 << 20);
    println!();
    for (goal, found, reached) in [
        ("--version takes less than 10 ms", version, version < 10.0),
        ("create makes 1 request", create, create == 1.0),
        ("update among 1000 comments takes at most 3 round trips", update, update <= 3.0),
        ("a comment with images takes at most 5 round trips on GitHub", images, images <= 5.0),
        ("a published file takes at most 4 round trips on GitHub", asset, asset <= 4.0),
        ("peak memory is below 30 MiB", peak, peak < 30.0),
        ("the program is smaller than 12 MiB", size, size < 12.0),
    ] {
        println!("{:6} {goal}: {found:.1}", if reached { "ok" } else { "MISSED" });
    }
}
