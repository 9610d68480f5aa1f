//! The workflows of `docs/gates.md`, as they are. Trainings, promptfoo and the actions for artifacts are played; git is real.

use super::super::{read, recipe};
use super::{GITHUB, only};
use crate::support::act::{Consumer, Done};
use crate::support::fake::{Forge, Target};
use serde_json::{Value, json};

/// A repository with a recipe as its workflow. `main` has these files, and is at the forge too.
fn repository(forge: &Forge, heading: &str, files: &[(&str, &str)]) -> Option<Consumer> {
    let consumer = Consumer::on(forge)?;
    consumer.program("python", "exec sh \"$@\"\n");
    consumer.workflow(&recipe(heading, "GitHub"));
    consumer.branch("main");
    files.iter().for_each(|(name, text)| consumer.file(name, text));
    consumer.commit();
    let bare = consumer.path("model.git");
    consumer.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    forge.serve_git(GITHUB, &bare);
    consumer.git(&["remote", "add", "origin", &format!("{}.git", forge.repo_url(GITHUB))]);
    Some(consumer)
}

/// Runs the workflow for pull request 7, which changes a file of `main`.
fn pull_request(forge: &Forge, consumer: &Consumer, name: &str, text: &str) -> Done {
    consumer.branch("feature");
    // As checkout leaves it.
    consumer.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    consumer.file(name, text);
    let sha = consumer.commit();
    forge.add_commit(GITHUB, &sha);
    let repo = json!({ "full_name": GITHUB.slug() });
    let head = json!({ "ref": "feature", "sha": sha, "repo": repo });
    let base = json!({ "ref": "main", "sha": consumer.git(&["rev-parse", "main"]), "repo": repo });
    consumer.run("pull_request", &json!({ "number": 7, "pull_request": { "number": 7, "head": head, "base": base } }))
}

/// The titles and conclusions of the checks.
fn checks(forge: &Forge) -> Vec<(String, String)> {
    forge.repo(GITHUB, GITHUB.slug(), |repo| {
        let mut found: Vec<_> = repo
            .checks
            .iter()
            .map(|check| (check.name.clone(), check.conclusion.clone().unwrap_or_default()))
            .collect();
        found.sort();
        found
    })
}

#[test]
fn an_accuracy_that_falls_fails_the_job() {
    let forge = Forge::start();
    let train = |accuracy: &str| format!("echo '{{\"accuracy\": {accuracy}}}' > metrics.json\n");
    let files = [("train.py", &*train("0.92")), ("metrics.json", "{\"accuracy\": 0.92}\n")];
    let Some(consumer) = repository(&forge, "Accuracy gate", &files) else { return };
    let done = pull_request(&forge, &consumer, "train.py", &train("0.91")).failed();
    let body = only(&forge, &Target::Pull(7));
    let said = "> [!CAUTION]\n> accuracy fell from 0.92 to 0.91 (a drop of 0.005 is allowed)\n";
    assert!(body.contains(said), "{body} {done}");
    assert_eq!(checks(&forge), [("Metrics".to_owned(), "failure".to_owned())], "{done}");
    pull_request(&forge, &consumer, "train.py", &train("0.93")).ok();
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("### Metrics ✔\n"), "{body}");
}

#[test]
fn examples_that_a_prompt_breaks_fail_the_job() {
    let forge = Forge::start();
    let files = [("prompt.txt", "20\n"), ("promptfooconfig.yaml", "prompts: [file://prompt.txt]\n")];
    let Some(consumer) = repository(&forge, "LLM evaluation", &files) else { return };
    // As promptfoo writes it, for 20 tests of which the first ones pass, as many as the prompt says.
    let results = |passed: usize| {
        let result = |test: usize| json!({ "promptIdx": 0, "success": test < passed, "vars": { "question": test } });
        json!({ "evalId": "eval-1", "results": { "version": 3, "prompts": [{ "provider": "openai:gpt", "label": "p" }],
            "results": (0..20).map(result).collect::<Vec<Value>>() } })
    };
    for passed in [20, 12] {
        std::fs::write(consumer.path(&passed.to_string()), results(passed).to_string()).unwrap();
    }
    let folder = consumer.path("");
    let script =
        "test \"$1 $2 $3 $4\" = 'promptfoo eval --no-cache -o' && test \"$PROMPTFOO_FAILED_TEST_EXIT_CODE\" = 0";
    consumer.program("npx", &format!("{script} && cp '{}'/$(cat prompt.txt) \"$5\"\n", folder.display()));
    let done = pull_request(&forge, &consumer, "prompt.txt", "12\n").failed();
    let body = only(&forge, &Target::Pull(7));
    assert!(
        body.contains("> pass\\_rate fell from 1 to 0.6") && body.contains("McNemar's exact test"),
        "{body} {done}"
    );
}

