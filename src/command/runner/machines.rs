//! Machines in a cloud, for `cml runner list`, `stop` and `reap`: found by their tags.

use crate::cloud::{Cloud, Instance, State};
use crate::error::Result;
use crate::log::sanitize;

/// Those of a repository, organisation, group or workspace.
pub async fn of(cloud: &dyn Cloud, repository: &str) -> Result<Vec<Instance>> {
    let mut all = cloud.list_instances().await?;
    all.retain(|machine| machine.tags.repository == repository);
    Ok(all)
}

/// A line a machine, in columns.
pub fn table(machines: &[Instance], now: i64) -> String {
    let state = |state| match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Stopped => "stopped",
        State::Gone => "gone",
    };
    let rows = machines.iter().map(|machine| {
        let zone = machine.zone.clone().unwrap_or_default();
        let market = if machine.spot { "spot" } else { "on demand" };
        let row = [&machine.id, &machine.tags.name, &machine.kind, &zone, market, state(machine.state)];
        let mut row: Vec<String> = row.map(str::to_owned).into();
        row.push(left(machine.tags.deadline - now));
        row
    });
    let titles = ["MACHINE", "NAME", "TYPE", "ZONE", "MARKET", "STATUS", "LEFT"].map(str::to_owned).to_vec();
    columns(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
}

/// The time until a deadline, in words.
fn left(seconds: i64) -> String {
    match seconds {
        ..=0 => "overdue".to_owned(),
        1..=5999 => format!("{} min", (seconds + 59) / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Rows as text, in columns as wide as their content.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    // What others named must not be taken for more columns or lines.
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| sanitize::one_line(cell).replace('\t', " ")).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::tags::Tags;

    #[test]
    fn a_machine_is_a_line() {
        let machine = Instance {
            id: "i-01".into(),
            kind: "m7i.2xlarge".into(),
            zone: Some("eu-west-1a".into()),
            state: State::Running,
            reason: None,
            spot: true,
            address: None,
            launched: Some(0),
            tags: Tags { name: "cml-a\nb".into(), deadline: 7200, ..Tags::default() },
        };
        let expected = "MACHINE  NAME     TYPE         ZONE        MARKET  STATUS   LEFT\n\
                        i-01     cml-a b  m7i.2xlarge  eu-west-1a  spot    running  60 min\n";
        assert_eq!(table(&[machine], 3600), expected);
        assert_eq!([left(0), left(61), left(7300)], ["overdue", "2 min", "2 h"].map(str::to_owned));
    }
}
