//! Images in buckets: S3 against a real emulator, and what is said where a cloud refuses.

use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::moto::Moto;
use crate::support::net::get;
use crate::support::reader::{blanks, posted};
use crate::support::{Cml, Ran, VENDORS, is_wasm, png};
use std::time::{Duration, Instant};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const BUCKET: &str = "s3://bucket/reports";

/// In the pipeline of pull request 7, with an image to show and credentials for an S3.
fn with_bucket(forge: &Forge, vendor: Vendor, endpoint: &str) -> Cml {
    let mut cml = Cml::on(forge, vendor);
    cml.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").set("AWS_SECRET_ACCESS_KEY", SECRET);
    cml.set("AWS_REGION", "eu-west-1").set("AWS_ENDPOINT_URL", endpoint);
    cml.file("plot.png", png(1));
    cml.file("report.md", "![p](plot.png)\n");
    cml
}

/// Runs with whatever there is to tell, which is no secret.
#[track_caller]
fn create(cml: &Cml, options: &[&str]) -> Ran {
    let args: Vec<&str> = ["comment", "create", "--log", "debug", "report.md"].iter().chain(options).copied().collect();
    let ran = cml.run(&args);
    let secret = &cml.env["AWS_SECRET_ACCESS_KEY"];
    assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{}", ran.stderr);
    ran
}

/// A run that ends with a code, these words in its error, and these in its hint; and without a comment.
#[track_caller]
fn refused(forge: &Forge, ran: &Ran, code: i32, error: &str, hint: &str) {
    ran.fails(code, &format!("cannot publish the images: *{error}*"), &format!("*{hint}*"));
    assert!(forge.live_comments(Vendor::GitHub, &Target::Pull(7)).is_empty());
}

#[test]
fn a_bucket_gets_each_image_once_and_serves_it() {
    let Some(moto) = Moto::shared() else { return };
    for vendor in VENDORS {
        let bucket = format!("plots-{vendor:?}").to_lowercase();
        moto.make_public_bucket(&bucket);
        let forge = Forge::start();
        let cml = with_bucket(&forge, vendor, &moto.url);
        let url = format!("s3://{bucket}/reports/é 1");
        for run in 0..2 {
            create(&cml, &["--publish-url", &url]).ok();
            let address = blanks("![p](@)\n", &posted(&forge, vendor)).remove(0);
            assert!(address.starts_with(&format!("{}/{bucket}/reports/", moto.url)), "{address}");
            let answer = get(&address);
            assert_eq!((answer.status, answer.header("content-type")), (200, "image/png"), "{address}");
            assert_eq!(answer.header("content-disposition"), "inline");
            assert_eq!(answer.body, png(1));
            let expected: &[&str] =
                if run == 0 { &["HEAD 404", "PUT 200", "GET 200"] } else { &["HEAD 200", "GET 200"] };
            assert!(moto.requests(&bucket).ends_with(&expected.iter().map(|s| s.to_string()).collect::<Vec<_>>()));
        }
        assert_eq!(moto.requests(&bucket).len(), 5);
    }
}

#[test]
fn what_runs_scripts_is_never_opened_in_place() {
    let Some(moto) = Moto::shared() else { return };
    moto.make_public_bucket("active");
    let forge = Forge::start();
    let cml = with_bucket(&forge, Vendor::GitHub, &moto.url);
    cml.git(&["init", "-q"]);
    cml.file("plot.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>");
    cml.file("page.html", "<script>alert(1)</script>");
    cml.file("report.md", "![p](plot.svg) [h](page.html)\n");
    create(&cml, &["--publish-url", "s3://active"]).ok();
    let addresses = blanks("![p](@) [h](@)\n", &posted(&forge, Vendor::GitHub));
    for (address, mime) in addresses.iter().zip(["image/svg+xml", "text/html; charset=utf-8"]) {
        let answer = get(address);
        assert_eq!((answer.header("content-type"), answer.header("content-disposition")), (mime, "attachment"));
    }
}

