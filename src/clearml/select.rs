//! Which of the tasks that ran a commit is meant, and why others are not. Pure.

use super::task::Task;
use crate::messages;

/// What a task has to be, besides to have run the commit.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Its type, if only one is wanted.
    pub kind: Option<String>,
    /// Tags that it must have.
    pub tags: Vec<String>,
    /// Its status: one of these.
    pub status: Vec<String>,
    /// Archived tasks count.
    pub archived: bool,
    /// Uncommitted changes do not matter.
    pub any_diff: bool,
}

/// A task that ran the commit and does not count.
#[derive(Debug, Clone, PartialEq)]
pub struct NearMiss {
    /// The task.
    pub task: Task,
    /// Why it does not count.
    pub reason: String,
}

impl Wanted {
    /// Returns why a task does not count, as far as that is known without its uncommitted changes.
    pub fn refuse(&self, task: &Task) -> Option<String> {
        let missing = self.tags.iter().find(|tag| !task.tags.contains(tag));
        if let Some(kind) = self.kind.as_ref().filter(|kind| **kind != task.kind) {
            return Some(format!("of type {}, not {kind}", task.kind));
        }
        if let Some(tag) = missing {
            return Some(format!("without the tag {tag}"));
        }
        if task.is_archived() && !self.archived {
            return Some("archived".to_owned());
        }
        if self.status.contains(&task.status) {
            return None;
        }
        let word = task.status_word();
        let reason = task.status_reason.trim();
        Some(if reason.is_empty() || reason == word { word.to_owned() } else { format!("{word}: {reason}") })
    }

    /// Returns why a task with these uncommitted changes does not count.
    pub fn refuse_diff(&self, diff: &str) -> Option<String> {
        if self.any_diff || diff.trim().is_empty() {
            return None;
        }
        let is_change =
            |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++ ") && !line.starts_with("--- ");
        let count = diff.lines().filter(is_change).count();
        // A text in place of a diff that was too large for the server.
        Some(if count == 0 {
            "with uncommitted changes".to_owned()
        } else {
            format!("with {} uncommitted", messages::count(count, "changed line"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_in_order() {
        let wanted = Wanted {
            kind: Some("training".into()),
            tags: vec!["ci".into()],
            status: vec!["completed".into()],
            ..Wanted::default()
        };
        let mut task = Task {
            kind: "qc".into(),
            status: "failed".into(),
            status_reason: "exit code 3".into(),
            system_tags: vec!["archived".into()],
            ..Task::default()
        };
        assert_eq!(wanted.refuse(&task).unwrap(), "of type qc, not training");
        task.kind = "training".into();
        assert_eq!(wanted.refuse(&task).unwrap(), "without the tag ci");
        task.tags = vec!["ci".into()];
        assert_eq!(wanted.refuse(&task).unwrap(), "archived");
        task.system_tags.clear();
        assert_eq!(wanted.refuse(&task).unwrap(), "failed: exit code 3");
        task.status = "in_progress".into();
        task.status_reason.clear();
        assert_eq!(wanted.refuse(&task).unwrap(), "running");
        task.status = "completed".into();
        assert_eq!(wanted.refuse(&task), None);
    }

    #[test]
    fn changed_lines_are_counted() {
        let wanted = Wanted::default();
        assert_eq!(wanted.refuse_diff(" \n"), None);
        let diff = "diff --git a/t b/t\n--- a/t\n+++ b/t\n@@ -1 +1,2 @@\n-a\n+b\n+c\n";
        assert_eq!(wanted.refuse_diff(diff).unwrap(), "with 3 changed lines uncommitted");
        assert_eq!(wanted.refuse_diff("+a").unwrap(), "with 1 changed line uncommitted");
        assert_eq!(wanted.refuse_diff("# diff too large to store").unwrap(), "with uncommitted changes");
        assert_eq!(Wanted { any_diff: true, ..wanted }.refuse_diff(diff), None);
    }
}
