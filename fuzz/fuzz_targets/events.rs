//! The event of a GitHub workflow, which people from outside may have a part in.
#![no_main]

use cml::env::Env;
use cml::ci::github_actions::context_of;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(text) else { return };
    for name in ["pull_request", "issue_comment", "workflow_run", "check_run", "merge_group", "push"] {
        let env: Env = [
            ("GITHUB_REPOSITORY", "octo/model"),
            ("GITHUB_EVENT_NAME", name),
            ("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567"),
            ("GITHUB_REF", "refs/pull/7/merge"),
        ]
        .into_iter()
        .collect();
        let context = context_of(&env, &event);
        assert_eq!(context.repository.map(|repository| repository.path).as_deref(), Some("octo/model"));
    }
});
