//! Options, the dry run, and what is refused before the cloud is asked.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;

#[test]
fn a_dry_run_asks_and_creates_nothing() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    let shown = fixture.run(&["launch", "--dry-run", "--cloud-spot", "--cloud-type", "n2-standard-8"]).ok();
    for line in [
        "region    us-west1\n",
        "zones     us-west1-b, us-west1-a, us-west1-c\n",
        "types     n2-standard-8\n",
        "market    spot, with fallback to on demand\n",
        "image     ubuntu-os-cloud/ubuntu-2404-noble-amd64-v20261101\n",
        "disk      35 GB\n",
        "network   global/networks/default\n",
        "firewall  cml-no-inbound, a new one that lets nothing in\n",
        "identity  none\n",
        "price     Google Cloud tells no price without its billing API",
    ] {
        assert!(shown.contains(line), "{line}{shown}");
    }
    let is_free =
        |call: &crate::support::gce::Call| call.method == "GET" || call.action.ends_with(":testIamPermissions");
    assert!(fixture.cloud.calls().iter().all(is_free), "{:?}", fixture.cloud.calls());
    assert!(fixture.forge.requests().iter().all(|request| request.method == "GET"), "nothing was registered");
}

/// Without variables of gcloud's, Google's own names are asked, with the authorities that the environment trusts.
#[test]
fn googles_own_names_are_asked() {
    let mut fixture = GcpFixture::new(Vendor::GitHub);
    for (name, _) in fixture.cloud.variables() {
        fixture.cml.unset(name);
    }
    let names = fixture.cloud.has_its_names();
    fixture.cml.set("https_proxy", &names.proxy.url());
    let ran = fixture.run(&["launch", "--dry-run", "--timeout", "3"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("ertificate"), "{ran:#?}");
    fixture.cml.set("SSL_CERT_FILE", &names.ca.display().to_string());
    assert_eq!(fixture.launch(&[]).code, Some(0));
}

#[test]
fn cmls_spellings_are_taken() {
    for (args, line) in [
        (&["--cloud-region", "us-east"][..], "region    us-east1\n"),
        (&["--cloud-region", "eu-west"], "region    europe-west1\n"),
        (&["--cloud-region", "eu-north"], "region    europe-north1\n"),
        (&["--cloud-region", "us-west1-a"], "zones     us-west1-a\n"),
        (&["--cloud-type", "n1-standard-4+nvidia-tesla-t4*1"], "types     n1-standard-4+nvidia-tesla-t4*1\n"),
        (&["--cloud-type", "m", "--cloud-gpu", "nogpu"], "types     n2-standard-8"),
        (
            &["--cloud-image", "ubuntu-os-cloud/ubuntu-2404-lts-amd64"],
            "image     ubuntu-os-cloud/ubuntu-2404-noble-amd64-v20261101\n",
        ),
    ] {
        let fixture = GcpFixture::new(Vendor::GitHub);
        let shown = fixture.run(&[&["launch", "--dry-run"], args].concat()).ok();
        assert!(shown.contains(line) && shown.contains("\nprice "), "{args:?}: {shown}");
    }
}

#[test]
fn wrong_options_are_named_before_the_cloud_is_asked() {
    for (args, code, says) in [
        (&["--cloud-region", "moon"][..], 2, "moon is not a Google Cloud region"),
        (&["--cloud-type", "g5.xlarge"], 2, "g5.xlarge is not a Google Cloud machine type"),
        (&["--cloud-gpu", "k80"], 2, "Google Cloud has no K80 GPUs any more"),
        (&["--cloud-type", "n1-standard-4+nvidia-tesla-k80*1"], 2, "Google Cloud has no K80 GPUs any more"),
        (&["--cloud-metadata", "Team=ML"], 2, "--cloud-metadata Team=ML cannot be a label of Google Cloud"),
        (&["--cloud-permission-set", "trainer"], 2, "--cloud-permission-set trainer is not a service account"),
        (&["--cloud-spot", "--cloud-spot-price", "0.5"], 2, "Google Cloud has no maximum price for spot instances"),
    ] {
        let fixture = GcpFixture::new(Vendor::GitHub);
        fixture.run(&[&["launch"], args].concat()).fails(code, says, "*");
        assert!(fixture.cloud.calls().is_empty(), "{args:?}");
    }
}

#[test]
fn what_the_region_or_the_project_does_not_have_is_said_before_anything_is_created() {
    for (args, code, says) in [
        (&["--cloud-type", "n2-standard-9000"][..], 5, "us-west1 has none of these machine types"),
        (&["--cloud-region", "us-west1-a", "--cloud-gpu", "l4"], 5, "us-west1-a has none of these machine types"),
        (
            &["--cloud-type", "n2-standard-8,g2-standard-4"],
            2,
            "--cloud-type mixes machine types with and without GPUs*",
        ),
        (&["--cloud-image", "debian-cloud/debian-12"], 5, "Google Cloud has no image debian-cloud/family/debian-12"),
        (&["--cloud-image", "https://x"], 2, "--cloud-image https://x is not a Google Cloud image"),
        (
            &["--cloud-image", "ubuntu-os-cloud/ubuntu-2404-lts-arm64"],
            2,
            "the image ubuntu-os-cloud/family/ubuntu-2404-lts-arm64 is for aarch64*",
        ),
    ] {
        let fixture = GcpFixture::new(Vendor::GitHub);
        fixture.run(&[&["launch"], args].concat()).fails(code, says, "*");
        assert!(fixture.cloud.effects().is_empty(), "{args:?}");
        assert!(fixture.runners().is_empty());
    }
}
