//! What is published by itself, what only on request, and what never.

use crate::support::fake::{Forge, Vendor};
use crate::support::net::get;
use crate::support::reader::{blanks, leaked, posted, uploads};
use crate::support::{Cml, Ran, VENDORS, png};

const CANARY: &str = "canary-5f0c7d1e";

/// A report that was posted as it is, and nothing uploaded for it.
#[track_caller]
fn nothing_is_published(forge: &Forge, vendor: Vendor, cml: &Cml, options: &[&str]) -> Ran {
    let args: Vec<&str> = ["comment", "create", "report.md"].iter().chain(options).copied().collect();
    let ran = cml.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(posted(forge, vendor), cml.read("report.md"), "the report is posted as it is");
    assert!(uploads(forge).is_empty(), "{}", forge.transcript());
    assert!(!leaked(forge, CANARY.as_bytes()), "{}", forge.transcript());
    ran
}

/// A working copy in the test's folder, whose `.gitignore` has these lines.
fn working_copy(cml: &Cml, ignored: &str) {
    cml.git(&["init", "-q"]);
    cml.file(".gitignore", ignored);
}

#[test]
fn secrets_are_neither_linked_nor_shown() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        for name in ["secrets.env", "key.pem", "id_rsa", "notes.txt", "config.json", "model.pkl"] {
            cml.file(name, format!("{name}: {CANARY}\n"));
        }
        cml.file(
            "report.md",
            "[x](./secrets.env) [k](key.pem) <a href=\"id_rsa\">id</a> [n][n] [c](config.json#a) [m](model.pkl?x)\n\n\
             ![x](secrets.env)\n\n<img src=\"key.pem\">\n\n[n]: notes.txt\n",
        );
        let ran = nothing_is_published(&forge, vendor, &cml, &[]);
        let warnings: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
        let reason = "is not an image, video or audio file and was not published";
        let shown = ["3: secrets.env", "5: key.pem"].map(|at| format!("warning: report.md:{at} {reason}"));
        let linked = ["./secrets.env", "key.pem", "id_rsa", "config.json#a", "model.pkl?x"]
            .map(|name| format!("warning: report.md:1: the linked file {name} was not published"));
        let note = ["warning: report.md:7: the linked file notes.txt was not published".to_owned()];
        assert_eq!(warnings, [&linked[..], &shown, &note].concat());
    }
}

#[test]
fn nothing_outside_of_the_working_copy_is_published_whatever_leads_there() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("outside.png"), [png(1), CANARY.into()].concat()).unwrap();
    std::fs::write(outside.path().join("outside.csv"), CANARY).unwrap();
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        let name = outside.path().file_name().unwrap().to_string_lossy().into_owned();
        let path = outside.path().display();
        std::os::unix::fs::symlink(outside.path().join("outside.png"), cml.path().join("link.png")).unwrap();
        std::os::unix::fs::symlink(outside.path(), cml.path().join("folder")).unwrap();
        let report = format!(
            "[h](/etc/hostname) ![h](/etc/hostname)\n\n![o](../{name}/outside.png)\n\n![a]({path}/outside.png)\n\n\
             ![l](link.png)\n\n![f](folder/outside.png)\n\n![e](..%2F{name}%2Foutside.png)\n\n\
             [c](../{name}/outside.csv) [d](folder/outside.csv) [o](../{name}/outside.png)\n"
        );
        cml.file("report.md", report);
        for options in [&[][..], &["--publish-links"]] {
            let ran = nothing_is_published(&forge, vendor, &cml, options);
            let told = ran.stderr.matches("is outside the working copy and was not published").count();
            assert_eq!(told, 10, "{}", ran.stderr);
        }
        let strict = cml.run(&["comment", "create", "--strict", "report.md"]);
        assert_eq!(strict.code, Some(5), "{strict:#?}");
    }
}

#[test]
fn the_working_copy_is_the_one_around_the_current_folder() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    working_copy(&cml, "");
    cml.file("shared/plot.png", png(1));
    cml.file("train/report.md", "![p](../shared/plot.png)\n");
    let mut command = cml.command(&["comment", "create", "report.md"]);
    assert!(command.current_dir(cml.path().join("train")).output().unwrap().status.success());
    assert_eq!(get(&blanks("![p](@)\n", &posted(&forge, Vendor::GitHub))[0]).body, png(1));
}

#[test]
fn gits_own_folder_is_never_published() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        working_copy(&cml, "");
        cml.git(&["config", "http.extraHeader", CANARY]);
        cml.file(".git/plot.png", [png(1), CANARY.into()].concat());
        std::os::unix::fs::symlink(".git", cml.path().join("data")).unwrap();
        cml.file("report.md", "[c](.git/config) [d](data/config) ![p](.git/plot.png) ![q](data/plot.png)\n");
        nothing_is_published(&forge, vendor, &cml, &["--publish-links"]);
    }
}

#[test]
fn linked_files_that_git_ignores_are_not_published() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        working_copy(&cml, "/private\n*.env\n");
        for name in ["private/data.csv", "private/scan.png", "prod.env", "private/deep/page.html"] {
            cml.file(name, [png(1), CANARY.into()].concat());
        }
        cml.file(
            "report.md",
            "[a](private/data.csv) [b](private/scan.png) [c](prod.env) [d](private/deep/page.html)\n",
        );
        for options in [&[][..], &["--publish-links"]] {
            nothing_is_published(&forge, vendor, &cml, options);
        }
    }
}

