//! Pipelines: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.

use super::{Bitbucket, List};
use crate::error::{Error, Kind, Result};
use crate::forge::rest::escape;
use crate::forge::runs::{Rerun, Runs, start_once, which_run};
use crate::forge::{Context, seconds};
use crate::http::{Http, RetryPolicy};
use async_trait::async_trait;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// So many seconds may a new pipeline seem older than the request for it: the server's clock is known in whole
/// seconds.
const SLACK: i64 = 2;

#[derive(Deserialize)]
struct Pipeline {
    uuid: String,
    build_number: u64,
    created_on: String,
    target: Value,
    /// Those that the pipeline was started with.
    variables: Option<Vec<Variable>>,
    #[serde(default)]
    has_variables: bool,
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    /// Secured ones come without.
    value: Option<String>,
    #[serde(default)]
    secured: bool,
}

impl Pipeline {
    fn variables(&self) -> &[Variable] {
        self.variables.as_deref().unwrap_or_default()
    }
}

#[async_trait(?Send)]
impl Runs for Bitbucket {
    /// Starts a new pipeline with the target of an earlier one, and its variables as far as they can be read:
    /// Bitbucket's API cannot run a pipeline's failed steps again.
    async fn rerun(&self, id: Option<&str>, own: &Context, http: &Http) -> Result<Rerun> {
        let id = id.or(own.workflow.as_deref()).ok_or_else(|| which_run("pipeline"))?;
        let before = get(self, &segment(id)?, id).await?;
        let plain = |variable: &&Variable| !variable.secured && variable.value.is_some();
        let variables: Vec<Value> = before
            .variables()
            .iter()
            .filter(plain)
            .map(|variable| json!({ "key": variable.key, "value": variable.value }))
            .collect();
        let mut body = json!({ "target": before.target });
        if !variables.is_empty() {
            body["variables"] = variables.into();
        }
        let started = start(self, &before, &body, http).await?;
        let url = format!("{}/pipelines/results/{}", self.page, started.build_number);
        Ok(Rerun { url, note: note(&before) })
    }
}

/// Returns a pipeline's place in an address, by its build number or by its UUID, with or without braces.
fn segment(id: &str) -> Result<String> {
    if !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(id.to_owned());
    }
    let bare = id.trim_start_matches('{').trim_end_matches('}');
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        Ok(format!("{}{bare}{}", escape("{"), escape("}")))
    } else {
        Err(Error::usage(format!("'{id}' is not a pipeline"))
            .hint("pass its build number, such as --id 42, or its UUID, such as --id {1f2e…}"))
    }
}

async fn get(bitbucket: &Bitbucket, segment: &str, id: &str) -> Result<Pipeline> {
    match bitbucket.rest.get(&format!("{}/pipelines/{segment}", bitbucket.root)).await {
        Err(error) if error.kind() == Kind::NotFound => {
            Err(Error::not_found(format!("pipeline {id} not found in {}", bitbucket.page)).hint(
                "pass the number in its address (…/pipelines/results/42), and --repo if it is in another repository",
            ))
        }
        found => Ok(found?.1),
    }
}

/// Starts the pipeline exactly once: when the answer was lost, looks for the new one before asking again.
async fn start(bitbucket: &Bitbucket, before: &Pipeline, body: &Value, http: &Http) -> Result<Pipeline> {
    let path = format!("{}/pipelines", bitbucket.root);
    let marked = http.mark();
    let send = async || Ok(bitbucket.rest.call(Method::POST, &path, Some(body), RetryPolicy::LookFirst).await?.1);
    let look = async || {
        let newest = format!("{path}?sort=-created_on&pagelen=20");
        let (_, list): (_, List<Pipeline>) = bitbucket.rest.get(&newest).await?;
        let since = http.server_time_at(marked) - SLACK;
        Ok(list.values.into_iter().find(|pipeline| {
            pipeline.uuid != before.uuid
                && seconds(&pipeline.created_on) >= since
                && same(&pipeline.target, &before.target)
        }))
    };
    start_once(http, &format!("pipeline {}", before.build_number), send, look).await
}

/// Returns whether two targets are of the same commit and reference, for the same part of the configuration.
fn same(one: &Value, other: &Value) -> bool {
    let fields = [
        "/type",
        "/ref_name",
        "/commit/hash",
        "/selector/type",
        "/selector/pattern",
        "/source",
        "/destination",
        "/pullrequest/id",
    ];
    fields.iter().all(|field| one.pointer(field) == other.pointer(field))
}

/// Returns what the new pipeline lacks.
fn note(before: &Pipeline) -> Option<String> {
    let secret: Vec<&str> =
        before.variables().iter().filter(|v| v.secured || v.value.is_none()).map(|v| v.key.as_str()).collect();
    if !secret.is_empty() {
        return Some(format!(
            "the new pipeline runs without {}: Bitbucket does not disclose secured variables",
            secret.join(", ")
        ));
    }
    (before.has_variables && before.variables().is_empty()).then(|| {
        format!(
            "pipeline {} was started with variables that Bitbucket does not disclose; the new one runs without them",
            before.build_number
        )
    })
}
