//! The interface of Compute Engine, and that of permissions.

use super::routes::queries;
use super::shapes::{faults, schema};
use super::tokens::is_known;
use super::{PROJECT, State, date, missing, refusal, start};
use crate::support::fake::http::{Request, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl State {
    pub fn answer(
        &mut self,
        request: &Request,
        path: &[&str],
        own: &[&'static str],
        failure: Option<(&str, &str)>,
    ) -> Response {
        let token = request.header("authorization").and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        if let Some(answer) = self.give_token(request, path, token) {
            return answer;
        }
        if !is_known(token, self.now()) {
            return refusal(401, "authError", "Invalid Credentials");
        }
        let may = |permission: &str, granted: &Option<BTreeSet<String>>| {
            granted.as_ref().is_none_or(|all| all.contains(permission))
        };
        if let ("POST", ["v1", "projects", name]) = (request.verb(), path)
            && *name == format!("{PROJECT}:testIamPermissions")
        {
            let body = request.json();
            if let Some(fault) = faults(&body, &schema("permissions"), "$").first() {
                return refusal(400, "invalid", fault);
            }
            let asked = body["permissions"].as_array().unwrap();
            let granted: Vec<&Value> = asked.iter().filter(|one| may(one.as_str().unwrap(), &self.granted)).collect();
            return Response::json(200, &json!({ "permissions": granted }));
        }
        let ["compute", "v1", "projects", project, rest @ ..] = path else { return missing(request.path()) };
        if let ("GET", ["global", "images", image @ ..]) = (request.verb(), rest) {
            let name = format!("{project}/{}", image.join("/"));
            return self.images.get(&name).map_or_else(|| missing(&name), |image| Response::json(200, image));
        }
        if *project != PROJECT || own.is_empty() {
            return missing(request.path());
        }
        if let Some((name, _)) = request.query().into_iter().find(|(name, _)| !queries(own[0]).contains(&name.as_str()))
        {
            return refusal(400, "invalid", &format!("unknown query {name}"));
        }
        if let Some(permission) = own.iter().find(|permission| !may(permission, &self.granted)) {
            let message = format!("Required '{permission}' permission for '{}'", path[2..].join("/"));
            return refusal(403, "forbidden", &message);
        }
        let kind = match (request.verb(), own[0]) {
            ("POST", "compute.instances.create") => Some("instance"),
            ("POST", "compute.instances.setMetadata") => Some("metadata"),
            ("POST", "compute.firewalls.create") => Some("firewall"),
            _ => None,
        };
        if let Some(kind) = kind {
            let found = faults(&request.json(), &schema(kind), "$");
            if !found.is_empty() {
                return refusal(400, "invalid", &format!("Invalid JSON payload received: {found:?}"));
            }
        } else if !request.body.is_empty() {
            return refusal(400, "invalid", "no body expected");
        }
        self.tick();
        self.act(request, rest, failure)
    }

    fn act(&mut self, request: &Request, path: &[&str], failure: Option<(&str, &str)>) -> Response {
        match (request.verb(), path) {
            ("GET", ["aggregated", kind]) => self.aggregated(kind, request),
            ("GET", ["global", "firewalls", name]) if self.firewalls.contains(*name) => {
                Response::json(200, &json!({ "name": name }))
            }
            ("POST", ["global", "firewalls"]) => {
                let name = request.json()["name"].as_str().unwrap().to_owned();
                if !self.firewalls.insert(name.clone()) {
                    return refusal(409, "alreadyExists", &format!("The resource '{name}' already exists"));
                }
                Response::json(200, &self.operation(request, "global", None))
            }
            ("GET", [.., "operations", name]) => self.look(name),
            ("POST", ["zones", zone, "instances"]) => self.insert(request, zone, failure),
            (_, ["zones", zone, "instances", name, rest @ ..]) => {
                let key = ((*zone).to_owned(), (*name).to_owned());
                let now = date(self.now());
                let Some(one) = self.instances.get_mut(&key) else { return missing(&path.join("/")) };
                match (request.verb(), rest) {
                    ("GET", ["serialPort"]) => {
                        let text = self.consoles.get(&format!("{zone}/{name}")).cloned().unwrap_or_default();
                        let start = text.len().saturating_sub(1 << 20);
                        Response::json(200, &json!({ "contents": text[start..], "next": text.len().to_string() }))
                    }
                    ("GET", _) => {
                        let answer = Response::json(200, one);
                        start(one, &now);
                        answer
                    }
                    ("DELETE", _) => {
                        self.instances.remove(&key);
                        Response::json(200, &self.operation(request, &format!("zones/{zone}"), None))
                    }
                    _ => {
                        let body = request.json();
                        if one["metadata"]["fingerprint"] != body["fingerprint"] {
                            return refusal(
                                412,
                                "conditionNotMet",
                                "Supplied fingerprint does not match current metadata fingerprint.",
                            );
                        }
                        one["metadata"] = json!({ "fingerprint": "YmFy", "items": body["items"] });
                        Response::json(200, &self.operation(request, &format!("zones/{zone}"), None))
                    }
                }
            }
            _ => missing(request.path()),
        }
    }
}
