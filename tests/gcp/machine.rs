//! What an instance finds out from its metadata server, and does with it. Real: the program's code, and the script, with curl. Scripted: the
//! metadata server, and Compute Engine.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;
use crate::support::gce::{Gce, WORKER};
use crate::support::host::TestHost;
use crate::support::recorder::Wrong;
use cml::app::App;
use cml::cloud::{CLOUDS, Driver};
use cml::host::Host;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

const DELETE: &str = "compute.instances.delete";
const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// Its instance has an identity that may delete it.
fn launched() -> GcpFixture {
    let fixture = GcpFixture::new(Vendor::GitHub);
    assert_eq!(fixture.launch(&["--cloud-permission-set", WORKER]).code, Some(0));
    fixture
}

/// Runs an instance's code, in an environment where the metadata server is this one.
fn on_instance(gce: &Gce, work: impl AsyncFnOnce(&App, &Driver)) {
    let driver = CLOUDS.iter().find(|driver| driver.name == "gcp").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let env = gce.variables().into_iter().collect();
    let host: Rc<dyn Host> = Rc::new(TestHost { native: Native::default(), env, folder: folder.path().to_owned() });
    let log = Log::new(host.clone(), Level::Error);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(20));
    let app = App { host, log, http };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work(&app, driver));
}

#[test]
fn its_identity_is_noticed() {
    let gce = Gce::start();
    on_instance(&gce, async |app, driver| {
        assert!(!(driver.has_identity)(app).await);
        gce.tells("instance/service-accounts/default/email", WORKER);
        assert!((driver.has_identity)(app).await);
    });
}

/// The server holds a request until something changes.
#[test]
fn a_preemption_is_noticed_and_the_server_is_not_asked_all_the_time() {
    let fixture = launched();
    let asked = || fixture.cloud.of("/computeMetadata/v1/instance/preempted");
    on_instance(&fixture.cloud, async |app, driver| {
        let waiting = pin!((driver.wait_for_interruption)(app));
        let twice = pin!(async {
            while asked().len() < 2 {
                app.host.sleep(Duration::from_millis(20)).await;
            }
        });
        let Either::Right(((), waiting)) = select(waiting, twice).await else { panic!("nothing has happened") };
        fixture.cloud.tells("instance/preempted", "TRUE");
        waiting.await;
        assert_eq!(asked().len(), 2, "the second one was held");
        assert_eq!(asked()[0].query[2], ("last_etag".to_owned(), "NONE".to_owned()));
        assert!(asked()[1].query[2].1.len() > 4, "{:?}", asked());
    });
}

#[test]
fn an_instance_with_an_identity_deletes_itself() {
    let fixture = launched();
    assert_eq!(fixture.cloud.run_deletion(), (true, String::new()));
    assert_eq!((fixture.cloud.billed(), fixture.cloud.of(DELETE).len()), (Vec::new(), 1));
    // Somebody else was faster.
    let fixture = launched();
    fixture.cloud.fails(DELETE, 1, Wrong::Refused(404, "notFound", "The resource was not found"));
    assert_eq!(fixture.cloud.run_deletion(), (true, String::new()));
}

#[test]
fn a_deletion_is_tried_again_unless_it_is_forbidden() {
    let fixture = launched();
    fixture.cloud.fails(DELETE, 1, Wrong::Refused(503, "backendError", "try again"));
    fixture.cloud.fails(TOKEN, 1, Wrong::Refused(503, "backendError", "try again"));
    let (is_well, said) = fixture.cloud.run_deletion();
    assert!(is_well && said.contains("cml: Google Cloud does not delete this instance (status 503)\n"), "{said}");
    assert_eq!((fixture.cloud.billed(), fixture.cloud.of(DELETE).len()), (Vec::new(), 2));

    let fixture = launched();
    fixture.cloud.fails(DELETE, 9, Wrong::Refused(403, "forbidden", "Required 'compute.instances.delete' permission"));
    let says = "cml: Google Cloud does not delete this instance (status 403)\n";
    assert_eq!(fixture.cloud.run_deletion(), (false, says.to_owned()));
    assert_eq!(fixture.cloud.of(DELETE).len(), 1);

    // Without an answer it gives up, and the instance powers off.
    let fixture = launched();
    fixture.cloud.fails(TOKEN, 9, Wrong::Refused(404, "notFound", "no account"));
    let (is_well, said) = fixture.cloud.run_deletion();
    assert!(!is_well && fixture.cloud.of(DELETE).is_empty() && fixture.cloud.of(TOKEN).len() == 3, "{said}");
}
