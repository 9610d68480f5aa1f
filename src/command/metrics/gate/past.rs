//! The values of metrics at earlier commits of the default branch, which `cml metrics record` has recorded.

use super::samples::{Groups, Measured, Samples};
use crate::app::App;
use crate::charts::trend::sparkline;
use crate::command::diff::base;
use crate::command::diff::records::History;
use crate::connect::Global;
use crate::error::Result;
use crate::git::Git;
use crate::metrics::gate::Judgement;

/// So many of the newest records tell how much runs vary: older ones may be of another machine, or another model.
const MAX_RECORDS: usize = 30;
/// So many of them are drawn.
const MAX_DRAWN: usize = 10;

/// The metrics of earlier commits, oldest first.
#[derive(Default)]
pub struct Past(Vec<Groups>);

impl Past {
    /// Reads them. `is_needed` if a rule asks for them: then it is worth a warning that they cannot be read.
    pub async fn read(app: &App, global: &Global, git: &Git<'_>, samples: &Samples<'_>, is_needed: bool) -> Self {
        Self::try_read(app, global, git, samples).await.unwrap_or_else(|error| {
            if is_needed {
                app.log.warn_of(&format!("{error}; `sigma history` has nothing to go by"), error.hint_text());
            } else {
                app.log.debug(&format!("{error}; the report has no history"));
            }
            Past::default()
        })
    }

    async fn try_read(app: &App, global: &Global, git: &Git<'_>, samples: &Samples<'_>) -> Result<Self> {
        let mut records = History::load(app, global).await?.records;
        let own = base::commit_of_run(app, git).await?;
        records.retain(|record| Some(&record.commit) != own.as_ref());
        let newest = &records[records.len().saturating_sub(MAX_RECORDS)..];
        // What one record has twice under the same name says nothing.
        let groups = newest.iter().filter_map(|record| samples.of_record(record.short(), record).ok());
        Ok(Past(groups.collect()))
    }

    fn of<'p>(&'p self, file: &'p str, name: &'p str) -> impl Iterator<Item = &'p Measured> {
        self.0.iter().filter_map(move |groups| groups.get(file)?.get(name))
    }

    /// Returns the values of a metric, where it had one run.
    pub fn runs(&self, file: &str, name: &str) -> Vec<f64> {
        let single = self.of(file, name).filter(|measured| measured.sample.runs.len() == 1);
        single.map(|measured| measured.sample.mean()).collect()
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
