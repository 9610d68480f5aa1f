//! Checks in the preview's folder.

use super::{CHECKS, Local, StoredCheck};
use crate::error::{Error, Result};
use crate::forge::checks::{Check, CheckState, Checks, CreatedCheck};
use crate::report::split::{ReportLimits, Unit};
use async_trait::async_trait;

/// GitHub's, so that the preview shows how the report will be cut.
const CHECK_LIMITS: ReportLimits = ReportLimits { parts: 2, part: 65_535, unit: Unit::Bytes };

#[async_trait(?Send)]
impl Checks for Local {
    fn report_limits(&self) -> Option<ReportLimits> {
        Some(CHECK_LIMITS)
    }

    async fn create(&self, check: &Check) -> Result<CreatedCheck> {
        let mut checks: Vec<StoredCheck> = self.load_list(CHECKS)?;
        let is_same = |stored: &StoredCheck| match &check.id {
            Some(id) => stored.id.to_string() == *id,
            None => {
                let is_done = matches!(stored.state, CheckState::Completed(_));
                !is_done && stored.title == check.title && stored.commit == check.commit
            }
        };
        let at = checks.iter().rposition(is_same);
        if let (Some(id), None) = (&check.id, at) {
            return Err(Error::not_found(format!("there is no check {id} in the local preview"))
                .hint("leave --check-id out to find it by its title"));
        }
        let id = at.map_or_else(|| checks.iter().map(|old| old.id).max().unwrap_or(0) + 1, |at| checks[at].id);
        let stored = StoredCheck {
            id,
            commit: check.commit.clone(),
            title: check.title.clone(),
            changed: self.now(),
            state: check.state,
            report: check.report.join("\n\n"),
            annotations: check.annotations.clone(),
        };
        match at {
            Some(at) => checks[at] = stored,
            None => checks.push(stored),
        }
        self.write_list(CHECKS, &checks)?;
        self.write_page(&self.load()?, &checks)?;
        Ok(CreatedCheck { id: Some(id.to_string()), url: self.address(), left_out: Vec::new() })
    }
}
