//! What a test wants to happen at certain requests of a server.

use super::fake::server::lock;
use std::sync::{Arc, Mutex};

/// Called with the number of a request, from 1; by several at the same time.
type OnRequest = Arc<dyn Fn(usize) + Send + Sync>;

/// What happens, if anything does.
#[derive(Default)]
pub struct Hook(Mutex<Option<OnRequest>>);

impl Hook {
    pub fn set(&self, hook: impl Fn(usize) + Send + Sync + 'static) {
        *lock(&self.0) = Some(Arc::new(hook));
    }

    pub fn clear(&self) {
        *lock(&self.0) = None;
    }

    /// Calls it, if there is one.
    pub fn call(&self, number: usize) {
        let hook = lock(&self.0).clone();
        if let Some(hook) = hook {
            hook(number);
        }
    }
}
