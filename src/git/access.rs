//! What a git command may do, and the environment that sees to it.

use super::{Checkout, slashes};
use crate::app::App;
use crate::host::Command;

/// What a git command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads what is in the repository. Nothing that the repository's configuration or files name runs, nothing is
    /// fetched, and no token is in its environment. (`status` compares files as they would be committed: only then do
    /// the filters run that the configuration has, such as git-lfs.)
    Read,
    /// It writes objects, an index of its own or settings: no token.
    Write,
    /// It talks to the remote, with the credentials for that.
    Transfer,
}

/// Settings for all commands: a repository may name programs in them.
const NO_PROGRAMS: [(&str, &str); 4] = [
    ("core.fsmonitor", "false"),
    // A folder that is nowhere.
    ("core.hooksPath", "/dev/null"),
    ("core.pager", "cat"),
    ("safe.bareRepository", "explicit"),
];
/// Settings for commands that only look.
const NO_WAY_OUT: [(&str, &str); 3] =
    [("protocol.allow", "never"), ("core.sshCommand", "false"), ("credential.helper", "")];
/// Variables of commands that only look. <https://git-scm.com/docs/git#_environment_variables>
const LOOKING: [(&str, &str); 7] = [
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("GIT_PAGER", "cat"),
    ("LC_ALL", "C"),
];
/// Variables that say where a repository is, or a part of it: that is decided here.
const PLACES: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG",
    "GIT_EXTERNAL_DIFF",
];
/// Settings with which only a command that talks to the remote starts: they may hold credentials.
const CREDENTIALS: [&str; 4] = ["http.", "credential.", "url.", "remote."];

/// A git command that is being put together.
pub struct Call<'a> {
    pub access: Access,
    /// The working copy; `None` outside of any.
    pub checkout: Option<&'a Checkout>,
    /// Whether it starts at the top of it rather than in the current directory.
    pub at_top: bool,
    /// Settings that may be secret, and so never are arguments.
    pub settings: &'a [(String, String)],
    pub env: Vec<(&'a str, &'a str)>,
}

impl Call<'_> {
    /// Returns the command: what must hold even for an old git is an argument, the rest in the environment.
    pub fn command(&self, app: &App, args: &[&str]) -> Command {
        let looks = self.access == Access::Read;
        let (locked, looking) = if looks { (&NO_WAY_OUT[..], &LOOKING[..]) } else { Default::default() };
        let mut argv = vec!["git".to_owned()];
        let mut env: Vec<(String, String)> =
            looking.iter().chain(&self.env).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if let Some(checkout) = self.checkout.filter(|_| self.at_top) {
            argv.extend(["-C".to_owned(), slashes(&checkout.top)]);
        }
        for (key, value) in NO_PROGRAMS.iter().chain(locked) {
            argv.extend(["-c".to_owned(), format!("{key}={value}")]);
        }
        argv.extend(args.iter().map(|arg| (*arg).to_owned()));
        env.extend(self.places(app));
        env.extend(self.settings(app));
        let mut unset: Vec<String> = PLACES.iter().map(|name| (*name).to_owned()).collect();
        if self.access != Access::Transfer {
            unset.push("GIT_CONFIG_PARAMETERS".to_owned());
        }
        unset.extend((0..given(app)).map(|at| format!("GIT_CONFIG_VALUE_{at}")));
        Command { env, unset, limit: Some(app.http.time_left()), ..Command::new(argv) }
    }

    /// Names the repository. What the CI names is trusted; elsewhere git finds it, but in this folder only, and looks
    /// whose it is.
    fn places(&self, app: &App) -> Vec<(String, String)> {
        let Some(checkout) = self.checkout else { return Vec::new() };
        if checkout.named {
            let top = slashes(&checkout.top);
            let folder = slashes(&checkout.top.join(".git"));
            return vec![("GIT_DIR".to_owned(), folder), ("GIT_WORK_TREE".to_owned(), top)];
        }
        let Some(above) = checkout.top.parent() else { return Vec::new() };
        let separator = if app.host.platform().os == "windows" { ";" } else { ":" };
        let given = app.env().named("GIT_CEILING_DIRECTORIES").map(str::to_owned);
        let ceilings: Vec<String> = [slashes(above)].into_iter().chain(given).collect();
        vec![("GIT_CEILING_DIRECTORIES".to_owned(), ceilings.join(separator))]
    }

    /// Returns the settings after those that the environment gives, of which credentials stay away from all that
    /// talks to nobody.
    /// <https://git-scm.com/docs/git-config#_environment>
    fn settings(&self, app: &App) -> Vec<(String, String)> {
        let variable = |name: &str, at: usize| app.env().named(&format!("GIT_CONFIG_{name}_{at}")).map(str::to_owned);
        let pair = |at: usize| Some((variable("KEY", at)?, variable("VALUE", at).unwrap_or_default()));
        let transfers = self.access == Access::Transfer;
        let is_credential = |key: &str| CREDENTIALS.iter().any(|start| key.to_ascii_lowercase().starts_with(start));
        let before = (0..given(app)).filter_map(pair).filter(|(key, _)| transfers || !is_credential(key));
        let trusted = self.checkout.filter(|checkout| checkout.named);
        let trusted = trusted.map(|checkout| ("safe.directory".to_owned(), slashes(&checkout.top)));
        let all: Vec<(String, String)> = before.chain(trusted).chain(self.settings.iter().cloned()).collect();
        let count = ("GIT_CONFIG_COUNT".to_owned(), all.len().to_string());
        let pairs = all.into_iter().enumerate().flat_map(|(at, (key, value))| {
            [(format!("GIT_CONFIG_KEY_{at}"), key), (format!("GIT_CONFIG_VALUE_{at}"), value)]
        });
        pairs.chain([count]).collect()
    }
}

/// Returns how many settings the environment gives.
fn given(app: &App) -> usize {
    app.env().named("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or_default()
}
