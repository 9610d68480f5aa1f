//! The pipe as Bitbucket runs it: the image's program with the word `pipe`, variables in the environment, the working copy as
//! its folder, and a folder that the step's pipes share.

use crate::support::clone::Clone;
use crate::support::fake::{Forge, Proxy, Target, Vendor};
use crate::support::{Cml, Ran, png};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const BITBUCKET: Vendor = Vendor::Bitbucket;

/// In the step of a pipeline of pull request 7. What a pipe is given besides its variables is what the pipeline has.
fn pipe(forge: &Forge, variables: &[(&str, &str)]) -> Cml {
    let mut cml = Cml::on(forge, BITBUCKET);
    dress(&mut cml, variables);
    cml
}

fn dress(cml: &mut Cml, variables: &[(&str, &str)]) {
    let shared = cml.path().join(".shared");
    std::fs::create_dir(&shared).unwrap();
    cml.set("BITBUCKET_PIPE_SHARED_STORAGE_DIR", &shared.display().to_string());
    cml.set("SHELL", "/bin/sh").set("BITBUCKET_CLONE_DIR", "/opt/atlassian/pipelines/agent/build");
    for (name, value) in variables {
        cml.set(name, value);
    }
}

fn run(cml: &Cml) -> Ran {
    cml.run(&["pipe"])
}

#[test]
fn a_report_is_kept_up_to_date_and_its_address_is_handed_on() {
    let forge = Forge::start();
    let mut cml =
        pipe(&forge, &[("COMMAND", "comment update"), ("REPORT", "out/report.md"), ("WATERMARK_TITLE", "a 'b'")]);
    cml.file("out/report.md", "# Report\n\n![](plot.png)\n");
    cml.file("out/plot.png", png(1));
    let first = run(&cml).ok();
    cml.file("out/report.md", "# Better\n\n![](plot.png)\n");
    cml.set("DEBUG", "false");
    assert_eq!(run(&cml).ok(), first);
    let comments = forge.live_comments(BITBUCKET, &Target::Pull(7));
    assert_eq!(comments.len(), 1, "{}", forge.transcript());
    assert!(comments[0].body.starts_with("# Better\n\n![](http"), "{}", comments[0].body);
    assert!(comments[0].body.contains("a 'b'"), "{}", comments[0].body);
    assert_eq!(cml.read(".shared/cml.env"), format!("COMMENT_URL={first}"));
}

#[test]
fn insights_need_no_token_and_figures_are_a_list() {
    let forge = Forge::start();
    let proxy = Proxy::start_signing();
    let list = [("DATA_COUNT", "2"), ("DATA_0", "accuracy=99%"), ("DATA_1", "notes=a, b")];
    let mut cml = pipe(&forge, &[("COMMAND", "check create"), ("REPORT", "report.md"), ("TITLE", "Training")]);
    for (name, value) in list {
        cml.set(name, value);
    }
    cml.unset("REPO_TOKEN").set("CML_BITBUCKET_PROXY", &proxy.url());
    let ran = run(&cml);
    assert!(ran.stderr.contains("no build status without a token"), "{ran:#?}");
    ran.ok();
    let transcript = forge.transcript();
    assert!(transcript.contains("\"Training\"") && transcript.contains("\"a, b\""), "{transcript}");
    assert!(!proxy.targets().is_empty() && cml.read(".shared/cml.env").starts_with("CHECK_URL=http"), "{transcript}");
}

#[test]
fn an_access_token_is_a_bearer_and_a_users_token_is_basic() {
    for (token, sent) in [
        ("good", "Bearer good".to_owned()),
        ("me@example.org:good", format!("Basic {}", BASE64_STANDARD.encode("me@example.org:good"))),
    ] {
        let forge = Forge::start();
        let cml = pipe(&forge, &[("COMMAND", "comment create"), ("REPORT", "report.md"), ("REPO_TOKEN", token)]);
        run(&cml).ok();
        assert!(forge.requests().iter().all(|request| request.header("authorization") == Some(&sent)), "{token}");
        assert_eq!(forge.live_comments(BITBUCKET, &Target::Pull(7)).len(), 1, "{}", forge.transcript());
    }
}

