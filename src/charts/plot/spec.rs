//! Reads the Vega-Lite specification of a plot that DVC has made of one of its templates, as `dvc plots diff --show-vega` prints it.
//!
//! Only what we draw with its marks at the same places is read: a size, a colour, an encoding or a value that is not DVC's makes it the
//! specification of somebody else.

use super::{Plot, Point, Template, check, number_of};
use crate::digest;
use crate::metrics::{Value, json};

/// DVC's templates, <https://github.com/iterative/dvc-render/blob/1.0.2/src/dvc_render/vega_templates.py>: the SHA-256 of their [`outline`]. That of
/// a normalized matrix is one of a single file: of several, DVC's loses pairs, which ours does not.
const TEMPLATES: [(&str, &str); 8] = [
    ("simple", "7b296f9dc47a8755f23b433c397fc23877cb3e5b94a461d02d74c229077af99b"),
    ("linear", "9d5c5bc4210826821b29c3207f6f780620a3f82ec2a4429dc1a6e7108c848f97"),
    ("confusion", "60996ca5bc8acfa09f7729b1d740eb2b0da310c5fe9f3ffb1783d680ffa44cee"),
    ("confusion_normalized", "8761c8a3d66c53a4246eb57293a9221c62c3bf3e8deed4a7053e9814709e73a2"),
    ("scatter", "28344f8003b445d6ce2c380e94e16b9ac6a20fdbc373c26e0db1445d62d874db"),
    ("scatter_jitter", "b68377d3bd122e216f1ab44f404f1f70c59a034cd0fd3032353d74da0b8f27ea"),
    ("bar_horizontal_sorted", "29801da1681caab37d261dabf0b4d7bb403c85ecb0c62c2e064835a4ac6eb1fa"),
    ("bar_horizontal", "2e1215a9fcee71087e242f5f4965a8285fa9be3cb2af3dcf7c3507cc63ea171b"),
];
/// The places that DVC fills in, of all templates together, and with what ([`Filled::value`]).
const ANCHORS: [(&str, &str); 43] = [
    ("/data/values", "DATA"),
    ("/title/text", "TITLE"),
    ("/encoding/x/field", "X"),
    ("/encoding/x/title", "X_LABEL"),
    ("/encoding/y/field", "Y"),
    ("/encoding/y/title", "Y_LABEL"),
    ("/encoding/color", "COLOR"),
    ("/encoding/strokeDash", "STROKE_DASH"),
    ("/encoding/tooltip", "TOOLTIP"),
    ("/layer/0/encoding/y/field", "Y"),
    ("/layer/0/encoding/y/title", "Y_LABEL"),
    ("/layer/0/transform/0/loess", "Y"),
    ("/layer/0/transform/0/on", "X"),
    ("/layer/0/transform/0/groupby", "GROUP_BY"),
    ("/layer/1/encoding/x/field", "X"),
    ("/layer/1/encoding/x/title", "X_LABEL"),
    ("/layer/1/encoding/y/field", "Y"),
    ("/layer/1/encoding/y/title", "Y_LABEL"),
    ("/layer/2/encoding/x/field", "X"),
    ("/layer/2/encoding/x/title", "X_LABEL"),
    ("/layer/2/encoding/y/aggregate/argmax", "X"),
    ("/layer/2/encoding/y/field", "Y"),
    ("/layer/2/encoding/y/title", "Y_LABEL"),
    ("/layer/3/transform/0/calculate", "PIVOT_FIELD"),
    ("/layer/3/transform/1/value", "Y"),
    ("/layer/3/transform/1/groupby/0", "X"),
    ("/layer/3/params/0/select/fields/0", "X"),
    ("/facet/row", "ROW"),
    ("/spec/transform/0/groupby/0", "Y"),
    ("/spec/transform/0/groupby/1", "X"),
    ("/spec/transform/1/groupby", "GROUP_BY_Y"),
    ("/spec/transform/1/key", "X"),
    ("/spec/transform/2/groupby", "GROUP_BY_X"),
    ("/spec/transform/2/key", "Y"),
    ("/spec/encoding/x/field", "X"),
    ("/spec/encoding/x/title", "X_LABEL"),
    ("/spec/encoding/y/field", "Y"),
    ("/spec/encoding/y/title", "Y_LABEL"),
    ("/spec/layer/1/encoding/tooltip/0/field", "X"),
    ("/spec/layer/1/encoding/tooltip/1/field", "Y"),
    ("/spec/transform/3/groupby/0", "Y"),
    ("/encoding/shape", "SHAPE"),
    ("/encoding/column", "COLUMN"),
];
/// The field with the revision.
const REVISION: &str = "rev";
/// The fields that tell the series of a revision apart, with what the tooltip of `linear` joins.
const GROUPS: [(&str, &str); 3] = [
    ("filename", "datum.rev + '::' + datum.filename"),
    ("field", "datum.rev + '::' + datum.field"),
    ("filename::field", "datum.rev + '::' + datum.filename + '::' + datum.field"),
];
const COLOURS: [&str; 7] = ["#945dd6", "#13adc7", "#f46837", "#48bb78", "#4299e1", "#ed8936", "#f56565"];
const DASHES: [(i64, i64); 7] = [(1, 0), (8, 8), (8, 4), (4, 4), (4, 2), (2, 1), (1, 1)];
const SHAPES: [&str; 4] = ["circle", "square", "triangle", "diamond"];
/// Longer texts would be cut.
const MAX_TITLE: usize = 75;
const MAX_LABEL: usize = 60;

