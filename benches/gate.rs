//! How often `cml metrics gate` is wrong: false alarms in 100 pull requests that change nothing, and how many worsenings by two standard
//! deviations of the noise it finds. By simulation, through the code that judges; the seed is fixed.
//!
//! `cargo bench --bench gate`; a number after `--` is how many pull requests are simulated for each row. Nothing fails because of a result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

use cml::metrics::gate::{Goal, Rule, Subject, Tolerance, Verdict, judge};
use cml::metrics::statistics::{Runs, Sample};

const PULL_REQUESTS: u32 = 10_000;
/// What a metric loses, in standard deviations of its noise.
const EFFECT: f64 = 2.0;
const SIGNIFICANCES: [f64; 2] = [0.05, 0.02];
/// What may be wrong at most in 100, and what has to be found at least.
const TARGETS: (f64, f64) = (1.0, 80.0);

/// So many earlier commits have been recorded.
const RECORDS: usize = 30;

/// How the metrics of both versions were measured.
#[derive(Clone, Copy)]
struct Case {
    /// Of the base.
    old_runs: usize,
    /// Of the pull request.
    runs: usize,
    same_seeds: bool,
    metrics: usize,
    /// In standard deviations of the noise.
    tolerance: f64,
    /// `sigma history`.
    past: Option<Past>,
}

/// What the earlier commits were like, of which the last one is the base.
#[derive(Clone, Copy)]
struct Past {
    /// What each of them lost, in standard deviations of the noise.
    drift: f64,
    /// The part of the noise that a seed has in every commit, but not in the pull request, whose change shuffles it.
    luck: f64,
    /// How many times as much the runs of the pull request vary.
    spread: f64,
}

fn main() {
    let count = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(PULL_REQUESTS);
    println!("{count} pull requests a row\n");
    println!("| runs | metrics | tolerance | significance | false alarms in 100 | found in 100 | targets |");
    println!("| :--- | ---: | ---: | ---: | ---: | ---: | :--- |");
    for (runs, same_seeds) in [(1, false), (5, false), (8, false), (10, false), (8, true), (10, true)] {
        // One run is judged by the tolerance alone.
        let (tolerances, significances): (&[f64], &[f64]) =
            if runs == 1 { (&[1.0, 2.0, 3.0], &SIGNIFICANCES[..1]) } else { (&[0.0, 1.0], &SIGNIFICANCES) };
        for tolerance in tolerances {
            Case { old_runs: runs, runs, same_seeds, metrics: 0, tolerance: *tolerance, past: None }
                .print(count, significances);
        }
    }
    let usual = Past { drift: 0.0, luck: 0.0, spread: 1.0 };
    for (old_runs, runs) in [(5, 5), (8, 8), (15, 5)] {
        Case { old_runs, runs, same_seeds: false, metrics: 0, tolerance: 0.0, past: Some(usual) }
            .print(count, &SIGNIFICANCES);
    }
    for past in [
        Past { drift: 0.3, ..usual },
        Past { luck: 0.5, ..usual },
        Past { luck: 1.0, ..usual },
        Past { spread: 2.0, ..usual },
    ] {
        Case { old_runs: 5, runs: 5, same_seeds: false, metrics: 0, tolerance: 0.0, past: Some(past) }
            .print(count, &SIGNIFICANCES[..1]);
    }
}

fn verdict(alarms: f64, found: f64) -> &'static str {
    match (alarms <= TARGETS.0, found >= TARGETS.1) {
        (true, true) => "both met",
        (true, false) => "finds too few",
        (false, true) => "too many false alarms",
        (false, false) => "neither met",
    }
}

impl Case {
    /// Prints a row for each significance and number of metrics.
    fn print(self, count: u32, significances: &[f64]) {
        for significance in significances {
            for metrics in [1, 5] {
                let case = Case { metrics, ..self };
                let [alarms, found] = [0.0, EFFECT].map(|effect| case.measure(count, *significance, effect));
                println!("| {case} | {significance} | {alarms:.2} | {found:.1} | {} |", verdict(alarms, found));
            }
        }
    }

