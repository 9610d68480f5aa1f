//! A label by which somebody accepts what is worse in a pull request.

use crate::app::App;
use crate::connect::{self, Global};
use crate::error::Result;
use crate::forge::labels::SetLabel;
use crate::forge::{Capability, Target, TargetSpec, require};
use crate::report::escape::escape;
use crate::repository::Repository;

/// What a token has to be allowed.
const READ_HINT: &str = "let the token read the pull request: `pull-requests: read` on GitHub; on GitLab a project access token with the \
                         scope read_api, saved as the masked variable REPO_TOKEN";

/// The label to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name; empty if no label accepts anything.
    pub name: String,
    /// Whether the user chose it, so that a forge without labels is worth a word.
    pub is_chosen: bool,
}

/// What became of looking for the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// There is no pull request, the forge has no labels, or they cannot be read.
    Unavailable,
    /// The pull request does not have it.
    Absent,
    /// Somebody set it.
    Set(SetLabel),
}

impl Label {
    /// Looks for it. What cannot be read is as if there were no label, with a warning.
    pub async fn find(&self, app: &App, global: &Global, target: &TargetSpec) -> Lookup {
        let looked = if self.name.is_empty() { Ok(Lookup::Unavailable) } else { self.ask(app, global, target).await };
        looked.unwrap_or_else(|error| {
            let text = format!("cannot read the label {}, so the verdict is without it: {error}", self.name);
            app.log.warn_of(&text, Some(READ_HINT));
            Lookup::Unavailable
        })
    }

    async fn ask(&self, app: &App, global: &Global, target: &TargetSpec) -> Result<Lookup> {
        let inferred = connect::infer(app, global, Repository::parse).await;
        if inferred.token.is_none() {
            if inferred.context.pull_request.is_some() {
                app.log.info(&format!("without a token, the verdict is without the label {}", self.name));
            }
            return Ok(Lookup::Unavailable);
        }
        let connected = connect::connect(app, global, None).await?;
        let of_run = TargetSpec::Auto;
        let spec = if matches!(target, TargetSpec::This(Target::PullRequest(_))) { target } else { &of_run };
        let Target::PullRequest(number) = connected.target(app, spec).await? else { return Ok(Lookup::Unavailable) };
        match require(connected.forge.labels(), Capability::Labels, connected.driver) {
            Ok(labels) => Ok(labels.label(number, &self.name).await?.map_or(Lookup::Absent, Lookup::Set)),
            Err(error) if self.is_chosen => {
                app.log.warn_of(&error.to_string(), error.hint_text());
                Ok(Lookup::Unavailable)
            }
            Err(_) => Ok(Lookup::Unavailable),
        }
    }

    /// Returns what the report says about it, in Markdown; `None` if nobody set it.
    pub fn note(&self, lookup: &Lookup) -> Option<String> {
        let Lookup::Set(set) = lookup else { return None };
        let (name, by) = (escape(&self.name), escape(set.by.as_deref().unwrap_or("somebody")));
        let day = set.day.as_ref().map(|day| format!(" on {day}")).unwrap_or_default();
        Some(if set.is_trusted {
            format!("{by} accepted what is worse by the label {name}{day}.")
        } else {
            format!("The label {name} does not count: {by}, who set it{day}, may not push to the repository.")
        })
    }
}

impl Lookup {
    /// Returns who accepts what is worse.
    pub fn accepted_by(&self) -> Option<&str> {
        match self {
            Lookup::Set(set) if set.is_trusted => Some(set.by.as_deref().unwrap_or("a label")),
            _ => None,
        }
    }
}
