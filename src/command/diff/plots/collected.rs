//! The plots of one version: what declares them, and the contents of their files.

use super::DVCLIVE;
use super::wanted::{Wanted, is_below};
use crate::command::diff::cached::Cached;
use crate::command::diff::gather::{self, Reason};
use crate::command::diff::snapshot::Snapshot;
use crate::dvc::plots::{Axis, Definition, Props};
use crate::error::{Error, Kind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// A plot of one version.
pub(super) struct Found {
    /// The `dvc.yaml` that declares it.
    pub(super) config: String,
    /// Its name there.
    pub(super) id: String,
    pub(super) props: Props,
    /// The files with its data.
    pub(super) files: BTreeSet<String>,
}

/// The plots of one version, with the contents of their files.
pub(super) struct Collected {
    pub(super) name: String,
    pub(super) plots: Vec<Found>,
    pub(super) contents: BTreeMap<String, Vec<u8>>,
    /// The files that cannot be read, and why.
    pub(super) unreadable: BTreeMap<String, Error>,
}

impl Collected {
    /// Returns the name of a plot: with its `dvc.yaml` where others have one of the same name.
    pub(super) fn id(&self, plot: usize) -> String {
        let Found { config, id, .. } = &self.plots[plot];
        let is_alone = self.plots.iter().filter(|other| other.id == *id).count() < 2;
        if is_alone || config.is_empty() { id.clone() } else { format!("{config}::{id}") }
    }

    /// Returns the plots with a name. A file of a stage may have several.
    pub(super) fn named(&self, id: &str) -> Option<&Found> {
        (0..self.plots.len()).find(|plot| self.id(*plot) == id).map(|plot| &self.plots[plot])
    }
}

/// Returns what the `dvc.yaml` files of a version declare, and the names of the plots.
pub(super) async fn declared(snapshot: &Snapshot<'_>) -> Result<(Vec<(String, Definition)>, Vec<String>)> {
    let mut all: Vec<(String, Definition)> = Vec::new();
    for (path, declared) in snapshot.pipelines().await?.iter() {
        let plots = declared.plots.0.as_ref().map_err(|what| {
            Error::config(format!("cannot read {path} of {}: {what}", snapshot.described()))
                .hint("`dvc plots show --json` shows what DVC makes of it")
        })?;
        let tops: BTreeSet<String> = plots.iter().filter(|plot| !plot.is_output).map(|plot| plot.id.clone()).collect();
        for plot in plots.iter().cloned() {
            // An output of which nothing is said is drawn as the top level says.
            if !plot.is_output {
                all.push((path.clone(), plot));
            } else if plot.props != Props::default() || !tops.contains(&plot.id) {
                all.push((String::new(), plot));
            }
        }
    }
    let ids = all.iter().flat_map(|(path, plot)| [plot.id.clone(), format!("{path}::{}", plot.id)]).collect();
    Ok((all, ids))
}

/// Returns the plots of DVCLive, as the `dvc.yaml` that it writes declares them.
/// <https://github.com/iterative/dvclive/blob/main/src/dvclive/dvc.py>
fn of_dvclive() -> Vec<Definition> {
    let plot = |path: &str, x: &str, y: &str, template: &str| {
        let field = |name: &str| if name.is_empty() { Axis::Inferred } else { Axis::Fields(vec![name.to_owned()]) };
        let template = Some(template.to_owned()).filter(|template| !template.is_empty());
        let props = Props { x: field(x), y: field(y), template, ..Props::default() };
        Definition { id: format!("{DVCLIVE}/{path}"), props, is_output: false }
    };
    vec![
        plot("metrics", "step", "", ""),
        plot("images", "", "", ""),
        plot("sklearn/calibration.json", "prob_pred", "prob_true", "simple"),
        plot("sklearn/confusion_matrix.json", "actual", "predicted", "confusion"),
        plot("sklearn/det.json", "fpr", "fnr", "simple"),
        plot("sklearn/precision_recall.json", "recall", "precision", "simple"),
        plot("sklearn/roc.json", "fpr", "tpr", "simple"),
    ]
}

/// Finds the plots of a version and reads their files.
pub(super) async fn read(snapshot: &Snapshot<'_>, wanted: &Wanted, overrides: &Props) -> Result<Collected> {
    let mut all = declared(snapshot).await?.0;
    if all.is_empty() {
        let is_there =
            |plot: &Definition| snapshot.has(&plot.id) || snapshot.below(&plot.id).is_ok_and(|f| !f.is_empty());
        all = of_dvclive().into_iter().filter(is_there).map(|plot| (String::new(), plot)).collect();
    }
    let mut reading = Reading {
        snapshot,
        cached: Cached::new(snapshot),
        plain: BTreeSet::new(),
        contents: BTreeMap::new(),
        unreadable: BTreeMap::new(),
    };
    let mut plots = Vec::new();
    for (config, definition) in &all {
        if !wanted.may_have(config, definition) {
            continue;
        }
        let others = || all.iter().filter(|(other, plot)| other == config && plot.is_path()).map(|(_, plot)| &plot.id);
        let files = if definition.is_path() { reading.find(&definition.id).await? } else { vec![String::new()] };
        for file in files {
            // The plot with the most specific path has the file.
            let closest = others().filter(|other| is_below(&file, other)).max_by_key(|other| other.len());
            let is_own = !definition.is_path() || closest == Some(&definition.id);
            // `.gitignore`, which DVC writes beside its outputs, is not a plot.
            let is_hidden = file != definition.id && file.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
            if is_own && !is_hidden && wanted.has(config, definition, &file) {
                let id = if definition.is_path() { file.clone() } else { definition.id.clone() };
                let props = overridden(&definition.props, overrides);
                let whole = Definition { id: id.clone(), props, is_output: false };
                plots.push(Found { config: config.clone(), id, files: whole.files(&file), props: whole.props });
            }
        }
    }
    // Files that are no plots are drawn as they are.
    for file in wanted.files(snapshot)? {
        if !plots.iter().any(|plot| plot.id == file) {
            let whole = Definition { id: file.clone(), props: overrides.clone(), is_output: false };
            plots.push(Found { config: String::new(), files: whole.files(&file), props: whole.props, id: file });
        }
    }
    for file in plots.iter().flat_map(|plot| plot.files.clone()).collect::<BTreeSet<_>>() {
        reading.want(&file).await?;
    }
    reading.read().await?;
    let Reading { contents, unreadable, .. } = reading;
    Ok(Collected { name: snapshot.title().to_owned(), plots, contents, unreadable })
}

fn overridden(props: &Props, overrides: &Props) -> Props {
    let text = |given: &Option<String>, own: &Option<String>| given.clone().or_else(|| own.clone());
    let axis = |given: &Axis, own: &Axis| match (given, own) {
        (Axis::Inferred, own) => own.clone(),
        // The files stay, the fields change.
        (Axis::Fields(fields), Axis::Files(files)) => {
            Axis::Files(files.iter().map(|(file, _)| (file.clone(), fields.clone())).collect())
        }
        (given, _) => given.clone(),
    };
    Props {
        x: axis(&overrides.x, &props.x),
        y: axis(&overrides.y, &props.y),
        x_label: text(&overrides.x_label, &props.x_label),
        y_label: text(&overrides.y_label, &props.y_label),
        title: text(&overrides.title, &props.title),
        template: text(&overrides.template, &props.template),
        no_header: overrides.no_header || props.no_header,
    }
}

/// What is read of a version.
struct Reading<'a> {
    snapshot: &'a Snapshot<'a>,
    cached: Cached<'a>,
    /// Files to read at once.
    plain: BTreeSet<String>,
    /// What was read.
    contents: BTreeMap<String, Vec<u8>>,
    /// What cannot be read, and why.
    unreadable: BTreeMap<String, Error>,
}

