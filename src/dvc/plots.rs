//! Plots that `dvc.yaml` declares, and what the data of their files is.
//! <https://dvc.org/doc/user-guide/project-structure/dvcyaml-files#plots>

use super::join;
use crate::metrics::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A plot as `dvc.yaml` declares it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definition {
    /// The path of a file or folder, or any name where `y` names files.
    pub id: String,
    /// How it is drawn.
    pub props: Props,
    /// Whether a stage has it as an output, and not the top level.
    pub is_output: bool,
}

/// How a plot is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Props {
    /// Where the values of x come from; the number of the row if none is given.
    pub x: Axis,
    /// The same for y; the last field if none is given.
    pub y: Axis,
    /// What stands beside the axis of x.
    pub x_label: Option<String>,
    /// The same for y.
    pub y_label: Option<String>,
    /// What stands above.
    pub title: Option<String>,
    /// The name of a template, or of a file with one.
    pub template: Option<String>,
    /// Whether the first line of a table has no names.
    pub no_header: bool,
}

/// Where the values of an axis come from.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Axis {
    /// Neither field nor file is given.
    #[default]
    Inferred,
    /// From fields of the plot's own file.
    Fields(Vec<String>),
    /// From fields of files.
    Files(Vec<(String, Vec<String>)>),
}

impl Axis {
    fn read(value: Option<&Value>, folder: &str) -> Result<Self, String> {
        match value.filter(|value| **value != Value::Null) {
            None => Ok(Axis::Inferred),
            Some(Value::Map(entries)) => {
                let of_file = |(file, fields): &(String, Value)| Ok((inside(folder, file)?, fields_of(fields)));
                Ok(Axis::Files(entries.iter().map(of_file).collect::<Result<_, String>>()?))
            }
            Some(fields) => Ok(Axis::Fields(fields_of(fields))),
        }
    }

    /// Returns files with fields, where those without a file are of this one.
    fn pairs(&self, own: &str) -> Vec<(String, String)> {
        let of = |file: &str, fields: &[String]| -> Vec<(String, String)> {
            fields.iter().map(|field| (file.to_owned(), field.clone())).collect()
        };
        match self {
            Axis::Inferred => Vec::new(),
            Axis::Fields(fields) => of(own, fields),
            Axis::Files(files) => files.iter().flat_map(|(file, fields)| of(file, fields)).collect(),
        }
    }
}

fn fields_of(value: &Value) -> Vec<String> {
    match value {
        Value::List(fields) => fields.iter().map(Value::to_python).collect(),
        field => vec![field.to_python()],
    }
}

fn inside(folder: &str, path: &str) -> Result<String, String> {
    join(folder, path).ok_or_else(|| format!("{path} is outside of the repository"))
}

impl Props {
    fn read(value: &Value, folder: &str) -> Result<Self, String> {
        let text = |key: &str| value.get(key).filter(|value| **value != Value::Null).map(Value::to_python);
        Ok(Props {
            x: Axis::read(value.get("x"), folder)?,
            y: Axis::read(value.get("y"), folder)?,
            x_label: text("x_label"),
            y_label: text("y_label"),
            title: text("title"),
            template: text("template"),
            no_header: value.get("header") == Some(&Value::Bool(false)),
        })
    }
}

impl Definition {
    /// Returns whether the plot is of the file or folder that it is called.
    pub fn is_path(&self) -> bool {
        !matches!(self.props.y, Axis::Files(_))
    }

    /// Returns the files with the data. `file` is the plot's own, if it has one.
    pub fn files(&self, file: &str) -> BTreeSet<String> {
        let mut files: BTreeSet<String> = self.is_path().then(|| file.to_owned()).into_iter().collect();
        for axis in [&self.props.x, &self.props.y] {
            if let Axis::Files(named) = axis {
                files.extend(named.iter().map(|(file, _)| file.clone()));
            }
        }
        files
    }
}

