//! `dvc.yaml`: the metrics, parameters and plots that a project declares, and its stages.
//! <https://dvc.org/doc/user-guide/project-structure/dvcyaml-files>

use super::params::Tracked;
use super::plots::Definition;
use super::template::{Context, Item, Used};
use super::{PARAMS, folder, join};
use crate::metrics::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What one `dvc.yaml` declares.
#[derive(Debug, Default, PartialEq)]
pub struct Declared {
    /// Files and folders of metrics.
    pub metrics: BTreeSet<String>,
    /// Files of parameters, those of the top level and of stages.
    pub params: Tracked,
    /// Those of stages.
    pub dependencies: Tracked,
    /// What the templates of stages took from files, by file.
    pub used: BTreeMap<String, BTreeMap<String, Value>>,
    /// The stages, those of `foreach` and `matrix` too.
    pub stages: Vec<Stage>,
    /// The plots, those of the top level and then those of stages; or what is wrong with them, which only matters where they are drawn.
    pub plots: Plots,
}

/// The plots of a `dvc.yaml`.
#[derive(Debug, PartialEq)]
pub struct Plots(pub Result<Vec<Definition>, String>);

impl Default for Plots {
    fn default() -> Self {
        Plots(Ok(Vec::new()))
    }
}

impl Plots {
    fn add(&mut self, more: Result<Vec<Definition>, String>) {
        match (&mut self.0, more) {
            (Ok(all), Ok(more)) => all.extend(more),
            (Ok(_), Err(error)) => self.0 = Err(error),
            (Err(_), _) => {}
        }
    }
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name, as `dvc.lock` has it.
    pub name: String,
    /// The folder that its paths are relative to.
    pub folder: String,
}

/// Values of other files, by path.
pub type Files = BTreeMap<String, Value>;

/// Returns the files that the templates of a `dvc.yaml` may need, of which those that `vars` names must be there.
pub fn imports(path: &str, document: &Value) -> Vec<String> {
    let base = folder(path);
    let mut found: Vec<String> = join(base, PARAMS).into_iter().collect();
    let vars = |value: &Value, base: &str, found: &mut Vec<String>| {
        let named = value.get("vars").and_then(Value::items).unwrap_or_default().iter().filter_map(Value::text);
        found.extend(named.filter_map(|name| join(base, file_of(name).0)));
    };
    vars(document, base, &mut found);
    for (_, stage) in document.get("stages").and_then(Value::entries).unwrap_or_default() {
        let stage = stage.get("do").unwrap_or(stage);
        let wdir = stage.get("wdir").and_then(Value::text).unwrap_or_default();
        vars(stage, &join(base, wdir).unwrap_or_default(), &mut found);
    }
    found
}

/// Returns whether a `dvc.yaml` has templates.
pub fn has_templates(text: &str) -> bool {
    text.contains("${") || text.contains("foreach") || text.contains("matrix")
}

/// Returns the file, and the keys in it, that an entry of `vars` names: `params.json:train,test`.
fn file_of(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((file, keys)) => (file, Some(keys)),
        None => (name, None),
    }
}

/// Reads a `dvc.yaml`; `files` are those of [`imports`] that there are.
///
/// # Errors
/// What is wrong, with the place in the file.
pub fn read(path: &str, document: &Value, files: &Files) -> Result<Declared, String> {
    let mut declared = Declared::default();
    if document.is_falsy() {
        return Ok(declared);
    }
    document.entries().ok_or("expected a table")?;
    let base = folder(path);
    let mut context = Context::default();
    if let Some((file, value)) = join(base, PARAMS).and_then(|file| Some((file.clone(), files.get(&file)?))) {
        context.add_file(&file, value.clone());
    }
    load_vars(&mut context, document, base, files)?;
    for name in texts(document, "metrics", &context)? {
        declared.metrics.insert(inside(base, &name)?);
    }
    for name in texts(document, "params", &context)? {
        declared.params.add(&inside(base, &name)?, &[]);
    }
    let plots = context.resolve(document.get("plots").unwrap_or(&Value::Null), &mut Used::new());
    let plots = plots.and_then(|list| super::plots::definitions(&list, base));
    declared.plots.add(plots.map_err(|error| format!("plots: {error}")));
    for (name, stage) in document.get("stages").and_then(Value::entries).unwrap_or_default() {
        let of_stage = |error: String| format!("stages.{name}: {error}");
        read_stages(name, stage, &context, base, files, &mut declared).map_err(of_stage)?;
    }
    declared.params.extend(&declared.dependencies.clone());
    Ok(declared)
}

