//! Instances in a cloud, for `cml runner list`, `stop` and `reap`: found by their tags.

use crate::cloud::{Cloud, Instance, InstanceState};
use crate::error::Result;
use crate::log::sanitize;

/// Lists the instances of a repository, organisation, group or workspace.
pub async fn list_for_repository(cloud: &dyn Cloud, repository: &str) -> Result<Vec<Instance>> {
    let mut all = cloud.list().await?;
    all.retain(|instance| instance.labels.repository == repository);
    Ok(all)
}

/// Renders a table with one line per instance.
pub fn table(instances: &[Instance], now: i64) -> String {
    let state = |state: &InstanceState| match state {
        InstanceState::Pending => "starting",
        InstanceState::Waiting { .. } => "waiting",
        InstanceState::Running => "running",
        InstanceState::Stopped => "stopped",
        InstanceState::Terminated => "gone",
        InstanceState::Failed { .. } => "failed",
    };
    let rows = instances.iter().map(|instance| {
        let zone = instance.zone.clone().unwrap_or_default();
        let market = if instance.spot { "spot" } else { "on demand" };
        let row = [&instance.id, &instance.labels.name, &instance.instance_type, &zone, market, state(&instance.state)];
        let mut row: Vec<String> = row.map(str::to_owned).into();
        row.push(time_left(instance.labels.deadline - now));
        row
    });
    let titles = ["INSTANCE", "NAME", "TYPE", "ZONE", "MARKET", "STATUS", "LEFT"].map(str::to_owned).to_vec();
    columns(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
}

/// Renders the time until a deadline.
fn time_left(seconds: i64) -> String {
    match seconds {
        ..=0 => "overdue".to_owned(),
        1..=5999 => format!("{} min", (seconds + 59) / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Renders rows in columns as wide as their content.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    // Names are untrusted: they must not add columns or lines.
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
    use crate::cloud::Labels;

    #[test]
    fn a_machine_is_a_line() {
        let instance = Instance {
            id: "i-01".into(),
            instance_type: "m7i.2xlarge".into(),
            zone: Some("eu-west-1a".into()),
            state: InstanceState::Running,
            reason: None,
            spot: true,
            address: None,
            launched: Some(0),
            labels: Labels { name: "cml-a\nb".into(), deadline: 7200, ..Labels::default() },
        };
        let expected = "INSTANCE  NAME     TYPE         ZONE        MARKET  STATUS   LEFT\n\
                        i-01      cml-a b  m7i.2xlarge  eu-west-1a  spot    running  60 min\n";
        assert_eq!(table(&[instance], 3600), expected);
        assert_eq!([time_left(0), time_left(61), time_left(7300)], ["overdue", "2 min", "2 h"].map(str::to_owned));
    }
}
