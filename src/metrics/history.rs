//! What was measured at earlier commits: records, one for each commit, and which of them is asked for.

use super::compare::leaves;
use super::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The version of the format.
const VERSION: i64 = 1;

/// The metrics of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its hash, in hexadecimal digits.
    pub commit: String,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// The branch.
    pub branch: String,
    /// The page of the run that measured them.
    pub run: Option<String>,
    /// The operating system and processor of the machine.
    pub machine: String,
    /// The metrics of each file, by its path from the top of the repository.
    pub metrics: BTreeMap<String, Value>,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()))?;
        let value = json::parse(text)?;
        match value.get("version").and_then(Value::to_f64) {
            Some(version) if version == VERSION as f64 => {}
            Some(version) => return Err(format!("its version is {version}, and this cml reads version {VERSION}")),
            None => return Err("it has no version".to_owned()),
        }
        let text = |key: &str| value.get(key).and_then(Value::text).map(str::to_owned);
        let commit = text("commit").filter(|commit| is_hash(commit)).ok_or("it has no commit")?;
        let time = value.get("time").and_then(Value::to_f64).filter(|time| *time >= 0.0).ok_or("it has no time")?;
        let metrics = value.get("metrics").and_then(Value::entries).ok_or("it has no metrics")?;
        Ok(Record {
            commit,
            time: time as u64,
            branch: text("branch").unwrap_or_default(),
            run: text("run"),
            machine: text("machine").unwrap_or_default(),
            metrics: metrics.iter().cloned().collect(),
        })
    }

    /// Returns its JSON, on one line.
    pub fn write(&self) -> String {
        let mut fields = vec![
            ("version", Value::from(VERSION)),
            ("commit", Value::from(self.commit.as_str())),
            ("time", Value::from(i64::try_from(self.time).unwrap_or(i64::MAX))),
            ("branch", Value::from(self.branch.as_str())),
            ("machine", Value::from(self.machine.as_str())),
        ];
        fields.extend(self.run.as_deref().map(|run| ("run", Value::from(run))));
        fields.push(("metrics", Value::Map(self.metrics.clone().into_iter().collect())));
        let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut text = String::new();
        json::write(&Value::Map(fields), &mut text);
        text.push('\n');
        text
    }

    /// Returns the path of its file.
    pub fn path(&self) -> String {
        let (folder, rest) = self.commit.split_at(2);
        format!("{folder}/{rest}.json")
    }

    /// Adds the files of another record of the same commit; one of the same path replaces ours. Returns whether that changed anything.
    pub fn merge(&mut self, other: &Record) -> bool {
        let before = self.write_metrics();
        self.metrics.extend(other.metrics.clone());
        let is_changed = self.write_metrics() != before;
        if is_changed {
            let Record { time, branch, run, machine, .. } = other;
            (self.time, self.branch, self.run, self.machine) = (*time, branch.clone(), run.clone(), machine.clone());
        }
        is_changed
    }

    /// Text, because NaN does not equal itself.
    fn write_metrics(&self) -> String {
        let mut text = String::new();
        json::write(&Value::Map(self.metrics.clone().into_iter().collect()), &mut text);
        text
    }

    /// Returns the value of a metric: the mean over the files that have it, which are runs with several seeds.
    pub fn value(&self, name: &str) -> Option<f64> {
        mean(&self.metrics, name)
    }

    /// Returns the first digits of the commit.
    pub fn short(&self) -> &str {
        self.commit.get(..7).unwrap_or(&self.commit)
    }
}

/// Returns the mean of a metric over the files that have it as a number.
pub fn mean(files: &BTreeMap<String, Value>, name: &str) -> Option<f64> {
    let value = |file: &Value| leaves(file).ok()?.get(name)?.to_f64();
    let values: Vec<f64> = files.values().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Sorts records by the time of their commits, oldest first.
pub fn sort(records: &mut [Record]) {
    records.sort_by(|one, other| (one.time, &one.commit).cmp(&(other.time, &other.commit)));
}

/// A baseline from the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baseline {
    /// The newest record.
    Last,
    /// The record with the greatest value of a metric.
    Max(String),
    /// The record with the least value of a metric.
    Min(String),
}

impl FromStr for Baseline {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            None if text == "last" => Ok(Baseline::Last),
            Some(("max", name)) if !name.is_empty() => Ok(Baseline::Max(name.to_owned())),
            Some(("min", name)) if !name.is_empty() => Ok(Baseline::Min(name.to_owned())),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Baseline::Last => write!(f, "last"),
            Baseline::Max(name) => write!(f, "max:{name}"),
            Baseline::Min(name) => write!(f, "min:{name}"),
        }
    }
}

