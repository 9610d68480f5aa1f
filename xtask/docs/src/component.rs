//! The parts of `gitlab-component/templates/*.yml` that the command line's declaration and the release decide: typed
//! inputs, the variables that hand them to the program, and how a job gets that.

use crate::made;
use clap::{Arg, ArgAction, Command};
use cml::inputs;
use cml::messages::REPOSITORY;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The templates.
pub const FOLDER: &str = "gitlab-component/templates";

/// Every template as it should be, with its path below `root`.
pub fn templates(tree: &Command, root: &Path) -> Result<Vec<(PathBuf, String, String)>, String> {
    let folder = root.join(FOLDER);
    let record = read(&root.join("action/native.json"))?;
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yml"));
    paths.sort();
    let one = |path: PathBuf| {
        let found = read(&path)?;
        let made = made::renew(&found, |kind, args| match kind {
            "inputs" => Ok(options(tree, args)?.iter().map(|(name, option)| option.input(name)).collect()),
            "variables" => Ok(options(tree, args)?.iter().map(|(name, option)| option.variables(name)).collect()),
            "program" => program(&record, tree.get_version().unwrap_or_default()),
            "token" => Ok(TOKEN.to_owned()),
            other => Err(format!("{}: nothing is known of {other}", path.display())),
        })?;
        Ok((path, found, made))
    };
    paths.into_iter().map(one).collect()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// An option of one or several commands.
struct Shared<'a> {
    arg: &'a Arg,
    helps: Vec<String>,
    variables: Vec<String>,
}

/// The options of commands by name: `comment create, check create without title name`.
fn options<'a>(tree: &'a Command, wanted: &str) -> Result<BTreeMap<&'a str, Shared<'a>>, String> {
    let mut found: BTreeMap<&str, Shared> = BTreeMap::new();
    let (commands, without) = wanted.split_once(" without ").unwrap_or((wanted, ""));
    for words in commands.split(", ") {
        let family = words.split(' ').next().unwrap_or_default();
        let command = words.split(' ').try_fold(tree, |command, word| command.find_subcommand(word));
        let command = command.ok_or(format!("there is no command {words}"))?;
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()) {
            let Some(name) = inputs::platform::name(arg).filter(|name| !inputs::platform::is_elsewhere(name)) else {
                continue;
            };
            let new = Shared { arg, helps: Vec::new(), variables: Vec::new() };
            let option = found.entry(name).or_insert(new);
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let variable = inputs::variables(family, arg).into_iter().next().unwrap_or_default();
            for (text, known) in [(help, &mut option.helps), (variable, &mut option.variables)] {
                if !known.contains(&text) {
                    known.push(text);
                }
            }
        }
    }
    for name in without.split_whitespace() {
        found.remove(name).ok_or(format!("{commands} have no option {name}"))?;
    }
    Ok(found)
}

enum Kind {
    Text,
    Choice(Vec<String>),
    YesNo,
    Number,
    List,
}

impl Shared<'_> {
    fn kind(&self) -> Kind {
        let arg = self.arg;
        let default = self.default();
        if !arg.get_action().takes_values() || (is_bool(arg) && !default.is_empty()) {
            return Kind::YesNo;
        }
        let possible = arg.get_possible_values();
        let shown = possible.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned());
        let shown: Vec<_> = if is_bool(arg) { vec!["true".into(), "false".into()] } else { shown.collect() };
        if !shown.is_empty() {
            let none = default.is_empty().then(String::new);
            return Kind::Choice(none.into_iter().chain(shown).collect());
        }
        match arg.get_action() {
            ArgAction::Append if arg.get_value_delimiter().is_none() => Kind::List,
            _ if default.parse::<u64>().is_ok() => Kind::Number,
            _ => Kind::Text,
        }
    }

    fn default(&self) -> String {
        let values: Vec<_> = self.arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        values.join(",")
    }

    /// Its declaration in `spec: inputs:`. <https://docs.gitlab.com/ci/yaml/#specinputs>
    fn input(&self, name: &str) -> String {
        let text = format!("{name}:\n  description: {}\n", quoted(&self.helps.join(" / ")));
        let default = self.default();
        text + &match self.kind() {
            Kind::Text => format!("  default: {}\n", quoted(&default)),
            Kind::Choice(values) => {
                let values: Vec<_> = values.iter().map(|value| quoted(value)).collect();
                format!("  options: [{}]\n  default: {}\n", values.join(", "), quoted(&default))
            }
            Kind::YesNo => format!("  type: boolean\n  default: {}\n", default == "true"),
            Kind::Number => format!("  type: number\n  default: {default}\n"),
            Kind::List => "  type: array\n  default: []\n".to_owned(),
        }
    }

    /// The variables that hand its value on. GitLab puts the value into the text before that is read as YAML, so text
    /// stands where nothing in it means anything.
    fn variables(&self, name: &str) -> String {
        let block = format!("$[[ inputs.{name} ]]");
        let one = |variable: &String| match self.kind() {
            Kind::Text => format!("{variable}: |2-\n  {block}\n"),
            // JSON; the end of line keeps it a text.
            Kind::List => format!("{variable}: |2\n  {block}\n"),
            Kind::Choice(_) | Kind::YesNo | Kind::Number => format!("{variable}: '{block}'\n"),
        };
        self.variables.iter().map(one).collect()
    }
}

