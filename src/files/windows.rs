//! Names that mean no file on Windows, or one on another host. Pure.
//! <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>

const DEVICE: &str = "it names a device";
const HOST: &str = "it names another host";
const STREAM: &str = "it names a stream of a file";

/// Returns why a name on the command line means no file: devices have names in every folder, with any ending.
pub fn device(name: &str) -> Option<&'static str> {
    let name = name.replace('/', "\\");
    if name.starts_with(r"\\.\") || name.starts_with(r"\??\") {
        return Some(DEVICE);
    }
    name.rsplit('\\').next().is_some_and(is_device).then_some(DEVICE)
}

/// Returns why a name that a report has is not looked for: also not on other hosts, to which Windows would sign in as
/// the user.
pub fn foreign(name: &str) -> Option<&'static str> {
    let slashes = name.replace('/', "\\");
    if slashes.starts_with(r"\\") || slashes.starts_with(r"\??\") {
        return Some(HOST);
    }
    if slashes.split('\\').any(is_device) {
        return Some(DEVICE);
    }
    let has_drive = slashes.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let rest = slashes.get(2..).filter(|_| has_drive && slashes[1..].starts_with(":\\")).unwrap_or(&slashes);
    rest.contains(':').then_some(STREAM)
}

/// Returns whether a part of a path is a device, whatever ending it has.
fn is_device(part: &str) -> bool {
    let stem = part.split(['.', ':']).next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!((rest.next(), rest.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
        })
    };
    matches!(&*stem, "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_in_every_folder() {
        for name in
            ["NUL", "nul.md", r"out\CON", "C:/x/aux.tar.gz", "com1", "LPT³.txt", "con .png", r"\\.\pipe\x", "//./C:"]
        {
            assert_eq!(device(name), Some(DEVICE), "{name}");
        }
        // A share of the user's own is a place like any other.
        for name in
            ["report.md", "console.md", "com0", "com10", "nul/report.md", r"\\nas\share\report.md", r"\\?\C:\r.md"]
        {
            assert_eq!(device(name), None, "{name}");
        }
    }

    #[test]
    fn what_a_report_names_stays_on_this_host() {
        for (name, why) in [
            (r"\\host\share\a.png", HOST),
            ("//host/share/a.png", HOST),
            (r"\/host\share\a.png", HOST),
            (r"\\?\UNC\host\share\a.png", HOST),
            (r"\\?\C:\a.png", HOST),
            (r"\\.\C:", HOST),
            (r"\??\C:\a.png", HOST),
            ("nul/a.png", DEVICE),
            ("plots/con.png", DEVICE),
            ("a.png::$DATA", STREAM),
            ("c:a.png", STREAM),
        ] {
            assert_eq!(foreign(name), Some(why), "{name}");
        }
        for name in ["plots/a.png", r"plots\a.png", "C:/work/a.png", r"C:\work\a.png", "../a.png", "ä.png"] {
            assert_eq!(foreign(name), None, "{name}");
        }
    }
}
