//! Pipelines: <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::route::Call;
use super::super::runs::{Phase, Run};

/// `/repositories/{workspace}/{repo_slug}/pipelines…`
pub fn route(call: &mut Call<'_>, path: &[&str]) -> Response {
    let refuse =
        |status, message: &str| Response::json(status, &json!({ "type": "error", "error": { "message": message } }));
    match (call.request.verb(), path) {
        ("GET", []) => {
            let mut runs: Vec<&Run> = call.repo.runs.values().collect();
            runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
            let values: Vec<Value> = runs.into_iter().map(|run| pipeline(call, run)).collect();
            let size = values.len();
            Response::json(200, &json!({ "values": values, "page": 1, "pagelen": 20, "size": size }))
        }
        ("GET", [id]) => match call.repo.runs.values().find(|run| run.uuid() == *id || run.id.to_string() == *id) {
            Some(run) => Response::json(200, &pipeline(call, run)),
            None => refuse(404, "Not found"),
        },
        ("POST", []) => {
            let document = call.request.json();
            if document["target"]["type"].is_null() {
                return refuse(400, "Bad request");
            }
            let (id, created_at) = (call.desk.id(), call.desk.tick());
            let variables = document["variables"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let variables = variables.map(|v| (text(&v["key"]).unwrap_or_default(), text(&v["value"]))).collect();
            let target = document["target"].clone();
            let run = Run { variables, target, created_at, ..Run::new(id, Phase::Running) };
            let answer = Response::json(201, &pipeline(call, &run));
            call.repo.runs.insert(id, run);
            answer
        }
        _ => refuse(404, "Resource not found"),
    }
}

fn pipeline(call: &Call<'_>, run: &Run) -> Value {
    let state = match run.phase {
        Phase::Running | Phase::Cancelling(_) => json!({ "type": "pipeline_state_in_progress", "name": "IN_PROGRESS" }),
        _ => json!({ "type": "pipeline_state_completed", "name": "COMPLETED", "result": { "name": "FAILED" } }),
    };
    let variable = |(key, value): &(String, Option<String>)| match value {
        Some(value) => json!({ "type": "pipeline_variable", "key": key, "value": value, "secured": false }),
        None => json!({ "type": "pipeline_variable", "key": key, "secured": true }),
    };
    let variables: Vec<Value> = run.variables.iter().map(variable).collect();
    json!({ "type": "pipeline", "uuid": run.uuid(), "build_number": run.id, "created_on": run.created_at.micros(),
        "target": run.target, "state": state, "variables": variables, "has_variables": !variables.is_empty(),
        "links": { "self": { "href": format!("{}/bitbucket/2.0/repositories/{}/pipelines/{}", call.url, call.repo.slug, run.uuid()) } } })
}