/// Reads the entry `plots` of a `dvc.yaml` or of a stage. Paths are relative to the folder.
///
/// # Errors
/// What is wrong.
pub fn definitions(list: &Value, folder: &str) -> Result<Vec<Definition>, String> {
    let mut found = Vec::new();
    let mut add = |id: &str, props: &Value| {
        let props = Props::read(props, folder).map_err(|error| format!("{id}: {error}"))?;
        let mut definition = Definition { id: id.to_owned(), props, is_output: false };
        if definition.is_path() {
            definition.id = inside(folder, id)?;
        }
        found.push(definition);
        Ok::<(), String>(())
    };
    // Older versions have a table instead of a list.
    let items = list.items().unwrap_or(std::slice::from_ref(list));
    for item in items {
        match item {
            Value::Null => {}
            Value::Text(path) => add(path, &Value::Null)?,
            Value::Map(entries) => {
                for (id, props) in entries {
                    match props {
                        Value::List(_) => {
                            return Err(format!("{id} has several plots, which DVC does not draw either"));
                        }
                        props => add(id, props)?,
                    }
                }
            }
            _ => return Err("expected a list of paths and of tables".to_owned()),
        }
    }
    Ok(found)
}

/// The rows of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    rows: Vec<Value>,
    /// The last field of the first list.
    last: Option<String>,
}

impl Table {
    /// Returns the rows of a file: the tables in its lists, at any depth. Several lists are put side by side, as DVC does.
    ///
    /// # Errors
    /// There are none.
    pub fn new(content: &Value) -> Result<Self, String> {
        let mut lists = Vec::new();
        collect_lists(content, &mut lists);
        let is_table = |list: &&[Value]| !list.is_empty() && list.iter().all(|row| row.entries().is_some());
        let mut table = Table::default();
        for list in lists.into_iter().filter(is_table) {
            if table.rows.is_empty() {
                table.last = list[0].entries().and_then(<[_]>::last).map(|(name, _)| name.clone());
                table.rows = list.to_vec();
                continue;
            }
            table.rows.resize(table.rows.len().max(list.len()), Value::Map(Vec::new()));
            for (row, more) in table.rows.iter_mut().zip(list) {
                *row = super::params::merge(std::mem::replace(row, Value::Null), more.clone());
            }
        }
        match content {
            _ if !table.rows.is_empty() => Ok(table),
            Value::List(rows) if rows.is_empty() => Err("it has no rows".to_owned()),
            _ => Err("it has no list of tables, such as [{\"x\": 1, \"y\": 2}]".to_owned()),
        }
    }

    /// Returns the values of a field.
    fn field(&self, file: &str, name: &str) -> Result<Vec<Value>, String> {
        if !self.rows.iter().any(|row| row.get(name).is_some()) {
            let names = self.rows[0].entries().unwrap_or_default().iter().map(|(name, _)| name.as_str());
            return Err(format!("{file} has no field '{name}': it has {}", names.collect::<Vec<_>>().join(", ")));
        }
        Ok(self.rows.iter().map(|row| row.get(name).cloned().unwrap_or(Value::Null)).collect())
    }
}

fn collect_lists<'a>(value: &'a Value, lists: &mut Vec<&'a [Value]>) {
    match value {
        Value::List(list) => lists.push(list),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| collect_lists(value, lists)),
        _ => {}
    }
}

/// A series of a plot in one version.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The file of y.
    pub file: String,
    /// The field of y.
    pub field: String,
    /// The field of x; none for the number of the row.
    pub x_field: Option<String>,
    /// The values of x and y.
    pub points: Vec<(Value, Value)>,
}

