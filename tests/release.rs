//! The scripts of a release, with real git and a `gh` and `docker` that note what they are asked for.

mod wheel;

use crate::support::{Ran, executable};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keeps a release as a folder: `draft` in it while it is one.
const GH: &str = r#"#!/bin/sh
echo "gh $*" >>"$SCENE/log"
case "$1 $2" in
"auth setup-git") ;;
"release view") [ -d "$SCENE/release" ] && if [ -e "$SCENE/draft" ]; then echo true; else echo false; fi ;;
"release create") mkdir "$SCENE/release" && touch "$SCENE/draft" ;;
"release upload") shift 4; cp "$@" "$SCENE/release" && [ ! -e "$SCENE/lost" ] ;;
"release edit") rm "$SCENE/draft" ;;
"release download") cp "$SCENE"/release/* "$5" ;;
*) exit 9 ;;
esac
"#;

const DOCKER: &str = r#"#!/bin/sh
echo "docker $*" >>"$SCENE/log"
case "$1 $2" in
"login --username") read -r token && [ "$token" = secret ] ;;
"buildx build") for last; do :; done; cp -a "$last/." "$SCENE/context" ;;
esac
"#;

const PROGRAMS: [&str; 4] = ["linux-aarch64", "linux-x86_64", "macos-aarch64", "macos-x86_64"];

/// A clone at a tag, its origin, programs, and a folder for what the others do.
struct ReleaseFixture {
    folder: tempfile::TempDir,
}

impl ReleaseFixture {
    fn new() -> ReleaseFixture {
        let fixture = ReleaseFixture { folder: tempfile::tempdir().unwrap() };
        for (name, text) in [("gh", GH), ("docker", DOCKER)] {
            executable(&fixture.path("bin").join(name), text);
        }
        for name in PROGRAMS {
            fixture.file(&format!("programs/cml-{name}"), name);
        }
        fixture.file("clone/Cargo.toml", "[package]\nversion = \"1.2.3\"\n\n[dependencies]\nversion = \"9\"\n");
        fixture.file("clone/CHANGELOG.md", "# Changelog\n\n## [1.2.3] - 2026-12-01\n\nNews.\n\n## [1.2.2]\n\nOld.\n");
        fixture.file("clone/README.md", "      - uses: org/setup-cml-rs@v1\n");
        fixture.file("clone/action/native.json", "{}\n");
        fixture.file("clone/dist/build.json", "{}\n");
        fixture.git(&["init", "--quiet", "--bare", "../origin"]);
        fixture.git(&["init", "--quiet", "--initial-branch", "main"]);
        fixture.git(&["add", "."]);
        fixture.git(&["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "one"]);
        fixture.git(&["tag", "v1.2.3"]);
        fixture.git(&["remote", "add", "origin", "../origin"]);
        fixture.git(&["push", "--quiet", "origin", "main", "v1.2.3"]);
        fixture.make_patch(&[("action/native.json", &fixture.record())]);
        fixture
    }

    /// `action/native.json` as `cargo xtask digests` writes it.
    fn record(&self) -> String {
        let row = |name: &str| {
            let digest = cml::digest::hash(&std::fs::read(self.path("programs").join(format!("cml-{name}"))).unwrap());
            format!("    \"{name}\": {{ \"name\": \"cml-{name}\", \"sha256\": \"{digest}\" }}")
        };
        format!("{{\n  \"files\": {{\n{}\n  }}\n}}\n", PROGRAMS.map(row).join(",\n"))
    }

    /// The patch that gives files of the clone other contents.
    fn make_patch(&self, changes: &[(&str, &str)]) {
        for (name, text) in changes {
            self.file(&format!("clone/{name}"), text);
        }
        self.git(&["add", "--intent-to-add", "."]);
        let patch = self.git(&["diff", "--binary", "--no-renames"]);
        self.file("made.patch", &patch);
        self.clean();
    }

    /// The clone as a new machine gets it.
    fn clean(&self) {
        self.git(&["reset", "--quiet", "--hard"]);
        self.git(&["clean", "--quiet", "-d", "--force"]);
        self.git(&["checkout", "--quiet", "--force", "v1.2.3"]);
    }

    /// A release that fails, with nothing published, pushed or tagged.
    #[track_caller]
    fn refuses(&self, error: &str, hint: &str) {
        self.publish().fails(1, error, hint);
        let asked = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        assert_eq!(asked, "", "nobody is asked for anything");
        assert!(self.tag("action-v1.2.3").is_empty() && self.tag("v1").is_empty());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        command.current_dir(self.path("clone")).env_clear().env("PATH", path);
        command.env("HOME", self.folder.path()).env("SCENE", self.folder.path());
        command
    }

    fn git(&self, args: &[&str]) -> String {
        Ran::of(self.command("git").args(args)).ok()
    }

    fn script(&self, name: &str, args: &[&str]) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/scripts").join(name);
        let docker = [("DOCKERHUB_USERNAME", "me"), ("DOCKERHUB_TOKEN", "secret")];
        Ran::of(self.command(script).args(args).envs(docker))
    }

    fn publish(&self) -> Ran {
        // A new machine each time.
        self.clean();
        self.script("publish.sh", &["v1.2.3", "../programs", "../made.patch"])
    }

    fn tag(&self, name: &str) -> String {
        self.git(&["ls-remote", "origin", &format!("refs/tags/{name}")]).split('\t').next().unwrap().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }
}

#[test]
fn a_tag_that_is_not_the_version_releases_nothing() {
    let fixture = ReleaseFixture::new();
    fixture.script("version.sh", &["v1.2.3"]).ok();
    let wrong = fixture.script("version.sh", &["v1.2.4"]);
    wrong.fails(
        1,
        "the tag is v1.2.4, Cargo.toml has version 1.2.3",
        "remove the tag, commit the version, and tag that commit",
    );
    fixture.file("clone/CHANGELOG.md", "## [Unreleased]\n");
    let silent = fixture.script("version.sh", &["v1.2.3"]);
    silent.fails(
        1,
        "CHANGELOG.md has no section [1.2.3]",
        "give what is under [Unreleased] that heading, and tag that commit",
    );
    fixture.git(&["checkout", "--quiet", "."]);
    fixture.file("clone/README.md", "      - uses: org/setup-cml-rs@v12\n");
    fixture.script("version.sh", &["v1.2.3"]).fails(
        1,
        "README.md has no line `uses: org/setup-cml-rs@v1`",
        "release the series that users are told to take, or tell them of v1 everywhere, and tag that commit",
    );
}

#[test]
fn the_release_is_out_before_the_action_names_it() {
    let fixture = ReleaseFixture::new();
    fixture.publish().ok();
    let (action, log) = (fixture.tag("action-v1.2.3"), fixture.log());
    assert_eq!(fixture.tag("v1"), action);
    assert_eq!(fixture.git(&["show", &format!("{action}:action/native.json")]), fixture.record());
    assert_eq!(fixture.git(&["rev-parse", &format!("{action}^")]), fixture.git(&["rev-parse", "v1.2.3"]));
    assert!(log.contains("--notes \nNews."), "{log}");
    assert!(!log.contains("Old."), "{log}");
    let formula = std::fs::read_to_string(fixture.path("release/cml.rb")).unwrap();
    let address = "https://github.com/org/setup-cml-rs/releases/download/v1.2.3/cml-macos-aarch64";
    let digest = cml::digest::hash(b"macos-aarch64");
    assert!(formula.contains(&format!("url \"{address}\"\n      sha256 \"{digest}\"\n")), "{formula}");
    assert!(formula.contains("\n  version \"1.2.3\"\n"), "{formula}");
    assert!(fixture.path("release/cml-linux-aarch64").exists() && !fixture.path("draft").exists(), "{log}");
}

#[test]
fn a_release_that_was_interrupted_goes_on() {
    let fixture = ReleaseFixture::new();
    fixture.file("lost", "");
    assert_ne!(fixture.publish().code, Some(0));
    assert!(fixture.tag("v1").is_empty() && fixture.path("draft").exists());
    std::fs::remove_file(fixture.path("lost")).unwrap();
    fixture.publish().ok();
    let first = fixture.tag("v1");
    fixture.git(&["push", "--quiet", "--delete", "origin", "v1"]);
    fixture.publish().ok();
    assert_eq!((fixture.tag("v1"), fixture.tag("action-v1.2.3")), (first.clone(), first));
    assert_eq!(fixture.log().matches("release create").count(), 1, "{}", fixture.log());
}

#[test]
fn an_older_release_takes_nobody_back() {
    // What is out, and which names a release of 1.2.3 then moves.
    let cases: [(&[&str], &str); 5] = [
        (&["v1.2.2", "v0.9.9", "v1.2.3"], "1.2 1 latest"),
        (&["v1.2.10"], ""),
        (&["v1.10.0"], "1.2"),
        (&["v10.0.0"], "1.2 1"),
        (&["v1.3.0", "v2.0.0"], "1.2"),
    ];
    for (out, moving) in cases {
        let fixture = ReleaseFixture::new();
        for version in out {
            fixture.git(&["push", "--quiet", "origin", &format!("main:refs/tags/action-{version}")]);
        }
        let series = moving.split(' ').any(|name| name == "1");
        let printed = fixture.publish().ok();
        assert_eq!(fixture.tag("v1").is_empty(), !series, "{out:?}");
        assert_eq!(printed.contains("v1 stays at v1."), !series, "{out:?}: {printed}");
        assert!(!fixture.tag("action-v1.2.3").is_empty(), "{out:?}");
        fixture.script("image-tags.sh", &["v1.2.3"]).ok();
        let log = fixture.log();
        let tags = |end: &str| {
            let line = log.lines().find(|line| line.ends_with(end)).unwrap_or_else(|| panic!("{out:?}: {log}"));
            let words: Vec<_> = line.split(' ').collect();
            let named = words.windows(2).filter(|pair| pair[0] == "--tag");
            named.map(|pair| pair[1].strip_prefix("org/cml:").unwrap().to_owned()).collect::<Vec<_>>()
        };
        let names: Vec<_> = moving.split_whitespace().collect();
        assert_eq!(tags(" org/cml:1.2.3-arm64"), [&["1.2.3"], &*names].concat(), "{out:?}");
        for kind in ["dvc3", "dvc3-gpu"] {
            let names = names.iter().filter(|name| **name != "latest").map(|name| format!("{name}-{kind}"));
            let names: Vec<_> = std::iter::once(format!("1.2.3-{kind}")).chain(names).collect();
            assert_eq!(tags(&format!(" org/cml:1.2.3-{kind}-arm64")), names, "{out:?}");
        }
    }
    // Who cannot be asked is not taken for having nothing newer.
    let fixture = ReleaseFixture::new();
    fixture.git(&["remote", "set-url", "origin", "../nowhere"]);
    assert_ne!(fixture.script("image-tags.sh", &["v1.2.3"]).code, Some(0));
    assert!(!fixture.log().contains("imagetools"), "{}", fixture.log());
}

#[test]
fn a_program_that_is_out_is_not_replaced() {
    let fixture = ReleaseFixture::new();
    fixture.publish().ok();
    let before = fixture.tag("v1");
    fixture.file("programs/cml-linux-x86_64", "another");
    fixture.clean();
    fixture.make_patch(&[("action/native.json", &fixture.record())]);
    let ran = fixture.publish();
    ran.fails(
        1,
        "the release v1.2.3 is out with other programs",
        "a published program is not replaced: make a new version",
    );
    assert_eq!(std::fs::read_to_string(fixture.path("release/cml-linux-x86_64")).unwrap(), "linux-x86_64");
    assert_eq!(fixture.tag("v1"), before);
}

#[test]
fn a_program_whose_digest_is_not_recorded_is_not_published() {
    let error = "the programs are not those whose digests action/native.json records";
    let hint = "run the jobs program and digests again";
    let fixture = ReleaseFixture::new();
    fixture.file("programs/cml-linux-x86_64", "replaced");
    fixture.refuses(error, hint);
    let fixture = ReleaseFixture::new();
    fixture.file("programs/cml-windows-x86_64.exe", "one more");
    fixture.refuses(error, hint);
    let fixture = ReleaseFixture::new();
    std::fs::remove_file(fixture.path("programs/cml-linux-x86_64")).unwrap();
    fixture.refuses(error, hint);
    let fixture = ReleaseFixture::new();
    fixture.make_patch(&[("dist/build.json", "{ \"digests\": \"none\" }\n")]);
    fixture.refuses(error, hint);
}

#[test]
fn the_patch_with_the_digests_changes_nothing_else() {
    let hint = "it may only change action/native.json, dist/ and the templates of the component";
    for (path, text) in [
        ("README.md", "other\n"),
        ("action.yml", "runs: { using: node24, main: evil.js }\n"),
        ("dist/evil.js", "1\n"),
        (".github/scripts/newest.sh", "echo owned\n"),
    ] {
        let fixture = ReleaseFixture::new();
        fixture.make_patch(&[("action/native.json", &fixture.record()), (path, text)]);
        fixture.refuses(&format!("the patch changes {path}"), hint);
    }
    let fixture = ReleaseFixture::new();
    std::fs::remove_file(fixture.path("clone/dist/build.json")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", fixture.path("clone/dist/build.json")).unwrap();
    fixture.make_patch(&[("action/native.json", &fixture.record())]);
    fixture.refuses("the patch changes dist/build.json", hint);
    let fixture = ReleaseFixture::new();
    executable(&fixture.path("clone/dist/build.json"), "{}\n");
    fixture.make_patch(&[("action/native.json", &fixture.record())]);
    fixture.refuses("the patch makes dist/build.json something else than a file", "look at the job digests");
}

#[test]
fn digests_are_of_all_programs_or_none() {
    let fixture = ReleaseFixture::new();
    fixture.script("digests.sh", &["../programs"]).fails(1, "../programs has no cml-windows-x86_64.exe", "");
    assert!(fixture.git(&["status", "--porcelain"]).is_empty());
}

#[test]
fn images_are_made_for_each_architecture_and_joined() {
    let fixture = ReleaseFixture::new();
    for (arch, name) in [("amd64", "x86_64"), ("arm64", "aarch64")] {
        fixture.script("image.sh", &["v1.2.3", "../programs", arch]).ok();
        let context = fixture.path("context");
        let archive = context.join(format!("{arch}.tar"));
        let program = ["-xOf", archive.to_str().unwrap(), "usr/local/bin/cml"];
        assert_eq!(Ran::of(Command::new("tar").args(program)).ok(), format!("linux-{name}"));
        std::fs::remove_dir_all(context).unwrap();
    }
    fixture.script("image-tags.sh", &["v1.2.3"]).ok();
    let log = fixture.log();
    for (target, name) in [
        ("cml", "org/cml:1.2.3"),
        ("train", "org/cml:1.2.3-dvc3"),
        ("train", "org/cml:1.2.3-dvc3-gpu"),
        ("pipe", "org/cml-pipe:1.2.3"),
    ] {
        for arch in ["amd64", "arm64"] {
            let built = format!("--platform linux/{arch} --target {target} --tag {name}-{arch} ");
            let line = log.lines().find(|line| line.contains(&built)).unwrap_or_else(|| panic!("{built}: {log}"));
            assert_eq!(line.contains(" --build-arg BASE=nvidia/cuda:"), name.ends_with("-gpu"), "{line}");
        }
        let repository = name.split(':').next().unwrap();
        let joined = format!(" --tag {name} ");
        let line = log.lines().find(|line| line.contains("imagetools create") && line.contains(&joined));
        let line = line.unwrap_or_else(|| panic!("{joined}: {log}"));
        assert!(line.ends_with(&format!(" {name}-amd64 {name}-arm64")), "{line}");
        let moving: &[&str] = match name {
            "org/cml:1.2.3" => &["1", "1.2", "latest"],
            "org/cml:1.2.3-dvc3" => &["1-dvc3", "1.2-dvc3"],
            "org/cml:1.2.3-dvc3-gpu" => &["1-dvc3-gpu", "1.2-dvc3-gpu"],
            _ => &[],
        };
        for tag in moving {
            assert!(line.contains(&format!(" --tag {repository}:{tag} ")), "{line}");
        }
    }
    assert!(!log.contains("secret"), "{log}");
    let requirements = include_str!("../image/requirements.in");
    assert!(requirements.contains("==3."), "the tag says DVC 3: {requirements}");
}

#[test]
fn images_are_not_made_without_a_place_to_push_them_to() {
    let fixture = ReleaseFixture::new();
    for (script, arguments) in [("image.sh", &["v1.2.3", "../programs", "amd64"][..]), ("image-tags.sh", &["v1.2.3"])] {
        let mut command = fixture.command(concat!(env!("CARGO_MANIFEST_DIR"), "/.github/scripts/").to_owned() + script);
        Ran::of(command.args(arguments)).fails(
            1,
            "DOCKERHUB_USERNAME or DOCKERHUB_TOKEN is not set",
            "give the environment images the variable and the secret",
        );
    }
    assert!(!fixture.path("log").exists(), "{}", fixture.log());
}

/// What `cargo binstall` downloads is what the release has.
#[test]
fn binstall_asks_for_the_programs_of_the_release() {
    let (manifest, workflow) = (include_str!("../Cargo.toml"), include_str!("../.github/workflows/release.yml"));
    let released: Vec<&str> =
        workflow.lines().filter_map(|line| line.trim().strip_prefix("- { name: ")?.split(',').next()).collect();
    let addresses: Vec<&str> = manifest
        .lines()
        .filter_map(|line| line.strip_prefix("pkg-url = \"{ repo }/releases/download/v{ version }/")?.strip_suffix('"'))
        .collect();
    let [any, overrides @ ..] = &addresses[..] else { panic!("Cargo.toml has no metadata for binstall") };
    // The values that binstall documents for these variables.
    let filled =
        [("linux", "x86_64", ""), ("linux", "aarch64", ""), ("windows", "x86_64", ".exe")].map(|(os, arch, exe)| {
            any.replace("{ target-family }", os).replace("{ target-arch }", arch).replace("{ binary-ext }", exe)
        });
    let mut asked: Vec<&str> = filled.iter().map(String::as_str).chain(overrides.iter().copied()).collect();
    asked.sort_unstable();
    let mut released = released;
    released.sort_unstable();
    assert_eq!(asked, released);
}
