//! `cml runner list`: lists the forge's runners, and the cloud's instances.

use super::cloud::CloudLocation;
use super::instances;
use crate::app::App;
use crate::connect::{self, Global};
use crate::error::Result;
use crate::forge::runners::Runner;
use clap::Args;

/// Options of `cml runner list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  # The runners of the repository\n  cml runner list\n\n  \
    # The runners of an organisation, group or workspace\n  cml runner list --repo https://github.com/my-org")]
pub struct List {
    /// The cloud and region of their instances.
    #[command(flatten)]
    pub location: CloudLocation,
}

/// Runs the verb.
pub async fn run(app: &App, global: &Global, args: &List) -> Result<()> {
    let cloud = args.location.connect(app)?;
    let connected = connect::connect_runners(app, global).await?;
    let mut runners = connected.runners()?.list(&[]).await?;
    runners.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    if runners.is_empty() {
        app.log.info(&format!("{} has no runners", connected.repository.url()));
    } else {
        app.print(&table(&runners))?;
    }
    if let Some((_, cloud)) = cloud {
        let found = instances::list_for_repository(&*cloud, &connected.repository.url()).await?;
        if found.is_empty() {
            app.log.info(&format!("it has no instances in {}", cloud.region()));
        } else {
            app.print(&format!("\n{}", instances::table(&found, app.host.now().as_secs() as i64)))?;
        }
    }
    Ok(())
}

/// Renders a table with one line per runner.
fn table(runners: &[Runner]) -> String {
    let rows = runners.iter().map(|runner| {
        let busy = match runner.busy {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let status = if runner.online { "online" } else { "offline" };
        vec![runner.name.clone(), status.to_owned(), busy.to_owned(), runner.labels.join(",")]
    });
    let titles = ["NAME", "STATUS", "BUSY", "LABELS"].map(str::to_owned).to_vec();
    instances::columns(&std::iter::once(titles).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_content() {
        let runner = |name: &str, online, busy, labels: &[&str]| Runner {
            id: "1".into(),
            name: name.into(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            online,
            busy,
            order: 1,
        };
        let runners = [runner("cml-0123456789ab", true, Some(true), &["cml", "gpu"]), runner("a\nb", false, None, &[])];
        let expected = "NAME              STATUS   BUSY  LABELS\n\
                        cml-0123456789ab  online   yes   cml,gpu\n\
                        a b               offline  ?\n";
        assert_eq!(table(&runners), expected);
    }
}