/// What DVC has put into a template.
struct Filled<'a> {
    rows: &'a Value,
    title: &'a str,
    x: &'a str,
    y: &'a str,
    x_label: &'a str,
    y_label: &'a str,
    revisions: Vec<&'a str>,
    /// The field that tells the series of a revision apart, and its values; none if there is only one series.
    groups: Option<(&'a str, Vec<&'a str>)>,
}

/// Returns the picture of a specification as SVG, with its width and height times `scale`; `None` if it is not DVC's.
pub fn draw(text: &str, scale: f64) -> Option<String> {
    let drawn = super::draw(&read(&json::parse(text).ok()?)?);
    // The first two are those of the picture.
    let size = drawn.find(" width=\"")?;
    let mut parts = drawn[size..].splitn(5, '"');
    let (width, height) = (parts.nth(1)?, parts.nth(1)?);
    let (wide, high) = (width.parse::<f64>().ok()? * scale, height.parse::<f64>().ok()? * scale);
    let size = format!(" width=\"{width}\" height=\"{height}\"");
    Some(drawn.replacen(&size, &format!(" width=\"{wide}\" height=\"{high}\""), 1))
}

fn read(spec: &Value) -> Option<Plot> {
    let filled = Filled::find(spec)?;
    let found = digest::hash(outline(spec, "", Some(&filled)).as_bytes());
    let (name, _) = TEMPLATES.iter().find(|(_, digest)| *digest == found)?;
    filled.plot(Template::named(name)?)
}

impl<'a> Filled<'a> {
    fn find(spec: &'a Value) -> Option<Self> {
        let inner = spec.get("spec").unwrap_or(spec);
        let encoding = inner.get("encoding")?;
        let layer = || inner.get("layer")?.items()?.first()?.get("encoding")?.get("y");
        let (x, y) = (encoding.get("x")?, encoding.get("y").or_else(layer)?);
        let text = |channel: &'a Value, key: &str| channel.get(key)?.text();
        let rows = spec.get("data")?.get("values")?;
        let facet = || spec.get("facet")?.get("row");
        let channels = ["strokeDash", "shape", "column"].into_iter().find_map(|name| encoding.get(name));
        let field = channels.or_else(facet).and_then(|channel| text(channel, "field"));
        let groups = match field {
            Some(field) => Some((field, distinct(rows, field)?)),
            None => None,
        };
        Some(Filled {
            rows,
            title: text(spec.get("title")?, "text")?,
            x: text(x, "field")?,
            y: text(y, "field")?,
            x_label: text(x, "title")?,
            y_label: text(y, "title")?,
            revisions: distinct(rows, REVISION)?,
            groups,
        })
    }

