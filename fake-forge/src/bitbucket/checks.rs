//! Bitbucket's Code Insights and build statuses:
//! <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/>.

use serde_json::{Value, json};

use super::super::http::Response;
use super::super::route::Call;
use super::error;

pub fn route(call: &mut Call<'_>, sha: &str, path: &[&str]) -> Response {
    let key = |id: &str| (sha.to_owned(), id.to_owned());
    let body = call.request.json();
    match (call.request.verb(), path) {
        ("PUT", ["reports", id]) => {
            let long = |field: &str, most: usize| body[field].as_str().is_some_and(|text| text.chars().count() > most);
            let result = body["result"].as_str().unwrap_or("PASSED");
            let figures = body["data"].as_array().map_or(0, Vec::len);
            if body["title"].as_str().is_none_or(str::is_empty)
                || body["details"].is_null()
                || body["report_type"].is_null()
            {
                return error(400, "title, details and report_type are required");
            }
            if long("title", 450)
                || long("details", 2000)
                || figures > 10
                || !["PASSED", "FAILED", "PENDING"].contains(&result)
            {
                return error(400, "the report is not valid");
            }
            call.repo.insights.entry(key(id)).or_default().report = body.clone();
            Response::json(200, &typed("report", &body))
        }
        ("GET", ["reports"]) => {
            let of_commit = call.repo.insights.iter().filter(|((of, _), _)| of == sha);
            let values: Vec<Value> = of_commit.map(|(_, insight)| typed("report", &insight.report)).collect();
            Response::json(200, &json!({"page": 1, "pagelen": 10, "size": values.len(), "values": values}))
        }
        ("GET", ["reports", id]) => match call.repo.insights.get(&key(id)) {
            Some(insight) => Response::json(200, &typed("report", &insight.report)),
            None => error(404, "Report not found"),
        },
        ("DELETE", ["reports", id]) => {
            call.repo.insights.remove(&key(id));
            Response::empty(204)
        }
        ("POST", ["reports", id, "annotations"]) => {
            let Some(insight) = call.repo.insights.get_mut(&key(id)) else { return error(404, "Report not found") };
            let Some(items) = body.as_array().filter(|items| (1..=100).contains(&items.len())) else {
                return error(400, "between 1 and 100 annotations a request");
            };
            for item in items {
                if item["summary"].as_str().is_none_or(|text| text.chars().count() > 450) {
                    return error(400, "an annotation's summary has at most 450 characters");
                }
                let id = item["external_id"].as_str().unwrap_or_default().to_owned();
                insight.annotations.insert(id, item.clone());
            }
            if insight.annotations.len() > 1000 {
                return error(400, "at most 1000 annotations");
            }
            let items: Value = items.iter().map(|item| typed("report_annotation", item)).collect();
            Response::json(200, &items)
        }
        ("POST", ["statuses", "build"]) => {
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            let states = ["SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"];
            let (id, state) = (text("key"), text("state"));
            if id.is_empty() || id.len() > 40 || !states.contains(&state.as_str()) || text("url").is_empty() {
                return error(400, "Bad request");
            }
            call.repo.builds.insert((sha.to_owned(), id), body.clone());
            Response::json(201, &typed("build", &body))
        }
        _ => error(404, "Resource not found"),
    }
}

/// What was sent, as it comes back.
fn typed(kind: &str, sent: &Value) -> Value {
    let mut object = sent.clone();
    object["type"] = json!(kind);
    object
}
