//! Whether two measurements of the same thing differ by more than chance: Welch's t test, the sign-flip test, McNemar's and Fisher's
//! exact tests, a z test of given standard errors, and Holm's correction for several of them. Intervals are of 95 %, `p` is two-sided.

use distribution::{binomial_below, ln_choose, normal_two_sided, t_two_sided, t_width};
use std::collections::BTreeMap;

mod distribution;

/// Half the width of a 95 % interval of the normal distribution, in standard deviations.
const NORMAL_WIDTH: f64 = 1.959_963_984_540_054;
/// Up to so many pairs, all ways to flip their signs are tried.
const MAX_ENUMERATED: usize = 20;
/// With more pairs, so many ways are drawn.
const DRAWS: u32 = 200_000;
/// Sums that differ by less than this part of their size are the same.
const SUM_ROUNDING: f64 = 1e-12;
/// Probabilities that differ by less than this part are the same.
const TIE: f64 = 1e-7;
/// So many runs of earlier commits tell how much runs vary.
pub const MIN_HISTORY: usize = 8;

/// How two measurements were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// One value each, without a standard error: by the tolerance alone.
    Tolerance,
    /// Runs that have nothing to do with each other.
    Welch,
    /// The same seeds on both sides.
    SignFlip,
    /// Standard errors that the files give.
    Z,
    /// The same examples on both sides, passed or not.
    McNemar,
    /// Other examples on each side, passed or not.
    Fisher,
    /// By how much the runs of earlier commits vary.
    History,
}

impl Test {
    /// Returns its word for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Test::Tolerance => "tolerance",
            Test::Welch => "welch",
            Test::SignFlip => "sign_flip",
            Test::Z => "z",
            Test::McNemar => "mcnemar",
            Test::Fisher => "fisher",
            Test::History => "history",
        }
    }

    /// Returns its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Test::Tolerance => "tolerance",
            Test::Welch => "Welch's t test",
            Test::SignFlip => "sign-flip test",
            Test::Z => "z test",
            Test::McNemar => "McNemar's exact test",
            Test::Fisher => "Fisher's exact test",
            Test::History => "t test",
        }
    }
}

/// The values of a metric in several runs of the same commit, by seed.
pub type Runs = BTreeMap<String, f64>;

/// What one version has of a metric.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// The values of its runs.
    pub runs: Runs,
    /// The standard error, where the file has one and there is one run.
    pub standard_error: Option<f64>,
    /// Which examples passed, where the metric is the share of those that did.
    pub examples: BTreeMap<String, bool>,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// How it was made.
    pub test: Test,
    /// The new value minus the old one.
    pub difference: f64,
    /// The 95 % interval of the difference.
    pub interval: Option<(f64, f64)>,
    /// How likely a difference of this size, or a larger one, is by chance. `None` without a test.
    pub p: Option<f64>,
    /// The standard error of the difference.
    pub standard_error: Option<f64>,
    /// The least `p` that so little data can have.
    pub least_p: f64,
    /// How many runs or examples the old and the new side have; how many earlier commits, twice, for [`Test::History`].
    pub counts: (usize, usize),
}

impl Sample {
    /// Returns a sample of one value.
    #[cfg(test)]
    pub fn of(value: f64) -> Self {
        Sample { runs: Runs::from([(String::new(), value)]), ..Sample::default() }
    }

    /// Returns the mean of the runs; NaN if there are none.
    pub fn mean(&self) -> f64 {
        mean(&values(&self.runs))
    }

    /// Compares it with an older one.
    pub fn compare(&self, old: &Sample) -> Comparison {
        let is_paired = |one: usize, other: usize| one > 1 || other > 1;
        if !self.examples.is_empty() && !old.examples.is_empty() {
            return compare_examples(&old.examples, &self.examples);
        }
        if is_paired(self.runs.len(), old.runs.len()) {
            if self.runs.keys().eq(old.runs.keys()) {
                return sign_flip(&values(&old.runs), &values(&self.runs));
            }
            return welch(&values(&old.runs), &values(&self.runs));
        }
        match (old.standard_error, self.standard_error) {
            (Some(before), Some(now)) => z(self.mean() - old.mean(), before.hypot(now)),
            _ => Comparison::by_tolerance(self.mean() - old.mean()),
        }
    }
}

