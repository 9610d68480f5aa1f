//! A chart as PNG, for who cannot show SVG: in light colours, since a PNG cannot follow the reader's setting.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{FontResolver, Options, Tree};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Letters of Latin, Greek and Cyrillic, as wide as Arial's: see docs/adr/0028-vl2svg.md.
const FONTS: [&[u8]; 2] = [include_bytes!("fonts/regular.ttf"), include_bytes!("fonts/bold.ttf")];
const FAMILY: &str = "CML Sans";
/// More would take a gigabyte of memory.
const MAX_PIXELS: u64 = 1 << 28;
const MAX_SIDE: u32 = 32767;
const INCHES_PER_METRE: f64 = 1.0 / 0.0254;

/// Returns an SVG of ours as PNG, in its own size, whose header says how many pixels an inch has. `None` where it has a letter that no font
/// of ours has, or where it would be too small or too large.
pub fn draw(svg: &str, pixels_per_inch: f64) -> Option<Vec<u8>> {
    let mut fonts = Database::new();
    FONTS.iter().for_each(|font| fonts.load_font_data(font.to_vec()));
    fonts.set_sans_serif_family(FAMILY);
    let lacks_letters = AtomicBool::new(false);
    let font_resolver = FontResolver {
        select_font: FontResolver::default_font_selector(),
        // Asked for a letter that the first font does not have.
        select_fallback: Box::new(|_, _, _| {
            lacks_letters.store(true, Ordering::Relaxed);
            None
        }),
    };
    let options = Options { fontdb: Arc::new(fonts), font_resolver, ..Options::default() };
    let tree = Tree::from_str(svg, &options).ok()?;
    // Part of a pixel is cut off, as vl-convert does it.
    let (width, height) = (tree.size().width() as u32, tree.size().height() as u32);
    let is_drawable = width <= MAX_SIDE && height <= MAX_SIDE && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if !is_drawable || lacks_letters.load(Ordering::Relaxed) {
        return None;
    }
    let mut pixels = Pixmap::new(width, height)?;
    resvg::render(&tree, Transform::identity(), &mut pixels.as_mut());
    encode(pixels, pixels_per_inch).ok()
}

fn encode(pixels: Pixmap, pixels_per_inch: f64) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let per_metre = (pixels_per_inch * INCHES_PER_METRE).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels.take_demultiplied())?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(text: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"90\" height=\"40\" font-family=\"system-ui, Arial, sans-serif\">\
             <text x=\"4\" y=\"20\" font-size=\"14\">{text}</text></svg>"
        )
    }

    #[test]
    fn a_text_is_drawn_if_all_of_its_letters_are_known() {
        let empty = draw(&svg(""), 72.0).unwrap();
        for text in ["loss", "größe", "Ω ≤ 3 → 4 µm", "потери", "1 − 2 · 3 …"] {
            let drawn = draw(&svg(text), 72.0).unwrap_or_else(|| panic!("{text}"));
            assert!(drawn.starts_with(b"\x89PNG") && drawn.len() > empty.len(), "{text}");
        }
        for text in ["損失", "loss 📉", "\u{5d0}", "\u{fffd}"] {
            assert_eq!(draw(&svg(text), 72.0), None, "{text}");
        }
    }

    #[test]
    fn a_picture_has_a_size_that_can_be_drawn() {
        let sized = |width: f64| draw(&svg("x").replace("\"90\"", &format!("\"{width}\"")), 72.0);
        let width = |png: Vec<u8>| u32::from_be_bytes(png[16..20].try_into().unwrap());
        assert_eq!(sized(90.7).map(width), Some(90));
        assert_eq!((sized(0.5), sized(40000.0)), (None, None));
    }
}
