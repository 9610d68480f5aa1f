//! What a file is, by its content.

/// A type of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// MIME type.
    pub mime: &'static str,
    /// Usual ending.
    pub extension: &'static str,
}

/// Nothing in particular.
pub const BYTES: Kind = Kind { mime: "application/octet-stream", extension: "bin" };

impl Kind {
    /// Returns whether browsers show it in a page.
    pub fn is_shown(&self) -> bool {
        ["image/", "video/", "audio/"].iter().any(|class| self.mime.starts_with(class))
    }

    /// Returns whether a link to it is published by itself.
    pub fn is_harmless(&self) -> bool {
        self.is_shown() || self.mime == "application/pdf"
    }
}

/// Returns whether a type is an image, a video or audio in a binary format.
pub fn is_media(mime: &str) -> bool {
    let is_text = mime.starts_with("image/svg");
    !is_text && ["image/", "video/", "audio/"].iter().any(|class| mime.starts_with(class))
}

/// Returns the `Content-Disposition` of a file of a type. A browser that opens its address shows only what certainly runs no
/// code, and saves everything else. An image in a page is shown in either case, SVG included.
pub fn disposition(mime: &str) -> &'static str {
    let class = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_media = ["image/", "video/", "audio/"].iter().any(|start| class.starts_with(start));
    let is_document =
        matches!(class.as_str(), "application/pdf" | "text/plain" | "text/csv" | "text/tab-separated-values");
    if (is_media && !class.contains("svg") && !class.contains("xml")) || is_document { "inline" } else { "attachment" }
}

/// Returns the type that the bytes say they are.
pub fn sniff(bytes: &[u8]) -> Option<Kind> {
    if is_svg(bytes) {
        return Some(Kind { mime: "image/svg+xml", extension: "svg" });
    }
    let found = infer::get(bytes)?;
    Some(Kind { mime: found.mime_type(), extension: found.extension() })
}

/// Returns the type of any file: by content, else by name, else whether it is text.
pub fn detect(name: &str, bytes: &[u8]) -> Kind {
    let text = || std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let plain = || text().map(|_| Kind { mime: "text/plain; charset=utf-8", extension: "txt" });
    sniff(bytes).or_else(|| by_name(name)).or_else(plain).unwrap_or(BYTES)
}

/// Returns what people call a file that is no Markdown, such as `a PNG image`, and whether browsers show it in a
/// page.
pub fn noun(name: &str, bytes: &[u8]) -> Option<(String, bool)> {
    let is_text = std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
    // Some types are told by two letters, with which a text may begin.
    let is_sure = |kind: &Kind| matches!(kind.mime, "image/svg+xml" | "application/pdf") || !is_text;
    let by_content = sniff(bytes).filter(|kind| is_sure(kind) && !kind.mime.starts_with("text/"));
    let kind = by_content.or_else(|| by_name(name).filter(|kind| !kind.mime.starts_with("text/html")))?;
    let noun = match kind.mime.split_once('/') {
        Some((class @ ("image" | "video"), _)) => class,
        Some(("audio", _)) => "audio file",
        Some(("text", _)) => "table",
        _ => "file",
    };
    let short = kind.extension.to_ascii_uppercase();
    let article =
        if short.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X']) { "an" } else { "a" };
    Some((format!("{article} {short} {noun}"), kind.is_shown()))
}

/// Returns the type of a text that people link to from a report, by its name.
pub fn by_name(name: &str) -> Option<Kind> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "csv" => Kind { mime: "text/csv; charset=utf-8", extension: "csv" },
        "tsv" => Kind { mime: "text/tab-separated-values; charset=utf-8", extension: "tsv" },
        "html" | "htm" => Kind { mime: "text/html; charset=utf-8", extension: "html" },
        _ => return None,
    })
}

/// Returns an XML document whose first element is `svg`.
fn is_svg(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let mut rest = head.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<!") => ">",
            _ => {
                return rest
                    .strip_prefix("<svg")
                    .is_some_and(|r| r.starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/'));
            }
        };
        match rest.find(end) {
            Some(at) => rest = rest[at + end.len()..].trim_start(),
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_runs_nothing_is_opened_in_place() {
        for mime in ["image/png", "video/mp4", "audio/wav", "application/pdf", "text/csv; charset=utf-8", "text/plain"]
        {
            assert_eq!(disposition(mime), "inline", "{mime}");
        }
        for mime in [
            "image/svg+xml",
            "IMAGE/SVG+XML",
            "text/html; charset=utf-8",
            "application/xhtml+xml",
            "text/xml",
            "application/octet-stream",
            "text/javascript",
            "",
        ] {
            assert_eq!(disposition(mime), "attachment", "{mime}");
        }
    }

    #[test]
    fn content_decides() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n").map(|k| k.extension), Some("png"));
        assert!(sniff(b"<?xml version='1.0'?>\n<!-- Made -->\n<!DOCTYPE svg>\n<svg/>").is_some_and(|k| k.is_shown()));
        assert_eq!(sniff(b"AWS_SECRET_ACCESS_KEY=x"), None);
        assert_eq!(sniff(b"<svgx>"), None);
        assert_eq!(by_name("secrets.env"), None);
        let called = |name, bytes| noun(name, bytes).map(|(noun, _)| noun);
        for (name, bytes, expected) in [
            ("a.md", &b"\x89PNG\r\n\x1a\n"[..], Some("a PNG image")),
            ("a.md", b"<svg/>", Some("an SVG image")),
            ("a.md", b"%PDF-1.7\n", Some("a PDF file")),
            ("a.md", b"PK\x03\x04\0", Some("a ZIP file")),
            ("a.CSV", b"a,b\n", Some("a CSV table")),
            ("a.md", b"a,b\n", None),
            ("a.html", b"<html>", None),
            ("a.md", b"<!DOCTYPE html><html>", None),
            ("a.md", b"BMW sold more\n", None),
            ("a.md", b"", None),
        ] {
            assert_eq!(called(name, bytes).as_deref(), expected, "{name} {bytes:?}");
        }
        for (name, bytes, extension) in [
            ("a.csv", &b"\x89PNG\r\n\x1a\n"[..], "png"),
            ("a.csv", b"1,2", "csv"),
            ("a", b"1", "txt"),
            ("a", b"\0", "bin"),
            ("a", b"\xff", "bin"),
        ] {
            assert_eq!(detect(name, bytes).extension, extension, "{name} {bytes:?}");
        }
    }
}
