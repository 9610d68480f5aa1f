//! Launches that end where they wait, at each such place: at each request before it is carried out and after, and at each pause.
//!
//! `CML_TEST_SEED` chooses the places of the test that every run has; the complete one is ignored by default.

use super::afterwards::{KILLED, MONTH, documented, shown};
use super::clouds::{Kind, kinds};
use super::host::{Cut, SimHost};
use super::launch::{LATER, LIFETIME, Scene, prepared};
use super::number;
use super::rng::Rng;
use crate::support::fake::Doing;
use cml::host::Signal;
use std::rc::Rc;

/// So many of its places are tried for each command in every run of the tests.
const FEW: u64 = 8;
/// Another launch of it has the same runner.
const LAUNCH: [&str; 5] = ["runner", "launch", "--reuse", "--cloud-max-lifetime", LIFETIME];

/// The places at which to end a command that waits so often: all, or some `few` of them that follow from the seed.
pub fn places(waits: u64, few: Option<u64>) -> Vec<u64> {
    let mut rng = Rng(number("CML_TEST_SEED", 7) ^ waits);
    (1..=waits).filter(|_| few.is_none_or(|few| rng.below(waits) < few)).collect()
}

/// A launch that ends so. Returns its exit code and log.
fn ended(kind: &Kind, at: u64, how: Cut) -> (Rc<Scene>, Rc<SimHost>, Option<u8>, String) {
    let (scene, host) = prepared(kind);
    host.cut(at, how);
    let (code, log) = host.run(&LAUNCH);
    let log = format!("{} {how:?} at {at}: {code:?}\n{log}", kind.name());
    assert!(scene.most() <= 1, "{} instances: {log}", scene.most());
    assert_eq!(scene.fake.lacks(), None, "{log}");
    (scene, host, code, log)
}

/// Nobody looks after what a killed launch has left, until its time is over; then `reap` comes. `is_well`: whether the instance itself
/// finds that its runner is not ready, and ends.
fn left_alone(kind: &Kind, at: u64, is_well: bool) {
    let (scene, host, code, log) = ended(kind, at, Cut::Kill);
    assert_eq!(code, None, "{log}");
    if is_well {
        if scene.fake.runs() {
            scene.fake.end(true);
        }
        for runner in scene.runners() {
            scene.forge.set_runner(&runner.name, Doing::Offline);
        }
        [LATER, LATER, MONTH].into_iter().for_each(|time| host.pass(time));
        let cost = shown(scene.fake.monthly_cost());
        assert!(cost == "nothing" || cost == documented(KILLED, kind), "{cost} a month: {log}");
    }
    host.pass(LATER);
    let (code, reaped) = host.run(&["runner", "reap", "--recheck-after", "0"]);
    [LATER, LATER].into_iter().for_each(|time| host.pass(time));
    assert_eq!((code, scene.fake.left()), (Some(0), Vec::new()), "{log}\n{reaped}");
    assert!(!is_well || scene.runners().is_empty(), "{:?}: {log}\n{reaped}", scene.runners());
}

/// The job runs once more.
fn launched_again(kind: &Kind, at: u64) {
    let (scene, host, _, log) = ended(kind, at, Cut::Kill);
    let (code, again) = host.run(&LAUNCH);
    let runners = scene.runners();
    let is_one = scene.most() == 1 && scene.fake.good_instances() == 1 && runners.len() == 1;
    let is_well = code == Some(0) && is_one && runners[0].doing == Doing::Idle;
    assert!(is_well, "{code:?} {:?} {runners:?} {}\n{log}\n{again}", scene.fake.left(), scene.most());
}

/// The job is cancelled.
fn cancelled(kind: &Kind, at: u64) {
    let (scene, host, code, log) = ended(kind, at, Cut::Signal(Signal::Terminate));
    assert_eq!(code, Some(143), "{log}");
    host.pass(LATER);
    assert_eq!((scene.fake.left(), scene.runners().len()), (Vec::new(), 0), "{log}");
}

/// Returns how often it was tried.
fn at_every_place(kind: &Kind, few: Option<u64>) -> usize {
    let (_, host) = prepared(kind);
    let (code, log) = host.run(&LAUNCH);
    assert!(code == Some(0) && host.polls() > 50, "{} {log}", host.polls());
    let places = places(host.polls(), few);
    for &at in &places {
        left_alone(kind, at, true);
        left_alone(kind, at, false);
        launched_again(kind, at);
        cancelled(kind, at);
    }
    places.len()
}

#[test]
fn a_launch_that_ends_at_some_places_leaves_nothing_that_stays() {
    for kind in kinds() {
        assert!(at_every_place(&kind, Some(FEW)) > 0);
    }
}

#[test]
#[ignore = "takes a minute"]
#[allow(clippy::disallowed_macros)] // for whoever runs it
fn a_launch_that_ends_at_any_place_leaves_nothing_that_stays() {
    for kind in kinds() {
        println!("{}: ended at {} places, each in 4 ways", kind.name(), at_every_place(&kind, None));
    }
}