    /// Returns what DVC puts in the place of an anchor.
    fn value(&self, anchor: &str) -> Option<Value> {
        let texts = |all: &[&str]| Value::List(all.iter().map(|text| Value::from(*text)).collect());
        let by: Vec<&str> = [REVISION].into_iter().chain(self.groups.as_ref().map(|(field, _)| *field)).collect();
        let with = |more: &'a str| texts(&[&by[..], &[more]].concat());
        // A series has a dash or a shape of its own, or a frame.
        let mapped = |range: Vec<Value>| {
            let Some((field, _)) = &self.groups else { return Value::Map(Vec::new()) };
            let legend = table(&[("symbolFillColor", "transparent".into()), ("symbolStrokeColor", "grey".into())]);
            table(&[("field", (*field).into()), ("scale", scale(&self.domain(), range)), ("legend", legend)])
        };
        let framed = || match &self.groups {
            Some((field, _)) => table(&[("field", (*field).into()), ("sort", Value::List(Vec::new()))]),
            None => Value::Map(Vec::new()),
        };
        Some(match anchor {
            "DATA" => self.rows.clone(),
            "TITLE" => self.title.into(),
            "X" => self.x.into(),
            "Y" => self.y.into(),
            "X_LABEL" => self.x_label.into(),
            "Y_LABEL" => self.y_label.into(),
            "COLOR" => {
                let colours = COLOURS.map(Value::from).to_vec();
                table(&[("field", REVISION.into()), ("scale", scale(&self.revisions, colours))])
            }
            "STROKE_DASH" => {
                mapped(DASHES.iter().map(|(on, off)| Value::List(vec![Value::from(*on), Value::from(*off)])).collect())
            }
            "SHAPE" => mapped(SHAPES.map(Value::from).to_vec()),
            "ROW" | "COLUMN" => framed(),
            "GROUP_BY" => texts(&by),
            "GROUP_BY_X" => with(self.x),
            "GROUP_BY_Y" => with(self.y),
            "PIVOT_FIELD" => match &self.groups {
                None => "datum.rev".into(),
                Some((field, _)) => GROUPS.iter().find(|(known, _)| known == field)?.1.into(),
            },
            "TOOLTIP" => {
                let fields = [REVISION, self.x, self.y].into_iter().chain(by.iter().skip(1).copied());
                Value::List(fields.map(|field| table(&[("field", field.into())])).collect())
            }
            _ => return None,
        })
    }

    /// Returns the names of the series as scales have them: sorted.
    fn domain(&self) -> Vec<&'a str> {
        let mut names = self.groups.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
        names.sort_unstable();
        names
    }

    fn plot(&self, template: Template) -> Option<Plot> {
        let is_framed = matches!(
            template,
            Template::Confusion
                | Template::ConfusionNormalized
                | Template::BarHorizontal
                | Template::BarHorizontalSorted
        );
        // Frames come in the order of the data.
        let groups = match &self.groups {
            None => vec![""],
            Some((_, names)) if is_framed => names.clone(),
            Some(_) => self.domain(),
        };
        let has_room = |text: &str, most: usize| text.chars().count() <= most;
        let is_short = has_room(self.title, MAX_TITLE) && has_room(self.x_label, MAX_LABEL);
        let is_plain = |field: &str| field != REVISION && !field.contains(['.', '[', ']', '\\']);
        if !is_short || !has_room(self.y_label, MAX_LABEL) || !is_plain(self.x) || !is_plain(self.y) {
            return None;
        }
        let place = |names: &[&str], row: &Value, field: &str| {
            let name = row.get(field)?.text()?;
            names.iter().position(|known| *known == name)
        };
        let point = |row: &Value| {
            let group = match &self.groups {
                Some((field, _)) => place(&groups, row, field)?,
                None => 0,
            };
            let revision = place(&self.revisions, row, REVISION)?;
            Some(Point { x: row.get(self.x)?.clone(), y: row.get(self.y)?.clone(), revision, group })
        };
        let points: Vec<Point> = self.rows.items()?.iter().map(point).collect::<Option<_>>()?;
        let (x, y) = template.wants_numbers();
        if !is_drawable(points.iter().map(|point| &point.x), x) || !is_drawable(points.iter().map(|point| &point.y), y)
        {
            return None;
        }
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let plot = Plot {
            title: self.title.to_owned(),
            x_label: self.x_label.to_owned(),
            y_label: self.y_label.to_owned(),
            template,
            revisions: owned(&self.revisions),
            groups: owned(&groups),
            points,
        };
        check(&plot).is_ok().then_some(plot)
    }
}