impl Comparison {
    fn by_tolerance(difference: f64) -> Self {
        Comparison {
            test: Test::Tolerance,
            difference,
            interval: None,
            p: None,
            standard_error: None,
            least_p: 0.0,
            counts: (1, 1),
        }
    }

    /// Returns one of a difference and its standard error. `width` is half the interval's, in standard errors.
    fn with_error(test: Test, difference: f64, standard_error: f64, width: f64, p: f64) -> Self {
        let half = width * standard_error;
        let interval = half.is_finite().then_some((difference - half, difference + half));
        let standard_error = Some(standard_error);
        Comparison { test, interval, p: Some(p), standard_error, ..Comparison::by_tolerance(difference) }
    }
}

fn values(runs: &Runs) -> Vec<f64> {
    runs.values().copied().collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns the variance of the mean.
fn variance_of_mean(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len() as f64);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0) / count
}

/// Compares runs that have nothing to do with each other. One run has no variance: `least_p` is then 1.
/// <https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.ttest_ind.html>
pub fn welch(old: &[f64], new: &[f64]) -> Comparison {
    let difference = mean(new) - mean(old);
    let counts = (old.len(), new.len());
    if old.len() < 2 || new.len() < 2 {
        return Comparison { test: Test::Welch, least_p: 1.0, counts, ..Comparison::by_tolerance(difference) };
    }
    let (before, now) = (variance_of_mean(old), variance_of_mean(new));
    let (variance, freedom) = (before + now, |part: f64, count: usize| part * part / (count as f64 - 1.0));
    let freedom = variance * variance / (freedom(before, old.len()) + freedom(now, new.len()));
    Comparison { counts, ..compare_means(Test::Welch, difference, variance.sqrt(), freedom) }
}

/// Returns the comparison by a t statistic. Without any variance, a difference is certain.
fn compare_means(test: Test, difference: f64, error: f64, freedom: f64) -> Comparison {
    if error == 0.0 {
        let p = if difference == 0.0 { 1.0 } else { 0.0 };
        return Comparison::with_error(test, difference, 0.0, 0.0, p);
    }
    let p = t_two_sided(difference / error, freedom);
    Comparison::with_error(test, difference, error, t_width(freedom), p)
}

/// Compares runs of the same seeds: of all ways to exchange old and new in each pair, the share that differ at least as much. The
/// interval is that of the paired t test.
/// <https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.permutation_test.html>
pub fn sign_flip(old: &[f64], new: &[f64]) -> Comparison {
    let differences: Vec<f64> = old.iter().zip(new).map(|(old, new)| new - old).collect();
    let count = differences.len();
    let paired =
        compare_means(Test::SignFlip, mean(&differences), variance_of_mean(&differences).sqrt(), count as f64 - 1.0);
    let size: f64 = differences.iter().map(|difference| difference.abs()).sum();
    let least = differences.iter().sum::<f64>().abs() - SUM_ROUNDING * size;
    let p = if count <= MAX_ENUMERATED { flip_all(&differences, least) } else { flip_some(&differences, least) };
    let least_p = 2.0 * 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    Comparison { p: Some(p), least_p, counts: (count, count), ..paired }
}

fn flip_all(differences: &[f64], least: f64) -> f64 {
    let ways = 1u32 << differences.len();
    let sum = |way: u32| -> f64 {
        let signed = differences.iter().enumerate();
        signed.map(|(at, difference)| if way >> at & 1 == 0 { *difference } else { -difference }).sum()
    };
    let hits = (0..ways).filter(|way| sum(*way).abs() >= least).count();
    hits as f64 / f64::from(ways)
}

/// The same draws each time, so that the same input has the same verdict: SplitMix64, <https://doi.org/10.1145/2714064.2660195>.
fn flip_some(differences: &[f64], least: f64) -> f64 {
    let mut state = 0u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    };
    let mut hits = 0u32;
    for _ in 0..DRAWS {
        let mut sum = 0.0;
        for part in differences.chunks(64) {
            let mut bits = next();
            for difference in part {
                sum += if bits & 1 == 0 { *difference } else { -difference };
                bits >>= 1;
            }
        }
        hits += u32::from(f64::abs(sum) >= least);
    }
    f64::from(hits + 1) / f64::from(DRAWS + 1)
}