/// Returns the series of a plot. `file` is the plot's own, if it has one.
///
/// # Errors
/// A field is missing, or the values of x and y do not fit.
pub fn series(props: &Props, file: &str, tables: &BTreeMap<String, Table>) -> Result<Vec<Series>, String> {
    let table = |file: &str| tables.get(file).ok_or_else(|| format!("{file} was not read"));
    let mut ys = props.y.pairs(file);
    if ys.is_empty() {
        let last = table(file)?.last.clone().ok_or_else(|| format!("{file} has no fields"))?;
        ys.push((file.to_owned(), last));
    }
    let xs = match &props.x {
        // A field of every file of y.
        Axis::Fields(fields) if !fields.is_empty() => {
            let field = |at: usize| fields.get(at).unwrap_or(&fields[0]).clone();
            ys.iter().enumerate().map(|(at, (file, _))| (file.clone(), field(at))).collect()
        }
        axis => axis.pairs(file),
    };
    if xs.len() > 1 && xs.len() != ys.len() {
        return Err(format!("there are {} fields for x and {} for y", xs.len(), ys.len()));
    }
    let one = |(at, (file, field)): (usize, (String, String))| {
        let y = table(&file)?.field(&file, &field)?;
        let source = xs.get(at).or(xs.first());
        let x = match source {
            None => (0..y.len() as i64).map(Value::from).collect(),
            Some((of, name)) => table(of)?.field(of, name)?,
        };
        if x.len() != y.len() {
            let of = source.map_or(&file, |(of, _)| of);
            return Err(format!("{of} has {} rows for x, and {file} has {} for y", x.len(), y.len()));
        }
        let x_field = source.map(|(_, name)| name.clone());
        Ok(Series { file, field, x_field, points: x.into_iter().zip(y).collect() })
    };
    ys.into_iter().enumerate().map(one).collect()
}

