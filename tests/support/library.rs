//! The program's insides with an environment of their own, where there is no command for what is tested.

use cml::app::App;
use cml::host::{Host, native::Native};
use cml::http::Http;
use cml::log::{Level, Log};
use std::rc::Rc;
use std::time::Duration;

/// What commands work with, and something to run them on.
pub struct Library {
    pub app: App,
    runtime: tokio::runtime::Runtime,
}

impl Library {
    /// In an environment.
    pub fn new(env: &[(&str, &str)]) -> Library {
        let host: Rc<dyn Host> = Rc::new(Native::default().in_env(env.iter().copied().collect()));
        let log = Log::new(host.clone(), Level::Error);
        let http = Http::new(host.clone(), log.clone(), Duration::from_secs(30));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Library { app: App { host, log, http }, runtime }
    }

    /// Runs to the end.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}
