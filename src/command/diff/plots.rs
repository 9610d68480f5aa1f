//! The plots of two versions: found, read, and put into one picture each.
//!
//! [`collect`] is what `cml plots diff` and reports draw; [`draw`] makes the SVG of one.

use super::base::{self, Base};
use super::cached::Cached;
use super::gather::{self, Reason};
use super::project::{Project, Targets};
use super::snapshot::{Snapshot, Version};
use super::{head_version, named};
use crate::app::App;
use crate::charts::plot::{self as chart, Point, Template, number_of};
use crate::connect::Global;
use crate::dvc::join;
use crate::dvc::plots::{Axis, Definition, Props, Series, Table, group_names, series};
use crate::error::{Error, Kind, Result};
use crate::git::Git;
use crate::metrics::{Value, json, source};
use std::collections::{BTreeMap, BTreeSet};

/// Endings of pictures, as DVC has them.
const PICTURES: [&str; 5] = [".jpg", ".jpeg", ".gif", ".png", ".svg"];
/// Where DVCLive writes plots, which count where no `dvc.yaml` declares any.
const DVCLIVE: &str = "dvclive/plots";
/// The template of plots that name none.
const DEFAULT: &str = "linear";

/// Which plots are wanted, of which versions.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Files, folders, patterns or names of plots, after a revision or two as DVC takes them; all plots if there are none.
    pub names: Vec<String>,
    /// More of them, none of which is a revision.
    pub targets: Vec<String>,
    /// The revision to compare with, or `auto`.
    pub base: String,
    /// The revision to compare; the working copy if there is none.
    pub head: Option<String>,
    /// What goes before what `dvc.yaml` says.
    pub overrides: Props,
}

/// A plot of both versions.
#[derive(Debug, Clone, PartialEq)]
pub enum Plot {
    /// A chart, with the versions in one picture.
    Chart(chart::Plot),
    /// A picture that the training drew, in each version that has it.
    Pictures {
        /// Its path.
        title: String,
        /// The names of the versions, with the contents of the file.
        versions: Vec<(String, Vec<u8>)>,
    },
}

impl Plot {
    /// Returns what it is called.
    pub fn title(&self) -> &str {
        match self {
            Plot::Chart(plot) => &plot.title,
            Plot::Pictures { title, .. } => title,
        }
    }
}

/// Draws a chart as SVG, which follows the reader's light or dark setting.
pub fn draw(plot: &chart::Plot) -> String {
    chart::draw(plot)
}

/// A plot of one version.
struct Found {
    /// The `dvc.yaml` that declares it.
    config: String,
    /// Its name there.
    id: String,
    props: Props,
    /// The files with its data.
    files: BTreeSet<String>,
}

/// The plots of one version, with the contents of their files.
struct Collected {
    name: String,
    plots: Vec<Found>,
    contents: BTreeMap<String, Vec<u8>>,
    /// The files that cannot be read, and why.
    unreadable: BTreeMap<String, Error>,
}

/// Returns the plots of both versions, in the order in which they are declared.
///
/// # Errors
/// A file is missing or broken, a field is missing, a template is unknown: nothing is left out.
pub async fn collect(app: &App, global: &Global, request: &Request) -> Result<Vec<Plot>> {
    let project = Project::find(app)?;
    let git = Git::new(app).trusting(global.ca_cert.as_deref())?;
    let here = Snapshot::open(app, &git, &project, Version::Workspace).await?;
    let ids = if request.names.is_empty() { Vec::new() } else { declared(&here).await?.1 };
    let base_head = (request.base.as_str(), request.head.as_ref());
    let named = named(app, &request.names, base_head, &request.targets, &ids)?;
    let head = head_version(app, global, &git, named.head.as_ref()).await?;
    let Base::Commit(base) = base::find(app, global, &git, named.base.as_deref(), &head).await? else {
        return Err(Error::usage("plots are compared with a revision, not with a file or a record")
            .hint("name a commit, a branch or a tag with --base"));
    };
    let target = |name: &String| Ok((name.clone(), project.targets(app, std::slice::from_ref(name))?));
    let wanted = Wanted(named.files.iter().map(target).collect::<Result<_>>()?);
    let new = Snapshot::open(app, &git, &project, head).await?;
    let old = Snapshot::open(app, &git, &project, Version::Commit(base)).await?;
    let plots = between(&new, Some(&old), &wanted, &request.overrides).await?;
    let plots = plots.into_iter().collect::<Result<Vec<_>>>()?;
    if plots.is_empty() {
        return Err(Error::not_found(format!(
            "no plots: neither dvc.yaml nor {DVCLIVE} of {} has any",
            new.described()
        ))
        .hint("declare them under `plots` in dvc.yaml, or name the files: cml plots diff metrics.csv"));
    }
    Ok(plots)
}

