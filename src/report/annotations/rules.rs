//! The rules of a SARIF run: those of the tool itself and those of its extensions, as results name them
//! (sections 3.19.23, 3.49 and 3.52 of the standard).

use serde_json::Value;
use std::collections::HashMap;

/// Which rule: its component, of which the first is the tool itself, and its place there.
type Place = (usize, usize);

/// The rules of a run, found without looking at all of them for each result.
pub struct Rules<'a> {
    components: Vec<&'a Value>,
    by_id: HashMap<(usize, &'a str), usize>,
    by_id_anywhere: HashMap<&'a str, Place>,
    by_guid: HashMap<&'a str, Place>,
    /// Levels that an invocation of the tool was given for rules.
    overrides: HashMap<(u64, Place), &'a str>,
}

/// A rule with the component that has it.
#[derive(Clone, Copy)]
pub struct Rule<'a> {
    descriptor: &'a Value,
    component: &'a Value,
    level: Option<&'a str>,
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

impl<'a> Rules<'a> {
    /// Collects the rules of a run.
    pub fn new(run: &'a Value) -> Self {
        let tool = &run["tool"];
        let components: Vec<&Value> = std::iter::once(&tool["driver"]).chain(list(tool, "extensions")).collect();
        let mut rules = Rules {
            components,
            by_id: HashMap::new(),
            by_id_anywhere: HashMap::new(),
            by_guid: HashMap::new(),
            overrides: HashMap::new(),
        };
        for (component, found) in rules.components.iter().enumerate() {
            for (index, rule) in list(found, "rules").iter().enumerate() {
                let place = (component, index);
                if let Some(id) = rule["id"].as_str() {
                    rules.by_id.entry((component, id)).or_insert(index);
                    rules.by_id_anywhere.entry(id).or_insert(place);
                }
                if let Some(guid) = rule["guid"].as_str() {
                    rules.by_guid.entry(guid).or_insert(place);
                }
            }
        }
        for (invocation, found) in (0..).zip(list(run, "invocations")) {
            for given in list(found, "ruleConfigurationOverrides") {
                let place = rules.find(&given["descriptor"], None, None);
                if let (Some(place), Some(level)) = (place, given["configuration"]["level"].as_str()) {
                    rules.overrides.insert((invocation, place), level);
                }
            }
        }
        rules
    }

    /// Returns the rule of a result.
    pub fn of_result(&self, result: &Value) -> Option<Rule<'a>> {
        let place = self.find(&result["rule"], result["ruleId"].as_str(), result["ruleIndex"].as_u64())?;
        let component = self.components[place.0];
        let descriptor = list(component, "rules").get(place.1)?;
        let invocation = result["provenance"]["invocationIndex"].as_u64().unwrap_or(0);
        let given = self.overrides.get(&(invocation, place)).copied();
        let level = given.or_else(|| descriptor.pointer("/defaultConfiguration/level")?.as_str());
        Some(Rule { descriptor, component, level })
    }

    /// Returns the rule that a reference means: by its GUID, else by its number where the identity does not
    /// contradict, else by its identity.
    fn find(&self, reference: &Value, id: Option<&str>, index: Option<u64>) -> Option<Place> {
        if let Some(place) = reference["guid"].as_str().and_then(|guid| self.by_guid.get(guid)) {
            return Some(*place);
        }
        let component = self.component(&reference["toolComponent"]);
        let id = id.or_else(|| reference["id"].as_str());
        let index = index.or_else(|| reference["index"].as_u64()).and_then(|index| usize::try_from(index).ok());
        let numbered = index.and_then(|index| {
            let component = component.unwrap_or(0);
            let rule = list(self.components.get(component)?, "rules").get(index)?;
            Some(((component, index), rule["id"].as_str()))
        });
        match (numbered, id) {
            (Some((place, found)), Some(id)) if found.is_none_or(|found| is_below(id, found)) => Some(place),
            (Some((place, _)), None) => Some(place),
            (_, Some(id)) => self.by_identity(component, id).or(numbered.map(|(place, _)| place)),
            (None, None) => None,
        }
    }

    /// Returns the component that a reference means.
    fn component(&self, reference: &Value) -> Option<usize> {
        let has = |name: &str| {
            let wanted = reference[name].as_str()?;
            self.components.iter().position(|component| component[name].as_str() == Some(wanted))
        };
        let extension = reference["index"].as_u64().and_then(|index| usize::try_from(index).ok()?.checked_add(1));
        extension.filter(|at| *at < self.components.len()).or_else(|| has("guid")).or_else(|| has("name"))
    }

    /// Returns the rule of an identity, or of one that it refines: `CA1000/1` is of the rule `CA1000`.
    fn by_identity(&self, component: Option<usize>, id: &str) -> Option<Place> {
        let mut ids = std::iter::successors(Some(id), |id| Some(id.rsplit_once('/')?.0)).take(8);
        ids.find_map(|id| match component {
            Some(component) => Some((component, *self.by_id.get(&(component, id))?)),
            None => self.by_id_anywhere.get(id).copied(),
        })
    }
}

/// Returns whether an identity is another one or refines it.
fn is_below(id: &str, other: &str) -> bool {
    id.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl<'a> Rule<'a> {
    /// Returns its identity.
    pub fn id(&self) -> Option<&'a str> {
        self.descriptor["id"].as_str()
    }

    /// Returns the level of its results that say none themselves.
    pub fn level(&self) -> Option<&'a str> {
        self.level
    }

    /// One of its messages, or of those that the component has for all of its rules.
    pub fn message(&self, id: &str) -> Option<&'a str> {
        let of = |strings: &'a Value| strings[id]["text"].as_str();
        of(&self.descriptor["messageStrings"]).or_else(|| of(&self.component["globalMessageStrings"]))
    }
}
