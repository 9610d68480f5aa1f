//! The images, built and run by a real Docker daemon; the forge is scripted.

use crate::support::clone::Clone;
use crate::support::docker::Docker;
use crate::support::fake::{Forge, Target, Vendor};
use crate::support::{Cml, Ran, VENDORS, png};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn names() -> Vec<String> {
    let older = cml::inputs::programs().map(|name| format!("cml-{name}"));
    std::iter::once("cml".to_owned()).chain(older).collect()
}

#[test]
fn there_is_nothing_but_the_program_under_all_its_names() {
    let Some(docker) = Docker::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files = docker.files("cml", folder.path());
    let mut expected: Vec<_> = names().iter().map(|name| format!("usr/local/bin/{name}")).collect();
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
    for target in ["cml", "train"] {
        for name in names() {
            let program = format!("--entrypoint=/usr/local/bin/{name}");
            let said = docker.run(target, &Cml::alone(), &[&program], &["--version"]).ok();
            assert!(crate::terminal::is_version(&said), "{target} {name}: {said}");
        }
    }
}

#[test]
fn it_says_what_it_is_and_is_not_root_where_it_can_be() {
    let Some(docker) = Docker::find() else { return };
    for (target, user) in [("cml", "65532:65532"), ("pipe", ""), ("train", "")] {
        let image = docker.image(target);
        let label = |name: &str| {
            let format = format!("{{{{index .Config.Labels \"org.opencontainers.image.{name}\"}}}}");
            docker.says(&["image", "inspect", "--format", &format, &image])
        };
        assert_eq!(label("source"), "https://github.com/org/setup-cml-rs", "{target}");
        assert_eq!(label("licenses"), "Apache-2.0", "{target}");
        assert!(!label("title").is_empty() && !label("description").is_empty(), "{target}");
        assert_eq!(docker.says(&["image", "inspect", "--format", "{{.Config.User}}", &image]), user, "{target}");
    }
}

#[test]
fn the_same_program_gives_the_same_image() {
    let Some(docker) = Docker::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let container = docker.says(&["create", &docker.image("cml")]);
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let program = programs.join(format!("cml-linux-{}", std::env::consts::ARCH));
    docker.says(&["cp", &format!("{container}:/usr/local/bin/cml"), program.to_str().unwrap()]);
    docker.says(&["rm", &container]);
    let arch = docker.says(&["image", "inspect", "--format", "{{.Architecture}}", &docker.image("cml")]);
    let layers = ["one", "two"].map(|name| {
        let context = folder.path().join(name);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.github/scripts/context.sh");
        Ran::of(Command::new(script).args([&programs, &context])).ok();
        std::thread::sleep(std::time::Duration::from_millis(1100)); // another time of day, to the second
        let tag = format!("cml-test:{name}");
        let arch = format!("TARGETARCH={arch}");
        let arguments = ["--quiet", "--no-cache", "--target", "cml", "--build-arg", &arch, "--tag", &tag];
        docker.says(&[&["build"][..], &arguments, &[context.to_str().unwrap()]].concat());
        let layers = docker.says(&["image", "inspect", "--format", "{{.RootFS.Layers}}", &tag]);
        docker.says(&["image", "rm", &tag]);
        layers
    });
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn a_report_is_published_from_nothing_but_the_program() {
    let Some(docker) = Docker::find() else { return };
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        std::fs::set_permissions(cml.path(), PermissionsExt::from_mode(0o755)).unwrap();
        cml.file("report.md", "# Report\n\n![](plot.png)\n");
        cml.file("plot.png", png(1));
        let printed = docker.run("cml", &cml, &[], &["comment", "update", "report.md"]).ok();
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert_eq!(comments.len(), 1, "{}", forge.transcript());
        assert!(comments[0].body.starts_with("# Report\n\n![](http"), "{}", comments[0].body);
        assert!(printed.starts_with("http"), "{printed}");
    }
}