#[test]
fn when_git_cannot_tell_whether_it_ignores_a_linked_file_it_stays_private() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    working_copy(&cml, "data.csv\n");
    cml.file("data.csv", CANARY);
    cml.file("report.md", "[a](data.csv)\n");
    cml.file(".git/HEAD", "broken");
    let ran = nothing_is_published(&forge, Vendor::GitHub, &cml, &[]);
    assert!(
        ran.stderr
            .contains("warning: report.md:1: data.csv was not published: cannot determine whether git ignores it"),
        "{}",
        ran.stderr
    );
    cml.set("PATH", "/nonexistent");
    nothing_is_published(&forge, Vendor::GitHub, &cml, &["--publish-links"]);
}

#[test]
fn git_is_asked_about_the_checkout_of_another_user_too() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let mut cml = Cml::on(&forge, vendor);
        working_copy(&cml, "private.csv\n");
        cml.file("data.csv", "a,b\n1,2\n");
        cml.file("private.csv", CANARY);
        cml.file("report.md", "[a](data.csv) [b](private.csv)\n");
        // As in many containers; git's own tests ask for it so.
        cml.set("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
        let text = cml.read("report.md");
        let ran = nothing_is_published(&forge, vendor, &cml, &[]);
        assert!(ran.stderr.contains("data.csv was not published: cannot determine whether git ignores it"), "{ran:#?}");
        // A folder above is not what the CI checked out.
        let above = cml.path().parent().unwrap().display().to_string();
        cml.set(vendor.checkout_variable(), &above);
        nothing_is_published(&forge, vendor, &cml, &[]);
        let here = cml.path().display().to_string();
        cml.set(vendor.checkout_variable(), &here);
        cml.run(&["comment", "update", "report.md"]).ok();
        assert_ne!(posted(&forge, vendor), text);
        let body = posted(&forge, vendor);
        assert!(body.starts_with("[a](http") && body.contains(" [b](private.csv)"), "{vendor:?}: {body}");
    }
}

#[test]
fn linked_documents_and_tables_are_published_and_other_types_on_request() {
    let pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let files: [(&str, &[u8]); 4] =
        [("paper.pdf", &pdf), ("table.csv", b"a,b\n1,2\n"), ("plot.png", &png(1)), ("page.html", b"<h1>x</h1>")];
    let more: [(&str, &[u8]); 2] = [("params.yaml", b"lr: 0.1\n"), ("model.onnx", b"\x08\x07onnx")];
    let template: String = ["[x](@ 'title')\n\n"; 6].concat();
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        for git in [false, true] {
            if git {
                working_copy(&cml, "*.log\n");
            }
            let all: Vec<(&str, &[u8])> = files.iter().chain(&more).copied().collect();
            let text: String = all.iter().map(|(name, _)| format!("[x]({name} 'title')\n\n")).collect();
            all.iter().for_each(|(name, bytes)| drop(cml.file(name, bytes)));
            cml.file("report.md", &text);
            if !git {
                // Nothing says which files are for others.
                nothing_is_published(&forge, vendor, &cml, &[]);
                nothing_is_published(&forge, vendor, &cml, &["--publish-links"]);
                continue;
            }
            cml.run(&["comment", "create", "report.md"]).ok();
            let shown = blanks(&template, &posted(&forge, vendor));
            for (address, (name, bytes)) in shown.iter().zip(&all) {
                if files.iter().any(|(known, _)| known == name) {
                    assert_eq!(get(address).body, *bytes, "{name}")
                } else {
                    assert_eq!(address, name)
                }
            }
            cml.run(&["comment", "create", "--publish-links", "report.md"]).ok();
            let shown = blanks(&template, &posted(&forge, vendor));
            for (address, (name, bytes)) in shown.iter().zip(&all) {
                assert_eq!(get(address).body, *bytes, "{name}");
            }
        }
    }
}

#[test]
fn publishing_can_be_turned_off_in_every_spelling() {
    for vendor in VENDORS {
        for (options, env) in [(&["--publish=false"][..], None), (&["--no-publish"], None), (&[], Some("false"))] {
            let forge = Forge::start();
            let mut cml = Cml::on(&forge, vendor);
            env.map(|value| cml.set("CML_COMMENT_PUBLISH", value));
            cml.file("plot.png", png(1));
            cml.file("report.md", "![p](plot.png) ![gone](gone.png)\n\n![d](data:image/png;base64,iVBORw0KGgo=)\n");
            let ran = nothing_is_published(&forge, vendor, &cml, options);
            assert_eq!(ran.stderr, "");
        }
    }
}

#[test]
fn a_file_that_no_forge_takes_is_not_even_read() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        for name in ["huge.png", "weights.csv"] {
            cml.file(name, png(1));
            let file = std::fs::OpenOptions::new().write(true).open(cml.path().join(name)).unwrap();
            file.set_len(1 << 40).unwrap();
        }
        cml.file("report.md", "![p](huge.png) [w](weights.csv)\n");
        let ran = nothing_is_published(&forge, vendor, &cml, &[]);
        assert!(ran.stderr.contains("report.md:1: huge.png has 1048576 MB"), "{}", ran.stderr);
    }
}