/// Compares two values by the standard error of their difference.
pub fn z(difference: f64, error: f64) -> Comparison {
    if error == 0.0 {
        return compare_means(Test::Z, difference, 0.0, 0.0);
    }
    Comparison::with_error(Test::Z, difference, error, NORMAL_WIDTH, normal_two_sided(difference / error))
}

/// Compares by how much the runs of earlier commits, oldest first, vary. If the history is too short, `least_p` is 1.
pub fn by_history(old: &Runs, new: &Runs, history: &[Runs]) -> Comparison {
    let (before, now) = (values(old), values(new));
    let difference = mean(&now) - mean(&before);
    let usable: Vec<&Runs> = history.iter().filter(|runs| runs.values().all(|value| value.is_finite())).collect();
    let (several, single): (Vec<&Runs>, Vec<&Runs>) = usable.into_iter().partition(|runs| runs.len() > 1);
    let (count, spread) = if several.len() >= MIN_HISTORY {
        (several.len(), Some(spread_within(&several)))
    } else if single.len() >= MIN_HISTORY {
        (single.len(), Some(spread_between(&single.into_iter().flat_map(values).collect::<Vec<f64>>())))
    } else {
        (several.len().max(single.len()), None)
    };
    let counts = (count, count);
    let Some(spread) = spread else {
        return Comparison { test: Test::History, least_p: 1.0, counts, ..Comparison::by_tolerance(difference) };
    };
    let error = (spread.variance / before.len() as f64 + spread.variance / now.len() as f64).sqrt();
    if error == 0.0 {
        return Comparison { counts, ..compare_means(Test::History, difference, 0.0, 0.0) };
    }
    let (width, p) = (spread.weigh(t_width), spread.weigh(|freedom| t_two_sided(difference / error, freedom)));
    Comparison { counts, ..Comparison::with_error(Test::History, difference, error, width, p) }
}

/// The variance of one run.
struct Spread {
    variance: f64,
    /// Its degrees of freedom, if runs have nothing to do with each other.
    freedom: f64,
    /// Which part of it stays the same from commit to commit, and the degrees of freedom of that part.
    shared: (f64, f64),
}

impl Spread {
    /// Returns the mean over both parts of what depends on the degrees of freedom, as Cochran and Cox do for two variances: it is too cautious
    /// rather than too bold.
    fn weigh(&self, value: impl Fn(f64) -> f64) -> f64 {
        let (part, freedom) = self.shared;
        part * value(freedom) + (1.0 - part) * value(self.freedom)
    }
}

/// Returns that of commits with one run each: half the mean square of successive differences (von Neumann, Kent, Bellinson and Hart 1941).
/// A change that stays counts in one difference only, whereas it would widen the variance around the mean. The degrees of freedom are
/// those of the chi-squared distribution with the same mean and variance.
fn spread_between(values: &[f64]) -> Spread {
    let steps = values.len() as f64 - 1.0;
    let squares: f64 = values.iter().zip(&values[1..]).map(|(before, after)| (after - before).powi(2)).sum();
    let freedom = 2.0 * steps * steps / (3.0 * steps - 1.0);
    Spread { variance: squares / steps / 2.0, freedom, shared: (0.0, freedom) }
}

/// Returns that of commits with several runs each: the variance within commits, pooled, which no change between commits widens.
///
/// Seeds that commits have in common may have the same luck in each of them: as far as they do, which the correlation of their deviations
/// from the commits' means tells, they are the same few runs again. `n` runs, and `m` ordered pairs of runs with the same seed, would have
/// `1 + m / n` times fewer degrees of freedom if the correlation were 1.
fn spread_within(commits: &[&Runs]) -> Spread {
    let (mut squares, mut freedom, mut runs) = (0.0, 0.0, 0.0);
    // The sum of each seed's deviations, and their number.
    let mut seeds: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for commit in commits {
        let centre = mean(&values(commit));
        freedom += commit.len() as f64 - 1.0;
        runs += commit.len() as f64;
        for (seed, value) in *commit {
            squares += (value - centre).powi(2);
            let (sum, count) = seeds.entry(seed).or_default();
            (*sum, *count) = (*sum + value - centre, *count + 1.0);
        }
    }
    let pairs: f64 = seeds.values().map(|(_, count)| count * (count - 1.0)).sum();
    let products = seeds.values().map(|(sum, _)| sum * sum).sum::<f64>() - squares;
    let correlation = (products / pairs) / (squares / runs);
    let correlation = if correlation.is_finite() { correlation.clamp(0.0, 1.0) } else { 0.0 };
    Spread { variance: squares / freedom, freedom, shared: (correlation, freedom / (1.0 + pairs / runs)) }
}

