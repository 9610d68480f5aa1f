//! Against scipy 1.17.1, whose values are in `scipy.csv`.

use super::*;
use proptest::prelude::*;

fn numbers(text: &str) -> Vec<f64> {
    text.split(';').map(|number| number.parse().unwrap()).collect()
}

fn whole(text: &str) -> Vec<u64> {
    text.split(';').map(|number| number.parse().unwrap()).collect()
}

fn same(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 1e-9 * theirs.abs().max(1e-6)
}

#[test]
fn values_are_those_of_scipy() {
    let table = include_str!("scipy.csv");
    let mut count = 0;
    for row in table.lines().skip(1) {
        let [test, old, new, low, high, p] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let found = match test {
            "welch" => welch(&numbers(old), &numbers(new)),
            "sign_flip" => sign_flip(&numbers(old), &numbers(new)),
            "mcnemar" => mcnemar(whole(old)[0], whole(old)[1], whole(old)[2]),
            "fisher" => fisher((whole(old)[0], whole(old)[1]), (whole(new)[0], whole(new)[1])),
            _ => z(old.parse().unwrap(), new.parse().unwrap()),
        };
        assert_eq!(found.test.name(), test);
        assert!(same(found.p.unwrap(), p.parse().unwrap()), "{row}: {found:?}");
        if low != "-" {
            let interval = found.interval.unwrap();
            assert!(
                same(interval.0, low.parse().unwrap()) && same(interval.1, high.parse().unwrap()),
                "{row}: {found:?}"
            );
        }
        count += 1;
    }
    assert!(count >= 200, "{count}");
}

fn sample(runs: &[(&str, f64)]) -> Sample {
    Sample { runs: runs.iter().map(|(seed, value)| ((*seed).to_owned(), *value)).collect(), ..Sample::default() }
}

fn examples(text: &str) -> Sample {
    let named = text.chars().enumerate().map(|(at, c)| (format!("{at}"), c == '+'));
    Sample { examples: named.collect(), ..Sample::of(0.5) }
}

#[test]
fn what_there_is_decides_the_test() {
    let (one, other) = (sample(&[("1", 1.0), ("2", 2.0)]), sample(&[("1", 1.5), ("3", 2.5)]));
    let test = |old: &Sample, new: &Sample| new.compare(old).test;
    assert_eq!(test(&one, &one), Test::SignFlip);
    assert_eq!(test(&one, &other), Test::Welch);
    assert_eq!(test(&Sample::of(1.0), &one), Test::Welch);
    assert_eq!(test(&Sample::of(1.0), &Sample::of(2.0)), Test::Tolerance);
    let with_error = Sample { standard_error: Some(0.1), ..Sample::of(1.0) };
    assert_eq!(test(&with_error, &with_error), Test::Z);
    assert_eq!(test(&with_error, &Sample::of(1.0)), Test::Tolerance);
    assert_eq!(test(&examples("+-"), &examples("--")), Test::McNemar);
    assert_eq!(test(&examples("+-"), &examples("+--")), Test::Fisher);
}

#[test]
fn too_little_data_has_no_small_p() {
    let five = sign_flip(&[0.0; 5], &[1.0; 5]);
    assert_eq!((five.p, five.least_p), (Some(0.0625), 0.0625));
    let one = welch(&[1.0], &[2.0, 3.0]);
    assert_eq!((one.p, one.least_p, one.difference), (None, 1.0, 1.5));
}

#[test]
fn without_variance_a_difference_is_certain() {
    assert_eq!(welch(&[1.0; 3], &[1.0; 3]).p, Some(1.0));
    assert_eq!(welch(&[1.0; 3], &[2.0; 3]).p, Some(0.0));
    assert_eq!(z(0.5, 0.0).p, Some(0.0));
    assert_eq!(mcnemar(0, 0, 10).p, Some(1.0));
}

#[test]
fn many_pairs_are_drawn_and_the_draws_are_the_same() {
    let differences: Vec<f64> = (0..12).map(|at| if at % 3 == 0 { -1.0 } else { 0.9 }).collect();
    let (drawn, exact) = (flip_some(&differences, 3.2 - 1e-9), flip_all(&differences, 3.2 - 1e-9));
    assert!((drawn - exact).abs() < 0.005, "{drawn} {exact}");
    assert_eq!(flip_some(&differences, 3.2 - 1e-9), drawn);
    let p = sign_flip(&[0.0; 80], &[1.0; 80]).p.unwrap();
    assert!(p > 0.0 && p < 1e-5, "{p}");
}

#[test]
fn holm_adjusts_in_order() {
    assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
    assert_eq!(holm(&[0.9, 0.5]), [1.0, 1.0]);
    assert_eq!(holm(&[]), [0.0; 0]);
}