impl Reading<'_> {
    /// Returns a file, or the files of a folder; the path itself if it cannot be read.
    async fn find(&mut self, path: &str) -> Result<Vec<String>> {
        match self.below(path).await {
            Ok(files) => Ok(files),
            Err(error) => self.note(path, error).map(|()| vec![path.to_owned()]),
        }
    }

    /// Notes why a file cannot be read.
    ///
    /// # Errors
    /// A signal came.
    fn note(&mut self, file: &str, error: Error) -> Result<()> {
        if error.kind() == Kind::Interrupted {
            return Err(error);
        }
        self.unreadable.insert(file.to_owned(), error);
        Ok(())
    }

    /// Returns a file, or the files of a folder.
    async fn below(&mut self, path: &str) -> Result<Vec<String>> {
        if self.snapshot.has(path) {
            return Ok(vec![path.to_owned()]);
        }
        let below = self.snapshot.below(path)?;
        if !below.is_empty() {
            return Ok(below);
        }
        let found = self.cached.read(path).await?;
        if found.is_empty() {
            return Err(gather::missing(self.snapshot, path, Reason::Declared));
        }
        let files = found.keys().cloned().collect();
        self.contents.extend(found);
        Ok(files)
    }

    /// Notes a file to be read, unless it was.
    async fn want(&mut self, file: &str) -> Result<()> {
        if self.contents.contains_key(file) || self.unreadable.contains_key(file) {
            return Ok(());
        }
        if self.find(file).await? != [file] {
            let error = Error::config(format!("{file} of {} is a folder", self.snapshot.described()));
            return self.note(file, error.hint("name files in x and y of a plot"));
        }
        if !self.contents.contains_key(file) && !self.unreadable.contains_key(file) {
            self.plain.insert(file.to_owned());
        }
        Ok(())
    }

    /// Reads the files that are not read yet: all at once, or one by one if that fails.
    async fn read(&mut self) -> Result<()> {
        let plain: Vec<String> = std::mem::take(&mut self.plain).into_iter().collect();
        if let Ok(found) = self.snapshot.read(&plain).await {
            self.contents.extend(found);
            return Ok(());
        }
        for file in plain {
            match self.snapshot.read(std::slice::from_ref(&file)).await {
                Ok(found) => self.contents.extend(found),
                Err(error) => self.note(&file, error)?,
            }
        }
        Ok(())
    }
}
