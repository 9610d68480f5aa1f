//! What an instance does with its metadata server: it notices a preemption, knows whether it has an identity, and deletes itself.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;
use crate::support::gce::{Gce, PROJECT, WORKER, WORKER_TOKEN};
use crate::support::host::TestHost;
use cml::app::App;
use cml::cloud::CLOUDS;
use cml::host::Host;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use serde_json::json;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

/// Real: the program's code. Scripted: the metadata server.
#[test]
fn its_identity_and_its_preemption_are_noticed() {
    let gce = Gce::start();
    let driver = CLOUDS.iter().find(|driver| driver.name == "gcp").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let env = gce.variables().into_iter().collect();
    let host: Rc<dyn Host> = Rc::new(TestHost { native: Native::default(), env, folder: folder.path().to_owned() });
    let log = Log::new(host.clone(), Level::Error);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(20));
    let app = App { host, log, http };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert!(!(driver.has_identity)(&app).await);
        gce.tells("instance/service-accounts/default/email", WORKER);
        assert!((driver.has_identity)(&app).await);
        gce.tells("instance/preempted", "TRUE");
        (driver.wait_for_interruption)(&app).await;
    });
}

/// Real: what the instance runs at its end, with curl. Scripted: Compute Engine and the metadata server.
#[test]
fn with_an_identity_it_deletes_itself() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    let identity = ["--cloud-permission-set", WORKER];
    assert_eq!(fixture.launch(&identity).code, Some(0));
    let token = json!({ "access_token": WORKER_TOKEN, "expires_in": 3599, "token_type": "Bearer" });
    for (path, text) in [
        ("instance/service-accounts/default/token", token.to_string()),
        ("instance/name", fixture.instance()["name"].as_str().unwrap().to_owned()),
        ("instance/zone", "projects/1234/zones/us-west1-b".to_owned()),
        ("project/project-id", PROJECT.to_owned()),
    ] {
        fixture.gce.tells(path, &text);
    }
    fixture.gce.power_off();
    assert_eq!(fixture.gce.billed().len(), 1, "its disk");
    let script = fixture.gce.of("compute.instances.create").remove(0).body["metadata"]["items"][0]["value"].clone();
    let (_, rest) = script.as_str().unwrap().split_once("cat >/usr/local/sbin/cml-delete <<'CML_DELETE'\n").unwrap();
    let (delete, _) = rest.split_once("\nCML_DELETE\n").unwrap();
    let delete = delete.replace("http://metadata.google.internal", &fixture.gce.url());
    let output = Command::new("sh").args(["-c", &delete]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fixture.gce.billed(), [""; 0]);
}
