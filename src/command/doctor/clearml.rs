//! ClearML's part of `cml doctor`: the server, whose keys these are, the queues, and tasks that a killed check has left.

use super::{Line, show, table};
use crate::app::App;
use crate::clearml::{Client, Settings, config};
use crate::error::Result;
use crate::inputs::parse_bool;
use crate::messages::count;

/// The variable of `cml clearml … --insecure-http`.
const INSECURE_HTTP: &str = "CML_CLEARML_INSECURE_HTTP";
/// A clock that differs by more seconds is told: tokens are valid by the server's.
const MAX_SKEW: u64 = 60;

/// Shows what was found, where ClearML is set up. Only reads.
///
/// # Errors
/// The settings are wrong, or the server refuses.
pub async fn diagnose(app: &App) -> Result<()> {
    let mut lines = Vec::new();
    let outcome = inspect(app, &mut lines).await;
    if let Err(error) = &outcome {
        lines.push(("problem", error.to_string(), ""));
    }
    if lines.is_empty() {
        return Ok(());
    }
    show(app, &format!("\nClearML\n{}", table(&lines)))?;
    outcome
}

async fn inspect(app: &App, lines: &mut Vec<Line>) -> Result<()> {
    let settings = Settings::load(app)?;
    let (api, keys) = settings.sources();
    if api.is_none() && keys.is_none() {
        return Ok(());
    }
    let is_insecure = app.env().named(INSECURE_HTTP).is_some_and(|text| parse_bool(text) == Ok(true));
    let server = settings.server(is_insecure)?;
    lines.push(("API", server.api.to_string(), api.unwrap_or("the default")));
    let unknown = || "unknown: links are left out".to_owned();
    lines.push(("pages", server.web.clone().unwrap_or_else(unknown), ""));
    let files =
        server.files.as_ref().map_or_else(|| "unknown: images are not downloaded".to_owned(), ToString::to_string);
    lines.push(("files", files, ""));
    let (Some(credentials), Some(source)) = (settings.credentials(), keys) else {
        lines.push(("credentials", "none".to_owned(), ""));
        return Err(config::missing_credentials());
    };
    lines.push(("credentials", "given".to_owned(), source));
    settings.trust()?;
    app.http.restart_budget();
    let client = Client::new(app, server, credentials);
    let claims = client.claims().await?;
    let version = claims.api.map_or_else(|| "unknown".to_owned(), |(major, minor)| format!("{major}.{minor}"));
    let server = claims.server.map(|server| format!("{server}, ")).unwrap_or_default();
    lines.push(("server", format!("{server}API {version}"), ""));
    lines.push(("user", claims.user.unwrap_or_else(|| "unknown".to_owned()), ""));
    let skew = app.http.server_now().abs_diff(app.host.now().as_secs() as i64);
    if skew > MAX_SKEW {
        lines.push(("clock", format!("differs from the server's by {}", count(skew as usize, "second")), ""));
    }
    let watched = client.watched_queues().await?;
    for queue in client.queues().await? {
        let workers = watched.iter().filter(|queues| queues.contains(&queue.id)).count();
        let workers = if workers == 0 { "no worker".to_owned() } else { count(workers, "worker") };
        lines.push(("queue", format!("{}: {workers}, {} waiting", queue.name, count(queue.waiting, "task")), ""));
    }
    for task in client.left_by_checks().await? {
        let text = format!(
            "{} ({}), {}; stop and archive it, unless its job still runs",
            task.name,
            task.id,
            task.status_word()
        );
        lines.push(("left by a check", text, ""));
    }
    Ok(())
}
