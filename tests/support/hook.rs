//! What a test wants to happen at certain requests of a server.

use super::fake::server::lock;
use std::sync::Mutex;

/// Called with the number of a request, from 1.
type OnRequest = Box<dyn Fn(usize) + Send>;

/// What happens, if anything does.
#[derive(Default)]
pub struct Hook(Mutex<Option<OnRequest>>);

impl Hook {
    pub fn set(&self, hook: impl Fn(usize) + Send + 'static) {
        *lock(&self.0) = Some(Box::new(hook));
    }

    pub fn clear(&self) {
        *lock(&self.0) = None;
    }

    /// Calls it, if there is one; requests at the same time pass meanwhile.
    pub fn call(&self, number: usize) {
        let hook = lock(&self.0).take();
        if let Some(hook) = hook {
            hook(number);
            lock(&self.0).get_or_insert(hook);
        }
    }
}
