//! `cml runner stop`: a runner is removed from the forge, and ends where it runs.

use super::cloud::Place;
use super::machines;
use crate::app::App;
use crate::connect::{self, Global};
use crate::error::{Error, Kind, Result};
use clap::Args;

/// Options of `cml runner stop`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  # One that cml runner list shows\n  cml runner stop cml-50d927b9ef9e\n\n\
    A runner that has a job is left as it is: cancel the job first.\n\
    One whose machine is gone is removed; the program of one that lives ends by itself.")]
pub struct Stop {
    /// Name of a runner, as cml runner list shows it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where its machine is.
    #[command(flatten)]
    pub place: Place,
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &Stop) -> Result<()> {
    let cloud = args.place.connect(app)?;
    let connected = connect::connect_runners(app, global).await?;
    let runners = connected.forge.list_runners(&[]).await?;
    let mut found = runners.into_iter().filter(|runner| runner.name.eq_ignore_ascii_case(&args.name)).peekable();
    let machines = match &cloud {
        Some((_, cloud)) => machines::of(&**cloud, &connected.repository.url()).await?,
        None => Vec::new(),
    };
    let machines: Vec<_> =
        machines.into_iter().filter(|machine| machine.tags.name.eq_ignore_ascii_case(&args.name)).collect();
    if found.peek().is_none() && machines.is_empty() {
        return Err(Error::not_found(format!("there is no runner {} in {}", args.name, connected.repository.url()))
            .hint("cml runner list shows their names"));
    }
    for runner in found {
        connected.forge.delete_runner(&runner.id).await.map_err(|error| match error.kind() {
            Kind::Conflict => Error::conflict(format!("runner {} has a job", runner.name))
                .hint("cancel the job, or wait for its end, and run this again"),
            _ => error.context(format!("cannot remove runner {}", runner.name)),
        })?;
        app.log.info(&format!("removed runner {}", runner.name));
    }
    // A machine whose runner is gone would end by itself, a little later.
    if let Some((_, cloud)) = &cloud {
        for machine in machines {
            cloud.delete_instance(&machine.id).await?;
            app.log.info(&format!("terminated instance {}", machine.id));
        }
    }
    Ok(())
}
