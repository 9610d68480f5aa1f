//! `--publish-url https://…`: a server that takes files as CML's does.

use crate::support::fake::{Forge, Kind, Vendor};
use crate::support::net::get;
use crate::support::reader::{blanks, filled, posted, uploads};
use crate::support::{Cml, VENDORS, png};

#[test]
fn a_cml_compatible_server_gets_bytes_type_and_name_and_no_credentials() {
    let files = [("plot.png", "image/png"), ("my plot.png", "image/png"), ("结果 é.svg", "image/svg+xml")];
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
    let content = |n: usize| if n == 2 { svg.clone() } else { png(n as u8) };
    let template = "![a](@) ![b](@) ![c](@)\n";
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        for (n, (name, _)) in files.iter().enumerate() {
            cml.file(name, content(n));
        }
        cml.file("report.md", filled(template, &["plot.png", "my%20plot.png", "<结果 é.svg>"]));
        cml.run(&["comment", "create", "--publish-url", &forge.store_url(), "report.md"]).ok();
        let body = posted(&forge, vendor).replace(['<', '>'], "");
        for (n, address) in blanks(template, &body).iter().enumerate() {
            assert!(address.starts_with(&forge.store_url()), "{address}");
            let answer = get(address);
            assert_eq!((answer.header("content-type"), &answer.body), (files[n].1, &content(n)));
        }
        let mut names: Vec<String> = forge.stored().into_iter().filter_map(|file| file.disposition).collect();
        names.sort();
        let unicode = "%E7%BB%93%E6%9E%9C%20%C3%A9%2Esvg";
        assert_eq!(
            names,
            [
                format!("attachment; filename=\"____.svg\"; filename*=UTF-8''{unicode}"),
                "inline; filename=\"my_plot.png\"; filename*=UTF-8''my%20plot%2Epng".to_owned(),
                "inline; filename=\"plot.png\"".to_owned(),
            ]
        );
        for request in forge.requests().iter().filter(|request| request.path == "/store") {
            for secret in ["authorization", "private-token", "job-token", "cookie"] {
                assert_eq!(request.header(secret), None);
            }
        }
    }
}

#[test]
fn an_error_of_the_server_is_an_error_even_when_its_text_is_an_address() {
    for vendor in VENDORS {
        let forge = Forge::start();
        forge.configure(|switches| switches.store_fails = true);
        let cml = Cml::on(&forge, vendor);
        cml.file("plot.png", png(1));
        cml.file("report.md", "![p](plot.png)\n");
        let url = forge.store_url();
        let ran = cml.run(&["comment", "create", "--timeout", "5", "--publish-url", &url, "report.md"]);
        ran.fails(9, &format!("cannot publish the images: {url}: *answered 500*"), "*--timeout SECONDS*");
        assert!(forge.requests().iter().all(|request| request.path == "/store"), "no comment");
    }
}

#[test]
fn a_server_that_answers_with_anything_but_an_address_is_named() {
    for answer in ["", "<h1>Welcome</h1>", "javascript:alert(1)", "{\"url\": \"https://x/y.png\"}", "ftp://x/y.png"] {
        let forge = Forge::start();
        forge.fault("POST /store", 1, Kind::answer(200, &[("Content-Type", "text/plain")], answer));
        let cml = Cml::on(&forge, Vendor::GitHub);
        cml.file("plot.png", png(1));
        cml.file("report.md", "![p](plot.png)\n");
        let ran = cml.run(&["comment", "create", "--publish-url", &forge.store_url(), "report.md"]);
        let error =
            format!("cannot publish the images: {} did not answer with the address of plot.png", forge.store_url());
        ran.fails(9, &error, "the server of --publish-url must answer*");
    }
}

#[test]
fn native_publishing_wins_over_an_address_from_the_environment() {
    for vendor in VENDORS {
        for option in ["--publish-native", "--native"] {
            let forge = Forge::start();
            let mut cml = Cml::on(&forge, vendor);
            cml.set("CML_COMMENT_PUBLISH_URL", &forge.store_url());
            cml.file("plot.png", png(1));
            cml.file("report.md", "![p](plot.png)\n");
            cml.run(&["comment", "create", option, "report.md"]).ok();
            assert!(forge.stored().is_empty());
            assert_eq!(uploads(&forge).len(), 1);
            cml.run(&["comment", "create", "report.md"]).ok();
            assert_eq!(forge.stored().len(), 1, "{vendor:?}: the environment alone decides");
        }
    }
}

#[test]
fn a_refusal_by_a_place_that_was_asked_for_is_an_error() {
    let forge = Forge::start();
    forge.fault("POST /store", 1, Kind::answer(403, &[], "no entry"));
    let cml = Cml::on(&forge, Vendor::GitHub);
    cml.file("plot.png", png(1));
    cml.file("report.md", "![p](plot.png)\n");
    let ran = cml.run(&["comment", "create", "--publish-url", &forge.store_url(), "report.md"]);
    let error = format!("cannot publish the images: {}: the server answered 403: no entry", forge.store_url());
    ran.fails(4, &error, "check --publish-url, and that the server accepts uploads without credentials");
    assert_eq!(forge.requests().len(), 1, "no comment");
}

#[test]
fn a_password_in_the_address_of_the_server_is_used_and_never_told() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    let url = forge.store_url().replace("http://", "http://me:hunter2hunter2@") + "?key=sesame-sesame";
    cml.set("CML_COMMENT_PUBLISH_URL", &url);
    cml.file("plot.png", png(1));
    cml.file("report.md", "![p](plot.png)\n");
    let mut told = cml.run(&["comment", "create", "--log", "debug", "report.md"]);
    let request = forge.requests().into_iter().find(|request| request.path.starts_with("/store")).unwrap();
    let basic = "Basic bWU6aHVudGVyMmh1bnRlcjI=";
    assert_eq!((request.path.as_str(), request.header("authorization")), ("/store?key=sesame-sesame", Some(basic)));
    for answer in [Kind::answer(403, &[], ""), Kind::answer(200, &[], "nothing"), Kind::answer(500, &[], "")] {
        forge.fault("POST /store", 9, answer);
        told.stderr += &cml.run(&["comment", "create", "--log", "debug", "--timeout", "5", "report.md"]).stderr;
    }
    assert!(!told.stderr.contains("hunter2") && !told.stderr.contains("sesame"), "{}", told.stderr);
}

#[test]
fn an_address_of_an_unknown_kind_costs_no_request() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        for url in ["ftp://example.org/x", "file:///tmp/x", "s4://bucket", "data:,x"] {
            let ran = cml.run(&["comment", "create", "--publish-url", url, "report.md"]);
            let scheme = url.split(':').next().unwrap();
            assert_eq!(ran.code, Some(2), "{ran:#?}");
            assert!(ran.stderr.contains(&format!("error: --publish-url does not support {scheme}:")), "{}", ran.stderr);
            assert!(ran.stderr.contains("hint: use https://…, s3://bucket/prefix"), "{}", ran.stderr);
        }
        let ran = cml.run(&["comment", "create", "--publish-url", "no address", "report.md"]);
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        assert!(forge.requests().is_empty());
    }
}
