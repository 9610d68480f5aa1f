//! The way to a forge: proxies and what goes past them, certificates, redirects, and where an API is. The forges and proxies
//! are scripted, connections and certificates are real.

use crate::support::clone::Clone;
use crate::support::fake::{Forge, Kind, Proxy, Target, Vendor};
use crate::support::{Cml, VENDORS, is_wasm};

const CREATE: &[&str] = &["comment", "create", "report.md"];

#[test]
fn what_no_proxy_names_is_reached_without_one() {
    let proxy = Proxy::start();
    for vendor in VENDORS {
        let forge = Forge::start();
        let port = forge.address().rsplit_once(':').unwrap().1.to_owned();
        let mut cml = Cml::on(&forge, vendor);
        cml.set("http_proxy", &proxy.url());
        for list in [format!("127.0.0.1:{port}"), "127.0.0.0/8".to_owned(), "x,127.0.0.1".to_owned(), "*".to_owned()] {
            cml.set("no_proxy", &list).run(CREATE).ok();
            assert_eq!(proxy.targets(), [""; 0], "{list}");
        }
        assert_eq!(forge.live_comments(vendor, &Target::Pull(7)).len(), 4);
    }
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("http_proxy", &proxy.url()).set("no_proxy", "127.0.0.1:1,*.example.org,10.0.0.0/8").run(CREATE).ok();
    assert_eq!(proxy.targets().len(), 1, "a port is part of the name");
}

#[test]
fn git_heeds_no_proxy_as_the_api_does() {
    let proxy = Proxy::start();
    for vendor in VENDORS {
        let clone = Clone::on(vendor);
        let mut cml = clone.cml.clone();
        cml.set("http_proxy", &proxy.url()).set("no_proxy", &clone.forge.address());
        cml.file("model.json", "{\"a\": 1}\n");
        cml.run(&["pr", "create", "model.json"]).ok();
        assert_eq!(proxy.targets(), [""; 0], "{vendor:?}");
    }
}

#[test]
fn a_certificate_that_is_trusted_and_wrong_says_what_is_wrong() {
    let clock = "*the clock of this computer*";
    for (names, from, to, error, hint) in [
        (&["127.0.0.1"][..], 2001, 2002, "the certificate of 127.0.0.1 has expired (*)", clock),
        (&["127.0.0.1"], 4000, 4001, "the certificate of 127.0.0.1 is not valid yet (*)", clock),
        (
            &["example.org"],
            1975,
            4096,
            "the certificate of 127.0.0.1 is for a different name (*)",
            "check the address*",
        ),
    ] {
        let forge = Forge::start_tls_for(names, from, to);
        for vendor in VENDORS {
            let mut cml = Cml::on(&forge, vendor);
            let ca = cml.file("ca.pem", forge.ca_pem()).display().to_string();
            cml.set("NODE_EXTRA_CA_CERTS", &ca);
            let ran = cml.run(CREATE);
            ran.fails(9, error, hint);
            assert!(!ran.stderr.contains("--ca-cert"), "{ran:#?}");
        }
    }
}

#[test]
fn the_causes_of_an_error_are_told_on_request() {
    let forge = Forge::start_tls();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let ran = cml.run(&[CREATE, &["--log", "debug"]].concat());
    assert_eq!(ran.code, Some(9), "{ran:#?}");
    let causes = ran.stderr.lines().filter(|line| line.starts_with("debug: caused by: ")).count();
    assert!(causes >= if is_wasm() { 1 } else { 2 }, "{ran:#?}");
    assert!(!cml.run(CREATE).stderr.contains("caused by"));
}

#[test]
fn a_redirect_to_http_is_not_a_matter_of_the_token() {
    for vendor in VENDORS {
        let forge = Forge::start_tls();
        let mut cml = Cml::on(&forge, vendor);
        let ca = cml.file("ca.pem", forge.ca_pem()).display().to_string();
        cml.set("NODE_EXTRA_CA_CERTS", &ca);
        let plain = forge.url().replace("https://", "http://");
        forge.fault("GET ", 1, Kind::answer(301, &[("Location", &format!("{plain}/x"))], ""));
        let ran = cml.run(&["comment", "update", "report.md"]);
        let error = format!("127.0.0.1 redirects to {plain}: not sending the token unencrypted");
        ran.fails(3, &error, "configure the server, or the proxy in front of it, to use https*");
        assert_eq!(forge.requests().len(), 1, "{}", forge.transcript());
    }
}

