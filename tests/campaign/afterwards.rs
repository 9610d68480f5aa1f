//! What an instance costs after its deadline when nobody looks after it, neither `reap` nor another launch: the table of docs/runners.md.

use super::clouds::{Fake, Kind, kinds};
use super::launch::{LATER, calm};
use std::time::Duration;

pub const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A case of its own below, and in [`super::killed`].
pub const KILLED: &str = "the launcher is killed, at whichever of its requests";

/// Returns what an instance costs afterwards.
type Simulation = fn(&Kind) -> f64;

/// What happens, as docs/runners.md says it.
const CASES: [(&str, Simulation); 5] = [
    ("its runner ends, or its lease is over", |kind| after(kind, &[], |fake| fake.end(true))),
    ("the cloud takes a spot instance back", |kind| after(kind, &["--cloud-spot"], |fake| fake.preempt())),
    ("nothing on it works any more", |kind| after(kind, &[], |_| {})),
    (KILLED, after_killed_launcher),
    ("its runner ends, and it has no identity that may delete it", |kind| after(kind, &[], |fake| fake.end(false))),
];

/// What is left of an instance costs so much a month, long after its deadline.
fn after(kind: &Kind, args: &[&str], event: impl FnOnce(&Fake)) -> f64 {
    let (_, scene, host) = calm(kind, args, None);
    assert!(scene.fake.monthly_cost() > 0.0, "{}: it runs", kind.name());
    event(&scene.fake);
    [LATER, LATER, MONTH].into_iter().for_each(|time| host.pass(time));
    scene.fake.monthly_cost()
}

/// The most that it costs. The instance finds that its runner is not ready in time.
fn after_killed_launcher(kind: &Kind) -> f64 {
    let mut most: f64 = 0.0;
    for request in 1.. {
        let (is_killed, scene, host) = calm(kind, &[], Some(request));
        if !is_killed {
            assert!(request > 10, "{}: it has more requests", kind.name());
            break;
        }
        if scene.fake.runs() {
            scene.fake.end(true);
        }
        [LATER, LATER, MONTH].into_iter().for_each(|time| host.pass(time));
        most = most.max(scene.fake.monthly_cost());
    }
    most
}

pub fn shown(cost: f64) -> String {
    match cost {
        0.0 => "nothing".to_owned(),
        100.0.. => format!("{cost:.0}"),
        _ => format!("{cost:.2}"),
    }
}

/// Returns what docs/runners.md says that a case costs in a cloud.
pub fn documented(case: &str, kind: &Kind) -> String {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/runners.md")).unwrap();
    let rows = docs.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let row = rows.into_iter().find(|row| row.get(1) == Some(&case)).unwrap_or_else(|| panic!("no row: {case}"));
    let column = match kind.name() {
        "aws" => 2,
        "azure" => 3,
        "gcp" => 4,
        _ => 5,
    };
    row[column].to_owned()
}

#[test]
fn what_is_left_after_a_deadline_costs_what_the_documentation_says() {
    for kind in kinds() {
        for (case, simulate) in CASES {
            assert_eq!(documented(case, &kind), shown(simulate(&kind)), "{}: {case}", kind.name());
        }
    }
}
