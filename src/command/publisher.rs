//! Publishes the pictures that a command draws, those that did not change once.

use super::publish_args::Store;
use crate::app::App;
use crate::error::{Error, Result};
use crate::forge::assets::Asset;
use std::collections::HashMap;

/// Publishes pictures and remembers their addresses.
pub struct Publisher<'a> {
    app: &'a App,
    store: &'a Store,
    /// Addresses by content.
    known: HashMap<String, String>,
}

impl<'a> Publisher<'a> {
    /// Returns one for a store.
    pub fn new(app: &'a App, store: &'a Store) -> Self {
        Publisher { app, store, known: HashMap::new() }
    }

    /// Publishes pictures and returns their addresses, in their order. `what` they are is for the error.
    pub async fn publish(&mut self, pictures: &[Asset], what: &str) -> Result<Vec<String>> {
        let mut new: Vec<Asset> = Vec::new();
        for asset in pictures {
            let unseen = new.iter().all(|other| other.hash != asset.hash);
            if unseen && !self.known.contains_key(&asset.hash) {
                new.push(asset.clone());
            }
        }
        if !new.is_empty() {
            let sent = self.store.publish(self.app).files(&new).await;
            let sent = sent.map_err(|error| error.context(format!("cannot publish {what}")))?;
            self.known.extend(new.into_iter().map(|asset| asset.hash).zip(sent));
        }
        let addresses: Vec<String> = pictures.iter().filter_map(|asset| self.known.get(&asset.hash).cloned()).collect();
        if addresses.len() != pictures.len() {
            return Err(Error::internal("an upload without an address"));
        }
        Ok(addresses)
    }
}