#[test]
fn the_api_of_ghe_com_has_a_name_of_its_own() {
    let proxy = Proxy::start();
    let mut cml = Cml::alone();
    cml.set("REPO_TOKEN", "good").set("https_proxy", &proxy.url());
    for args in [
        &["comment", "create", "--target", "pr/7", "report.md", "--repo", "https://acme.ghe.com/acme/demo"][..],
        &["runner", "list", "--repo", "https://acme.ghe.com/acme"],
    ] {
        let before = proxy.targets().len();
        cml.run(&[args, &["--timeout", "2"]].concat());
        let asked = proxy.targets().split_off(before);
        assert!(!asked.is_empty() && asked.iter().all(|target| target == "CONNECT api.acme.ghe.com:443"), "{asked:?}");
    }
}

#[test]
fn gitlab_below_a_path_is_found_once_and_only_where_it_is_not_at_the_top() {
    let forge = Forge::start();
    let mut cml = Cml::alone();
    cml.set("REPO_TOKEN", "good");
    let run = |path: &str| {
        forge.clear_requests();
        let repository = format!("{}/{path}", forge.url());
        cml.run(&["comment", "create", "--driver", "gitlab", "--repo", &repository, "--target", "pr/7", "report.md"])
            .ok();
        forge
            .requests()
            .into_iter()
            .map(|request| (request.path.clone(), request.header("private-token").is_some()))
            .collect::<Vec<_>>()
    };
    let note = "/api/v4/projects/group%2Fmodel/merge_requests/7/notes".to_owned();
    forge.fault("GET /api/v4/version", 1, Kind::answer(404, &[], "<html>"));
    let asked = run("gitlab/group/model");
    let version = "/api/v4/version".to_owned();
    assert_eq!(
        asked,
        [(version.clone(), false), (format!("/gitlab{version}"), false), (format!("/gitlab{note}"), true)]
    );
    let sub = "/api/v4/projects/group%2Fsub%2Fmodel/merge_requests/7/notes".to_owned();
    assert_eq!(run("group/sub/model"), [(version, false), (sub, true)]);
    assert_eq!(run("group/model"), [(note, true)]);
    // A group below the path has two names then.
    for (path, found) in [("gitlab/group", "/gitlab/api/v4/version"), ("group/sub", "/api/v4/version")] {
        if path == "gitlab/group" {
            forge.fault("GET /api/v4/version", 1, Kind::answer(404, &[], "<html>"));
        }
        forge.clear_requests();
        cml.run(&["runner", "list", "--driver", "gitlab", "--repo", &format!("{}/{path}", forge.url())]);
        let asked: Vec<String> = forge.requests().into_iter().map(|request| request.path).collect();
        let base = found.trim_end_matches("version");
        let after = asked.iter().position(|path| path == found).unwrap();
        assert!(after == path.matches("gitlab").count(), "{asked:?}");
        assert!(asked.len() > after + 1 && asked[after + 1..].iter().all(|path| path.starts_with(base)), "{asked:?}");
    }
}

/// Nothing that the user gives ends the program by itself, and white space around it does not matter.
#[test]
fn keys_may_have_white_space_around_and_nothing_else_in_them() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .set("AWS_EC2_METADATA_DISABLED", "true")
        .set("AWS_REGION", "eu-west-1\n")
        .file("a.csv", "1,2\n");
    let publish = ["asset", "publish", "a.csv", "--timeout", "3", "--publish-url", "s3://b/x"];
    let reap = ["runner", "reap", "--cloud", "aws", "--cloud-region", "eu-west-1", "--timeout", "3"];
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let with = |name: &str, value: &str, args: &[&str]| {
        let mut cml = cml.clone();
        for name in names {
            cml.set(name, "AKIAIOSFODNN7EXAMPLE\r\n");
        }
        cml.set(name, value).run(args)
    };
    for args in [&publish[..], &reap] {
        for name in names {
            let ran = with(name, " AKIAIOSFODNN7EXAMPLE\n", args);
            assert_eq!(ran.code, Some(9), "{args:?} {ran:#?}");
            for value in ["AKIA\nIOSFODNN7", "AKIA IOSFODNN7", "AKIA\u{e9}IOSFODNN7", "AKIA\u{7f}IOSFODNN7"] {
                let ran = with(name, value, args);
                let error = format!("the value of {name} contains an invalid character, such as a line break");
                assert_eq!(ran.code, Some(3), "{args:?} {ran:#?}");
                assert!(ran.stderr.contains(&error) && ran.stderr.contains("hint: "), "{args:?} {ran:#?}");
            }
        }
    }
}
