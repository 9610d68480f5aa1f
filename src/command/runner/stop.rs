//! `cml runner stop`: removes a runner from the forge, so that it ends where it runs.

use super::cloud::CloudLocation;
use super::instances;
use crate::app::App;
use crate::connect::{self, Global};
use crate::error::{Error, Kind, Result};
use clap::Args;

/// Options of `cml runner stop`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  # Remove a runner that cml runner list shows\n  cml runner stop cml-50d927b9ef9e\n\n\
    A busy runner is not removed: cancel its job first.\n\
    The runner program ends by itself when its registration is removed."
)]
pub struct Stop {
    /// Name of a runner, as cml runner list shows it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The cloud and region of its instance.
    #[command(flatten)]
    pub location: CloudLocation,
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &Stop) -> Result<()> {
    let cloud = args.location.connect(app)?;
    let connected = connect::connect_runners(app, global).await?;
    let runners = connected.runners()?;
    let mut found =
        runners.list(&[]).await?.into_iter().filter(|runner| runner.name.eq_ignore_ascii_case(&args.name)).peekable();
    let instances = match &cloud {
        Some((_, cloud)) => instances::list_for_repository(&**cloud, &connected.repository.url()).await?,
        None => Vec::new(),
    };
    let instances: Vec<_> =
        instances.into_iter().filter(|instance| instance.labels.name.eq_ignore_ascii_case(&args.name)).collect();
    if found.peek().is_none() && instances.is_empty() {
        return Err(Error::not_found(format!("no runner {} in {}", args.name, connected.repository.url()))
            .hint("list the runners with: cml runner list"));
    }
    for runner in found {
        runners.delete(&runner.id).await.map_err(|error| match error.kind() {
            Kind::Conflict => Error::conflict(format!("runner {} is running a job", runner.name))
                .hint("cancel the job or wait until it ends, then run this again"),
            _ => error.context(format!("cannot remove runner {}", runner.name)),
        })?;
        app.log.info(&format!("removed runner {}", runner.name));
    }
    // An instance whose runner is gone would power itself off a little later.
    if let Some((_, cloud)) = &cloud {
        for instance in instances {
            cloud.delete(&instance.id).await?;
            app.log.info(&format!("terminated instance {}", instance.id));
        }
    }
    Ok(())
}