#[test]
fn seeds_are_recorded_on_main_and_compared_on_a_pull_request() {
    let forge = Forge::start();
    let train = |accuracy: &str| {
        format!("mkdir -p seed-$1 && echo \"{{\\\"accuracy\\\": {accuracy}$1}}\" > seed-$1/metrics.json\n")
    };
    let files = [("train.py", &*train("0.92")), (".gitignore", "seed-*\n")];
    let Some(mut consumer) = repository(&forge, "Training with seeds", &files) else { return };
    consumer.action(
        "actions/upload-artifact@v7",
        &["name", "path"],
        "cp -r ${{ inputs.path }} $OUT/${{ inputs.name }}",
    );
    consumer.action("actions/download-artifact@v8", &[], "cp -r $OUT/seed-* . && rm -r $OUT/seed-*");
    let sha = consumer.git(&["rev-parse", "main"]);
    let repository = json!({ "default_branch": "main", "full_name": GITHUB.slug() });
    let event =
        json!({ "ref": "refs/heads/main", "after": sha, "head_commit": { "id": sha }, "repository": repository });
    consumer.run("push", &event).ok();
    let done = pull_request(&forge, &consumer, "train.py", &train("0.91")).failed();
    let body = only(&forge, &Target::Pull(7));
    let said = "accuracy fell from 0.9245 to 0.9145 (no drop is allowed; sign-flip test of 8 seeds, p = 0.0078)";
    assert!(body.contains(said) && body.contains("compared with last ("), "{body} {done}");
}

#[test]
fn a_benchmark_is_run_for_both_versions() {
    let forge = Forge::start();
    let bench = |latency: &str| format!("echo '{{\"latency_ms\": {latency}}}'\n");
    let Some(consumer) = repository(&forge, "Benchmark", &[("bench.py", &*bench("10"))]) else { return };
    pull_request(&forge, &consumer, "bench.py", &bench("10.9")).ok();
    assert!(only(&forge, &Target::Pull(7)).contains("≈ not told apart"));
    let done = pull_request(&forge, &consumer, "bench.py", &bench("12")).failed();
    let body = only(&forge, &Target::Pull(7));
    assert!(body.contains("> latency\\_ms rose from 10 to 12 (a rise of 10% is allowed)"), "{body} {done}");
}

#[test]
fn each_project_of_a_monorepo_has_its_rules_and_its_section() {
    let forge = Forge::start();
    let train = |value: &str| format!("echo '{value}' > metrics.json\n");
    let rules = recipe("Monorepo", "ranking/.cml.yaml");
    let (ranking, search) = ("{\"ndcg\": 0.5}", "{\"recall\": 0.8}");
    let files = [
        ("ranking/train.py", &*train(ranking)),
        ("ranking/metrics.json", ranking),
        ("ranking/.cml.yaml", &*rules),
        ("search/train.py", &*train(search)),
        ("search/metrics.json", search),
        ("search/.cml.yaml", &*rules.replace("ndcg", "recall")),
    ];
    let Some(consumer) = repository(&forge, "Monorepo", &files) else { return };
    let done = pull_request(&forge, &consumer, "search/train.py", &train("{\"recall\": 0.7}"));
    // The engine keeps one result for both jobs.
    assert_eq!(done.code, Some(1), "{done}");
    let body = only(&forge, &Target::Pull(7));
    assert!(body.contains("> recall fell from 0.8 to 0.7") && body.contains("| ndcg |"), "{body} {done}");
    let expected = [("Metrics of ranking", "success"), ("Metrics of search", "failure")];
    assert_eq!(checks(&forge), expected.map(|(name, conclusion)| (name.to_owned(), conclusion.to_owned())), "{done}");
}

/// All recipes have been run here or by another engine.
#[test]
fn the_page_has_no_other_recipe() {
    let page = read("docs/gates.md");
    let headings = page.split_once("\n## Recipes\n").unwrap().1;
    let headings: Vec<&str> = headings.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(headings, ["Accuracy gate", "LLM evaluation", "Training with seeds", "Benchmark", "Monorepo"]);
    assert_eq!(page.matches("```yaml\n# ").count(), 9);
}
