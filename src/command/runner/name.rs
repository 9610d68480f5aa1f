//! The names of runners.
//!
//! Where runners are reused the name is the lock: it follows from the repository and the labels, so that two simultaneous
//! launches ask for the same one. Otherwise it follows from the CI job that launches it, or is random.

use super::reuse::Mode;
use crate::cloud::{Cloud, Location};
use crate::digest::hash;
use crate::host::Host;

/// The prefix of the names that cml generates.
pub const PREFIX: &str = "cml-";

/// Returns the prefix of the names of runners on a cloud's instances. It names all of the location, so that of two accounts with
/// instances in one region, neither takes the other's runners for its own.
pub fn cloud_prefix(location: &Location) -> String {
    format!("{PREFIX}{}-", location.tag())
}

/// Returns the prefix of the names that earlier versions generated, which have the region only.
pub fn region_prefix(cloud: &dyn Cloud) -> String {
    format!("{PREFIX}{}-", cloud.region())
}

/// The candidate names of one launch's runner.
#[derive(Debug, Clone)]
pub struct RunnerNames {
    /// The user's own name.
    given: Option<String>,
    /// What the generated names follow from.
    seed: String,
    /// The prefix of the generated names.
    prefix: String,
}

impl RunnerNames {
    /// Creates the names of a launch; `job` identifies the CI job.
    pub fn new(
        given: Option<&str>,
        mode: Mode,
        repository: &str,
        labels: &[String],
        job: Option<&str>,
        host: &dyn Host,
    ) -> Self {
        // Case matters: GitLab distinguishes GPU and gpu.
        let mut labels = labels.to_vec();
        labels.sort();
        let job = match (mode, job) {
            (Mode::Reuse | Mode::ReuseIdle, _) => String::new(),
            (Mode::New, Some(job)) => job.to_owned(),
            (Mode::New, None) => format!("{:016x}{:016x}", host.random(), host.random()),
        };
        let seed = [repository.to_lowercase(), labels.join(","), job].join("\n");
        RunnerNames { given: given.map(|name| name.trim().to_owned()), seed, prefix: PREFIX.to_owned() }
    }

    /// Returns these names with another prefix.
    #[must_use]
    pub fn with_prefix(self, prefix: String) -> Self {
        RunnerNames { prefix, ..self }
    }

    /// Returns whether the user gave the name, so that there is only one.
    pub fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Returns the n-th candidate, counted from 0.
    pub fn candidate(&self, n: usize) -> String {
        match &self.given {
            Some(name) => name.clone(),
            None => format!("{}{}", self.prefix, &hash(format!("{}\n{n}", self.seed).as_bytes())[..12]),
        }
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_lock_of_those_that_are_reused() {
        let host = crate::host::native::Native::default();
        let labels = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let names = |mode, repository: &str, text: &str, job| {
            RunnerNames::new(None, mode, repository, &labels(text), job, &host)
        };
        let one = names(Mode::Reuse, "https://github.com/o/r", "gpu,big", Some("1"));
        let other = names(Mode::ReuseIdle, "https://github.com/O/r", "big,gpu", Some("2"));
        assert_eq!(one.candidate(0), other.candidate(0));
        assert_ne!(one.candidate(0), one.candidate(1));
        assert_ne!(one.candidate(0), names(Mode::Reuse, "https://github.com/o/r", "gpu", None).candidate(0));
        assert_ne!(one.candidate(0), names(Mode::Reuse, "https://github.com/o/s", "gpu,big", None).candidate(0));

        let new = |job| names(Mode::New, "https://github.com/o/r", "gpu", job).candidate(0);
        assert_eq!(new(Some("1")), new(Some("1")));
        assert_ne!(new(Some("1")), new(Some("2")));
        assert_ne!(new(None), new(None));
        assert!(new(None).starts_with(PREFIX) && new(None).len() == 16);

        let given = RunnerNames::new(Some(" mine "), Mode::New, "x", &[], None, &host);
        assert_eq!((given.candidate(0), given.candidate(5)), ("mine".to_owned(), "mine".to_owned()));
    }
}