fn load_vars(context: &mut Context, value: &Value, base: &str, files: &Files) -> Result<(), String> {
    for item in value.get("vars").and_then(Value::items).unwrap_or_default() {
        let Some(name) = item.text() else {
            context.add(item.clone());
            continue;
        };
        let (file, keys) = file_of(name);
        let file = inside(base, file)?;
        let found = files.get(&file).ok_or_else(|| format!("vars: {file} does not exist"))?;
        let keys: Vec<String> = keys.iter().flat_map(|keys| keys.split(',')).map(|key| key.trim().to_owned()).collect();
        context.add_file(&file, super::params::select(found.clone(), &keys));
    }
    Ok(())
}

/// Returns the texts of a list.
fn texts(value: &Value, key: &str, context: &Context) -> Result<Vec<String>, String> {
    let Some(list) = value.get(key).filter(|list| !list.is_falsy()) else { return Ok(Vec::new()) };
    let list = context.resolve(list, &mut Used::new()).map_err(|error| format!("{key}: {error}"))?;
    let text = |item: &Value| item.text().map(str::to_owned).ok_or_else(|| format!("{key}: expected a list of paths"));
    list.items().ok_or_else(|| format!("{key}: expected a list of paths"))?.iter().map(text).collect()
}

fn inside(base: &str, path: &str) -> Result<String, String> {
    join(base, path).ok_or_else(|| format!("{path} is outside of the repository"))
}

/// Reads a stage, or all that `foreach` or `matrix` makes of it.
fn read_stages(
    name: &str,
    stage: &Value,
    context: &Context,
    base: &str,
    files: &Files,
    declared: &mut Declared,
) -> Result<(), String> {
    let (items, definition): (Vec<Item>, Value) = match (stage.get("foreach"), stage.get("matrix")) {
        (Some(data), _) => (context.foreach(data)?, stage.get("do").cloned().unwrap_or(Value::Null)),
        (None, Some(data)) => {
            let rest = stage.entries().unwrap_or_default().iter().filter(|(key, _)| key != "matrix").cloned();
            (context.matrix(data)?, Value::Map(rest.collect()))
        }
        (None, None) => return read_stage(name.to_owned(), stage, context.clone(), base, files, declared),
    };
    for item in items {
        read_stage(format!("{name}@{}", item.key), &definition, context.with_item(&item), base, files, declared)?;
    }
    Ok(())
}

fn read_stage(
    name: String,
    stage: &Value,
    mut context: Context,
    base: &str,
    files: &Files,
    declared: &mut Declared,
) -> Result<(), String> {
    let wdir = context.resolve(stage.get("wdir").unwrap_or(&Value::Null), &mut Used::new())?;
    let folder = inside(base, wdir.text().unwrap_or_default())?;
    load_vars(&mut context, stage, &folder, files)?;
    let mut used = Used::new();
    let fields = stage.entries().unwrap_or_default().iter().filter(|(key, _)| key != "vars").cloned().collect();
    let stage = context.resolve(&Value::Map(fields), &mut used)?;
    for (file, keys) in used {
        declared.used.entry(file).or_default().extend(keys);
    }
    for output in stage.get("metrics").and_then(Value::items).unwrap_or_default() {
        let path = match output {
            Value::Map(entries) => entries.first().map(|(path, _)| path.as_str()),
            other => other.text(),
        };
        declared.metrics.insert(inside(&folder, path.ok_or("metrics: expected a list of paths")?)?);
    }
    let plots = super::plots::definitions(stage.get("plots").unwrap_or(&Value::Null), &folder);
    let output = |plot| Definition { is_output: true, ..plot };
    let plots = plots.map(|plots| plots.into_iter().map(output).collect());
    declared.plots.add(plots.map_err(|error| format!("stages.{name}: plots: {error}")));
    read_params(&stage, &folder, &mut declared.dependencies)?;
    declared.stages.push(Stage { name, folder });
    Ok(())
}

