//! Tells which of DVC's templates a template of the project's is a copy of.

use super::Template;
use crate::metrics::Value;

/// Returns DVC's template that a Vega-Lite template draws the same as, but for sizes, colours and what only moves on a screen. A template
/// that counts, filters or bins in another way is none of them.
pub fn recognize(template: &Value) -> Option<Template> {
    let fields: [&str; 4] = ["loess", "percent_of_y", "percent_of_max", "random()"];
    let [has_loess, has_share, has_count, has_random] = fields.map(|text| mentions(template, text));
    if template.get("facet").is_some() || template.get("layer").is_some() {
        return match (has_loess, has_share, has_count) {
            (true, false, false) => Some(Template::Linear),
            (false, true, false) => Some(Template::ConfusionNormalized),
            (false, false, true) => Some(Template::Confusion),
            _ => None,
        };
    }
    let mark = template.get("mark")?;
    let mark = mark.get("type").unwrap_or(mark).text()?;
    let (x, y) = (template.get("encoding")?.get("x")?, template.get("encoding")?.get("y")?);
    let has_transform = template.get("transform").is_some();
    if !is_plain(x, "<DVC_METRIC_X>") || !is_plain(y, "<DVC_METRIC_Y>") || has_transform != has_random {
        return None;
    }
    let kind = |channel: &Value| channel.get("type").and_then(Value::text).unwrap_or("nominal").to_owned();
    match (mark, kind(x).as_str(), kind(y).as_str(), has_random) {
        ("line", "quantitative", "quantitative", false) => Some(Template::Simple),
        ("point", "quantitative", "quantitative", false) => Some(Template::Scatter),
        ("point", "nominal", "nominal", true) => Some(Template::ScatterJitter),
        ("bar", "quantitative", "nominal", false) => match y.get("sort").map(Value::text) {
            None => Some(Template::BarHorizontal),
            Some(Some("-x")) => Some(Template::BarHorizontalSorted),
            Some(_) => None,
        },
        _ => None,
    }
}

/// Returns whether an axis shows a field as it is.
fn is_plain(channel: &Value, field: &str) -> bool {
    let keys = channel.entries().unwrap_or_default().iter().map(|(key, _)| key.as_str());
    let is_zero = |scale: &Value| scale.entries().is_some_and(|keys| keys.iter().all(|(key, _)| key == "zero"));
    channel.get("field").and_then(Value::text) == Some(field)
        && keys.into_iter().all(|key| ["field", "type", "title", "axis", "scale", "sort"].contains(&key))
        && channel.get("scale").is_none_or(is_zero)
}

fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::Text(found) => found.contains(text),
        Value::List(items) => items.iter().any(|item| mentions(item, text)),
        Value::Map(entries) => entries.iter().any(|(key, value)| key == text || mentions(value, text)),
        _ => false,
    }
}
