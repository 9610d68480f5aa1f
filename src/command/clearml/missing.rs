//! `--missing launch`: runs the commit on an agent where no task has run it, and waits for it.

use super::follow::{Ending, Patience, Until};
use super::launch::Launch;
use super::launched::Launched;
use super::selection::{Missing, Run, Selection};
use crate::app::App;
use crate::clearml::Client;
use crate::clearml::task::Task;
use crate::connect::Global;
use crate::error::{Error, Kind, Result};
use crate::shutdown::Shutdown;
use clap::{Args, FromArgMatches};
use std::time::Duration;

/// How long the task may run, if `--wait` does not say it.
pub const TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// How long it may wait in the queue, and how often to look, in seconds.
const PATIENCE: Patience = Patience { queue_timeout: 1800, poll: 5, follow: false };

/// What to run where no task has run the commit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Task")]
pub struct Fallback {
    /// With --missing launch, the queue whose agents run the commit
    #[arg(long, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// With --missing launch, the script to run, by its path in the repository
    #[arg(long, value_name = "FILE", conflicts_with = "template")]
    pub script: Option<String>,
    /// With --missing launch, the ID of a task to clone, with its packages, container and parameters
    #[arg(long, value_name = "ID")]
    pub template: Option<String>,
}

impl Fallback {
    /// Fails if what is to run is missing, or given without `--missing launch`.
    pub fn check(&self, missing: Missing) -> Result<()> {
        let Fallback { queue, script, template } = self;
        let is_whole = queue.is_some() && (script.is_some() || template.is_some());
        let is_empty = queue.is_none() && script.is_none() && template.is_none();
        match missing {
            Missing::Launch if !is_whole => {
                Err(Error::usage("nothing to launch")
                    .hint("--missing launch needs --queue, and --script or --template"))
            }
            Missing::Fail | Missing::Neutral if !is_empty => {
                Err(Error::usage("--queue, --script and --template are for a commit that no task has run")
                    .hint("add --missing launch; or use `cml clearml run`, which always launches a task"))
            }
            _ => Ok(()),
        }
    }
}

impl Selection {
    /// Runs the commit in a task that is as the selection wants it, and returns the task once it has completed. It is stopped if it takes
    /// too long or a signal comes.
    ///
    /// # Errors
    /// Those of `cml clearml run --wait`.
    pub async fn launch(&self, app: &App, global: &Global, run: &Run, client: &Client, commit: &str) -> Result<Task> {
        let launch = self.to_launch(commit)?;
        let mut shutdown = Shutdown::new(app, "the run");
        let plan = shutdown.run_until(launch.plan(app, global, run, client, "run")).await??;
        let launched = Launched::create(app, client, &plan, &mut shutdown).await?;
        let ending = self.follow(&launched, &mut shutdown).await;
        if !matches!(&ending, Ok(Ending { kind, .. }) if *kind != "timeout") {
            let stopped = launched.stop("the job that waited for it has ended", false, &mut shutdown).await;
            if let Err(left) = stopped {
                app.log.warn_of(&left.to_string(), left.hint_text());
            }
        }
        if !matches!(&ending, Ok(Ending { outcome: Ok(_), .. })) {
            launched.tell(false, &ending).await?;
        }
        app.log.info(&ending?.outcome?);
        app.http.restart_budget();
        client.task(&launched.id).await
    }

    async fn follow(&self, launched: &Launched<'_>, shutdown: &mut Shutdown<'_>) -> Result<Ending> {
        launched.enqueue(shutdown).await?;
        launched.follow(Until::Completed, &PATIENCE, self.wait.unwrap_or(TIMEOUT).as_secs(), shutdown).await
    }

    fn to_launch(&self, commit: &str) -> Result<Launch> {
        let Fallback { queue, script, template } = &self.fallback;
        let options = [
            ("queue", queue),
            ("script", script),
            ("template", template),
            ("project", &self.project),
            ("name", &self.name),
            ("type", &self.kind),
        ];
        let option = |(name, value): (&str, &Option<String>)| Some(format!("--{name}={}", value.as_ref()?));
        let mut argv = vec!["launch".to_owned(), format!("--commit={commit}")];
        argv.extend(options.into_iter().filter_map(option));
        argv.extend(self.tag.iter().map(|tag| format!("--tag={tag}")));
        let parsed = Launch::augment_args(clap::Command::new("launch")).try_get_matches_from(argv);
        let parsed = parsed.and_then(|matches| Launch::from_arg_matches(&matches));
        parsed.map_err(|error| Error::new(Kind::Usage, error.to_string()))
    }
}