    /// Returns of how many in 100 pull requests a metric is judged worse: any, or the first if that is the one that lost something.
    fn measure(self, count: u32, significance: f64, effect: f64) -> f64 {
        let mut noise = Noise { state: 22, spare: None };
        let mut worse = 0;
        for _ in 0..count {
            let judged =
                judge((0..self.metrics).map(|at| self.subject(at, effect, &mut noise)).collect(), significance);
            let counted = if effect == 0.0 { &judged[..] } else { &judged[..1] };
            worse += u32::from(counted.iter().any(|judged| judged.verdict == Verdict::Worse));
        }
        f64::from(worse) / f64::from(count) * 100.0
    }

    /// Returns a metric with the values of all runs. Only the first one has lost something.
    fn subject(self, at: usize, effect: f64, noise: &mut Noise) -> Subject {
        let effect = if at == 0 { effect } else { 0.0 };
        let sample = |runs| Sample { runs, ..Sample::default() };
        let history = self.past.map(|past| past.records(self.old_runs, noise)).unwrap_or_default();
        let (old, new) = match (self.past, history.last()) {
            (Some(past), Some(base)) => {
                (base.clone(), runs("", self.runs, past.mean(RECORDS - 1) - effect, || past.spread * noise.next()))
            }
            _ => {
                let seeds = if self.same_seeds || self.runs == 1 { ["", ""] } else { ["old", "new"] };
                let old = runs(seeds[0], self.old_runs, 0.0, || noise.next());
                (old, runs(seeds[1], self.runs, -effect, || noise.next()))
            }
        };
        let name = format!("m{at}");
        let mut rule = Rule::new(&name, Goal::Higher, Tolerance::Absolute(self.tolerance));
        rule.uses_history = self.past.is_some();
        Subject { file: String::new(), name, rule, new: sample(new), old: Some(sample(old)), history }
    }
}

/// Returns so many runs of a commit.
fn runs(side: &str, count: usize, mean: f64, mut noise: impl FnMut() -> f64) -> Runs {
    (0..count).map(|run| (format!("{side}{run}"), mean + noise())).collect()
}

impl Past {
    /// Returns what the metric truly is at a commit.
    fn mean(self, commit: usize) -> f64 {
        -self.drift * commit as f64
    }

    /// Returns the runs of all commits, of the same seeds.
    fn records(self, count: usize, noise: &mut Noise) -> Vec<Runs> {
        let seeds: Vec<f64> = (0..count).map(|_| self.luck.sqrt() * noise.next()).collect();
        let commit = |at: usize| {
            let mut seed = seeds.iter();
            let mut one = || seed.next().unwrap() + (1.0 - self.luck).sqrt() * noise.next();
            runs("", count, self.mean(at), &mut one)
        };
        (0..RECORDS).map(commit).collect()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = match (self.past, self.runs, self.same_seeds) {
            (Some(past), runs, _) => format!("{} and {runs}, history{past}", self.old_runs),
            (_, 1, _) => "1".to_owned(),
            (_, runs, false) => format!("{runs}, other seeds"),
            (_, runs, true) => format!("{runs}, the same seeds"),
        };
        let tolerance = if self.tolerance == 0.0 { "none".to_owned() } else { format!("{} σ", self.tolerance) };
        write!(f, "{runs} | {} | {tolerance}", self.metrics)
    }
}

impl std::fmt::Display for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Past { drift, luck, spread } = self;
        for (value, usual, name) in [(drift, 0.0, "drift"), (luck, 0.0, "luck of seeds"), (spread, 1.0, "spread")] {
            if *value != usual {
                write!(f, ", {name} {value}")?;
            }
        }
        Ok(())
    }
}

/// Normal noise of standard deviation 1: SplitMix64, <https://doi.org/10.1145/2714064.2660195>, through the method of Box and Muller.
struct Noise {
    state: u64,
    spare: Option<f64>,
}

impl Noise {
    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }

    /// Above 0, at most 1.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = mixed ^ mixed >> 31;
        ((mixed >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}
