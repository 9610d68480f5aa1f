//! The plots of two versions: found, read, and put into one picture each.
//!
//! [`collect`] is what `cml plots diff` and reports draw; [`draw`] makes the SVG of one.

mod collected;
mod wanted;

use super::base::{self, Base};
use super::gather;
use super::project::Project;
use super::records::LazyHistory;
use super::snapshot::{Snapshot, Version};
use super::{head_version, named};
use crate::app::App;
use crate::charts::plot::{self as chart, Point, Template, number_of};
use crate::connect::Global;
use crate::dvc::join;
use crate::dvc::plots::{Props, Series, Table, group_names, series};
use crate::error::{Error, Result};
use crate::git::Git;
use crate::metrics::{Value, json, source};
use collected::{Collected, Found, declared, read};
use std::collections::{BTreeMap, BTreeSet};
pub use wanted::Wanted;

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
    let Base::Commit(base) =
        base::find(app, global, &git, named.base.as_deref(), &head, &LazyHistory::default()).await?
    else {
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
