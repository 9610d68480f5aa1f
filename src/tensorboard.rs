//! The logs that TensorBoard shows: event files as TensorFlow, PyTorch, Keras and others write them.
//!
//! A folder of logs has runs: each sub-folder with event files is one, and `.` is the folder itself. [`folder`] finds
//! and reads the files, in pieces; [`records`] takes them apart; [`proto`] reads what is in a record; a [`Run`]
//! keeps, of each tag, a [`Series`] or the last image. [`report`] writes the Markdown, with [`crate::charts`]. All
//! but [`folder`] is pure.

pub mod folder;
mod proto;
pub mod records;
pub mod report;

pub use crate::charts::{Point, Series};
use proto::Datum;
use std::collections::{BTreeMap, HashMap};

/// An image as it was logged.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The step that it belongs to.
    pub step: i64,
    /// The file: PNG as a rule.
    pub bytes: Vec<u8>,
}

/// What is known of a run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Scalars by tag.
    pub scalars: BTreeMap<String, Series>,
    /// The last image of each tag.
    pub images: BTreeMap<String, Image>,
    /// The plugin that each tag is for, which is written once.
    plugins: HashMap<String, String>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is part of the run now.
    Yes,
    /// Its data is no event.
    NotAnEvent,
    /// The training started again at this step: what was logged for it and later ones before is void, and too much
    /// of it has been forgotten to tell what remains. The run is to be read again, without it.
    Restart(i64),
}

impl Run {
    /// Adds the data of one record. `void` is the first step that a later restart takes back.
    ///
    /// A restart (a session log `START`) takes back what was logged for its step and later ones, as TensorBoard's
    /// `EventAccumulator` does.
    pub fn record(&mut self, data: &[u8], void: Option<i64>) -> Taken {
        let Some(event) = proto::event(data) else { return Taken::NotAnEvent };
        if event.is_start() && !self.take_back(event.step) {
            return Taken::Restart(event.step);
        }
        let (step, wall_time) = (event.step, event.wall_time);
        let is_void = void.is_some_and(|first| step >= first);
        for value in event.values() {
            if let Some(plugin) = value.plugin() {
                self.plugins.entry(value.tag.clone()).or_insert_with(|| plugin.to_owned());
            }
            let plugin = self.plugins.get(&value.tag).map(String::as_str);
            match value.datum(plugin) {
                _ if is_void => {}
                Some(Datum::Scalar(value_)) => {
                    self.scalars.entry(value.tag).or_default().push(Point { step, wall_time, value: value_ });
                }
                Some(Datum::Image(bytes)) => drop(self.images.insert(value.tag, Image { step, bytes })),
                None => {}
            }
        }
        Taken::Yes
    }

    /// Takes everything from a step on back. `false` when what would remain is not known any more.
    fn take_back(&mut self, step: i64) -> bool {
        if self.images.values().any(|image| image.step >= step) || !self.scalars.values().all(|s| s.can_cut(step)) {
            return false;
        }
        self.scalars.values_mut().for_each(|series| series.cut(step));
        self.scalars.retain(|_, series| series.count() > 0);
        true
    }
}

#[cfg(test)]
mod tests;
