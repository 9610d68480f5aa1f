//! The pictures of a report: curves and heat maps, drawn here, and the images of the task, downloaded: the forge's readers
//! cannot load them from ClearML.

use super::Report;
use crate::app::App;
use crate::charts::heat_map::{self, Cells};
use crate::charts::lines;
use crate::clearml::Client;
use crate::clearml::events::Curves;
use crate::clearml::task::{Scalar, Task};
use crate::command::publisher::Publisher;
use crate::connect::Global;
use crate::error::Result;
use crate::forge::assets::Asset;
use crate::messages::count;
use crate::publish::prepare_asset;
use std::collections::BTreeMap;

/// The most charts, heat maps and images of a report.
const MAX_CHARTS: usize = 20;
const MAX_IMAGES: usize = 20;
/// The scalars whose curves are asked for.
const MAX_CURVES: usize = 200;

/// The pictures of a task.
#[derive(Debug, Default)]
pub struct Pictures {
    /// Those that are published.
    pub shown: Vec<Picture>,
    /// What is said about others.
    pub notes: Vec<String>,
    /// How many plots are not drawn here.
    pub others: usize,
}

/// A published picture.
#[derive(Debug)]
pub struct Picture {
    /// What it shows.
    pub name: String,
    /// Whether it was drawn here.
    pub is_drawn: bool,
    /// Its address.
    pub address: String,
}

/// A picture before it is published.
struct Draft {
    name: String,
    is_drawn: bool,
    asset: Asset,
}

impl Report {
    /// Draws, downloads and publishes the pictures that are asked for.
    pub(super) async fn pictures(
        &self,
        app: &App,
        global: &Global,
        client: &Client,
        task: &Task,
        scalars: &[Scalar],
    ) -> Result<Pictures> {
        let mut pictures = Pictures::default();
        if !self.plots {
            return Ok(pictures);
        }
        let mut drafts = self.curves(client, task, scalars, &mut pictures).await?;
        let plots = client.plots(&task.id).await?;
        pictures.others = plots.others;
        for map in &plots.heat_maps {
            let cells = Cells { values: &map.values, columns: &map.columns, rows: &map.rows };
            drafts.push(drawn(&map.name, heat_map::svg(&map.name, &cells))?);
        }
        if drafts.len() > MAX_CHARTS {
            pictures.notes.push(format!("{} left out", count(drafts.len() - MAX_CHARTS, "chart")));
            drafts.truncate(MAX_CHARTS);
        }
        let images = [plots.images, client.images(&task.id).await?].concat();
        self.images(app, client, &images, &mut drafts, &mut pictures).await?;
        if drafts.is_empty() {
            return Ok(pictures);
        }
        let store = self.output.publish_args.open(app, global, false).await?;
        let assets: Vec<Asset> = drafts.iter().map(|draft| draft.asset.clone()).collect();
        let addresses = Publisher::new(app, &store).publish(&assets, "the charts").await?;
        let named = drafts.into_iter().zip(addresses);
        pictures.shown =
            named.map(|(draft, address)| Picture { name: draft.name, is_drawn: draft.is_drawn, address }).collect();
        Ok(pictures)
    }

    /// Draws the curves: a chart for each metric.
    async fn curves(
        &self,
        client: &Client,
        task: &Task,
        scalars: &[Scalar],
        pictures: &mut Pictures,
    ) -> Result<Vec<Draft>> {
        if scalars.is_empty() {
            return Ok(Vec::new());
        }
        if scalars.len() > MAX_CURVES {
            pictures.notes.push(format!("curves of {} left out", count(scalars.len() - MAX_CURVES, "scalar")));
        }
        let scalars: Vec<&Scalar> = scalars.iter().take(MAX_CURVES).collect();
        let curves: BTreeMap<String, Curves> = client.curves(&task.id, &scalars).await?;
        let chart = |(metric, curves): (&String, &Curves)| {
            let found: Vec<_> = curves.iter().map(|(variant, series)| (variant.as_str(), series)).collect();
            drawn(metric, lines::svg(metric, &found, false))
        };
        curves.iter().map(chart).collect()
    }

    /// Downloads the task's images. One that cannot be shown is named.
    async fn images(
        &self,
        app: &App,
        client: &Client,
        images: &[(String, String)],
        drafts: &mut Vec<Draft>,
        pictures: &mut Pictures,
    ) -> Result<()> {
        if images.len() > MAX_IMAGES {
            pictures.notes.push(format!("{} left out", count(images.len() - MAX_IMAGES, "image")));
        }
        for (name, url) in images.iter().take(MAX_IMAGES) {
            let image = match client.download(url).await {
                Ok(bytes) => prepare_asset(&file_name(name, ""), None, bytes),
                Err(error) => Err(error),
            };
            match image {
                Ok(asset) if asset.mime.starts_with("image/") => {
                    drafts.push(Draft { name: name.clone(), is_drawn: false, asset });
                }
                Ok(_) => pictures.notes.push(format!("the image {name} is not an image")),
                Err(error) => {
                    app.log.warn_of(&format!("cannot show the image {name}: {error}"), error.hint_text());
                    pictures.notes.push(format!("the image {name} cannot be shown here"));
                }
            }
        }
        Ok(())
    }
}

fn drawn(name: &str, svg: String) -> Result<Draft> {
    let asset = prepare_asset(&file_name(name, ".svg"), None, svg.into_bytes().into())?;
    Ok(Draft { name: name.to_owned(), is_drawn: true, asset })
}

fn file_name(text: &str, ending: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
    format!("{}{ending}", text.chars().take(60).map(sound).collect::<String>())
}
