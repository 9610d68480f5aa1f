//! The templates of `dvc.yaml`: `${key}`, from `params.yaml`, `vars`, `foreach` and `matrix`.
//! <https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#templating>

use crate::metrics::Value;
use std::collections::BTreeMap;

/// Values for templates: each layer goes before those under it.
#[derive(Debug, Clone, Default)]
pub struct Context {
    layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
struct Layer {
    value: Value,
    origins: Origins,
}

/// Where the values of a layer come from.
#[derive(Debug, Clone)]
enum Origins {
    /// Nowhere else: they stand in `dvc.yaml`.
    Here,
    /// All from a file.
    File(String),
    /// Those of keys from places in files.
    Keys(BTreeMap<String, Origin>),
}

/// A place in a file.
pub type Origin = (String, String);

/// What templates took from files: keys with values, by file.
pub type Used = BTreeMap<String, BTreeMap<String, Value>>;

impl Context {
    /// Puts the values of a file on top.
    pub fn add_file(&mut self, file: &str, value: Value) {
        self.layers.push(Layer { value, origins: Origins::File(file.to_owned()) });
    }

    /// Puts values on top that stand in `dvc.yaml`.
    pub fn add(&mut self, value: Value) {
        self.layers.push(Layer { value, origins: Origins::Here });
    }

    /// Puts values on top that come from places in files.
    pub fn add_items(&mut self, value: Value, origins: BTreeMap<String, Origin>) {
        self.layers.push(Layer { value, origins: Origins::Keys(origins) });
    }

    /// Returns the value of a key such as `a.b` or `a[0]`, and where it comes from.
    fn get(&self, key: &str) -> Option<(&Value, Option<Origin>)> {
        let key = key.replace('[', ".").replace(']', "");
        let parts: Vec<&str> = key.split('.').collect();
        self.layers.iter().rev().find_map(|layer| {
            let value = parts.iter().try_fold(&layer.value, |value, part| step(value, part))?;
            Some((value, layer.origin(&parts)))
        })
    }

    /// Returns a value with its templates resolved, and notes what came from files.
    ///
    /// # Errors
    /// The template that cannot be resolved.
    pub fn resolve(&self, value: &Value, used: &mut Used) -> Result<Value, String> {
        match value {
            Value::Text(text) => self.resolve_text(text, used),
            Value::List(items) => {
                Ok(Value::List(items.iter().map(|item| self.resolve(item, used)).collect::<Result<_, _>>()?))
            }
            Value::Map(entries) => {
                let mut resolved = Vec::new();
                for (key, value) in entries {
                    let key = self.resolve_text(key, used)?;
                    resolved.push((shown(&key), self.resolve(value, used)?));
                }
                Ok(Value::Map(resolved))
            }
            other => Ok(other.clone()),
        }
    }

    fn resolve_text(&self, text: &str, used: &mut Used) -> Result<Value, String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(start) = rest.find("${") {
            let is_escaped = rest[..start].ends_with('\\');
            let Some(end) = rest[start..].find('}').map(|end| start + end) else { break };
            if is_escaped {
                out += &rest[..start - 1];
                out += "${";
                rest = &rest[start + 2..];
                continue;
            }
            let template = &rest[start..=end];
            let (value, origin) =
                self.get(rest[start + 2..end].trim()).ok_or_else(|| format!("cannot resolve {template}"))?;
            if let Some((file, key)) = origin.filter(|_| !matches!(value, Value::Map(_))) {
                used.entry(file).or_default().insert(key, value.clone());
            }
            if template == text {
                return Ok(value.clone());
            }
            out += &rest[..start];
            out += &shown(value);
            rest = &rest[end + 1..];
        }
        Ok(Value::Text(out + rest))
    }
}

impl Layer {
    fn origin(&self, parts: &[&str]) -> Option<Origin> {
        match &self.origins {
            Origins::Here => None,
            Origins::File(file) => Some((file.clone(), parts.join("."))),
            Origins::Keys(origins) => (1..=parts.len()).rev().find_map(|length| {
                let (file, key) = origins.get(&parts[..length].join("."))?;
                let whole: Vec<&str> = [key.as_str()].into_iter().chain(parts[length..].iter().copied()).collect();
                Some((file.clone(), whole.join(".")))
            }),
        }
    }
}

fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::List(items) => items.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    }
}

/// Returns a value as it stands in a text.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Bool(yes) => yes.to_string(),
        value => value.to_python(),
    }
}

/// One of the stages that `foreach` or `matrix` makes.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// What tells it from the others, in its name.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Where values come from, by their names in templates.
    pub origins: BTreeMap<String, Origin>,
    /// Whether `${key}` is its key.
    pub has_key: bool,
}

impl Context {
    /// Returns the items of `foreach`, which is a list, a table, or a template.
    ///
    /// # Errors
    /// The template that cannot be resolved, or what it is instead.
    pub fn foreach(&self, data: &Value) -> Result<Vec<Item>, String> {
        let whole = self.origin_of(data);
        let of = |part: &str| {
            let place = whole.clone().map(|(file, key)| (file, format!("{key}.{part}")));
            place.into_iter().map(|place| ("item".to_owned(), place)).collect::<BTreeMap<_, _>>()
        };
        match self.resolve(data, &mut Used::new())? {
            Value::List(items) => {
                let is_plain = !items.iter().any(is_composite);
                let item = |(at, value): (usize, Value)| {
                    let key = if is_plain { shown(&value) } else { at.to_string() };
                    Item { key, value, origins: of(&at.to_string()), has_key: false }
                };
                Ok(items.into_iter().enumerate().map(item).collect())
            }
            Value::Map(entries) => {
                let item = |(key, value): (String, Value)| Item { origins: of(&key), key, value, has_key: true };
                Ok(entries.into_iter().map(item).collect())
            }
            _ => Err("foreach is not a list or a table".to_owned()),
        }
    }

