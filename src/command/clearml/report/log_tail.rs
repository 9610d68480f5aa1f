//! The end of a task's log, fit to be published. An agent prints its configuration, keys included, before it starts the task.

use crate::app::App;
use crate::env::is_secret_name;

/// The line with which the agent's configuration begins, and the one with which the task does.
const CONFIGURATION: &str = "Current configuration (";
const TASK: &str = "Executing task id [";
/// Longer words that begin like a JSON Web Token are taken for one.
const MIN_TOKEN: usize = 24;

/// Returns the lines without the agent's configuration and without secrets.
pub fn without_secrets(app: &App, lines: Vec<String>) -> Vec<String> {
    let lines: Vec<String> = without_configuration(&lines).iter().map(|line| mask(line)).collect();
    let text = app.log.redact(&lines.join("\n"));
    text.lines().map(str::to_owned).collect()
}

fn without_configuration(lines: &[String]) -> &[String] {
    let task = lines.iter().rposition(|line| line.contains(TASK));
    let dump = lines.iter().rposition(|line| line.contains(CONFIGURATION));
    match (dump, task) {
        (_, Some(task)) => &lines[task..],
        // It is cut off in the middle of the dump: nothing after it is the task's.
        (Some(_), None) => &[],
        (None, None) => lines,
    }
}

/// Returns a line in which the values of secrets are `***`: `NAME=value`, `a.name = value`, and tokens.
fn mask(line: &str) -> String {
    let assignment = [" = ", ": "].iter().find_map(|sign| line.split_once(sign).map(|(name, _)| (name, sign)));
    if let Some((name, sign)) = assignment.filter(|(name, _)| !name.trim().contains(' ') && is_secret_name(name)) {
        return format!("{name}{sign}***");
    }
    line.split_inclusive(' ').map(mask_word).collect()
}

fn mask_word(word: &str) -> String {
    let (body, space) = word.strip_suffix(' ').map_or((word, ""), |body| (body, " "));
    if let Some((name, value)) = body.split_once('=')
        && !value.is_empty()
        && is_secret_name(name)
    {
        return format!("{name}=***{space}");
    }
    let bare = body.trim_start_matches(['"', '\'', '(']);
    if bare.starts_with("eyJ") && bare.len() > MIN_TOKEN {
        return format!("***{space}");
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_masked() {
        for (line, safe) in [
            (
                "docker run -e CLEARML_API_ACCESS_KEY=AKXYZ -e A=1 x",
                "docker run -e CLEARML_API_ACCESS_KEY=*** -e A=1 x",
            ),
            ("api.credentials.secret_key = abc def", "api.credentials.secret_key = ***"),
            ("git_pass: hunter", "git_pass: ***"),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.x end", "token *** end"),
            ("epoch 3: loss = 0.5, keys=2", "epoch 3: loss = 0.5, keys=2"),
        ] {
            assert_eq!(mask(line), safe);
        }
    }

    #[test]
    fn the_configuration_of_the_agent_is_left_out() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let all = lines(
            "Current configuration (clearml_agent v3):\napi.x = 1\nExecuting task id [t]:\nrepository = r\nhello",
        );
        assert_eq!(without_configuration(&all), lines("Executing task id [t]:\nrepository = r\nhello"));
        assert!(without_configuration(&all[..2]).is_empty());
        assert_eq!(without_configuration(&all[3..]), &all[3..]);
    }
}
