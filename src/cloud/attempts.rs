//! The attempts at one instance: its instance types, in the places that have them, as a spot instance and on demand. One after another
//! is made until the cloud grants one; what a refusal means for the rest is the cloud's to say.

use super::rest::Failure;
use crate::error::{Error, Kind, Result};
use crate::http::Http;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

/// How often an attempt is repeated that the cloud refused for a moment, and the first of the growing pauses.
const MAX_REPEATS: u32 = 4;
const REPEAT_PAUSE: Duration = Duration::from_secs(1);

/// How an instance is paid for. Clouds have separate capacity, and separate quotas, for the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// At a lower price; the cloud may take it back.
    Spot,
    /// At full price.
    OnDemand,
}

impl Model {
    /// Returns the models to try, in order.
    pub fn of(spot: bool, on_demand_fallback: bool) -> &'static [Model] {
        match (spot, on_demand_fallback) {
            (true, true) => &[Model::Spot, Model::OnDemand],
            (true, false) => &[Model::Spot],
            (false, _) => &[Model::OnDemand],
        }
    }

    /// Describes the models for a plan.
    pub fn describe(spot: bool, on_demand_fallback: bool) -> &'static str {
        match (spot, on_demand_fallback) {
            (true, true) => "spot, with fallback to on demand",
            (true, false) => "spot",
            (false, _) => "on demand",
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The instance type.
    pub size: String,
    /// The zone or region.
    pub place: String,
    /// How it is paid for.
    pub model: Model,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spot = if self.model == Model::Spot { " (spot)" } else { "" };
        write!(f, "{} in {}{spot}", self.size, self.place)
    }
}

/// What a failure means for the attempts that are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Go on with the next attempt. Places that the cloud says have capacity come first.
    Next {
        /// Those places.
        first: Vec<String>,
    },
    /// The quota of these instance types is used up: go on with others, or pay for them in the other way.
    OtherModel,
    /// Try the same once more, after a pause.
    Retry,
    /// Give up.
    Fatal,
}

/// The attempts that are left.
#[derive(Debug, Clone)]
pub struct Attempts {
    left: VecDeque<Attempt>,
    /// Returns the types that share a quota with one: the part of its name that they have in common.
    family: fn(&str) -> &str,
}

impl Attempts {
    /// Creates the attempts: all of the first model, there all of the first type, there all of its places.
    pub fn new(sizes: &[(String, Vec<String>)], models: &[Model], family: fn(&str) -> &str) -> Attempts {
        let attempts = models.iter().flat_map(|model| {
            sizes.iter().flat_map(move |(size, places)| {
                places.iter().map(move |place| Attempt { size: size.clone(), place: place.clone(), model: *model })
            })
        });
        Attempts { left: attempts.collect(), family }
    }

    /// Moves places to the front, among the attempts of the same type and model.
    fn prefer(&mut self, failed: &Attempt, places: &[String]) {
        let is_same = |one: &Attempt| one.size == failed.size && one.model == failed.model;
        let (same, others): (Vec<_>, Vec<_>) = self.left.drain(..).partition(is_same);
        let (first, later): (Vec<_>, Vec<_>) = same.into_iter().partition(|one| places.contains(&one.place));
        self.left.extend(first.into_iter().chain(later).chain(others));
    }

    /// Drops the attempts that need the same quota.
    fn drop_quota_of(&mut self, failed: &Attempt) {
        let family = self.family;
        self.left.retain(|one| one.model != failed.model || family(&one.size) != family(&failed.size));
    }

    /// Makes the attempts until one succeeds.
    ///
    /// # Errors
    /// [`Kind::NoCapacity`] when none is left, with the cloud's last words; else the failure that is fatal, or of which it is unknown
    /// what it made.
    pub async fn make<T>(
        mut self,
        http: &Http,
        mut launch: impl AsyncFnMut(&Attempt) -> Result<T, Failure>,
        react: impl Fn(&Failure) -> Reaction,
    ) -> Result<T> {
        let mut tried: Vec<Attempt> = Vec::new();
        let mut last: Option<Error> = None;
        while let Some(attempt) = self.left.pop_front() {
            let earlier = tried.last().map(|one| one.model);
            if let Some(error) =
                last.as_ref().filter(|_| earlier == Some(Model::Spot) && attempt.model == Model::OnDemand)
            {
                http.log().warn(&format!("no spot capacity ({error}); falling back to on-demand"));
            }
            let mut repeats = 0;
            let failure = loop {
                http.extend_budget();
                match launch(&attempt).await {
                    Ok(made) => return Ok(made),
                    Err(failure)
                        if repeats < MAX_REPEATS
                            && !failure.error.is_ambiguous()
                            && react(&failure) == Reaction::Retry
                            && http.pause(REPEAT_PAUSE, repeats).await.is_ok() =>
                    {
                        http.log().info(&format!("{}; retrying", failure.error));
                        repeats += 1;
                    }
                    Err(failure) => break failure,
                }
            };
            if failure.error.is_ambiguous() {
                return Err(failure.error);
            }
            match react(&failure) {
                Reaction::Next { first } => self.prefer(&attempt, &first),
                Reaction::OtherModel => self.drop_quota_of(&attempt),
                Reaction::Retry | Reaction::Fatal => return Err(failure.error),
            }
            http.log().info(&format!("cannot launch {attempt}: {}", failure.error));
            tried.push(attempt);
            last = Some(failure.error);
        }
        Err(no_capacity(&tried, last))
    }
}

