//! Charts as SVG, without any I/O: lines over steps ([`lines`]), heat maps with numbers ([`heat_map`]), values over commits ([`trend`]), and the
//! plots of DVC's templates ([`plot`]). The native program also makes PNGs of them (`png`).
//!
//! Written by hand: see docs/tensorboard.md for why. Colours follow the reader's light or dark setting where the style
//! sheet is applied; a chart has its own light background where it is not, so it can be read on any page.

pub mod heat_map;
pub mod lines;
pub mod plot;
#[cfg(not(target_arch = "wasm32"))]
pub mod png;
pub mod series;
pub mod ticks;
pub mod trend;

use std::fmt::Write;

pub use series::{Point, Series};

/// Colours of the lines on light and dark ground that people tell apart whatever colours they see: those of Okabe and
/// Ito (<https://jfly.uni-koeln.de/color/>), each darkened or lightened until it has a contrast of 3 to its ground.
const COLOURS: [(&str, &str); 6] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#ff9248"),
    ("#007f5c", "#2fc8a0"),
    ("#b0558a", "#e6a3cb"),
    ("#8a6d00", "#e6cb3c"),
    ("#595959", "#bdbdbd"),
];

/// Returns the beginning of a chart: its size in pixels, its title, its style and its ground.
fn head(title: &str, width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" \
         font-size=\"12\">\n<title>{}</title>\n{}<rect class=\"g\" width=\"{width}\" height=\"{height}\" rx=\"6\" \
         fill=\"#ffffff\"/>\n<text class=\"t\" x=\"16\" y=\"24\" font-size=\"14\" font-weight=\"600\" \
         fill=\"#1f2328\">{}</text>\n",
        escape(title),
        style(),
        escape(&shortened(title, 75)),
    )
}

/// Returns what the reader's dark setting changes.
fn style() -> String {
    let mut rules = String::from(".g{fill:#0d1117}.t{fill:#e6edf3}.l{fill:#9198a1}.a{stroke:#30363d}");
    for (n, (_, dark)) in COLOURS.iter().enumerate() {
        let _ = write!(rules, ".s{n}{{stroke:{dark}}}.f{n}{{fill:{dark}}}");
    }
    format!("<style>@media (prefers-color-scheme: dark){{{rules}}}</style>\n")
}

/// Returns a text with at most so many characters, and an ellipsis where it had more.
fn shortened(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Returns a text for XML, which knows no control characters; also for HTML.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}