/// Returns what tells the series of a plot apart, in their order: the field, the file, or both; empty for a single one.
pub fn group_names(series: &[(&str, &str)]) -> Vec<String> {
    let files: BTreeSet<&str> = series.iter().map(|(file, _)| *file).collect();
    let fields: BTreeSet<&str> = series.iter().map(|(_, field)| *field).collect();
    let parts = |file: &str| file.split('/').map(str::to_owned).collect::<Vec<_>>();
    let mut all = files.iter().map(|file| parts(file));
    let first = all.next().unwrap_or_default();
    let same =
        |common: usize, other: Vec<String>| first.iter().take(common).zip(&other).take_while(|(a, b)| a == b).count();
    let common = all.fold(first.len(), same);
    let name = |(file, field): &(&str, &str)| {
        let file = file.split('/').skip(common).collect::<Vec<_>>().join("/");
        match (files.len() > 1, fields.len() > 1) {
            (true, true) => format!("{file}::{field}"),
            (true, false) => file,
            (false, true) => (*field).to_owned(),
            (false, false) => String::new(),
        }
    };
    series.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::yaml;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Definition>, String> {
        definitions(&yaml::parse(text).unwrap(), "sub")
    }

    fn shown(definition: &Definition) -> String {
        let (x, y) = (definition.props.x.pairs("OWN"), definition.props.y.pairs("OWN"));
        let all = |pairs: Vec<(String, String)>| {
            pairs.iter().map(|(file, field)| format!("{file}:{field}")).collect::<Vec<_>>().join(",")
        };
        format!("{} x={} y={}", definition.id, all(x), all(y))
    }

    #[test]
    fn every_form_of_a_plot_is_read() {
        let text = "\
- plots/acc.tsv: {x: step}
- images
- roc: {x: fpr, y: {a.json: tpr, ../b.json: [t1, t2]}, title: ROC, template: simple}
- bare.csv:
- several.csv: {y: [p, q], x_label: X, y_label: Y, header: false}
- joined: {x: {x.csv: at}, y: {y.csv: v}}
";
        let found = read(text).unwrap();
        let expected = [
            "sub/plots/acc.tsv x=OWN:step y=",
            "sub/images x= y=",
            "roc x=OWN:fpr y=sub/a.json:tpr,b.json:t1,b.json:t2",
            "sub/bare.csv x= y=",
            "sub/several.csv x= y=OWN:p,OWN:q",
            "joined x=sub/x.csv:at y=sub/y.csv:v",
        ];
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), expected);
        let roc = &found[2];
        assert_eq!((roc.props.title.as_deref(), roc.props.template.as_deref()), (Some("ROC"), Some("simple")));
        assert!(found[4].props.no_header && !roc.is_path());
        assert_eq!(found[5].files("").into_iter().collect::<Vec<_>>(), ["sub/x.csv", "sub/y.csv"]);
        assert_eq!(read("m.csv: {y: a}\nn.csv:").unwrap().len(), 2);
        assert_eq!(read(""), Ok(Vec::new()));
        assert!(read("- m.csv: [{x: a}, {x: b}]").unwrap_err().starts_with("m.csv has several plots"));
        assert_eq!(read("- [1]"), Err("expected a list of paths and of tables".to_owned()));
        assert_eq!(read("- ../../x"), Err("../../x is outside of the repository".to_owned()));
    }

    fn tables(files: &[(&str, &str)]) -> BTreeMap<String, Table> {
        files
            .iter()
            .map(|(file, text)| ((*file).to_owned(), Table::new(&yaml::parse(text).unwrap()).unwrap()))
            .collect()
    }

    #[test]
    fn fields_are_joined_to_series() {
        let files = [
            ("a", "[{s: 1, v: 2}, {s: 2, v: 3, w: 9}]"),
            ("b", "{deep: {one: [{t: 5}, {t: 6}], two: [{u: 7}, {u: 8}], no: [1], empty: []}}"),
        ];
        let tables = tables(&files);
        let of = |text: &str, file: &str| {
            let props = Props::read(&yaml::parse(text).unwrap(), "").unwrap();
            let show = |one: &Series| {
                let points: Vec<String> =
                    one.points.iter().map(|(x, y)| format!("{}/{}", x.repr(), y.repr())).collect();
                format!("{}:{} {}", one.file, one.field, points.join(" "))
            };
            series(&props, file, &tables).map(|all| all.iter().map(show).collect::<Vec<_>>())
        };
        let ok = |all: &[&str]| Ok(all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(of("{}", "a"), ok(&["a:v 0/2 1/3"]));
        assert_eq!(of("{}", "b"), ok(&["b:t 0/5 1/6"]));
        assert_eq!(of("{x: s, y: [v, w]}", "a"), ok(&["a:v 1/2 2/3", "a:w 1/None 2/9"]));
        assert_eq!(of("{x: {a: s}, y: {a: v, b: [t, u]}}", ""), ok(&["a:v 1/2 2/3", "b:t 1/5 2/6", "b:u 1/7 2/8"]));
        assert_eq!(of("{y: q}", "a"), Err("a has no field 'q': it has s, v".to_owned()));
        assert_eq!(of("{x: q}", "a"), Err("a has no field 'q': it has s, v".to_owned()));
        assert_eq!(of("{x: {a: [s, v]}, y: {b: t}}", ""), Err("there are 2 fields for x and 1 for y".to_owned()));
        assert!(Table::new(&yaml::parse("{a: [1], b: {c: []}}").unwrap()).unwrap_err().starts_with("it has no list"));
    }

    #[test]
    fn groups_have_the_shortest_name() {
        assert_eq!(group_names(&[("a.csv", "v")]), [""]);
        assert_eq!(group_names(&[("a.csv", "v"), ("a.csv", "w")]), ["v", "w"]);
        assert_eq!(group_names(&[("p/a.csv", "v"), ("p/b.csv", "v")]), ["a.csv", "b.csv"]);
        assert_eq!(group_names(&[("p/a.csv", "v"), ("q/a.csv", "w")]), ["p/a.csv::v", "q/a.csv::w"]);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[xyab./*]{0,5}".prop_map(|text| Value::from(text.as_str())),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key =
                prop_oneof![Just("x".to_owned()), Just("y".to_owned()), Just("template".to_owned()), "[a-c/.]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec((key, inner), 0..4).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(list in value(), content in value()) {
            let tables: BTreeMap<String, Table> =
                Table::new(&content).into_iter().map(|table| ("a".to_owned(), table)).collect();
            for definition in definitions(&list, "sub").unwrap_or_default() {
                for one in series(&definition.props, "a", &tables).unwrap_or_default() {
                    prop_assert!(tables.contains_key(&one.file));
                    prop_assert_eq!(one.points.len(), tables[&one.file].rows.len());
                }
            }
        }
    }
}
