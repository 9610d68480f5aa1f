//! What is wrong with an option, before anything is asked.

use super::fixture::CloudFixture;
use crate::support::fake::Vendor;
use crate::support::is_wasm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// This machine's, as `--cloud-arch` says it.
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

#[test]
fn wrong_options_have_no_effect() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ca-west-1") else { return };
    for (args, code, error, hint) in [
        #[cfg(not(feature = "gcp"))]
        (&["--cloud", "gcp"][..], 7, "this build of cml does not support --cloud gcp", "use --cloud *, or*"),
        (&["--cloud-region", "moon"][..], 2, "moon is not an AWS region", "use us-east*"),
        (
            &["--cloud-max-lifetime", "never"],
            2,
            "--cloud-max-lifetime never is not a duration between one minute and 35 days",
            "give seconds*",
        ),
        (
            &["--cloud-max-lifetime", "5"],
            2,
            "--cloud-max-lifetime 5 is not a duration between one minute and 35 days",
            "give seconds*",
        ),
        (
            &["--bootstrap-sha256", "abc"],
            2,
            "--bootstrap-sha256: 'abc' is not a SHA-256 digest in hexadecimal",
            "give the first word*",
        ),
        (
            &["--agent-url", "ftp://x/y"],
            2,
            "invalid --bootstrap-url ftp://x/y",
            "give an address such as https://host/file",
        ),
        (
            &["--cloud-ssh-private", "-----BEGIN"],
            7,
            "--cloud-ssh-private is not supported: instances accept no inbound connections",
            "to log in*",
        ),
        (
            &["--cloud-type", "m", "--cloud-gpu", "v100"],
            2,
            "the default image has no driver for the GPU of p3.2xlarge",
            "use a --cloud-image with NVIDIA's older proprietary driver*",
        ),
        (
            &["--cloud-type", "p3dn.24xlarge"],
            2,
            "the default image has no driver for the GPU of p3dn.24xlarge",
            "use a --cloud-image with NVIDIA's older proprietary driver*",
        ),
        (&["--cloud-type", "m", "--cloud-gpu", "rtx"], 2, "there is no size m with the GPU rtx", "known GPUs:*"),
    ] {
        let ran = fixture.run(&[&["launch"], args].concat());
        ran.fails(code, error, hint);
        assert!(fixture.forge.requests().iter().all(|request| request.method == "GET"), "{args:?}");
        fixture.is_clean();
    }
    let mut alone = fixture.cml.clone();
    alone.unset("CML_RUNNER_CLOUD");
    alone.run(&["runner", "launch", "--dry-run"]).fails(
        2,
        "--dry-run needs --cloud",
        "add --cloud aws, or leave out --dry-run",
    );
    alone.run(&["runner", "reap"]).fails(2, "--cloud is required", "add --cloud aws*");
}

#[test]
fn where_the_machine_gets_its_program_from_is_known_before_anything_is_made() {
    let Some(mut fixture) = CloudFixture::new(Vendor::GitHub, "ap-south-2") else { return };
    fixture.cml.unset("CML_RUNNER_BOOTSTRAP_URL").unset("CML_RUNNER_BOOTSTRAP_SHA256");
    let hint = "give the static binary for Linux with --bootstrap-url and --bootstrap-sha256";
    // The build under test is of no release. The action knows its release's programs, of which there are none yet.
    let (unknown, other) = if is_wasm() {
        ["version * has no native build for linux-*"; 2].into()
    } else {
        ("this build of cml is not a release", "this is the binary for *, but the instance needs the one for *")
    };
    let says = |why: &str| format!("cannot determine where the instance can download cml: {why}");
    let (unknown, other) = (says(unknown), says(other));
    fixture.run(&["launch", "--cloud-arch", ARCH]).fails(3, &unknown, hint);
    fixture.run(&["launch", "--cloud-arch", if ARCH == "arm64" { "x86_64" } else { "arm64" }]).fails(3, &other, hint);
    fixture.is_clean();
}

#[test]
fn a_start_up_script_that_is_too_long_is_named() {
    let Some(fixture) = CloudFixture::new(Vendor::GitLab, "ap-east-1") else { return };
    let script = STANDARD.encode("x".repeat(20_000));
    let says = "the instance's start-up script is * bytes long, the limit is 16384";
    let hint = "--cloud-startup-script is 20000 bytes long: shorten it, or let it download what it needs";
    fixture.run(&["launch", "--cloud-startup-script", &script]).fails(10, says, hint);
    let volume = format!("/{}:/data", "x".repeat(20_000));
    let hint = "use fewer or shorter --labels and --docker-volumes";
    fixture.run(&["launch", "--docker-volumes", &volume]).fails(10, says, hint);
    fixture.is_clean();
}