#[test]
fn addresses_can_be_signed_for_some_hours() {
    let Some(moto) = Moto::shared() else { return };
    moto.make_bucket("signed");
    let forge = Forge::start();
    let cml = with_bucket(&forge, Vendor::GitHub, &moto.url);
    cml.file("report.md", "![p](plot.png)\n");
    create(&cml, &["--publish-url", "s3://signed", "--publish-signed", "1"]).ok();
    let address = blanks("![p](@)\n", &posted(&forge, Vendor::GitHub)).remove(0);
    for part in ["X-Amz-Signature=", "X-Amz-Expires=3600&", "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE"] {
        assert!(address.contains(part), "{address}");
    }
    assert_eq!(get(&address).body, png(1));
    assert_eq!(get(address.split('?').next().unwrap()).status, 403, "only the signature opens it");
    for hours in ["0", "169", "x"] {
        assert_eq!(create(&cml, &["--publish-url", "s3://signed", "--publish-signed", hours]).code, Some(2));
    }
    // The signature ends: an update without one must not lead there.
    cml.run(&["comment", "update", "report.md"]).ok();
    let address = blanks("![p](@)\n", &posted(&forge, Vendor::GitHub)).remove(0);
    assert!(address.starts_with(forge.url()), "{address}");
}

/// Moto's STS takes any identity token.
#[test]
fn the_identity_of_the_job_and_a_profile_serve_as_keys_do() {
    let Some(moto) = Moto::shared() else { return };
    moto.make_public_bucket("identity");
    let token = "eyJhbGciOiJSUzI1NiJ9.an-identity-token.c2lnbmF0dXJl";
    for source in ["the job's identity, as arn:aws:iam::123456789012:role/ci", "the profile default"] {
        let forge = Forge::start();
        let mut cml = with_bucket(&forge, Vendor::GitHub, &moto.url);
        cml.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY").set("AWS_EC2_METADATA_DISABLED", "true");
        if source.starts_with("the job") {
            cml.set("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci").set("CML_ID_TOKEN", token);
        } else {
            let keys =
                format!("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n");
            cml.file(".aws/credentials", keys);
        }
        let ran = cml.run(&["comment", "create", "--log", "debug", "report.md", "--publish-url", "s3://identity/x"]);
        assert!(!ran.stderr.contains(SECRET) && !ran.stderr.contains(token), "{ran:#?}");
        assert_eq!(ran.stderr.matches(&format!("AWS credentials from {source}")).count(), 1, "{ran:#?}");
        ran.ok();
        let address = blanks("![p](@)\n", &posted(&forge, Vendor::GitHub)).remove(0);
        assert_eq!(get(&address).body, png(1));
    }
}

#[test]
fn a_missing_bucket_is_named() {
    let Some(moto) = Moto::shared() else { return };
    let forge = Forge::start();
    let ran = create(&with_bucket(&forge, Vendor::GitHub, &moto.url), &["--publish-url", "s3://nowhere/reports"]);
    refused(&forge, &ran, 5, "no bucket found for s3://nowhere/reports", "create the bucket, or check its name");
}

#[test]
fn who_may_only_write_can_publish_and_nobody_else() {
    let Some(moto) = Moto::start() else { return };
    moto.make_bucket("bucket");
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}"#;
    let (key, secret) = moto.guard(policy);
    let forge = Forge::start();
    let mut cml = with_bucket(&forge, Vendor::GitHub, &moto.url);
    let hint = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let ran = create(&cml, &["--publish-url", BUCKET]);
    refused(&forge, &ran, 4, "the credentials are not allowed to write to s3://bucket/reports (", hint);
    cml.set("AWS_ACCESS_KEY_ID", &key);
    let ran = create(&cml, &["--publish-url", BUCKET]);
    refused(&forge, &ran, 4, "the credentials are not allowed to write to s3://bucket/reports (", hint);
    cml.set("AWS_SECRET_ACCESS_KEY", &secret);
    create(&cml, &["--publish-url", BUCKET]).ok();
    assert!(moto.requests("bucket").ends_with(&["HEAD 403".to_owned(), "PUT 200".to_owned()]));
}

