//! How often `cml metrics gate` is wrong: false alarms in 100 pull requests that change nothing, and how many worsenings by two standard
//! deviations of the noise it finds. By simulation, through the code that judges; the seed is fixed.
//!
//! `cargo bench --bench gate`; a number after `--` is how many pull requests are simulated for each row. Nothing fails because of a result.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is the outside world

use cml::metrics::gate::{Goal, Rule, Subject, Tolerance, Verdict, judge};
use cml::metrics::statistics::Sample;

const PULL_REQUESTS: u32 = 10_000;
/// What a metric loses, in standard deviations of its noise.
const EFFECT: f64 = 2.0;
const SIGNIFICANCES: [f64; 2] = [0.05, 0.02];
/// What may be wrong at most in 100, and what has to be found at least.
const TARGETS: (f64, f64) = (1.0, 80.0);

/// How the metrics of both versions were measured.
#[derive(Clone, Copy)]
struct Case {
    runs: usize,
    same_seeds: bool,
    metrics: usize,
    /// In standard deviations of the noise.
    tolerance: f64,
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
            for significance in significances {
                for metrics in [1, 5] {
                    let case = Case { runs, same_seeds, metrics, tolerance: *tolerance };
                    let [alarms, found] = [0.0, EFFECT].map(|effect| case.measure(count, *significance, effect));
                    println!("| {case} | {significance} | {alarms:.2} | {found:.1} | {} |", verdict(alarms, found));
                }
            }
        }
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
        let mut sample = |side: &str, mean: f64| {
            let seed = |run: usize| if self.same_seeds { run.to_string() } else { format!("{side}{run}") };
            let name = |run: usize| if self.runs == 1 { String::new() } else { seed(run) };
            Sample { runs: (0..self.runs).map(|run| (name(run), mean + noise.next())).collect(), ..Sample::default() }
        };
        let old = Some(sample("old", 0.0));
        let new = sample("new", if at == 0 { -effect } else { 0.0 });
        let name = format!("m{at}");
        let rule = Rule::new(&name, Goal::Higher, Tolerance::Absolute(self.tolerance));
        Subject { file: String::new(), name, rule, new, old, history: Vec::new() }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = match (self.runs, self.same_seeds) {
            (1, _) => "1".to_owned(),
            (runs, false) => format!("{runs}, other seeds"),
            (runs, true) => format!("{runs}, the same seeds"),
        };
        let tolerance = if self.tolerance == 0.0 { "none".to_owned() } else { format!("{} σ", self.tolerance) };
        write!(f, "{runs} | {} | {tolerance}", self.metrics)
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
