//! What `--log` takes.

use super::Level;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// The level of the log, and its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verbosity {
    /// How much.
    pub level: Level,
    /// For programs: a JSON object a line.
    pub json: bool,
}

impl From<Level> for Verbosity {
    fn from(level: Level) -> Self {
        Verbosity { level, json: false }
    }
}

const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

impl Verbosity {
    /// `json` is `json:info`.
    pub fn parse(text: &str) -> Option<Verbosity> {
        let json = text == "json" || text.starts_with("json:");
        let level = if text == "json" { Level::Info.name() } else { text.strip_prefix("json:").unwrap_or(text) };
        LEVELS.into_iter().find(|known| known.name() == level).map(|level| Verbosity { level, json })
    }

    /// Returns the parser of the option.
    pub fn parser() -> impl TypedValueParser<Value = Verbosity> {
        let value = |level: Level| PossibleValue::new(level.name()).help(level.help());
        let json = [
            PossibleValue::new("json").help("Like info, as one JSON object per line"),
            PossibleValue::new("json:debug").help("Like debug, as one JSON object per line"),
        ];
        let hidden = ["json:error", "json:warn", "json:info"].map(|name| PossibleValue::new(name).hide(true));
        let known = LEVELS.map(value).into_iter().chain(json).chain(hidden);
        let unknown = || crate::error::Error::internal("unknown value of --log");
        PossibleValuesParser::new(known).try_map(move |text| Verbosity::parse(&text).ok_or_else(unknown))
    }
}
