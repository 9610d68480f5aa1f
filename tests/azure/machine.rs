//! What a machine finds out from its metadata service, in this process.

use crate::support::azure::Azure;
use crate::support::host::TestHost;
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

/// Runs a machine's code, in an environment where the metadata service is Azure's.
fn on_machine(azure: &Azure, work: impl AsyncFnOnce(&App, &Driver)) {
    let driver = CLOUDS.iter().find(|driver| driver.name == "azure").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let env = azure.variables().into_iter().collect();
    let host: Rc<dyn Host> = Rc::new(TestHost { native: Native::default(), env, folder: folder.path().to_owned() });
    let log = Log::new(host.clone(), Level::Error);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(20));
    let app = App { host, log, http };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work(&app, driver));
}

/// Real: the program's code. Scripted: the metadata service.
#[test]
fn only_its_own_preemption_is_noticed() {
    let azure = Azure::start();
    on_machine(&azure, async |app, driver| {
        for (kind, machine) in [("Reboot", "vm-1"), ("Preempt", "vm-2")] {
            azure.announces(kind, machine);
            let asked = azure.asked_for_events();
            let waiting = pin!((driver.wait_for_interruption)(app));
            let twice = pin!(async {
                while azure.asked_for_events() < asked + 2 {
                    app.host.sleep(Duration::from_millis(20)).await;
                }
            });
            assert!(matches!(select(waiting, twice).await, Either::Right(_)), "{kind} of {machine}");
        }
        azure.announces("Preempt", "vm-1");
        (driver.wait_for_interruption)(app).await;
    });
}

/// It may take two minutes; here it takes longer than the later ones may.
#[test]
fn the_first_answer_about_events_takes_its_time() {
    let azure = Azure::start();
    azure.announces("Preempt", "vm-1");
    azure.announces_late(Duration::from_secs(11));
    on_machine(&azure, async |app, driver| (driver.wait_for_interruption)(app).await);
    assert_eq!(azure.asked_for_events(), 1);
}