impl Baseline {
    /// Returns the record of sorted ones that it names; of equal ones the newest.
    pub fn choose<'r>(&self, records: &'r [Record]) -> Option<&'r Record> {
        let (name, sign) = match self {
            Baseline::Last => return records.last(),
            Baseline::Max(name) => (name, 1.0),
            Baseline::Min(name) => (name, -1.0),
        };
        let valued = records.iter().filter_map(|record| Some((record.value(name)? * sign, record)));
        let valued = valued.filter(|(value, _)| !value.is_nan());
        valued.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, record)| record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(digit: &str, time: u64, metrics: &str) -> Record {
        Record {
            commit: digit.repeat(40),
            time,
            branch: "main".to_owned(),
            run: None,
            machine: "linux x86_64".to_owned(),
            metrics: [("metrics.json".to_owned(), json::parse(metrics).unwrap())].into(),
        }
    }

    #[test]
    fn the_best_is_the_newest_of_the_best() {
        let mut records = [
            record("c", 3, "{\"a\": 2}"),
            record("a", 1, "{\"a\": 2}"),
            record("b", 2, "{\"a\": 1}"),
            record("d", 4, "{\"a\": NaN}"),
            record("e", 5, "{\"b\": 1}"),
        ];
        sort(&mut records);
        let chosen = |text: &str| {
            let chosen = text.parse::<Baseline>().unwrap();
            assert_eq!(chosen.to_string(), text);
            chosen.choose(&records).map(|record| record.commit[..1].to_owned())
        };
        assert_eq!(chosen("last").unwrap(), "e");
        assert_eq!(chosen("max:a").unwrap(), "c");
        assert_eq!(chosen("min:a").unwrap(), "b");
        assert_eq!(chosen("min:none"), None);
        for other in ["main", "max:", "max", "tag:v1", "lasts"] {
            assert!(other.parse::<Baseline>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_record_of_the_same_commit_adds_its_files_once() {
        let mut one = record("a", 1, "{\"a\": NaN}");
        let mut other = one.clone();
        assert!(!one.merge(&other));
        other.metrics = [("other.json".to_owned(), json::parse("{\"b\": 1}").unwrap())].into();
        other.run = Some("https://run".to_owned());
        assert!(one.merge(&other) && !one.merge(&other));
        assert_eq!((one.metrics.len(), one.run.as_deref()), (2, Some("https://run")));
    }

    #[test]
    fn what_is_wrong_with_a_record_is_said() {
        let commit = "a".repeat(40);
        for (text, expected) in [
            ("", "unexpected end"),
            ("[]", "it has no version"),
            ("{\"version\": 2}", "its version is 2, and this cml reads version 1"),
            ("{\"version\": 1, \"commit\": \"../x\"}", "it has no commit"),
            (&format!("{{\"version\": 1, \"commit\": \"{commit}\"}}"), "it has no time"),
            (
                &format!("{{\"version\": 1, \"commit\": \"{commit}\", \"time\": 1, \"metrics\": 1}}"),
                "it has no metrics",
            ),
        ] {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            assert!(text.is_empty() || error == expected, "{text}: {error}");
        }
        assert!(Record::parse(&[255]).unwrap_err().contains("not UTF-8"));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("NaN does not equal itself", |number| !number.is_nan()).prop_map(Value::from),
            "\\PC{0,8}".prop_map(|text| Value::from(text.as_str())),
            any::<bool>().prop_map(Value::Bool),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            proptest::collection::btree_map("[a-z./ ]{1,5}", inner, 0..3)
                .prop_map(|map| Value::Map(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            commit in "[0-9a-f]{40}",
            time in 0u64..(1 << 50),
            branch in "\\PC{0,12}",
            run in proptest::option::of("\\PC{0,12}"),
            metrics in proptest::collection::btree_map("\\PC{1,12}", values(), 0..4),
        ) {
            let record = Record { commit, time, branch, run, machine: "linux x86_64".to_owned(), metrics };
            let text = record.write();
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert_eq!(Record::parse(text.as_bytes()), Ok(record));
        }

        #[test]
        fn no_text_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,100}") {
            let _ = Record::parse(&bytes);
            let _ = Record::parse(text.as_bytes());
            let _ = Record::parse(format!("{{\"version\": 1, {text}}}").as_bytes());
        }
    }
}
