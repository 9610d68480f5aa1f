//! What the documentation says is true: its lines run, and the tests that it names are there.

use crate::support::clone::Clone;
use crate::support::fake::{Forge, Target};
use crate::support::ignored::is_native_only;
use crate::support::{Cml, Ran, VENDORS, png, program};
use std::path::Path;
use std::process::{Command, Stdio};

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The footnotes that name tests, each with its number.
fn tests(page: &str) -> Vec<(&str, &str)> {
    page.lines().filter_map(|line| line.strip_prefix("[^")?.strip_suffix('`')?.split_once("]: `")).collect()
}

fn lines_of_list(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("- ")).collect()
}

#[test]
fn every_difference_from_cml_has_its_test() {
    let page = page("docs/migrating-from-cml.md");
    let lists = page.split_once("## What is different").unwrap().1;
    let rows: Vec<&str> = lines_of_list(lists);
    let names = tests(&page);
    assert!(rows.len() > 30 && names.len() == rows.len(), "a line has no test");
    for (row, (number, name)) in rows.into_iter().zip(names) {
        assert!(row.ends_with(&format!("[^{number}]")), "{row} has no footnote, or another one");
        let (module, function) = name.rsplit_once("::").unwrap();
        let source = std::fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(format!("{}.rs", module.replace("::", "/"))),
        );
        let source = source.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(source.contains(&format!("#[test]\nfn {function}() {{")), "there is no test {name}");
    }
}

#[test]
fn the_lines_that_stay_work_on_every_forge() {
    if is_native_only() {
        return; // the older names are links to the program
    }
    let page = page("docs/migrating-from-cml.md");
    let lines = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(page.matches("```sh\n").count(), 1);
    for vendor in VENDORS {
        for line in lines.lines() {
            // What exactly is asked of the forges is in tests/legacy.rs.
            if line.starts_with("cml ci") {
                let clone = Clone::on(vendor);
                shell(&clone.cml, line).ok();
                continue;
            }
            let forge = Forge::start();
            let mut cml = Cml::on(&forge, vendor);
            cml.file("report.md", "# Report\n\n![](plot.png)\n");
            cml.file("plot.png", png(1));
            cml.file("logs/events.out.tfevents.1", crate::legacy::events());
            cml.set("CI_PIPELINE_ID", "99");
            shell(&cml, line).ok();
            let (comments, report) = (forge.live_comments(vendor, &Target::Pull(7)), cml.read("report.md"));
            assert_eq!(comments.len(), usize::from(line.contains("comment")), "{line} on {vendor:?}");
            assert!(comments.iter().all(|comment| comment.body.starts_with("# Report\n\n![](http")), "{line}");
            assert_eq!(report.contains("](http"), line.ends_with(">> report.md"), "{line} on {vendor:?}: {report}");
        }
    }
}

/// With the program on PATH under all names.
fn shell(cml: &Cml, line: &str) -> Ran {
    let bin = tempfile::tempdir().unwrap();
    for name in cml::inputs::programs().map(|old| format!("cml-{old}")).chain(["cml".to_owned()]) {
        std::os::unix::fs::symlink(program().get_program(), bin.path().join(name)).unwrap();
    }
    let path = format!("{}:{}", bin.path().display(), cml.env["PATH"]);
    let mut command = Command::new("sh");
    command.args(["-euc", line]).current_dir(cml.path()).env_clear().envs(&cml.env).env("PATH", path);
    Ran::of(command.stdin(Stdio::null()))
}

/// Cargo asks which, where a repository has several packages with programs.
#[test]
fn what_is_installed_from_the_repository_is_named() {
    let page = page("README.md");
    let line = page.lines().find(|line| line.starts_with("cargo install ")).unwrap();
    assert!(line.ends_with(concat!("/setup-cml-rs ", env!("CARGO_PKG_NAME"))), "{line}");
}

/// The recipes for developers name files and items of today's code.
#[test]
fn recipes_for_developers_name_what_there_is() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    let mut folders: Vec<_> = ["src", "tests", "xtask/src"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let page = page("docs/development.md");
    let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    for link in links.filter(|link| !link.starts_with("http")) {
        assert!(root.join("docs").join(link).exists(), "docs/development.md links to {link}");
    }
    let prose: String = page.split("```").step_by(2).collect();
    for code in prose.split('`').skip(1).step_by(2) {
        let is_path = code.contains('/') && !code.contains("NAME");
        let is_item = code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && code.len() > 2;
        assert!(!is_path || code.contains(' ') || root.join(code).exists(), "docs/development.md names {code}");
        assert!(!is_item || sources.contains(code), "docs/development.md names {code}");
    }
}
