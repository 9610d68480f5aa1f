//! What a runner is called.
//!
//! Where runners are reused the name is the lock: it follows from the repository and the labels, so that two launches
//! at the same moment ask for the same one. Otherwise it follows from the job of the CI that launches it, or from chance.

use super::reuse::Mode;
use crate::cloud::Cloud;
use crate::forge::hash;
use crate::host::Host;

/// What the names that cml gives begin with.
pub const PREFIX: &str = "cml-";

/// What the names of runners on a cloud's machines begin with.
pub fn in_cloud(cloud: &dyn Cloud) -> String {
    format!("{PREFIX}{}-", cloud.region())
}

/// The names of the runners of one launch.
#[derive(Debug, Clone)]
pub struct Names {
    /// The user's own.
    given: Option<String>,
    /// What the others are made of.
    seed: String,
    /// What they begin with.
    prefix: String,
}

impl Names {
    /// `job` is what tells the CI's job apart from every other.
    pub fn new(
        given: Option<&str>,
        mode: Mode,
        repository: &str,
        labels: &[String],
        job: Option<&str>,
        host: &dyn Host,
    ) -> Self {
        // As they are: GitLab tells GPU from gpu.
        let mut labels = labels.to_vec();
        labels.sort();
        let job = match (mode, job) {
            (Mode::Reuse | Mode::ReuseIdle, _) => String::new(),
            (Mode::New, Some(job)) => job.to_owned(),
            (Mode::New, None) => format!("{:016x}{:016x}", host.random(), host.random()),
        };
        let seed = [repository.to_lowercase(), labels.join(","), job].join("\n");
        Names { given: given.map(|name| name.trim().to_owned()), seed, prefix: PREFIX.to_owned() }
    }

    /// The same with another beginning.
    #[must_use]
    pub fn beginning_with(self, prefix: String) -> Self {
        Names { prefix, ..self }
    }

    /// Whether the user gave the name, and so there is one only.
    pub fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// The name of one of them, counted from 0.
    pub fn nth(&self, n: usize) -> String {
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
        let names =
            |mode, repository: &str, text: &str, job| Names::new(None, mode, repository, &labels(text), job, &host);
        let one = names(Mode::Reuse, "https://github.com/o/r", "gpu,big", Some("1"));
        let other = names(Mode::ReuseIdle, "https://github.com/O/r", "big,gpu", Some("2"));
        assert_eq!(one.nth(0), other.nth(0));
        assert_ne!(one.nth(0), one.nth(1));
        assert_ne!(one.nth(0), names(Mode::Reuse, "https://github.com/o/r", "gpu", None).nth(0));
        assert_ne!(one.nth(0), names(Mode::Reuse, "https://github.com/o/s", "gpu,big", None).nth(0));

        let new = |job| names(Mode::New, "https://github.com/o/r", "gpu", job).nth(0);
        assert_eq!(new(Some("1")), new(Some("1")));
        assert_ne!(new(Some("1")), new(Some("2")));
        assert_ne!(new(None), new(None));
        assert!(new(None).starts_with(PREFIX) && new(None).len() == 16);

        let given = Names::new(Some(" mine "), Mode::New, "x", &[], None, &host);
        assert_eq!((given.nth(0), given.nth(5)), ("mine".to_owned(), "mine".to_owned()));
    }
}
