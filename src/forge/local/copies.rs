//! The names of published files in the preview's folder, and which of them a link may open.
//!
//! A stranger's page or drawing that is opened from the disk runs its scripts with the rights of a local file. So a
//! link never leads to a file that a browser may take for one: such a file is copied as text, `….html.txt`, which is
//! how GitHub serves it, too. Drawings are also copied under their own name, as pictures of a page run nothing.

use std::borrow::Cow;

/// The folder, as the page writes it.
const FOLDER: &str = "files/";
/// Endings that browsers know, and whose files they show or save without running anything.
const PASSIVE: &str = "aac avif bin bmp csv flac gif gz ico jpeg jpg json log m4a md mkv mov mp3 mp4 npy npz ogg ogv \
    opus pdf png tar tif tiff tsv txt wav webm webp zip";
/// Endings of what is shown in place, but should not be opened by itself: it runs scripts, or browsers would guess.
const SHOWN_ONLY: &str = "aiff amr ape avi cr2 djvu dsf flv heif jxl jxr m4v mid mpg ora psd svg wmv";

fn has_ending(name: &str, endings: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    endings.split_ascii_whitespace().any(|known| known.eq_ignore_ascii_case(ending))
}

/// Returns the name of the copy that can be opened.
fn opened(name: &str) -> Cow<'_, str> {
    if has_ending(name, PASSIVE) { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}.txt")) }
}

/// Returns the names under which a file of this name is copied into the folder, the one that a report shows first.
pub fn names(name: &str) -> Vec<String> {
    let shown = has_ending(name, SHOWN_ONLY).then(|| name.to_owned());
    shown.into_iter().chain([opened(name).into_owned()]).collect()
}

/// Returns the address of a copy on the page.
pub fn address(name: &str) -> String {
    format!("{FOLDER}{}", names(name).swap_remove(0))
}

/// Returns the address that a link on the page to a copy gets; `None` for any other address.
pub fn passive(address: &str) -> Option<String> {
    let (path, rest) = address.split_at(address.find(['#', '?']).unwrap_or(address.len()));
    let name = path.strip_prefix(FOLDER)?;
    let is_copy = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    is_copy.then(|| format!("{FOLDER}{}{rest}", opened(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_runs_can_be_opened() {
        for (name, all) in [
            ("ab.png", &["ab.png"][..]),
            ("ab.svg", &["ab.svg", "ab.svg.txt"]),
            ("ab.html", &["ab.html.txt"]),
            ("ab.xht", &["ab.xht.txt"]),
            ("ab.PDF", &["ab.PDF"]),
            ("ab", &["ab.txt"]),
        ] {
            assert_eq!(names(name), all);
            assert_eq!(address(name), format!("files/{}", all[0]));
            let linked = format!("files/{}", all[all.len() - 1]);
            assert_eq!(passive(&format!("files/{name}#x")), Some(format!("{linked}#x")));
            assert_eq!(passive(&linked), Some(linked.clone()), "a copy of a copy is none");
        }
        for elsewhere in ["../a.html", "files/../a.html", "files/", "files/%2e%2e/a.png", "a.png", "file:///a.png"] {
            assert_eq!(passive(elsewhere), None, "{elsewhere}");
        }
    }
}
