//! When there are colours, and how the beginning of a line looks with them.

use super::Level;
use crate::env::{Env, vars};

/// Returns whether text for a stream is coloured: on a terminal that can, unless the environment says otherwise.
/// NO_COLOR (<https://no-color.org>) goes before CLICOLOR_FORCE and CLICOLOR (<https://bixense.com/clicolors>).
pub fn wanted(env: &Env, is_terminal: bool) -> bool {
    let is_on = |value: &str| value != "0";
    if env.get(vars::NO_COLOR).is_some() {
        return false;
    }
    if env.get(vars::CLICOLOR_FORCE).is_some_and(is_on) {
        return true;
    }
    env.get(vars::CLICOLOR).is_none_or(is_on) && is_able(env, is_terminal)
}

/// Returns whether a stream goes to a terminal that understands more than lines of text. The console of Windows that
/// says nothing about itself may not.
pub fn is_able(env: &Env, is_terminal: bool) -> bool {
    let term = env.get(vars::TERM).or(env.get(vars::WT_SESSION));
    is_terminal && term.is_some_and(|term| term != "dumb")
}

/// `error: ` and the like, in colours.
pub fn prefix(level: Level, prefix: &str) -> String {
    let colour = match level {
        Level::Error => "1;31",
        Level::Warn => "1;33",
        Level::Debug => "2",
        Level::Info if prefix.is_empty() => return String::new(),
        Level::Info => "1;36",
    };
    let (word, rest) = prefix.split_at(prefix.trim_end().len());
    format!("\x1b[{colour}m{word}\x1b[0m{rest}")
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn only_a_terminal_has_colours_unless_the_user_wants() {
        for (env, terminal, pipe) in [
            (&[("TERM", "xterm")][..], true, false),
            (&[], false, false),
            (&[("WT_SESSION", "1")], true, false),
            (&[("TERM", "dumb")], false, false),
            (&[("TERM", "xterm"), ("NO_COLOR", "1")], false, false),
            (&[("TERM", "xterm"), ("NO_COLOR", "")], true, false),
            (&[("TERM", "xterm"), ("CLICOLOR", "0")], false, false),
            (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true, true),
            (&[("TERM", "xterm"), ("CLICOLOR_FORCE", "0")], true, false),
            (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false, false),
        ] {
            let env = env.iter().copied().collect();
            assert_eq!((wanted(&env, true), wanted(&env, false)), (terminal, pipe), "{env:?}");
        }
    }
}
