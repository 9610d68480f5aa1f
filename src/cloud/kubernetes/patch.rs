//! `--cloud-kubernetes-pod`: the user's changes of the pod's template.
//!
//! They are merged as `kubectl patch` does by default, so that a volume is added without repeating ours
//! (<https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/>): objects by field, lists of named
//! things by name, tolerations in addition to ours, other lists as a whole; `null` removes.

use crate::error::{Error, Result};
use crate::metrics::yaml;
use serde_json::{Map, Value};

/// The lists whose elements have a key, and the key.
const KEYED: [(&str, &str); 9] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("imagePullSecrets", "name"),
    ("resourceClaims", "name"),
    ("hostAliases", "ip"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
];
/// The lists that grow.
const ADDED: [&str; 1] = ["tolerations"];
/// What a template has.
const FIELDS: [&str; 2] = ["metadata", "spec"];

/// Parses a file with a patch: a pod's template with `metadata` and `spec`, or as much of it as changes. `name` is the file.
///
/// # Errors
/// It is not YAML or JSON, or not a template.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Value> {
    let wrong = |why: &str| {
        Error::config(format!("--cloud-kubernetes-pod {name} {why}"))
            .hint("it changes the pod's template, and begins with spec: or metadata:, in YAML or JSON")
    };
    let text = str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
    let value = yaml::parse(text).map_err(|error| wrong(&format!("is not YAML ({error})")))?.to_json();
    let Value::Object(mut fields) = value else { return Err(wrong("is not an object")) };
    if fields.get("kind").is_some_and(|kind| kind == "Pod" || kind == "PodTemplate") {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    match fields.iter().find(|(field, value)| !FIELDS.contains(&field.as_str()) || !value.is_object()) {
        Some((field, _)) if FIELDS.contains(&field.as_str()) => {
            Err(wrong(&format!("has a {field} that is not an object")))
        }
        Some((field, _)) => Err(wrong(&format!("has the field {field}, which is not one of a pod's template"))),
        None => Ok(Value::Object(fields)),
    }
}

/// Merges a patch into a value.
pub fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(fields) = value else { return };
    for (field, change) in patch {
        match (fields.get_mut(field), change) {
            (_, Value::Null) => drop(fields.remove(field)),
            (Some(Value::Array(list)), Value::Array(changes)) => merge_list(field, list, changes),
            (Some(old), change) => merge(old, change),
            (None, change) => {
                // So that what it removes is not kept as null.
                let mut new = Value::Null;
                merge(&mut new, change);
                fields.insert(field.clone(), new);
            }
        }
    }
}

fn merge_list(field: &str, list: &mut Vec<Value>, changes: &[Value]) {
    if ADDED.contains(&field) {
        list.extend(changes.iter().cloned());
        return;
    }
    let Some((_, key)) = KEYED.iter().find(|(name, _)| *name == field) else {
        list.clear();
        list.extend(changes.iter().cloned());
        return;
    };
    for change in changes {
        match list.iter_mut().find(|old| !change[key].is_null() && old[key] == change[key]) {
            Some(old) => merge(old, change),
            None => list.push(change.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_users_add_is_added_to_ours() {
        let (_, mut template) = super::super::template::tests::template("m", Some("any"), None);
        let before = template.clone();
        let patch = parse(
            "pod.yaml",
            b"# a volume, more memory, and a node that is reserved
metadata:
  labels: {queue: research}
spec:
  runtimeClassName: nvidia
  imagePullSecrets: [{name: registry}]
  tolerations:
  - {key: spot, operator: Exists}
  securityContext: {runAsUser: null}
  volumes:
  - name: data
    persistentVolumeClaim: {claimName: data}
  containers:
  - name: runner
    env: [{name: DATA, value: /data}]
    resources: {limits: {cpu: \"8\"}}
    volumeMounts: [{name: data, mountPath: /data}]
",
        );
        merge(&mut template, &patch.unwrap());
        let (spec, old) = (&template["spec"], &before["spec"]);
        let runner = &spec["containers"][0];
        assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
        assert_eq!(
            (&runner["command"], &runner["resources"]["limits"]["cpu"]),
            (&old["containers"][0]["command"], &json!("8"))
        );
        assert_eq!(runner["resources"]["requests"], old["containers"][0]["resources"]["requests"]);
        assert_eq!(runner["env"], json!([{"name": "HOME", "value": "/work"}, {"name": "DATA", "value": "/data"}]));
        assert_eq!(runner["volumeMounts"].as_array().unwrap().len(), 4);
        assert_eq!(spec["volumes"].as_array().unwrap().len(), 5);
        assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
        assert_eq!(
            (spec["securityContext"].get("runAsUser"), &spec["securityContext"]["fsGroup"]),
            (None, &json!(1001))
        );
        assert_eq!(
            (&template["metadata"]["labels"]["queue"], &spec["runtimeClassName"]),
            (&json!("research"), &json!("nvidia"))
        );
        assert!(template["metadata"]["labels"]["cml-managed"] == "true");
    }

    #[test]
    fn a_file_that_is_no_template_is_refused() {
        for (text, says) in [
            ("- a", "is not an object"),
            ("spec: [", "is not YAML ("),
            ("containers: []", "has the field containers, which is not one of a pod's template"),
            ("spec: x", "has a spec that is not an object"),
        ] {
            let error = parse("pod.yaml", text.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(&format!("--cloud-kubernetes-pod pod.yaml {says}")), "{error}");
        }
        let pod = parse("pod.json", br#"{"apiVersion": "v1", "kind": "Pod", "spec": {"hostNetwork": true}}"#).unwrap();
        assert_eq!(pod, json!({"spec": {"hostNetwork": true}}));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!(true)), Just(Value::Null)];
        leaf.prop_recursive(3, 24, 3, |inner| {
            let key = prop_oneof![Just("name"), Just("env"), Just("tolerations"), Just("volumes"), Just("a")];
            let pairs = proptest::collection::vec((key, inner.clone()), 0..3);
            let object = pairs.prop_map(|pairs| {
                json!(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            });
            prop_oneof![proptest::collection::vec(inner, 0..3).prop_map(Value::Array), object]
        })
    }

    proptest! {
        #[test]
        fn an_empty_patch_changes_nothing_and_no_patch_panics(mut old in value(), patch in value()) {
            let before = old.clone();
            if before.is_object() {
                merge(&mut old, &json!({}));
                prop_assert_eq!(&old, &before);
            }
            merge(&mut old, &patch);
            if let (Value::Object(changes), Value::Object(new)) = (&patch, &old) {
                prop_assert!(changes.iter().all(|(key, change)| change.is_null() != new.contains_key(key)));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = parse("f", text.as_bytes());
        }
    }
}
