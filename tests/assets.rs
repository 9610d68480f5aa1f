//! `cml asset publish`: one file, its address, and nothing else.

use crate::support::fake::{Forge, Vendor};
use crate::support::ignored::is_native_only;
use crate::support::net::get;
use crate::support::reader::uploads;
use crate::support::{Cml, Ran, VENDORS, png};
use std::io::Write;
use std::process::Stdio;

/// Runs with something on standard input, which comes in two parts.
fn fed(cml: &Cml, args: &[&str], input: &[u8]) -> Ran {
    let mut child =
        cml.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let (first, second) = input.split_at(input.len() / 2);
    stdin.write_all(first).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    stdin.write_all(second).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn every_forge_takes_a_file_and_its_address_serves_it() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        let outputs = cml.file("outputs", "");
        cml.set("CML_DOTENV", &outputs.display().to_string());
        cml.file("plots/loss.PNG", png(1));
        let printed = cml.run(&["asset", "publish", "plots/loss.PNG"]).ok();
        let address = printed.trim();
        assert!(address.starts_with(forge.url()) && printed.lines().count() == 1, "{vendor:?}: {printed}");
        insta::assert_snapshot!(format!("asset_{vendor:?}"), forge.transcript());
        assert_eq!(get(address).body, png(1), "{vendor:?}");
        assert_eq!(uploads(&forge).len(), 1, "{vendor:?}");
        assert!(cml.read("outputs").contains(&format!("ASSET_URL={address}")));
        assert_eq!(cml.read("report.md"), "# Report\n\nAccuracy: **0.99**\n");
    }
}

#[test]
fn markdown_shows_images_and_links_the_rest() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitLab);
    cml.file("plot.png", png(1));
    cml.file("data [1].csv", "a,b\n");
    cml.file("model.bin", b"\0\x01");
    for (args, before, after) in [
        (&["plot.png", "--md"][..], "![](", ")\n"),
        (&["plot.png", "--md", "-t", "say \"hi\""], "![](", " \"say \\\"hi\\\"\")\n"),
        (&["data [1].csv", "--md"], "[data \\[1\\].csv](", ")\n"),
        (&["model.bin", "--md", "--title=The model"], "[The model](", ")\n"),
        (&["model.bin", "--md", "--mime-type", "image/x-own"], "![](", ")\n"),
        (&["model.bin", "--title=unused"], "", "\n"),
    ] {
        let printed = cml.run(&[&["asset", "publish"], args].concat()).ok();
        let address = printed.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let address = address.unwrap_or_else(|| panic!("{args:?}: {printed}"));
        assert!(address.starts_with(forge.url()) && get(address).status == 200, "{args:?}: {printed}");
    }
}

#[test]
fn standard_input_is_a_file_too() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        // More than a pipe holds.
        let plot = [png(1), vec![7; 300_000]].concat();
        let printed = fed(&cml, &["asset", "publish", "--md", "-"], &plot).ok();
        let address = printed.trim().strip_prefix("![](").and_then(|rest| rest.strip_suffix(')')).unwrap();
        assert!(address.ends_with(".png") && get(address).body == plot, "{printed}");
    }
    let forge = Forge::start();
    fed(&Cml::on(&forge, Vendor::GitHub), &["asset", "publish", "-"], b"").fails(
        3,
        "standard input is empty",
        "publish it once it has been written",
    );
    assert_eq!(forge.requests().len(), 0);
}

#[test]
fn file_is_appended_to() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("plot.png", png(1));
    cml.file("report.md", "# Report\nwithout a line's end");
    assert_eq!(cml.run(&["asset", "publish", "plot.png", "--md", "--file", "report.md"]).ok(), "");
    assert_eq!(cml.run(&["asset", "publish", "plot.png", "-f", "report.md"]).ok(), "");
    let report = cml.read("report.md");
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[..2], ["# Report", "without a line's end"]);
    assert_eq!((lines[2], lines.len()), (&*format!("![]({})", lines[3]), 4), "{report}");
    cml.run(&["asset", "publish", "plot.png", "-f", "nowhere/report.md"]).fails(
        3,
        "cannot write to nowhere/report.md (*)",
        "check --file: its folder must exist",
    );
}