#[test]
fn a_variable_that_the_pipeline_does_not_have_is_no_token() {
    let forge = Forge::start();
    for value in ["$REPO_TOKEN", "${REPO_TOKEN}"] {
        let cml = pipe(&forge, &[("COMMAND", "comment create"), ("REPORT", "report.md"), ("REPO_TOKEN", value)]);
        run(&cml).fails(4, "no token found for Bitbucket", "*");
    }
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

#[test]
fn debug_tells_what_is_done_and_no_secret() {
    let forge = Forge::start();
    let variables = [("COMMAND", "comment create"), ("REPORT", "report.md"), ("DEBUG", "true")];
    let mut cml = pipe(&forge, &variables);
    cml.set("REPO_TOKEN", "ATCTT3xFfGN0good");
    let ran = run(&cml);
    assert!(ran.stderr.contains("/pullrequests/7/comments"), "{ran:#?}");
    ran.ok();
    let quiet = run(cml.set("DEBUG", "false"));
    assert!(!quiet.stderr.contains("/pullrequests/7/comments"), "{quiet:#?}");
    // An option whose name begins alike.
    cml.file("logs/events.out.tfevents.1", crate::legacy::events());
    cml.unset("REPORT").set("COMMAND", "tensorboard connect").set("LOGDIR", "logs").set("DEBUG", "true");
    let other = run(&cml);
    assert!(other.stderr.contains("/downloads"), "{other:#?}");
    assert!(!run(cml.set("DEBUG", "false")).stderr.contains("/downloads"));
}

#[test]
fn files_that_changed_become_a_pull_request() {
    let mut clone = Clone::on(BITBUCKET);
    clone.cml.file("model.json", "{\"a\": 1}\n");
    clone.cml.file("metrics/all.json", "{}\n");
    clone.cml.file("notes.txt", "a\n");
    let list = [("GLOB_COUNT", "2"), ("GLOB_0", "model.json"), ("GLOB_1", "metrics")];
    dress(&mut clone.cml, &[&[("COMMAND", "pr create"), ("TITLE", "Results")][..], &list].concat());
    let printed = run(&clone.cml).ok();
    let pulls = clone.forge.repo(BITBUCKET, BITBUCKET.slug(), |repo| {
        repo.pulls
            .values()
            .filter(|pull| pull.number > 7)
            .map(|pull| (pull.title.clone(), pull.head_sha.clone()))
            .collect::<Vec<_>>()
    });
    assert_eq!(pulls.len(), 1, "{}", clone.forge.transcript());
    assert_eq!(pulls[0].0.as_deref(), Some("Results"));
    let changed = clone.changes(&pulls[0].1);
    assert!(
        changed.contains("model.json") && changed.contains("metrics/all.json") && !changed.contains("notes"),
        "{changed}"
    );
    assert_eq!(clone.cml.read(".shared/cml.env"), format!("PR_URL={printed}"));
}

#[test]
fn git_pushes_through_the_steps_proxy_where_a_pipe_finds_it() {
    let mut clone = Clone::on(BITBUCKET);
    let proxy = Proxy::start_signing();
    proxy.route("bitbucket.org:80", &clone.forge.address());
    // What Bitbucket makes of a clone: an address without TLS, and the proxy as the step finds it.
    let origin = "http://bitbucket.org/team/model";
    clone.cml.git(&["remote", "set-url", "origin", origin]);
    clone.cml.git(&["config", &format!("http.{origin}.proxy"), "http://127.0.0.1:9/"]);
    clone.cml.file("model.json", "{\"a\": 1}\n");
    dress(&mut clone.cml, &[("COMMAND", "pr create"), ("GLOB", "model.json"), ("REPO_TOKEN", "good")]);
    clone.cml.unset("CML_REPO").unset("CML_DRIVER");
    clone.cml.set("BITBUCKET_GIT_HTTP_ORIGIN", origin).set("CML_BITBUCKET_PROXY", &proxy.url());
    run(&clone.cml).ok();
    let pulls = clone.forge.repo(BITBUCKET, BITBUCKET.slug(), |repo| repo.pulls.keys().copied().max());
    assert_eq!(pulls, Some(8), "{}", clone.forge.transcript());
    assert!(proxy.targets().contains(&format!("POST {origin}/git-receive-pack")), "{:?}", proxy.targets());
    let config = clone.cml.git(&["config", &format!("http.{origin}.proxy")]);
    assert_eq!(config, "http://127.0.0.1:9/", "the step's own is as it was");
}

#[test]
fn what_makes_no_sense_has_no_effect() {
    let forge = Forge::start();
    for (variables, error, hint) in [
        (&[][..], "the variable COMMAND is required", "set it, for instance COMMAND: comment update"),
        (
            &[("REPORT", "report.md")],
            "the variable REPORT is set without a command",
            "add a command, for instance COMMAND: comment update, or remove it",
        ),
        (&[("COMMAND", "comment")], "the variable COMMAND is incomplete: cml comment", "add one of: create or update"),
        (
            &[("COMMAND", "comment update"), ("REPORT", "report.md"), ("CLOUD", "aws")],
            "the variable CLOUD is not an option of cml comment update",
            "see `cml comment update --help`, or remove it",
        ),
        (
            &[("COMMAND", "comment update"), ("REPORT", "report.md"), ("WATCH", "true")],
            "unknown variable WATCH for the pipe",
            "the pipe would never end: run *",
        ),
        (
            &[("COMMAND", "comment update"), ("REPORT", "report.md"), ("DRIVER_TOKEN", "x")],
            "unknown variable DRIVER_TOKEN for the pipe",
            "the variable is called REPO_TOKEN",
        ),
        (
            &[("COMMAND", "check create"), ("REPORT", "report.md"), ("DATA_COUNT", "2"), ("DATA_1", "a=1")],
            "DATA_COUNT is 2, but some of DATA_0, DATA_1, … are missing",
            "use a list such as DATA: ['first', 'second'], without empty values",
        ),
    ] {
        run(&pipe(&forge, variables)).fails(2, error, hint);
    }
    let unknown = run(&pipe(&forge, &[("COMMAND", "coment update")]));
    assert!(
        unknown.code == Some(2) && unknown.stderr.contains("comment"),
        "the parser knows what was meant: {unknown:?}"
    );
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

/// The variables of a step's pipe, as Bitbucket hands them over.
fn handed_over(example: &str) -> Vec<(String, String)> {
    let lines = example.lines().skip_while(|line| line.trim() != "variables:").skip(1);
    let pairs = lines.map_while(|line| line.trim().split_once(": ").filter(|(name, _)| *name != "- cat"));
    let mut found = Vec::new();
    for (name, value) in pairs {
        match value.strip_prefix("['").and_then(|list| list.strip_suffix("']")) {
            Some(list) => {
                let items: Vec<&str> = list.split("', '").collect();
                found.push((format!("{name}_COUNT"), items.len().to_string()));
                found.extend(items.iter().enumerate().map(|(at, item)| (format!("{name}_{at}"), (*item).to_owned())));
            }
            None => found.push((name.to_owned(), value.trim_matches('\'').replace("$REPO_TOKEN", "good"))),
        }
    }
    found
}

#[test]
fn the_examples_of_the_readme_work_as_they_are() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/bitbucket-pipe/README.md")).unwrap();
    let examples = readme.split_once("\n## Examples\n").unwrap().1.split("```yaml\n").skip(1);
    let forge = Forge::start();
    let proxy = Proxy::start_signing();
    let mut results = String::new();
    for example in examples {
        let variables = handed_over(example.split("```").next().unwrap());
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut cml = pipe(&forge, &variables);
        if !variables.iter().any(|(name, _)| *name == "REPO_TOKEN") {
            cml.unset("REPO_TOKEN");
        }
        cml.set("CML_BITBUCKET_PROXY", &proxy.url());
        run(&cml).ok();
        results += &cml.read(".shared/cml.env");
    }
    let names: Vec<_> = results.lines().filter_map(|line| line.split('=').next()).collect();
    assert_eq!(names, ["COMMENT_URL", "CHECK_URL"], "{}", forge.transcript());
}

/// The training is played: its metrics are there.
#[test]
fn the_recipe_of_a_gate_works_as_it_is() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gates.md")).unwrap();
    let [_, recipe] = page.split("```yaml\n# Bitbucket\n").collect::<Vec<_>>()[..] else {
        panic!("one recipe: {page}")
    };
    let variables = handed_over(recipe.split("```").next().unwrap());
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut clone = Clone::on(BITBUCKET);
    clone.cml.file("metrics.json", "{\"accuracy\": 0.92}");
    clone.cml.git(&["add", "metrics.json"]);
    clone.cml.git(&["commit", "-q", "-m", "train"]);
    clone.cml.git(&["push", "-q", clone.bare().to_str().unwrap(), "HEAD:main"]);
    clone.cml.git(&["branch", "-q", "--force", "main"]);
    clone.cml.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
    let head = clone.cml.git(&["rev-parse", "HEAD"]);
    clone.about(&head, "feature");
    clone.cml.set("BITBUCKET_PR_ID", "7").set("BITBUCKET_PR_DESTINATION_BRANCH", "main");
    clone.cml.file("metrics.json", "{\"accuracy\": 0.91}");
    dress(&mut clone.cml, &variables);
    let reason = "accuracy fell from 0.92 to 0.91 (a drop of 0.005 is allowed)";
    let ran = run(&clone.cml);
    assert!(ran.code == Some(1) && ran.stderr.contains(&format!("error: {reason}\n")), "{ran:#?}");
    let comments = clone.forge.live_comments(BITBUCKET, &Target::Pull(7));
    assert!(comments.len() == 1 && comments[0].body.contains(reason), "{comments:#?}");
}