/// Returns whether values are as Vega takes them: all numbers where those are wanted, else categories of one kind.
fn is_drawable<'a>(values: impl Iterator<Item = &'a Value>, wants_numbers: bool) -> bool {
    let mut kinds = values.map(|value| match value {
        Value::Text(_) if wants_numbers => number_of(value).map(|_| true),
        Value::Text(_) => Some(false),
        Value::Int(_) | Value::Float(_) => number_of(value).map(|_| true),
        _ => None,
    });
    let first = kinds.next().flatten();
    first.is_some() && kinds.all(|kind| kind == first)
}

/// Returns the different texts of a field, in their order; `None` if a row lacks it.
fn distinct<'a>(rows: &'a Value, field: &str) -> Option<Vec<&'a str>> {
    let mut found = Vec::new();
    for row in rows.items()? {
        let text = row.get(field)?.text()?;
        if !found.contains(&text) {
            found.push(text);
        }
    }
    Some(found)
}

fn table(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

/// Returns a scale as DVC writes it: the range is repeated until it is as long as the domain.
fn scale(domain: &[&str], range: Vec<Value>) -> Value {
    let range = range.into_iter().cycle().take(domain.len()).collect();
    table(&[
        ("domain", Value::List(domain.iter().map(|name| Value::from(*name)).collect())),
        ("range", Value::List(range)),
    ])
}

/// Returns a value as text, with its keys in order, and with the name of the anchor where it has what DVC fills in there.
fn outline(value: &Value, place: &str, filled: Option<&Filled<'_>>) -> String {
    let anchor = filled.and_then(|filled| {
        let (_, anchor) = ANCHORS.iter().find(|(known, _)| *known == place)?;
        let is_filled = outline(&filled.value(anchor)?, "", None) == outline(value, "", None);
        is_filled.then_some(anchor)
    });
    let within = |key: &str, value: &Value| outline(value, &format!("{place}/{key}"), filled);
    match (anchor, value) {
        (Some(anchor), _) => format!("<{anchor}>"),
        (None, Value::Map(entries)) => {
            let mut parts: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}:{}", written(&key.as_str().into()), within(key, value)))
                .collect();
            parts.sort_unstable();
            format!("{{{}}}", parts.join(","))
        }
        (None, Value::List(items)) => {
            let parts: Vec<String> = items.iter().enumerate().map(|(at, item)| within(&at.to_string(), item)).collect();
            format!("[{}]", parts.join(","))
        }
        (None, other) => written(other),
    }
}