    /// Returns the items of `matrix`: all combinations of the values of its lists.
    ///
    /// # Errors
    /// The template that cannot be resolved, or what is not a list.
    pub fn matrix(&self, data: &Value) -> Result<Vec<Item>, String> {
        let mut items =
            vec![Item { key: String::new(), value: Value::Map(Vec::new()), origins: BTreeMap::new(), has_key: true }];
        for (name, list) in data.entries().ok_or("matrix is not a table")? {
            let whole = self.origin_of(list);
            let values = self.resolve(list, &mut Used::new())?;
            let values = values.items().ok_or_else(|| format!("{name} in matrix is not a list"))?;
            let add = |item: &Item, (at, value): (usize, &Value)| {
                let fragment = if is_composite(value) { format!("{name}{at}") } else { shown(value) };
                let key = if item.key.is_empty() { fragment } else { format!("{}-{fragment}", item.key) };
                let mut entries = item.value.entries().unwrap_or_default().to_vec();
                entries.push((name.clone(), value.clone()));
                let mut origins = item.origins.clone();
                origins
                    .extend(whole.clone().map(|(file, key)| (format!("item.{name}"), (file, format!("{key}.{at}")))));
                Item { key, value: Value::Map(entries), origins, has_key: true }
            };
            items =
                items.iter().flat_map(|item| values.iter().enumerate().map(move |value| add(item, value))).collect();
        }
        Ok(items)
    }

    /// Returns this with an item on top.
    pub fn with_item(&self, item: &Item) -> Context {
        let key = item.has_key.then(|| ("key".to_owned(), Value::Text(item.key.clone())));
        let entries = [("item".to_owned(), item.value.clone())].into_iter().chain(key);
        let mut context = self.clone();
        context.add_items(Value::Map(entries.collect()), item.origins.clone());
        context
    }

    /// Returns where a value comes from that is one template.
    fn origin_of(&self, data: &Value) -> Option<Origin> {
        let key = data.text()?.strip_prefix("${")?.strip_suffix('}')?;
        self.get(key.trim())?.1
    }
}

fn is_composite(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::yaml;

    fn context() -> Context {
        let mut context = Context::default();
        context.add_file("params.yaml", yaml::parse("a: {b: [x, y]}\non: true\nn: 3\nmodels: [cnn, rf]").unwrap());
        context.add(yaml::parse("n: 4").unwrap());
        context
    }

    fn resolve(context: &Context, text: &str) -> Result<(Value, Used), String> {
        let mut used = Used::new();
        Ok((context.resolve(&Value::from(text), &mut used)?, used))
    }

    #[test]
    fn keys_are_found_and_noted() {
        let (value, used) = resolve(&context(), "m/${a.b[1]}-${ on }-${n}.json").unwrap();
        assert_eq!(value, Value::from("m/y-true-4.json"));
        let keys: Vec<&String> = used["params.yaml"].keys().collect();
        assert_eq!(keys, ["a.b.1", "on"]);
        assert_eq!(resolve(&context(), "${n}").unwrap().0, Value::from(4));
        assert_eq!(resolve(&context(), r"\${n} ${").unwrap().0, Value::from("${n} ${"));
        assert_eq!(resolve(&context(), "x ${a.c}"), Err("cannot resolve ${a.c}".to_owned()));
    }

    #[test]
    fn lists_and_tables_give_items() {
        let keys = |data: &str| -> Vec<String> {
            context().foreach(&yaml::parse(data).unwrap()).unwrap().into_iter().map(|item| item.key).collect()
        };
        assert_eq!(keys("[a, true, 1.0]"), ["a", "true", "1.0"]);
        assert_eq!(keys("[a, {b: 1}]"), ["0", "1"]);
        assert_eq!(keys("{x: 1, y: 2}"), ["x", "y"]);
        assert_eq!(keys("${models}"), ["cnn", "rf"]);
        assert!(context().foreach(&Value::from("${n}")).is_err());
        let item = &context().foreach(&Value::from("${models}")).unwrap()[1];
        let (value, used) = resolve(&context().with_item(item), "${item}.json").unwrap();
        assert_eq!((value, used["params.yaml"]["models.1"].clone()), (Value::from("rf.json"), Value::from("rf")));
    }

    #[test]
    fn a_matrix_gives_all_combinations() {
        let data = yaml::parse("model: ${models}\nseed: [1, {x: 2}]").unwrap();
        let items = context().matrix(&data).unwrap();
        let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
        assert_eq!(keys, ["cnn-1", "cnn-seed1", "rf-1", "rf-seed1"]);
        let (value, _) = resolve(&context().with_item(&items[3]), "${key} ${item.model} ${item.seed.x}").unwrap();
        assert_eq!(value, Value::from("rf-seed1 rf 2"));
    }
}
