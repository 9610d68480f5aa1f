//! The envelope of ClearML's answers, and what its error codes mean.
//!
//! `{"meta": {"result_code", "result_subcode", "result_msg", …}, "data": {…}}`; codes and subcodes:
//! <https://github.com/clearml/clearml-server/blob/master/apiserver/apierrors/errors.conf>.

use crate::error::{Error, Kind};
use crate::http::{Refusal, without_non_finite};
use serde_json::Value;

/// A refusal of the server.
#[derive(Debug)]
pub struct Refused {
    /// What it means.
    pub error: Error,
    /// Whether another token may help.
    pub is_token: bool,
}

/// Returns the data of an answer.
///
/// # Errors
/// The server refused the request, or the answer is not one of ClearML's API.
pub fn open(endpoint: &str, status: u16, body: &[u8]) -> Result<Value, Refused> {
    let answer = serde_json::from_slice::<Value>(&without_non_finite(body)).ok();
    let Some(mut answer) = answer.filter(|answer| answer["meta"].is_object()) else {
        return Err(Refused { error: not_an_api(status), is_token: false });
    };
    let meta = &answer["meta"];
    let code = meta["result_code"].as_u64().unwrap_or(status.into());
    if (200..300).contains(&status) && code == 200 {
        return Ok(answer["data"].take());
    }
    let subcode = meta["result_subcode"].as_u64().unwrap_or_default();
    let says = meta["result_msg"].as_str().unwrap_or_default().trim();
    Err(Refused {
        error: explain(endpoint, (code, subcode), says),
        is_token: code == 401 && matches!(subcode, 30 | 31),
    })
}

/// Returns the error for an answer that no ClearML server gives.
fn not_an_api(status: u16) -> Error {
    Error::config(format!("the answer (status {status}) is not one of ClearML's API"))
        .hint("set CLEARML_API_HOST to the address of the API, such as https://api.clear.ml or http://host:8008, not to that of the web pages")
}

/// Returns whether a refusal is final although its status is that of a passing fault: 500/4, the server's disk is full.
pub fn is_final(refusal: &Refusal) -> bool {
    let code = &refusal.json()["meta"];
    (code["result_code"].as_u64(), code["result_subcode"].as_u64()) == (Some(500), Some(4))
}

fn explain(endpoint: &str, code: (u64, u64), says: &str) -> Error {
    let kind = kind(code);
    let says: String = says.chars().take(300).collect();
    let says = if says.is_empty() { format!("code {}/{}", code.0, code.1) } else { says };
    let error = |text: String| Error::new(kind, text);
    match code {
        (401, 20..=22) => error(format!("ClearML does not accept the credentials ({says})")).hint(
            "check CLEARML_API_ACCESS_KEY and CLEARML_API_SECRET_KEY; keys are created in ClearML under Settings, Workspace",
        ),
        (401, 1 | 2) | (403, _) => error(format!("the ClearML user is not allowed to call {endpoint} ({says})"))
            .hint("use the keys of a user with that permission; nobody can change ClearML's public example tasks"),
        (401, _) => error(format!("ClearML does not accept the token ({says})"))
            .hint("create another CLEARML_AUTH_TOKEN, or use keys, which are renewed"),
        (404 | 410 | 301, _) => error(format!("this ClearML server does not support {endpoint} ({says})"))
            .hint("update the server: cml needs version 2.13 of its API or newer"),
        (400, 10..=16 | 20 | 21) => error(format!("ClearML does not understand the request {endpoint} ({says})")),
        (500, 4) => error(format!("the disk of the ClearML server is full ({says})")).hint("free space on the server"),
        _ => error(format!("ClearML refused {endpoint} ({says})")),
    }
}

/// Returns the class of an error.
fn kind(code: (u64, u64)) -> Kind {
    match code {
        (401 | 403, _) => Kind::Auth,
        (400, 101 | 130 | 201 | 401 | 403 | 701) => Kind::NotFound,
        (400, 110..=113 | 121 | 129 | 703 | 706..=708) => Kind::Conflict,
        (400, 10..=16 | 20 | 21) => Kind::Internal,
        (404 | 410 | 301, _) => Kind::Unsupported,
        _ => Kind::Remote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u64, subcode: u64) -> Refused {
        let body =
            serde_json::json!({ "meta": { "result_code": code, "result_subcode": subcode, "result_msg": "why" } });
        open("tasks.get_all", code as u16, body.to_string().as_bytes()).unwrap_err()
    }

    #[test]
    fn codes_have_their_classes() {
        for (code, subcode, kind, is_token) in [
            (401, 22, Kind::Auth, false),
            (401, 30, Kind::Auth, true),
            (403, 20, Kind::Auth, false),
            (400, 101, Kind::NotFound, false),
            (400, 121, Kind::Conflict, false),
            (400, 12, Kind::Internal, false),
            (404, 0, Kind::Unsupported, false),
            (500, 4, Kind::Remote, false),
        ] {
            let refused = refused(code, subcode);
            assert_eq!((refused.error.kind(), refused.is_token), (kind, is_token), "{code}/{subcode}");
            assert!(refused.error.to_string().contains("why"), "{}", refused.error);
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_null_and_pages_are_no_answers() {
        let data = open("x.y", 200, br#"{"meta":{"result_code":200},"data":{"a":[NaN,1]}}"#).unwrap();
        assert_eq!(data, serde_json::json!({ "a": [null, 1] }));
        for body in [&b"<!doctype html>"[..], b"{}", b"[]", b""] {
            assert_eq!(open("x.y", 200, body).unwrap_err().error.kind(), Kind::Config);
        }
    }
}