fn no_capacity(tried: &[Attempt], last: Option<Error>) -> Error {
    let list = |of: fn(&Attempt) -> &str| {
        let mut seen = BTreeSet::new();
        let names = tried.iter().map(of).filter(|name| seen.insert(*name));
        names.collect::<Vec<_>>().join(", ")
    };
    let what = format!("no capacity for {} in {}", list(|one| &one.size), list(|one| &one.place));
    let Some(last) = last else { return Error::new(Kind::NoCapacity, "no instance type is left to try") };
    let error = Error::new(Kind::NoCapacity, format!("{what}: {last}"));
    let error = if let Some(hint) = last.hint_text() { error.hint(hint) } else { error };
    error.or_hint("try another --cloud-region, or more instance types with --cloud-type, separated by commas")
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::super::rest::Refused;
    use super::*;
    use crate::host::Host;
    use crate::host::native::Native;
    use crate::log::{Level, Log};
    use std::rc::Rc;

    fn failure(code: &str) -> Failure {
        let refused = Refused { code: code.to_owned(), ..Refused::default() };
        Failure { error: Error::remote(format!("the cloud says {code}")), refused: Some(Box::new(refused)) }
    }

    fn react(failure: &Failure) -> Reaction {
        match failure.code() {
            "full" => Reaction::Next { first: Vec::new() },
            "full, but not in c" => Reaction::Next { first: vec!["c".to_owned()] },
            "quota" => Reaction::OtherModel,
            _ => Reaction::Fatal,
        }
    }

    fn family(size: &str) -> &str {
        size.split('-').next().unwrap_or_default()
    }

    /// Makes attempts at two sizes of one family and one of another, with these answers: a code, or nothing for a success. Returns what
    /// was tried, and how it ended.
    #[allow(clippy::unwrap_used)]
    fn tried(models: &[Model], answers: &[&str]) -> (Vec<String>, Result<()>) {
        let host: Rc<dyn Host> = Rc::new(Native::default());
        let log = Log::new(host.clone(), crate::log::Verbosity::from(Level::Error));
        let http = Http::new(host, log, Duration::from_secs(60));
        let places = |names: &str| names.chars().map(String::from).collect::<Vec<_>>();
        let sizes = [("n2-8", "abc"), ("n2-16", "a"), ("e2-8", "ab")].map(|(size, at)| (size.to_owned(), places(at)));
        let (mut seen, mut answers) = (Vec::new(), answers.iter());
        let attempts = Attempts::new(&sizes, models, family);
        let work = attempts.make(
            &http,
            async |attempt| {
                seen.push(attempt.to_string());
                match answers.next().copied().unwrap_or("full") {
                    "" => Ok(()),
                    "lost" => Err(Failure::from(Error::remote("lost").ambiguous())),
                    code => Err(failure(code)),
                }
            },
            react,
        );
        let outcome = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
        (seen, outcome)
    }

    #[test]
    fn all_places_of_a_type_are_tried_then_the_next_type_then_the_other_model() {
        let (seen, outcome) = tried(Model::of(true, true), &[]);
        let spot = ["n2-8 in a", "n2-8 in b", "n2-8 in c", "n2-16 in a", "e2-8 in a", "e2-8 in b"];
        let all = spot.iter().map(|one| format!("{one} (spot)")).chain(spot.iter().map(|one| (*one).to_owned()));
        assert_eq!(seen, all.collect::<Vec<_>>());
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), Kind::NoCapacity);
        assert_eq!(error.to_string(), "no capacity for n2-8, n2-16, e2-8 in a, b, c: the cloud says full");
        assert_eq!(tried(Model::of(true, false), &[]).0.len(), 6);
        assert_eq!(tried(Model::of(false, true), &["full", ""]).0, ["n2-8 in a", "n2-8 in b"]);
    }

    #[test]
    fn a_place_that_the_cloud_recommends_comes_first() {
        let (seen, _) = tried(Model::of(false, true), &["full, but not in c", "full", ""]);
        assert_eq!(seen, ["n2-8 in a", "n2-8 in c", "n2-8 in b"]);
    }

    #[test]
    fn a_quota_rules_out_all_types_that_share_it() {
        let (seen, _) = tried(Model::of(true, true), &["quota", "quota", "full", ""]);
        assert_eq!(seen, ["n2-8 in a (spot)", "e2-8 in a (spot)", "n2-8 in a", "n2-8 in b"]);
    }

    #[test]
    fn what_is_fatal_or_unknown_ends_the_attempts() {
        let (seen, outcome) = tried(Model::of(true, true), &["denied"]);
        assert_eq!((seen.len(), outcome.unwrap_err().to_string().as_str()), (1, "the cloud says denied"));
        let (seen, outcome) = tried(Model::of(true, true), &["full", "lost"]);
        assert!(seen.len() == 2 && outcome.unwrap_err().is_ambiguous());
    }
}