#[test]
fn servers_get_name_and_type() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("plot.png", png(1));
    for (args, mime) in [
        (vec!["asset", "publish", "--url", "@", "plot.png"], "image/png"),
        (vec!["asset", "publish", "--publish-url=@", "plot.png", "--mime-type=image/x-own; a=b"], "image/x-own; a=b"),
        (vec!["publish", "--url=@", "plot.png"], "image/png"),
    ] {
        let args: Vec<String> = args.iter().map(|arg| arg.replace('@', &forge.store_url())).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let printed = cml.run(&args).ok();
        let stored = forge.stored();
        let last = stored.last().unwrap();
        assert_eq!((last.name.as_str(), last.content_type.as_str()), ("plot.png", mime));
        assert_eq!(get(printed.trim()).body, png(1));
    }
    // Names of the environment: today's, CML's own, and its older ones.
    for name in ["CML_ASSET_PUBLISH_URL", "CML_ASSET_URL", "CML_PUBLISH_URL"] {
        let before = forge.stored().len();
        cml.set(name, &forge.store_url());
        cml.run(&["asset", "publish", "plot.png"]).ok();
        assert_eq!(forge.stored().len(), before + 1, "{name}");
        let ran = cml.run(&["asset", "publish", "plot.png", "--gitlab-uploads"]);
        assert!(ran.stderr.contains("--gitlab-uploads is deprecated, please use --publish-native"), "{ran:?}");
        cml.run(&["asset", "publish", "plot.png", "--native"]).ok();
        assert_eq!(forge.stored().len(), before + 1, "{name}");
        cml.unset(name);
    }
}

#[test]
fn the_title_is_given_once() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitLab);
    cml.set("CML_ASSET_TITLE", "of the environment").set("CML_ASSET_MD", "true");
    cml.file("plot.png", png(1));
    assert!(cml.run(&["asset", "publish", "plot.png", "-t", "publish"]).ok().ends_with(" \"publish\")\n"));
    assert!(cml.run(&["asset", "publish", "plot.png"]).ok().ends_with(" \"of the environment\")\n"));
}

#[test]
fn locally_the_file_is_copied_beside_the_preview() {
    if is_native_only() {
        return;
    }
    let cml = Cml::alone();
    cml.git(&["init", "-q"]);
    cml.file("plot.png", png(1));
    let printed = cml.run(&["asset", "publish", "plot.png"]).ok();
    assert!(printed.starts_with(".cml/files/") && printed.ends_with(".png\n"), "{printed}");
    assert_eq!(std::fs::read(cml.path().join(printed.trim())).unwrap(), png(1));
    assert!(!cml.git(&["status", "--porcelain"]).contains(".cml"));
    // A report takes that address, and the preview shows it.
    cml.run(&["asset", "publish", "plot.png", "--md", "--file", "report.md"]).ok();
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert!(!ran.stderr.contains("warning"), "{ran:?}");
    let shown = printed.trim().trim_start_matches(".cml/");
    assert!(cml.read(".cml/index.html").contains(shown), "{printed}");
}

#[test]
fn svg_is_served_as_an_image_everywhere() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.file("plot.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>");
        cml.file("report.md", "![plot](plot.svg)\n");
        let printed = cml.run(&["asset", "publish", "plot.svg"]).ok();
        assert_eq!(get(printed.trim()).header("content-type"), "image/svg+xml", "{vendor:?}: {printed}");
        // So are a report's, and the same ones once more.
        for _ in 0..2 {
            cml.run(&["comment", "update", "report.md"]).ok();
            let body = crate::support::reader::posted(&forge, vendor);
            let address = body.trim().strip_prefix("![plot](").and_then(|rest| rest.strip_suffix(')')).unwrap();
            assert_eq!(get(address).header("content-type"), "image/svg+xml", "{vendor:?}: {address}");
            // Another update of the same report finds it there.
            forge.clear_requests();
            cml.run(&["comment", "update", "report.md"]).ok();
            assert!(forge.requests().len() <= 2, "{}", forge.transcript());
        }
    }
}

#[test]
fn mistakes_cost_no_request() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("empty.png", "");
    std::fs::create_dir(cml.path().join("folder")).unwrap();
    let path = "check the path: it is relative to the current directory, and - is standard input";
    for (args, code, error, hint) in [
        (&["missing.png"][..], 3, "cannot read missing.png (*)", path),
        (&["folder"], 3, "cannot read folder (*)", path),
        (&["empty.png"], 3, "empty.png is empty", "publish it once it has been written"),
        (
            &["report.md", "--url", "ftp://host/"],
            2,
            "--publish-url does not support ftp://",
            "use https://…, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
        ),
        (
            &["report.md", "--publish-signed=1"],
            2,
            "--publish-signed requires a bucket",
            "pass --publish-url s3://bucket/prefix, gs://… or az://…",
        ),
    ] {
        cml.run(&[&["asset", "publish"], args].concat()).fails(code, error, hint);
    }
    let ran = cml.run(&["asset", "publish", "report.md", "--mime-type", "png"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("expected a MIME type such as image/png"), "{ran:?}");
    assert_eq!(forge.requests().len(), 0);
}

#[test]
fn a_token_that_may_not_upload_is_an_error() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        cml.set("REPO_TOKEN", "readonly");
        let ran = cml.run(&["asset", "publish", "report.md"]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.stderr.contains("error: cannot publish report.md: ") && ran.stderr.contains("hint: "), "{ran:?}");
    }
}