fn written(value: &Value) -> String {
    let mut text = String::new();
    json::write(value, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As DVC 3.67 prints it, of a CSV file with two versions and, as `groups`, of two fields.
    fn scatter(groups: bool) -> String {
        let row = |x: &str, rev: &str, field: &str| {
            let field = if groups { format!(r#", "field": "{field}""#) } else { String::new() };
            format!(r#"{{"step": "{x}", "loss": "1.5", "rev": "{rev}"{field}}}"#)
        };
        let rows = [row("0", "workspace", "loss"), row("1", "workspace", "acc"), row("0", "HEAD", "loss")].join(", ");
        let (shape, tooltip) = if groups {
            (
                r##"{"field": "field", "scale": {"domain": ["acc", "loss"], "range": ["circle", "square"]}, "legend": {"symbolFillColor": "transparent", "symbolStrokeColor": "grey"}}"##,
                r#", {"field": "field"}"#,
            )
        } else {
            ("{}", "")
        };
        format!(
            r##"{{"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "data": {{"values": [{rows}]}}, "title": {{"text": "c.d", "anchor": "middle"}}, "width": 300, "height": 300, "mark": {{"type": "point", "tooltip": {{"content": "data"}}}}, "params": [{{"name": "grid", "select": "interval", "bind": "scales"}}], "encoding": {{"x": {{"field": "step", "type": "quantitative", "title": "the x"}}, "y": {{"field": "loss", "type": "quantitative", "title": "loss"}}, "color": {{"field": "rev", "scale": {{"domain": ["workspace", "HEAD"], "range": ["#945dd6", "#13adc7"]}}}}, "shape": {shape}, "tooltip": [{{"field": "rev"}}, {{"field": "step"}}, {{"field": "loss"}}{tooltip}]}}}}"##
        )
    }

    fn found(text: &str) -> Option<Plot> {
        read(&json::parse(text).unwrap())
    }

    #[test]
    fn a_plot_of_dvcs_is_read() {
        let plot = found(&scatter(false)).unwrap();
        assert_eq!((plot.template, plot.title.as_str(), plot.x_label.as_str()), (Template::Scatter, "c.d", "the x"));
        assert_eq!((plot.revisions.join(" "), plot.groups), ("workspace HEAD".to_owned(), vec![String::new()]));
        let points: Vec<_> = plot.points.iter().map(|point| (point.x.clone(), point.revision)).collect();
        assert_eq!(points, [("0".into(), 0), ("1".into(), 0), ("0".into(), 1)]);
        let plot = found(&scatter(true)).unwrap();
        let groups: Vec<usize> = plot.points.iter().map(|point| point.group).collect();
        assert_eq!((plot.groups, groups), (vec!["acc".to_owned(), "loss".to_owned()], vec![1, 0, 1]));
    }

    #[test]
    fn the_size_is_scaled() {
        let (one, two) = (draw(&scatter(false), 1.0).unwrap(), draw(&scatter(false), 1.5).unwrap());
        let size = |svg: &str| {
            let line = svg.lines().next().unwrap().to_owned();
            let number =
                |name: &str| line.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().to_owned();
            [number("width"), number("height"), number("viewBox")]
        };
        let [width, height, area] = size(&one);
        assert_eq!(area, format!("0 0 {width} {height}"));
        let times = |text: &str| (text.parse::<f64>().unwrap() * 1.5).to_string();
        assert_eq!(size(&two), [times(&width), times(&height), area]);
        assert_eq!(draw("{", 1.0), None);
    }

    #[test]
    fn what_differs_is_somebody_elses() {
        for (from, to) in [
            ("\"width\": 300", "\"width\": 301"),
            ("\"width\": 300, ", ""),
            ("\"width\": 300", "\"width\": 300, \"background\": \"red\""),
            ("#13adc7", "#ff0000"),
            ("\"type\": \"point\"", "\"type\": \"circle\""),
            ("\"shape\": {}", "\"shape\": {\"field\": \"rev\"}"),
            ("[\"workspace\", \"HEAD\"]", "[\"HEAD\", \"workspace\"]"),
            ("\"loss\": \"1.5\"", "\"loss\": \"\""),
            ("\"loss\": \"1.5\"", "\"loss\": NaN"),
            ("\"loss\": \"1.5\"", "\"loss\": null"),
            ("\"loss\": \"1.5\"", "\"acc\": 1"),
            ("\"title\": \"the x\"", "\"title\": \"the x\", \"scale\": {\"type\": \"log\"}"),
            ("{\"values\": [", "{\"url\": \"data.csv\", \"values\": ["),
            ("\"c.d\"", "\"a title that is much longer than the picture is wide and which would be cut off in ours\""),
        ] {
            let text = scatter(false);
            assert!(text.contains(from), "{from}");
            assert_eq!(found(&text.replacen(from, to, 1)), None, "{to}");
        }
        for other in ["{}", "[]", "{\"mark\": \"bar\"}", "{\"data\": {\"values\": []}, \"encoding\": 1}"] {
            assert_eq!(found(other), None);
        }
    }
}