/// The clone belongs to somebody else than the container's root, and has a large file, which git-lfs keeps.
#[test]
fn the_pipes_image_has_what_pull_requests_take() {
    let Some(docker) = Docker::find() else { return };
    let mut clone = Clone::on(Vendor::Bitbucket);
    clone.cml.unset("GIT_CONFIG_NOSYSTEM"); // the image's is meant
    // Whoever it belongs to, git may look at the folder that the CI names.
    let folder = clone.cml.path().display().to_string();
    clone.cml.set("BITBUCKET_CLONE_DIR", &folder);
    clone.cml.file("model.json", "{\"a\": 1}\n");
    clone.cml.file(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    clone.cml.file("weights.bin", vec![7; 1000]);
    // Those of a user who is not root do not belong to the container's.
    if Ran::of(Command::new("id").arg("-u")).ok().trim() == "0" {
        Ran::of(Command::new("chown").args(["-R", "12345:12345"]).arg(clone.cml.path())).ok();
    }
    clone.cml.set("COMMAND", "pr create").set("TITLE", "Results").set("DEBUG", "true");
    clone.cml.set("GLOB_COUNT", "2").set("GLOB_0", "model.json").set("GLOB_1", "weights.bin");
    let ran = docker.run("pipe", &clone.cml, &[], &[]);
    let log = ran.stderr.clone();
    let printed = ran.ok();
    let pulls = clone.forge.repo(Vendor::Bitbucket, Vendor::Bitbucket.slug(), |repo| {
        let made = repo.pulls.values().filter(|pull| pull.number > 7);
        made.map(|pull| (pull.title.clone(), pull.head_sha.clone())).collect::<Vec<_>>()
    });
    assert_eq!(pulls.len(), 1, "{log}\n{}", clone.forge.transcript());
    assert_eq!(pulls[0].0.as_deref(), Some("Results"));
    assert_eq!(clone.changes(&pulls[0].1).trim(), "M model.json\nA weights.bin");
    let kept = clone.there(&["show", &format!("{}:weights.bin", pulls[0].1)]);
    assert!(kept.starts_with("version https://git-lfs.github.com/spec/v1\n") && kept.contains("size 1000"), "{kept}");
    // git-lfs makes a hook, a script, which sends the file before git pushes.
    let id = kept.split_once("sha256:").unwrap().1.lines().next().unwrap();
    let sent = std::fs::read(clone.bare().join("lfs").join(id));
    assert_eq!(sent.unwrap_or_else(|why| panic!("{why}: {log}")), vec![7; 1000]);
    assert!(printed.starts_with("http"), "{printed}");
}

#[test]
fn scanners_and_lawyers_find_what_the_pipes_image_is_made_of() {
    let Some(docker) = Docker::find() else { return };
    let folder = tempfile::tempdir().unwrap();
    let files = docker.files("pipe", folder.path());
    for package in ["git", "git-lfs", "libc6", "libcurl3t64-gnutls", "dash"] {
        for file in [format!("var/lib/dpkg/status.d/{package}"), format!("usr/share/doc/{package}/copyright")] {
            assert!(files.contains(&file), "{file} is not in {files:#?}");
        }
    }
    // Each library that a program asks for is there: git can talk HTTPS, though not to a host that is no host.
    let ran =
        docker.run("pipe", &Cml::alone(), &["--entrypoint=/usr/bin/git"], &["ls-remote", "https://cml.invalid/a"]);
    assert!(ran.stderr.contains("Could not resolve host"), "{ran:#?}");
}

#[test]
fn who_trains_in_it_has_python_dvc_and_vegas_tools() {
    let Some(docker) = Docker::find() else { return };
    let cml = Cml::alone();
    cml.file(
        "spec.vl.json",
        r#"{ "data": { "values": [{ "a": 1, "b": 2 }] }, "mark": "bar", "encoding": { "x": { "field": "a" } } }"#,
    );
    let script = "set -eu
        git init --quiet . && dvc init --quiet && echo 1 > data.csv && dvc add --quiet data.csv
        dvc doctor | grep -i supports: -A 12
        vl2png spec.vl.json plot.png && vl2svg spec.vl.json plot.svg
        python -c 'import sys; print(sys.prefix)'
        for program in pip curl wget jq ssh git-lfs; do command -v $program; done
        for program in gcc node; do if command -v $program; then exit 1; fi; done
        python -c 'import dvc_gdrive, pydrive2.auth, dvc_oss, ossfs'";
    let said = docker.run("train", &cml, &[], &["sh", "-c", script]).ok();
    for word in [
        "s3",
        "gs",
        "azure",
        "ssh",
        "webdav",
        "gdrive",
        "oss",
        "/opt/python\n",
        "/opt/python/bin/pip\n",
        "/usr/bin/git-lfs",
    ] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert!(cml.read("data.csv.dvc").contains("md5"), "{said}");
    let image = std::fs::read(cml.path().join("plot.png")).unwrap();
    assert!(image.starts_with(b"\x89PNG") && image.len() > 500, "{}", image.len());
    assert!(cml.read("plot.svg").contains("<svg"));
}

/// The report of the page on images, and the line that takes the program from one.
#[test]
fn the_lines_of_the_documentation_work() {
    let Some(docker) = Docker::find() else { return };
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images.md")).unwrap();
    let line = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let (before, after) = line.trim().split_once("org/cml:1").unwrap();
    let line = format!("{before}--network host {}{after}", docker.image("cml"));
    let cml = Cml::alone();
    Ran::of(docker.shell(&line).current_dir(cml.path())).ok();
    assert!(cml.read(".cml/index.html").contains("Accuracy"), "{line}");
    let recipe = page.split("```dockerfile\n").nth(1).unwrap().split("```").next().unwrap();
    let recipe = recipe.replace("python:3.13", "debian:trixie-slim").replace("org/cml:1", &docker.image("cml"));
    cml.file("Dockerfile", recipe + "RUN cml-send-comment --version\n");
    docker.says(&["build", "--quiet", "--no-cache", "--network", "host", cml.path().to_str().unwrap()]);
}
