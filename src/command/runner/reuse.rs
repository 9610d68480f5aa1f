//! Decides whether an existing runner is reused, and which name is free. Pure.

use super::name::RunnerNames;
use crate::forge::runners::Runner;

/// What to do about existing runners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Launch another one.
    New,
    /// Reuse one that is online.
    Reuse,
    /// Reuse one that is online and idle.
    ReuseIdle,
}

/// The decision about the forge's runners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReuseDecision {
    /// Reuse one; the message about it.
    Reuse(String),
    /// Wait for an offline one with the name: another launch may be in progress.
    Wait(Runner),
    /// Use this free name, before which so many were taken.
    Free(String, usize),
    /// Fail: the user's name is taken.
    Taken(String),
}

/// How many runners of one repository with the same labels there may be.
const MAX_RUNNERS: usize = 1000;

/// The forge's runners, as far as a mode needs them.
#[derive(Debug, Clone, Default)]
pub struct KnownRunners {
    /// Those with all the labels; `busy` of the online ones is known if the mode needs it.
    pub matching: Vec<Runner>,
    /// All.
    pub all: Vec<Runner>,
}

impl KnownRunners {
    /// Returns the message about a runner with all the labels that is reused, if there is one.
    pub fn reused(&self, mode: Mode, labels: &[String]) -> Option<String> {
        let mut online = self.matching.iter().filter(|runner| runner.online);
        match mode {
            Mode::New => None,
            Mode::Reuse => {
                let labels = labels.join(",");
                online.next().map(|_| format!("Reusing existing online runners with the {labels} labels..."))
            }
            Mode::ReuseIdle => {
                online.find(|runner| runner.busy == Some(false)).map(|_| "Found matching idle runner.".to_owned())
            }
        }
    }
}

/// Decides what to do about the forge's runners. The first `skip` names are taken.
pub fn decide(mode: Mode, known: &KnownRunners, labels: &[String], names: &RunnerNames, skip: usize) -> ReuseDecision {
    let of = |name: &str| known.all.iter().find(|runner| runner.name.eq_ignore_ascii_case(name));
    let named = of(&names.candidate(0)).filter(|runner| mode == Mode::Reuse && runner.online);
    let named = named.map(|runner| format!("Reusing existing runner named {}...", runner.name));
    if let Some(message) = named.or_else(|| known.reused(mode, labels)) {
        return ReuseDecision::Reuse(message);
    }
    for n in skip..MAX_RUNNERS {
        let name = names.candidate(n);
        match of(&name) {
            None => return ReuseDecision::Free(name, n),
            Some(runner) if !runner.online && mode != Mode::New => return ReuseDecision::Wait(runner.clone()),
            Some(_) if names.is_given() => return ReuseDecision::Taken(name),
            Some(_) => {}
        }
    }
    ReuseDecision::Taken(names.candidate(MAX_RUNNERS))
}
