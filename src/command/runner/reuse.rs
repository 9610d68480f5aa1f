//! Whether there is a runner already, and which name is free. Pure.

use super::name::Names;
use crate::forge::runner::Runner;

/// What to do about runners that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing: launch another.
    New,
    /// Use one that is online.
    Reuse,
    /// Use one that is online and has no job.
    ReuseIdle,
}

/// What the forge's list comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is one; the words for it.
    Reuse(String),
    /// One that is not online has the name: somebody may be launching it at this moment.
    Wait(Runner),
    /// A name that the forge does not know, and how many were taken before it.
    Free(String, usize),
    /// The user's name is taken.
    Taken(String),
}

/// How many runners of one repository with the same labels may have jobs at once, so that another is launched.
const SEATS: usize = 1000;

/// What the forge says of its runners, as far as a mode asks for it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those with all the labels; of those that are online, `busy` is known where the mode asks for it.
    pub fit: Vec<Runner>,
    /// All.
    pub all: Vec<Runner>,
}

impl Seen {
    /// The words for a runner with all the labels that is used instead of a new one.
    pub fn reused(&self, mode: Mode, labels: &[String]) -> Option<String> {
        let mut online = self.fit.iter().filter(|runner| runner.online);
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

/// Judges the forge's runners. The first `skip` names are taken.
pub fn judge(mode: Mode, seen: &Seen, labels: &[String], names: &Names, skip: usize) -> Verdict {
    let of = |name: &str| seen.all.iter().find(|runner| runner.name.eq_ignore_ascii_case(name));
    let named = of(&names.nth(0)).filter(|runner| mode == Mode::Reuse && runner.online);
    let named = named.map(|runner| format!("Reusing existing runner named {}...", runner.name));
    if let Some(words) = named.or_else(|| seen.reused(mode, labels)) {
        return Verdict::Reuse(words);
    }
    for n in skip..SEATS {
        let name = names.nth(n);
        match of(&name) {
            None => return Verdict::Free(name, n),
            Some(runner) if !runner.online && mode != Mode::New => return Verdict::Wait(runner.clone()),
            Some(_) if names.is_given() => return Verdict::Taken(name),
            Some(_) => {}
        }
    }
    Verdict::Taken(names.nth(SEATS))
}
