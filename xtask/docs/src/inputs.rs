//! `docs/inputs.md`: how an option is given on each platform.

use crate::component::FOLDER;
use crate::pipe::{cell, options};
use clap::Command;
use cml::inputs::pipe::variable;
use std::path::Path;

const BEGINNING: &str = "\
# Inputs

<!-- Made of the declaration of the command line by `cargo xtask docs`. -->

One program, three platforms: an option has the same name, meaning and default everywhere. An empty value counts as none.

| | GitHub action | GitLab component | Bitbucket pipe |
| --- | --- | --- | --- |
| is given | below `with:` | below `inputs:` of the template | below `variables:` |
| the command | `command` | the template; `command` in `report` | `COMMAND` |
| the token | `token`, the job's own if nothing else is said | `token`: the name of the variable that has it | `REPO_TOKEN` |
| yes or no | `true`, `false` | `true`, `false` | `'true'`, `'false'` |
| several values | a line each, or a JSON array | a list | a list |
| results | outputs, `comment-url` | variables of later jobs, `COMMENT_URL` | `cml.env` in the pipes' shared folder, `COMMENT_URL` |
| everything that is done | the run with debug logging | `log: debug` | `DEBUG: 'true'` |

Variables of the environment, such as `CML_COMMENT_SECTION`, work too: [commands.md](commands.md) has them, and the default of each
option. Jobs of GitLab's templates have those of the settings (project, group), while inputs go before those that `.gitlab-ci.yml` has
for all jobs. A pipe has those that its step hands on.

| action | component | pipe | |
| --- | --- | --- | --- |
";

/// The whole page.
pub fn page(tree: &Command, root: &Path) -> Result<String, String> {
    let templates = ["report", "runner"].map(|template| {
        let path = root.join(FOLDER).join(format!("{template}.yml"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok((template, text.split("\n---\n").next().unwrap_or_default().to_owned()))
    });
    let templates = templates.into_iter().collect::<Result<Vec<_>, String>>()?;
    let mut page = BEGINNING.to_owned();
    for (name, helps) in options(tree) {
        let has = templates.iter().filter(|(_, spec)| spec.contains(&format!("\n    {name}:\n")));
        let has: Vec<_> = has.map(|(template, _)| format!("`{template}`")).collect();
        let component = if has.is_empty() { String::new() } else { format!("`{name}` of {}", has.join(", ")) };
        page += &format!("| `{name}` | {component} | `{}` | {}. |\n", variable(&name), cell(&helps.join(" / ")));
    }
    page += "\nWhat no template of the component has is for a job that extends `.cml` of `setup`, with the options of the command line.\n";
    Ok(page)
}