/// Returns the plots of a version, with those of an old one, in the order in which they are declared; none if there are none. A plot that
/// cannot be drawn is an error that names it.
///
/// # Errors
/// What is declared cannot be read.
pub async fn between(
    new: &Snapshot<'_>,
    old: Option<&Snapshot<'_>>,
    wanted: &Wanted,
    overrides: &Props,
) -> Result<Vec<Result<Plot>>> {
    let snapshots: Vec<&Snapshot<'_>> = std::iter::once(new).chain(old).collect();
    let mut versions = Vec::new();
    for snapshot in &snapshots {
        versions.push(read(snapshot, wanted, overrides).await?);
    }
    wanted.check(&versions)?;
    let mut ids: Vec<(String, usize)> = Vec::new();
    for (at, version) in versions.iter().enumerate() {
        for id in (0..version.plots.len()).map(|plot| version.id(plot)) {
            if !ids.iter().any(|(known, _)| *known == id) {
                ids.push((id, at));
            }
        }
    }
    let mut plots = Vec::new();
    for (id, first) in &ids {
        plots.push(assemble(&snapshots, &versions, id, *first).await);
    }
    Ok(plots)
}

/// The plots that are asked for, as they are typed and as paths; all if there are none.
#[derive(Default)]
pub struct Wanted(Vec<(String, Targets)>);

impl Wanted {
    /// Returns whether a plot, or something in its folder, may be asked for.
    fn may_have(&self, config: &str, definition: &Definition) -> bool {
        let id = &definition.id;
        let is_near = |path: &String| is_below(id, path) || is_below(path, id);
        let may = |(name, targets): &(String, Targets)| {
            let is_file = !targets.patterns.is_empty() || targets.paths.iter().any(is_near);
            is_called(config, id, name) || definition.is_path() && is_file
        };
        self.0.is_empty() || self.0.iter().any(may)
    }

    /// Returns whether a file of a plot is asked for.
    fn has(&self, config: &str, definition: &Definition, file: &str) -> bool {
        let has = |(name, targets): &(String, Targets)| {
            is_called(config, &definition.id, name)
                || targets.paths.iter().any(|path| is_below(file, path))
                || targets.patterns.iter().any(|pattern| fast_glob::glob_match(pattern, file))
        };
        self.0.is_empty() || self.0.iter().any(has)
    }

    /// Returns the files of a version that are asked for, whether a plot has them or not.
    fn files(&self, snapshot: &Snapshot<'_>) -> Result<BTreeSet<String>> {
        let mut files = BTreeSet::new();
        for (_, targets) in &self.0 {
            for path in &targets.paths {
                files.extend(if snapshot.has(path) { vec![path.clone()] } else { snapshot.below(path)? });
            }
            for pattern in &targets.patterns {
                files.extend(if snapshot.is_workspace() {
                    targets.matches.clone()
                } else {
                    snapshot.matching(pattern)
                });
            }
        }
        Ok(files)
    }

    /// Fails with a name that no version has.
    fn check(&self, versions: &[Collected]) -> Result<()> {
        let all = || versions.iter().flat_map(|version| &version.plots);
        for (name, targets) in &self.0 {
            let is_file = |file: &String| {
                targets.paths.iter().any(|path| is_below(file, path))
                    || targets.patterns.iter().any(|pattern| fast_glob::glob_match(pattern, file))
            };
            let is_it = |plot: &Found| is_called(&plot.config, &plot.id, name) || plot.files.iter().any(is_file);
            if all().any(is_it) {
                continue;
            }
            return Err(if targets.patterns.is_empty() {
                Error::config(format!("no plot or file is called {name}"))
                    .hint("name a file, or a plot as dvc.yaml calls it")
            } else {
                Error::config(format!("no file matches {name}"))
                    .hint("check the pattern: it is relative to the current directory")
            });
        }
        Ok(())
    }
}