fn is_bool(arg: &Arg) -> bool {
    arg.get_possible_values().iter().any(|value| value.get_name() == "true")
        || arg.get_value_parser().type_id() == std::any::TypeId::of::<bool>()
}

/// `text` as a YAML string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Lines of shell after which `cml` and CML's older names are on PATH. `record` is `action/native.json`.
fn program(record: &str, version: &str) -> Result<String, String> {
    let record: serde_json::Value = serde_json::from_str(record).map_err(|e| format!("action/native.json: {e}"))?;
    let mut rows = String::new();
    for (machine, names) in [("x86_64", "x86_64"), ("aarch64", "aarch64|arm64")] {
        let file = &record["files"][format!("linux-{machine}")];
        if let (Some(name), Some(sha256)) = (file["name"].as_str(), file["sha256"].as_str()) {
            let patterns: Vec<_> = names.split('|').map(|name| format!("'Linux on {name}'")).collect();
            rows += &format!("    {}) cml_file={name} cml_sha256={sha256} ;;\n", patterns.join("|"));
        }
    }
    let old: Vec<_> = inputs::programs().collect();
    Ok(PROGRAM
        .replace("ROWS", &rows)
        .replace("VERSION", version)
        .replace("RELEASE", &format!("{REPOSITORY}/releases/download"))
        .replace("OLD", &old.join(" ")))
}

const PROGRAM: &str = r#"if command -v cml >/dev/null; then
  echo "$(cml --version) is in the image"
else
  cml_system="$(uname -s) on $(uname -m)"
  case "$cml_system" in
ROWS    *) cml_file='' ;;
  esac
  if [ -z "$cml_file" ]; then
    echo "error: version VERSION has no native build for $cml_system" >&2
    echo "hint: use an image that has cml" >&2
    exit 1
  fi
  cml_folder=$(mktemp -d)
  cml_url="${CML_NATIVE_URL:-RELEASE/vVERSION}"
  cml_url="${cml_url%/}/$cml_file"
  for cml_pause in 2 8 0; do
    if command -v curl >/dev/null; then
      curl --fail --silent --show-error --location --output "$cml_folder/cml" "$cml_url" && break
    elif command -v wget >/dev/null; then
      wget -q -O "$cml_folder/cml" "$cml_url" && break
    else
      echo "error: there is neither curl nor wget to download cml with" >&2
      echo "hint: use an image that has one of them, or one that has cml" >&2
      exit 1
    fi
    if [ "$cml_pause" = 0 ]; then
      echo "error: cannot download $cml_url" >&2
      echo "hint: check that this runner can reach it, or give a mirror with the input native-url" >&2
      exit 1
    fi
    sleep "$cml_pause"
  done
  cml_found=$(sha256sum "$cml_folder/cml" | cut -d ' ' -f 1)
  if [ "$cml_found" != "$cml_sha256" ]; then
    echo "error: SHA-256 mismatch for $cml_url: got $cml_found, expected $cml_sha256" >&2
    echo "hint: it was not run; a download cut short or a mirror of another version looks like this, so does an attack" >&2
    exit 1
  fi
  chmod 755 "$cml_folder" "$cml_folder/cml"
  for cml_old in OLD; do
    ln -s cml "$cml_folder/cml-$cml_old"
  done
  export PATH="$cml_folder:$PATH"
  echo "$(cml --version) is from $cml_url (SHA-256 verified)"
fi
"#;

/// Lines of shell after which the token is where `cml` looks for it, and results go where the job's artifacts are; what is
/// missing is said before it is missed.
const TOKEN: &str = r#"export CML_DOTENV="$PWD/cml.env"
export REPO_TOKEN="${$[[ inputs.token ]]:-}"
if [ -z "$REPO_TOKEN${GITLAB_TOKEN:-}" ]; then
  echo "warning: the variable $[[ inputs.token ]] is empty in this job, so that only CI_JOB_TOKEN is left, which may not comment" >&2
  echo "hint: a protected variable is only in jobs of protected branches and tags, and no variable of a project is in its forks" >&2
fi
"#;
