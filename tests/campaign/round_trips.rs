//! What a launch costs until it is accepted, exactly: the table of docs/adr/0013-clouds.md.

use super::clouds::{Kind, kinds};
use super::launch::prepared;
use std::time::Duration;

/// So long that pauses between requests do not count.
const WAY: Duration = Duration::from_secs(20);

/// The requests to the cloud and to the forge, and how many of all waited for each other, of a launch in an account that has seen one.
fn cost(kind: &Kind) -> [usize; 3] {
    let (scene, host) = prepared(kind);
    let launch = || {
        let (code, log) = host.run(&["runner", "launch", "--timeout", "80000", "--cloud-boot-timeout", "7200"]);
        assert_eq!(code, Some(0), "{log}");
    };
    launch();
    scene.forget();
    host.takes(WAY);
    launch();
    let asked = scene.asked.borrow();
    let made = asked.iter().position(|one| one.makes_instance).unwrap();
    // Once it is accepted, the forge is asked whether the runner is online.
    let end = made + asked[made..].iter().position(|one| !one.is_cloud).unwrap();
    let count = |is_cloud: bool| asked.iter().filter(|one| one.at < asked[end].at && one.is_cloud == is_cloud).count();
    let round_trips = (asked[end].at - asked[0].at).as_secs_f64() / (WAY * 2).as_secs_f64();
    [count(true), count(false), round_trips.round() as usize]
}

#[test]
fn a_launch_takes_the_round_trips_that_are_written_down() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/adr/0013-clouds.md")).unwrap();
    for kind in kinds() {
        let [cloud, forge, round_trips] = cost(&kind);
        let row = format!("| `{}` | {cloud} | {forge} | {round_trips} |", kind.name());
        assert!(page.lines().any(|line| line == row), "no row {row}");
    }
}