proptest! {
    #[test]
    fn what_turns_round_has_the_other_sign(old in proptest::collection::vec(-1e3..1e3f64, 2..8), new in proptest::collection::vec(-1e3..1e3f64, 2..8)) {
        let (there, back) = (welch(&old, &new), welch(&new, &old));
        prop_assert!(same(there.p.unwrap(), back.p.unwrap()));
        let ((low, high), (other_low, other_high)) = (there.interval.unwrap(), back.interval.unwrap());
        prop_assert!(same(low, -other_high) && same(high, -other_low));
        // The interval and p are of the same test.
        prop_assert_eq!(there.p.unwrap() < 0.05, !(low..=high).contains(&0.0));
    }

    #[test]
    fn probabilities_are_between_zero_and_one(a in 0u64..300, b in 0u64..300, c in 0u64..300, d in 0u64..300) {
        let mcnemar = mcnemar(a, b, a + b + c + 1);
        let fisher = fisher((a, a + b + 1), (c, c + d + 1));
        for found in [mcnemar, fisher] {
            let p = found.p.unwrap();
            prop_assert!((0.0..=1.0).contains(&p) && p >= found.least_p * (1.0 - 1e-6), "{:?}", found);
        }
    }

    #[test]
    fn holm_is_between_the_value_and_bonferroni(values in proptest::collection::vec(0.0..1.0f64, 1..8)) {
        for (value, adjusted) in values.iter().zip(holm(&values)) {
            prop_assert!(*value <= adjusted && adjusted <= (value * values.len() as f64).min(1.0) + 1e-12);
        }
    }
}

fn run(value: f64) -> Runs {
    Runs::from([(String::new(), value)])
}

fn single(values: &[f64]) -> Vec<Runs> {
    values.iter().copied().map(run).collect()
}

#[test]
fn a_history_tells_how_much_one_run_varies() {
    // The differences are 1, -1, 2, 0, -2, 1 and -1. The values are those of an implementation in Python.
    let history = [5.0, 6.0, 5.0, 7.0, 7.0, 5.0, 6.0, 5.0];
    let found = by_history(&run(10.0), &run(6.0), &single(&history));
    assert_eq!((found.test, found.difference, found.counts), (Test::History, -4.0, (8, 8)));
    assert!((found.standard_error.unwrap() - (12.0f64 / 7.0).sqrt()).abs() < 1e-12);
    assert!((found.p.unwrap() - 0.029012313453).abs() < 1e-9, "{found:?}");
    let (low, high) = found.interval.unwrap();
    assert!((low + 4.0 + 3.386446576).abs() < 1e-6 && (high + 4.0 - 3.386446576).abs() < 1e-6, "{found:?}");
    // A change that stays widens it less than it widens the variance around the mean, by which the error would be 2.59.
    let moved: Vec<f64> =
        history.iter().enumerate().map(|(at, value)| value + if at < 4 { 0.0 } else { 3.0 }).collect();
    let found = by_history(&run(10.0), &run(6.0), &single(&moved));
    assert!((found.standard_error.unwrap() - 3.0f64.sqrt()).abs() < 1e-12, "{moved:?}");
    // What never varies has no chance in it.
    assert_eq!(by_history(&run(1.0), &run(2.0), &single(&[1.0; 8])).p, Some(0.0));
    let short = by_history(&run(1.0), &run(2.0), &single(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, f64::NAN]));
    assert_eq!((short.least_p, short.p, short.counts), (1.0, None, (7, 7)));
}

#[test]
fn a_history_tells_how_much_several_runs_vary() {
    let runs = |seeds: [&str; 3], centre: f64| -> Runs {
        seeds.into_iter().zip([-1.0, 0.0, 1.0]).map(|(seed, by)| (seed.to_owned(), centre + by)).collect()
    };
    let names: Vec<String> = (0..24).map(|at| format!("{at}")).collect();
    // Each commit has seeds of its own, and is one better than the one before. The values are those of an implementation in Python.
    let commits = |same: bool| -> Vec<Runs> {
        let seeds = |at: usize| if same { ["a", "b", "c"] } else { [0, 8, 16].map(|by| names[at + by].as_str()) };
        (0..8).map(|at| runs(seeds(at), at as f64)).collect()
    };
    let (old, new) = (runs(["a", "b", "c"], 7.0), runs(["a", "b", "c"], 5.0));
    let p = |history: &[Runs]| {
        let found = by_history(&old, &new, history);
        assert_eq!((found.test, found.difference, found.counts), (Test::History, -2.0, (8, 8)));
        assert!((found.standard_error.unwrap() - (2.0f64 / 3.0).sqrt()).abs() < 1e-12, "{found:?}");
        found.p.unwrap()
    };
    assert!((p(&commits(false)) - 0.026199494560).abs() < 1e-9);
    // The same seeds have the same luck in each commit: these are three runs, eight times.
    assert!((p(&commits(true)) - 0.133974596216).abs() < 1e-9);
    // One run of this commit; those that the history has of other commits do not count beside several.
    let mixed = [commits(false), single(&[1.0; 8])].concat();
    let found = by_history(&old, &run(5.0), &mixed);
    assert!((found.standard_error.unwrap() - (4.0f64 / 3.0).sqrt()).abs() < 1e-12, "{found:?}");
    let short = by_history(&old, &new, &[&commits(false)[..7], &single(&[1.0, 2.0])].concat());
    assert_eq!((short.least_p, short.p, short.counts), (1.0, None, (7, 7)));
}