/// Reads the parameters of a stage: keys of `params.yaml`, and of other files.
fn read_params(stage: &Value, folder: &str, found: &mut Tracked) -> Result<(), String> {
    // Of one stage: a whole file counts more than keys of it.
    let mut own = Tracked::default();
    for item in stage.get("params").and_then(Value::items).unwrap_or_default() {
        match item {
            Value::Map(entries) => {
                for (file, keys) in entries {
                    let keys = keys.items().unwrap_or_default().iter().map(Value::to_python).collect::<Vec<_>>();
                    own.add(&inside(folder, file)?, &keys);
                }
            }
            key => own.add(&inside(folder, PARAMS)?, &[key.to_python()]),
        }
    }
    found.extend(&own);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::yaml;

    fn declared(text: &str, files: &[(&str, &str)]) -> Result<Declared, String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), yaml::parse(text).unwrap())).collect();
        read("sub/dvc.yaml", &yaml::parse(text).unwrap(), &files)
    }

    fn metrics(declared: &Declared) -> Vec<&str> {
        declared.metrics.iter().map(String::as_str).collect()
    }

    fn params(tracked: &Tracked) -> Vec<String> {
        tracked.files().map(|(file, keys)| format!("{file} {}", keys.join(","))).collect()
    }

    #[test]
    fn what_is_declared_is_found() {
        let text = "\
metrics: [dvclive/metrics.json]
params: [dvclive/params.yaml]
stages:
  train:
    wdir: src
    cmd: python train.py
    params: [lr, net.depth, {../other.yaml: , conf.toml: [a.b]}]
    metrics: [m.json, {../n.json: {cache: false}}]
";
        let found = declared(text, &[]).unwrap();
        assert_eq!(metrics(&found), ["sub/dvclive/metrics.json", "sub/n.json", "sub/src/m.json"]);
        let of_stage = ["sub/other.yaml ", "sub/src/conf.toml a.b", "sub/src/params.yaml lr,net.depth"];
        assert_eq!(params(&found.dependencies), of_stage);
        assert_eq!(params(&found.params), [&["sub/dvclive/params.yaml "][..], &of_stage].concat());
        assert_eq!(found.stages, [Stage { name: "train".to_owned(), folder: "sub/src".to_owned() }]);
        assert_eq!(declared("", &[]), Ok(Declared::default()));
    }

    #[test]
    fn templates_are_resolved() {
        let text = "\
vars: [config.yaml, {out: results}]
metrics: ['${out}/top.json']
stages:
  train:
    foreach: ${models}
    do:
      cmd: train --lr ${lr}
      metrics: ['${out}/${item}.json']
  eval:
    matrix: {a: [1, 2], b: [x]}
    cmd: eval
    metrics: [{'${item.a}${item.b}.json': {cache: false}}]
";
        let files = [("sub/params.yaml", "models: [cnn, rf]"), ("sub/config.yaml", "lr: 0.1\nother: 2")];
        let document = yaml::parse(text).unwrap();
        assert_eq!(imports("sub/dvc.yaml", &document), ["sub/params.yaml", "sub/config.yaml"]);
        assert!(has_templates(text));
        let found = declared(text, &files).unwrap();
        let expected =
            ["sub/1x.json", "sub/2x.json", "sub/results/cnn.json", "sub/results/rf.json", "sub/results/top.json"];
        assert_eq!(metrics(&found), expected);
        let names: Vec<&str> = found.stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["train@cnn", "train@rf", "eval@1-x", "eval@2-x"]);
        assert_eq!(found.used["sub/config.yaml"].keys().collect::<Vec<_>>(), ["lr"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("[1]", "expected a table"),
            ("metrics: m.json", "metrics: expected a list of paths"),
            ("metrics: ['${x}.json']", "metrics: cannot resolve ${x}"),
            ("stages: {train: {metrics: ['${x}']}}", "stages.train: cannot resolve ${x}"),
            ("metrics: [../../x.json]", "../../x.json is outside of the repository"),
            ("vars: [gone.yaml]", "vars: sub/gone.yaml does not exist"),
        ] {
            assert_eq!(declared(text, &[]), Err(expected.to_owned()), "{text}");
        }
    }
}