/// Returns whether a plot has this name, with its `dvc.yaml` or without.
fn is_called(config: &str, id: &str, name: &str) -> bool {
    name == id || name.strip_suffix(id).is_some_and(|rest| rest.strip_suffix("::") == Some(config))
}

/// Returns whether a path is a folder, or in it.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.is_empty())
}

/// Returns what the `dvc.yaml` files of a version declare, and the names of the plots.
async fn declared(snapshot: &Snapshot<'_>) -> Result<(Vec<(String, Definition)>, Vec<String>)> {
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
async fn read(snapshot: &Snapshot<'_>, wanted: &Wanted, overrides: &Props) -> Result<Collected> {
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

impl Collected {
    /// Returns the name of a plot: with its `dvc.yaml` where others have one of the same name.
    fn id(&self, plot: usize) -> String {
        let Found { config, id, .. } = &self.plots[plot];
        let is_alone = self.plots.iter().filter(|other| other.id == *id).count() < 2;
        if is_alone || config.is_empty() { id.clone() } else { format!("{config}::{id}") }
    }

    /// Returns the plots with a name. A file of a stage may have several.
    fn named(&self, id: &str) -> Option<&Found> {
        (0..self.plots.len()).find(|plot| self.id(*plot) == id).map(|plot| &self.plots[plot])
    }
}

/// Puts the versions of a plot together.
async fn assemble(snapshots: &[&Snapshot<'_>], versions: &[Collected], id: &str, first: usize) -> Result<Plot> {
    let found: Vec<(usize, &Found)> =
        versions.iter().enumerate().filter_map(|(at, version)| Some((at, version.named(id)?))).collect();
    for (at, plot) in &found {
        if let Some(error) = plot.files.iter().find_map(|file| versions[*at].unreadable.get(file)) {
            let is_named = plot.files.contains(id);
            return Err(if is_named {
                error.clone()
            } else {
                error.clone().context(format!("cannot draw the plot {id}"))
            });
        }
    }
    let main = versions[first].named(id).ok_or_else(|| Error::internal("a plot without a version"))?;
    let title = main.props.title.clone().unwrap_or_else(|| shown(snapshots[first].project, id, main));
    let is_picture = PICTURES.iter().any(|ending| main.id.to_ascii_lowercase().ends_with(ending));
    if is_picture && main.files.len() == 1 {
        let content = |(at, plot): &(usize, &Found)| {
            let bytes = plot.files.first().and_then(|file| versions[*at].contents.get(file)).cloned();
            (versions[*at].name.clone(), bytes.unwrap_or_default())
        };
        return Ok(Plot::Pictures { title, versions: found.iter().map(content).collect() });
    }
    let template = template(snapshots[first], main.props.template.as_deref().unwrap_or(DEFAULT), id).await?;
    let mut all: Vec<(usize, Series)> = Vec::new();
    for (at, plot) in &found {
        let (version, snapshot) = (&versions[*at], snapshots[*at]);
        let of = |what: String| {
            Error::config(format!("cannot draw the plot {id} of {}: {what}", snapshot.described()))
                .hint("check x and y of the plot in dvc.yaml, or pass -x and -y")
        };
        let mut tables = BTreeMap::new();
        for file in &plot.files {
            let bytes = version.contents.get(file).map(Vec::as_slice).unwrap_or_default();
            let content = source::table(file, bytes, !plot.props.no_header)
                .map_err(|problem| gather::explain(file, &snapshot.described(), problem))?;
            tables.insert(file.clone(), Table::new(&content).map_err(|what| of(format!("{file}: {what}")))?);
        }
        let own = if plot.files.contains(&plot.id) { plot.id.as_str() } else { "" };
        for one in series(&plot.props, own, &tables).map_err(&of)? {
            check_numbers(template, &one).map_err(&of)?;
            all.push((at - found[0].0, one));
        }
    }
    let pairs: Vec<(&str, &str)> = all.iter().map(|(_, one)| (one.file.as_str(), one.field.as_str())).collect();
    let names = group_names(&pairs);
    let mut groups = names.clone();
    groups.sort();
    groups.dedup();
    let group = |name: &String| groups.iter().position(|known| known == name).unwrap_or_default();
    let label = |given: &Option<String>, found: BTreeSet<&str>, several: &str| match given {
        Some(label) => label.clone(),
        None if found.len() == 1 => found.into_iter().next().unwrap_or_default().to_owned(),
        None => several.to_owned(),
    };
    let x_fields = all.iter().map(|(_, one)| one.x_field.as_deref().unwrap_or("step")).collect();
    let y_fields = all.iter().map(|(_, one)| one.field.as_str()).collect();
    let x_label = label(&main.props.x_label, x_fields, "x");
    let y_label = label(&main.props.y_label, y_fields, "y");
    let point = |(revision, group): (usize, usize), (x, y): &(Value, Value)| Point {
        x: x.clone(),
        y: y.clone(),
        revision,
        group,
    };
    let points = all.iter().zip(&names).flat_map(|((revision, one), name)| {
        let place = (*revision, group(name));
        one.points.iter().map(move |pair| point(place, pair))
    });
    let points = points.collect();
    let revisions = found.iter().map(|(at, _)| versions[*at].name.clone()).collect();
    let plot = chart::Plot { title, x_label, y_label, template, revisions, groups, points };
    chart::check(&plot).map_err(|what| {
        Error::config(format!("cannot draw the plot {id}: {what}")).hint("check x, y and the template of the plot")
    })?;
    Ok(Plot::Chart(plot))
}

/// Returns the name of a plot; where that is a path, as it is from the current directory.
fn shown(project: &Project, id: &str, plot: &Found) -> String {
    if id == plot.id && plot.files.contains(id) { project.shown(id) } else { id.to_owned() }
}

/// Fails with a field without any number, where the template draws numbers.
fn check_numbers(template: Template, series: &Series) -> std::result::Result<(), String> {
    let (x, y) = template.wants_numbers();
    let has = |of: fn(&(Value, Value)) -> &Value| series.points.iter().any(|pair| number_of(of(pair)).is_some());
    let name = match (x && !has(|pair| &pair.0), y && !has(|pair| &pair.1)) {
        (true, _) => series.x_field.as_deref().unwrap_or("step"),
        (_, true) => &series.field,
        _ => return Ok(()),
    };
    Err(format!("no value of the field '{name}' of {} is a number", series.file))
}

/// Returns the template with a name: a file of the project's, which may be a copy of one of DVC's, or one of DVC's.
async fn template(snapshot: &Snapshot<'_>, name: &str, id: &str) -> Result<Template> {
    let places = [(".dvc/plots", name.to_owned()), (".dvc/plots", format!("{name}.json")), ("", name.to_owned())];
    let path = places.iter().filter_map(|(folder, name)| join(folder, name)).find(|path| snapshot.has(path));
    let own = match path {
        Some(path) => snapshot.read(std::slice::from_ref(&path)).await?.remove(&path),
        None => None,
    };
    let known = Template::named(name);
    let names = Template::NAMES.map(|(name, _)| name).join(", ");
    let Some(bytes) = own else {
        return known.ok_or_else(|| {
            Error::config(format!("unknown template '{name}' of the plot {id}"))
                .hint(format!("use one of {names}, or add .dvc/plots/{name}.json"))
        });
    };
    let text = String::from_utf8_lossy(&bytes);
    let spec = json::parse(&text).map_err(|what| {
        Error::config(format!("the template '{name}' of the plot {id} is not valid JSON: {what}"))
            .hint("`dvc plots templates` prints DVC's own")
    })?;
    chart::recognize(&spec).ok_or_else(|| {
        Error::unsupported(format!("the template '{name}' of the plot {id} is not one of DVC's own"))
            .hint(format!("use one of {names}; or draw it with `dvc plots diff --targets {id} --show-vega` and vl2svg"))
    })
}
