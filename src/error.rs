//! What went wrong, for whom, and what to do about it.
//!
//! Code matches on [`Kind`]; people read the message and the hint. A message is lower-case, names the
//! object it is about and has no full stop. Secrets never enter an [`Error`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The result of everything that can fail in this program.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error: decides the exit code, and what callers may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A gate failed: a metric is worse than it may be.
    Regression,
    /// The command line is wrong.
    Usage,
    /// A file, an environment variable or the machine's setting is wrong.
    Config,
    /// The service does not accept the token, or the token may not do this.
    Auth,
    /// The repository, pull request, commit or file does not exist.
    NotFound,
    /// Somebody else changed the same thing at the same time, or it exists already.
    Conflict,
    /// This forge, cloud or build cannot do that.
    Unsupported,
    /// The service asks to come back later than the time allowed.
    RateLimited,
    /// The service or the network failed.
    Remote,
    /// The input is too large for the service.
    TooLarge,
    /// A signal ended the program while a job was running.
    Interrupted,
    /// The cloud has no capacity for the instance, or the account's limit is reached.
    NoCapacity,
    /// A cloud machine ended, or never came to work.
    Died,
    /// A gate has a rule for a metric that is nowhere.
    CannotJudge,
    /// A bug in cml.
    Internal,
}

impl Kind {
    /// Returns its name in `--log json`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Regression => "regression",
            Kind::Usage => "usage",
            Kind::Config => "config",
            Kind::Auth => "auth",
            Kind::NotFound => "not_found",
            Kind::Conflict => "conflict",
            Kind::Unsupported => "unsupported",
            Kind::RateLimited => "rate_limited",
            Kind::Remote => "remote",
            Kind::TooLarge => "too_large",
            Kind::NoCapacity => "no_capacity",
            Kind::Died => "died",
            Kind::CannotJudge => "cannot_judge",
            Kind::Interrupted => "interrupted",
            Kind::Internal => "internal",
        }
    }

    /// Returns the exit code of the process, as listed in `docs/errors.md`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Regression => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::Auth => 4,
            Kind::NotFound => 5,
            Kind::Conflict => 6,
            Kind::Unsupported => 7,
            Kind::RateLimited => 8,
            Kind::Remote => 9,
            Kind::TooLarge => 10,
            Kind::NoCapacity => 11,
            Kind::Died => 12,
            Kind::CannotJudge => 13,
            Kind::Internal => 70,
            Kind::Interrupted => 75,
        }
    }
}

/// An error with its class, a message, and what the user can do.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    ambiguous: bool,
    retry_after: Option<Duration>,
    exit_code: Option<u8>,
}

/// Returns an error and its sources, the outermost first.
pub fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

impl Error {
    /// Returns the first of our own errors among an error and its sources.
    pub fn from_chain<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|error| error.downcast_ref())
    }

    /// Returns an error of a class with its message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
            hint: None,
            source: None,
            ambiguous: false,
            retry_after: None,
            exit_code: None,
        }
    }

    /// Adds what the user can do about it: one line.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint unless a more specific one is there.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Prepends what was being done when it happened.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Prepends an earlier error, whose alternative failed with this one.
    #[must_use]
    pub fn after(mut self, earlier: Option<Error>) -> Self {
        if let Some(earlier) = earlier {
            self.message = format!("{}; {}", earlier.message, self.message);
        }
        self
    }

    /// Marks that the request may have succeeded despite the error: check before sending it again.
    #[must_use]
    pub fn ambiguous(mut self) -> Self {
        self.ambiguous = true;
        self
    }

    /// Marks that a retry may succeed after a pause.
    #[must_use]
    pub fn retry_in(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// Returns the pause after which a retry may succeed; `None` when it will not.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Sets another exit code than that of the class.
    #[must_use]
    pub fn exits_with(mut self, code: u8) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> u8 {
        self.exit_code.unwrap_or(self.kind.exit_code())
    }

    /// Returns the class.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether the request may have succeeded despite the error.
    pub fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// Returns what the user can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| &**s as _)
    }
}

/// Shorthands for the commonest classes.
macro_rules! shorthand {
    ($($name:ident => $kind:ident),*) => {
        impl Error {
            $(#[doc = concat!("An error of the class [`Kind::", stringify!($kind), "`].")]
            pub fn $name(message: impl Into<String>) -> Self {
                Error::new(Kind::$kind, message)
            })*
        }
    };
}
shorthand!(usage => Usage, config => Config, auth => Auth, not_found => NotFound, conflict => Conflict,
    unsupported => Unsupported, remote => Remote, too_large => TooLarge, internal => Internal,
    interrupted => Interrupted, regression => Regression);
