//! What is wrong with an option, before anything is asked.

use super::scene::Scene;
use crate::support::fake::Vendor;
use crate::support::is_wasm;

/// This machine's, as `--cloud-arch` says it.
const ARCH: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };

#[test]
fn wrong_options_have_no_effect() {
    let Some(scene) = Scene::new(Vendor::GitHub, "ca-west-1") else { return };
    for (args, code, error, hint) in [
        (&["--cloud", "gcp"][..], 7, "this version of cml cannot launch machines in gcp", "give --cloud aws, or*"),
        (&["--cloud-region", "moon"], 2, "moon is no region of AWS", "give us-east*"),
        (
            &["--cloud-max-lifetime", "never"],
            2,
            "--cloud-max-lifetime never is not a time from a minute to 35 days",
            "it takes*",
        ),
        (
            &["--cloud-max-lifetime", "5"],
            2,
            "--cloud-max-lifetime 5 is not a time from a minute to 35 days",
            "it takes*",
        ),
        (&["--agent-sha256", "abc"], 2, "--agent-sha256 abc is no SHA-256 in hexadecimal", "it is the first word*"),
        (&["--agent-url", "ftp://x/y"], 2, "--agent-url ftp://x/y is not an address", "it is https://host/file"),
        (
            &["--cloud-ssh-private", "-----BEGIN"],
            7,
            "--cloud-ssh-private has no use: the machines let nothing in",
            "to log in*",
        ),
        (
            &["--cloud-type", "m", "--cloud-gpu", "v100"],
            2,
            "the image that p3.2xlarge would get has no driver for its GPU",
            "give --cloud-image one with NVIDIA's proprietary driver*",
        ),
        (
            &["--cloud-type", "p3dn.24xlarge"],
            2,
            "the image that p3dn.24xlarge would get has no driver for its GPU",
            "give --cloud-image one with NVIDIA's proprietary driver*",
        ),
        (
            &["--cloud-type", "m", "--cloud-gpu", "rtx"],
            2,
            "there is no machine of size m with a GPU of the kind rtx",
            "known are*",
        ),
    ] {
        let ran = scene.run(&[&["launch"], args].concat());
        ran.fails(code, error, hint);
        assert!(scene.forge.requests().iter().all(|request| request.method == "GET"), "{args:?}");
        scene.is_clean();
    }
    let mut alone = scene.cml.clone();
    alone.unset("CML_RUNNER_CLOUD");
    alone.run(&["runner", "launch", "--dry-run"]).fails(
        2,
        "--dry-run is about a machine in a cloud",
        "add --cloud aws, or leave it out",
    );
    alone.run(&["runner", "reap"]).fails(2, "--cloud is required", "give it: --cloud aws*");
}

#[test]
fn where_the_machine_gets_its_program_from_is_known_before_anything_is_made() {
    let Some(mut scene) = Scene::new(Vendor::GitHub, "ap-south-2") else { return };
    scene.cml.unset("CML_RUNNER_AGENT_URL").unset("CML_RUNNER_AGENT_SHA256");
    let hint = "give the static program for Linux with --agent-url and --agent-sha256";
    // The build under test is of no release. The action knows its release's programs, of which there are none yet.
    let (unknown, other) = match is_wasm() {
        true => ["version * has no native program for linux-*"; 2].into(),
        false => ("this program is of no release", "this is the program for *, the machine needs that for *"),
    };
    let says = |why: &str| format!("it is not known where the machine gets cml from: {why}");
    let (unknown, other) = (says(unknown), says(other));
    scene.run(&["launch", "--cloud-arch", ARCH]).fails(3, &unknown, hint);
    scene.run(&["launch", "--cloud-arch", if ARCH == "arm64" { "x86_64" } else { "arm64" }]).fails(3, &other, hint);
    scene.is_clean();
}
