//! The values of metrics at earlier commits of the default branch, which `cml metrics record` has recorded.

use super::samples::{Groups, Measured, Samples};
use crate::app::App;
use crate::charts::trend::sparkline;
use crate::command::diff::base;
use crate::error::Result;
use crate::git::Git;
use crate::metrics::gate::Judgement;
use crate::metrics::history::Record;
use crate::metrics::statistics::Runs;

/// So many of the newest records tell how much runs vary: older ones may be of another machine, or another model.
const MAX_RECORDS: usize = 30;
/// So many of them are drawn.
const MAX_DRAWN: usize = 10;

/// The metrics of earlier commits, oldest first.
#[derive(Default)]
pub struct Past(Vec<Groups>);

impl Past {
    /// Returns those of the newest records, but not of the run's own commit. `is_needed` if a rule asks for them: then it is worth a warning
    /// that the history cannot be read.
    pub async fn read(
        app: &App,
        records: Result<&[Record]>,
        git: &Git<'_>,
        samples: &Samples<'_>,
        is_needed: bool,
    ) -> Self {
        let found = match records {
            Ok(records) => Self::of_records(app, records, git, samples).await,
            Err(error) => Err(error),
        };
        found.unwrap_or_else(|error| {
            if is_needed {
                app.log.warn_of(&format!("{error}; `sigma history` has nothing to go by"), error.hint_text());
            } else {
                app.log.debug(&format!("{error}; the report has no history"));
            }
            Past::default()
        })
    }

    async fn of_records(app: &App, records: &[Record], git: &Git<'_>, samples: &Samples<'_>) -> Result<Self> {
        let own = base::commit_of_run(app, git).await?;
        let others = records.iter().rev().filter(|record| Some(&record.commit) != own.as_ref()).take(MAX_RECORDS);
        // What one record has twice under the same name says nothing.
        let mut groups: Vec<Groups> =
            others.filter_map(|record| samples.of_record(record.short(), record).ok()).collect();
        groups.reverse();
        Ok(Past(groups))
    }

    fn of<'p>(&'p self, file: &'p str, name: &'p str) -> impl Iterator<Item = &'p Measured> {
        self.0.iter().filter_map(move |groups| groups.get(file)?.get(name))
    }

    /// Returns the runs of a metric, by commit.
    pub fn runs(&self, file: &str, name: &str) -> Vec<Runs> {
        self.of(file, name).map(|measured| measured.sample.runs.clone()).collect()
    }

    /// Returns bars of the newest values and of this one; `None` if there are none.
    pub fn trend(&self, judgement: &Judgement) -> Option<String> {
        let mut values: Vec<f64> =
            self.of(&judgement.file, &judgement.name).map(|measured| measured.sample.mean()).collect();
        values.drain(..values.len().saturating_sub(MAX_DRAWN));
        if values.is_empty() {
            return None;
        }
        values.push(judgement.value);
        Some(sparkline(&values))
    }
}