#[test]
fn refusals_of_s3_are_told_in_its_own_words() {
    let xml = |code: &str, message: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><AWSAccessKeyId>A</AWSAccessKeyId></Error>"
        )
    };
    let malformed = "the region 'eu-west-1' is wrong; expecting 'us-east-2'";
    for (status, body, code, error) in [
        (301, String::new(), 9, "incorrectly configured region"),
        (400, xml("AuthorizationHeaderMalformed", malformed), 9, malformed),
        (403, xml("RequestTimeTooSkewed", "The clock is wrong."), 4, "s3://bucket/reports (The clock is wrong.)"),
        (500, xml("InternalError", "We are sorry."), 9, "answered 500"),
    ] {
        let forge = Forge::start();
        forge.fault("HEAD /bucket/", 9, Kind::answer(404, &[], ""));
        forge.fault("PUT /bucket/", 9, Kind::answer(status, &[("Content-Type", "application/xml")], &body));
        let cml = with_bucket(&forge, Vendor::GitHub, forge.url());
        // What the server may mend is tried again until the time is over.
        let timeout = if status == 500 { "6" } else { "120" };
        let ran = create(&cml, &["--timeout", timeout, "--publish-url", BUCKET]);
        refused(&forge, &ran, code, error, if status == 500 { "--timeout" } else { "AWS_REGION" });
    }
}

#[test]
fn variables_that_only_look_like_the_clouds_have_no_effect() {
    let forge = Forge::start();
    forge.fault(
        "HEAD /bucket/",
        1,
        Kind::answer(200, &[("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"), ("ETag", "x")], ""),
    );
    let mut cml = with_bucket(&forge, Vendor::GitHub, forge.url());
    cml.set("TOKEN", "mine-mine-mine").set("BUCKET", "other").set("ENDPOINT", "http://127.0.0.1:9");
    cml.set("REGION", "mars").set("SKIP_SIGNATURE", "true");
    create(&cml, &["--publish-url", BUCKET]).ok();
    let head = forge.requests().into_iter().find(|request| request.method == "HEAD").unwrap();
    assert!(head.header("authorization").unwrap().contains("/eu-west-1/s3/aws4_request"));
    assert_eq!(head.header("x-amz-security-token"), None);
}

#[test]
fn missing_credentials_are_explained_soon() {
    for (url, code, error, hint) in [
        ("s3://bucket/x", 4, "no AWS credentials found", "AWS_ACCESS_KEY_ID"),
        (
            "gs://bucket/x",
            4,
            "no credentials found, neither in the environment nor on the machine",
            "GOOGLE_SERVICE_ACCOUNT",
        ),
        (
            "az://container/x",
            3,
            "cannot use az://container/x (Account must be specified)",
            "AZURE_STORAGE_ACCOUNT_NAME",
        ),
        (
            "az+account://container/x",
            4,
            "no credentials found, neither in the environment nor on the machine",
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
    ] {
        let forge = Forge::start();
        let mut cml = with_bucket(&forge, Vendor::GitHub, "");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY"] {
            cml.unset(name);
        }
        // Nobody asks a cloud's machine from here: the proxy is a closed port.
        cml.set("http_proxy", "http://127.0.0.1:9")
            .set("https_proxy", "http://127.0.0.1:9")
            .set("no_proxy", "127.0.0.1");
        if url.starts_with("az+") {
            cml.set("AZURE_STORAGE_ACCOUNT_NAME", "account");
        }
        let url = url.replace("az+account", "az");
        let started = Instant::now();
        let ran = cml.run(&["comment", "create", "--publish-url", &url, "report.md"]);
        if is_wasm() && !url.starts_with("s3://") {
            // In WebAssembly object_store cannot ask for credentials.
            refused(&forge, &ran, 7, "native program", "native: true");
        } else {
            refused(&forge, &ran, code, error, hint);
        }
        // Far from the time allowed, which a service that does not answer would take.
        assert!(started.elapsed() < Duration::from_secs(60), "{url} took {:?}", started.elapsed());
    }
}