fn compare_examples(old: &BTreeMap<String, bool>, new: &BTreeMap<String, bool>) -> Comparison {
    let passed = |side: &BTreeMap<String, bool>| side.values().filter(|passed| **passed).count() as u64;
    if !old.keys().eq(new.keys()) {
        return fisher((passed(old), old.len() as u64), (passed(new), new.len() as u64));
    }
    let flipped = |to: bool| new.iter().filter(|(name, now)| **now == to && old.get(*name) != Some(*now)).count();
    mcnemar(flipped(false) as u64, flipped(true) as u64, new.len() as u64)
}

/// Compares how many of the same examples pass, by those that flipped. The interval is that of Agresti and Min, which adds half an
/// example to each of the four cells: <https://doi.org/10.1002/sim.1781>.
pub fn mcnemar(broken: u64, mended: u64, count: u64) -> Comparison {
    let (flipped, fewer) = (broken + mended, broken.min(mended));
    let p = if flipped == 0 { 1.0 } else { f64::min(2.0 * binomial_below(fewer, flipped), 1.0) };
    let (worse, better, all) = (broken as f64 + 0.5, mended as f64 + 0.5, count as f64 + 2.0);
    let centre = (better - worse) / all;
    let error = ((worse + better) / all - centre * centre).max(0.0).sqrt() / all.sqrt();
    let half = NORMAL_WIDTH * error;
    Comparison {
        test: Test::McNemar,
        difference: (mended as f64 - broken as f64) / count as f64,
        interval: Some((centre - half, centre + half)),
        p: Some(p),
        standard_error: Some(error),
        least_p: 2.0 * 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX)),
        counts: (count as usize, count as usize),
    }
}

/// Compares the shares of two sets of examples, as passed and all. The interval is Newcombe's, of Wilson's for each share:
/// <https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I>.
pub fn fisher(old: (u64, u64), new: (u64, u64)) -> Comparison {
    let share = |(passed, all): (u64, u64)| passed as f64 / all as f64;
    let (before, now) = (wilson(old), wilson(new));
    let difference = share(new) - share(old);
    let low = difference - (share(new) - now.0).hypot(before.1 - share(old));
    let high = difference + (now.1 - share(new)).hypot(share(old) - before.0);
    let variance = |side: (u64, u64)| share(side) * (1.0 - share(side)) / side.1 as f64;
    let passed = old.0 + new.0;
    let least = passed.saturating_sub(new.1);
    let chance = |of_old: u64| {
        let ways = ln_choose(old.1, of_old) + ln_choose(new.1, passed - of_old) - ln_choose(old.1 + new.1, passed);
        ways.exp()
    };
    let found = chance(old.0) * (1.0 + TIE);
    let p: f64 = (least..=passed.min(old.1)).map(chance).filter(|chance| *chance <= found).sum();
    Comparison {
        test: Test::Fisher,
        difference,
        interval: Some((low, high)),
        p: Some(p.min(1.0)),
        standard_error: Some((variance(old) + variance(new)).sqrt()),
        // If all pass on one side and none on the other.
        least_p: (-ln_choose(old.1 + new.1, new.1)).exp(),
        counts: (old.1 as usize, new.1 as usize),
    }
}

/// Returns Wilson's interval of a share.
fn wilson((passed, all): (u64, u64)) -> (f64, f64) {
    let (passed, all, square) = (passed as f64, all as f64, NORMAL_WIDTH * NORMAL_WIDTH);
    let centre = passed + square / 2.0;
    let half = NORMAL_WIDTH * (passed * (all - passed) / all + square / 4.0).sqrt();
    ((centre - half) / (all + square), (centre + half) / (all + square))
}

/// Adjusts probabilities for how many there are. <https://www.jstor.org/stable/4615733>
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|one, other| probabilities[*one].total_cmp(&probabilities[*other]));
    let (mut adjusted, mut greatest) = (vec![0.0; probabilities.len()], 0.0f64);
    for (rank, at) in order.into_iter().enumerate() {
        greatest = greatest.max((probabilities.len() - rank) as f64 * probabilities[at]).min(1.0);
        adjusted[at] = greatest;
    }
    adjusted
}

#[cfg(test)]
mod tests;
