//! The GitLab component in a project's pipeline: `include: component:`, inputs, rules, results, by gitlab-ci-local.

mod components;
mod examples;
mod image;
mod recipes;

use crate::support::Ran;
use crate::support::fake::{Forge, Kind, Target, Vendor};
use crate::support::gitlab_ci::Project;
use serde_json::{Value, json};

const GITLAB: Vendor = Vendor::GitLab;
const RELEASE: &str = "native-url: RELEASE/\n";
const TRAIN: &str = "\
train:
  script: [echo trained >> report.md]
  artifacts: { paths: [report.md] }
";

/// The body of the only comment.
#[track_caller]
fn only(forge: &Forge, target: &Target) -> String {
    let mut live = forge.live_comments(GITLAB, target);
    assert_eq!(live.len(), 1, "{}", forge.transcript());
    live.remove(0).body
}

/// What the pipeline said.
fn said(ran: &Ran) -> String {
    format!("{}{}", ran.stdout, ran.stderr)
}

#[test]
fn the_report_of_a_merge_request_is_its_comment_and_its_address_a_result() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    // The engine, not GitLab, cuts what it hands on at the first #.
    let later = "link:\n  stage: .post\n  needs: [cml-report]\n  script: ['echo \"it is at $COMMENT_URL\"']\n";
    project.includes("report", RELEASE, &format!("{TRAIN}{later}"));
    for _ in 0..2 {
        let told = project.merge_request().ok();
        assert!(told.contains(&format!("it is at {}/group/model/-/merge_requests/7\n", forge.url())), "{told}");
        assert!(told.contains("/release/cml-linux-x86_64 (SHA-256 verified)"), "{told}");
    }
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Report\n\nAccuracy: **0.99**\ntrained\n"), "{body}");
}

#[test]
fn a_branch_comments_on_its_merge_request_or_else_on_the_commit() {
    for is_open in [true, false] {
        let forge = Forge::start();
        let Some(project) = Project::on(&forge) else { return };
        project.includes("report", RELEASE, TRAIN);
        project.branch("other");
        let sha = project.known(&forge);
        if is_open {
            project.open(&forge, 11);
        }
        project.push().ok();
        let target = if is_open { Target::Pull(11) } else { Target::Commit(sha) };
        assert!(only(&forge, &target).starts_with("# Report"), "{}", forge.transcript());
    }
}

#[test]
fn a_branch_leaves_the_report_to_the_pipeline_of_its_merge_request() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    project.includes("report", RELEASE, TRAIN);
    project.set("CI_OPEN_MERGE_REQUESTS", "group/model!7");
    let told = project.push().ok();
    assert!(told.contains("train") && !told.contains("cml-report"), "{told}");
    // Unless it is told otherwise.
    project.includes("report", &format!("{RELEASE}rules: [{{ when: on_success }}]\njob-name: tell"), TRAIN);
    assert!(project.push().ok().contains("tell"));
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Report"), "{}", forge.transcript());
}

/// Real: the rules, judged by an engine. Scripted: the variables that GitLab gives to each kind of pipeline.
#[test]
fn jobs_are_there_in_child_pipelines_and_in_what_is_not_a_push() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    for template in ["report", "train"] {
        project.includes(template, "", "");
        let job = format!("cml-{template}");
        let child = ("CI_PIPELINE_SOURCE", "parent_pipeline");
        let told = project.list(&["--unset-variable", "CI_COMMIT_BRANCH"], &[child, ("CI_MERGE_REQUEST_IID", "7")]);
        assert!(told.contains(&job), "{told}");
        for source in ["schedule", "web", "api"] {
            let open = ("CI_OPEN_MERGE_REQUESTS", "group/model!7");
            let told = project.list(&[], &[("CI_PIPELINE_SOURCE", source), open]);
            assert!(told.contains(&job), "{source}: {told}");
            let told = project.list(&[], &[("CI_PIPELINE_SOURCE", "push"), open]);
            assert!(!told.contains(&job), "{told}");
        }
    }
}

#[test]
fn inputs_are_the_options_of_the_command_whatever_is_in_them() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    project.file("out/r 1.md", "# Other\n\n![](plot.png)\n");
    let title = r#"a: 'b' "c" & [d] {workflow} $(touch e) `touch f`"#;
    let inputs = format!(
        "{RELEASE}report: 'out/r 1.md'\ncommand: comment create\npublish: false\nwatermark-title: >-\n  {title}\ntimeout: 60\n"
    );
    project.includes("report", &inputs, "");
    project.merge_request().ok();
    let body = only(&forge, &Target::Pull(7));
    assert!(body.starts_with("# Other\n\n![](plot.png)\n"), "not published, as it was told: {body}");
    let marked = r#"CML watermark a: 'b' \"c\" & \[d]"#;
    assert!(body.contains(marked) && body.contains("$(touch e) `touch f`"), "{body}");
}

#[test]
fn statuses_take_lists() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    let inputs = "command: check create\ntitle: trained\nconclusion: failure\ndata: [accuracy=0.99, 'loss=0.1, falling']\ncomment: true\n";
    project.includes("report", &format!("{RELEASE}{inputs}"), "");
    project.branch("other");
    let sha = project.known(&forge);
    project.push().ok();
    let transcript = forge.transcript();
    let status = transcript.lines().find(|line| line.contains(&format!("/statuses/{sha}"))).unwrap_or_default();
    assert!(status.contains("POST"), "{transcript}");
    let body = only(&forge, &Target::Commit(sha));
    assert!(body.contains("accuracy") && body.contains("0.1, falling"), "{body}");
}

#[test]
fn wrong_inputs_are_refused_before_any_job_runs() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    for (template, inputs, why) in [
        ("report", "strict: 3", "`strict` input: provided value is not a boolean"),
        ("report", "timeout: long", "`timeout` input: provided value is not a number"),
        ("report", "data: a=1", "`data` input: provided value is not a array"),
        ("report", "overflow: cut", "`overflow` input: `cut` cannot be used because it is not in the list"),
        ("report", "command: runner launch", "`command` input: `runner launch` cannot be used"),
        ("report", "token: glpat-aaaa", "`token` input: `glpat-aaaa` does not match required regex"),
        ("runner", "labels: gpu", "`cloud` input: required value has not been provided"),
        ("runner", "cloud: moon", "`cloud` input: `moon` cannot be used because it is not in the list"),
        ("runner", "cloud: aws\nlabels: 'a,b'", "`labels` input: `a,b` does not match required regex"),
        ("setup", "job-name: cml", "`job-name` input: `cml` does not match required regex"),
        ("train", "artifacts: report.md", "`artifacts` input: provided value is not a array"),
    ] {
        project.includes(template, inputs, TRAIN);
        let ran = project.push();
        assert!(ran.code != Some(0) && said(&ran).contains(why) && !said(&ran).contains("trained"), "{why}: {ran:#?}");
    }
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

#[test]
fn a_program_that_is_not_the_recorded_one_is_not_run() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    project.includes("report", "native-url: RELEASE/other\n", "");
    forge.fault("GET /release/other/cml-linux-x86_64$", 1, Kind::answer(200, &[], "#!/bin/sh\necho attacked\n"));
    let ran = project.merge_request();
    let text = said(&ran);
    assert!(ran.code != Some(0) && text.contains("SHA-256 mismatch for"), "{text}");
    assert!(text.contains("hint: it was not run") && !text.contains("> attacked"), "{text}");
    assert_eq!(forge.live_comments(GITLAB, &Target::Pull(7)).len(), 0);
}

#[test]
fn a_program_that_cannot_be_had_is_asked_for_three_times() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    project.program("sleep", "");
    project.includes("report", "native-url: RELEASE/none", "");
    let text = said(&project.merge_request());
    assert!(text.contains(&format!("error: cannot download {}/release/none/cml-linux-x86_64", forge.url())), "{text}");
    assert!(text.contains("hint: check that this runner can reach it"), "{text}");
    assert_eq!(forge.requests().len(), 3, "{}", forge.transcript());
    // An architecture without a program is named.
    project.program("uname", "[ \"$1\" = -m ] && echo riscv64 || echo Linux\n");
    let text = said(&project.merge_request());
    assert!(text.contains("has no native build for Linux on riscv64") && text.contains("hint: use an image"), "{text}");
    assert_eq!(forge.requests().len(), 3, "{}", forge.transcript());
}

#[test]
fn a_missing_token_and_the_limits_of_the_jobs_own_are_explained() {
    let forge = Forge::start();
    let Some(mut project) = Project::on(&forge) else { return };
    project.unset("REPO_TOKEN").set("CI_JOB_TOKEN", "job-token-of-the-job");
    project.includes("report", &format!("{RELEASE}token: MODEL_TOKEN\n"), "");
    let ran = project.merge_request();
    let text = said(&ran);
    assert!(ran.code != Some(0) && text.contains("warning: the variable MODEL_TOKEN is empty in this job"), "{text}");
    assert!(text.contains("hint: a protected variable is only in jobs of protected branches"), "{text}");
    assert!(text.contains("error: the job's own token (CI_JOB_TOKEN) is not allowed to do this"), "{text}");
    assert!(text.contains("hint: create a project access token with the role Reporter and the scope api"), "{text}");
    assert!(!text.contains("job-token-of-the-job"), "{text}");
    let told = project.set("MODEL_TOKEN", "good").merge_request().ok();
    assert!(!told.contains("warning:"), "{told}");
    assert!(only(&forge, &Target::Pull(7)).starts_with("# Report"), "{}", forge.transcript());
}

#[test]
fn any_posix_shell_gets_the_program() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    let template = std::fs::read_to_string(project.path("component/templates/setup.yml")).unwrap();
    let lines = template.lines().skip_while(|line| line.trim() != "# >>> program");
    let script: String = lines.take_while(|line| line.trim() != "# <<<").map(|line| format!("{line}\n")).collect();
    let script = format!("set -eu\n{script}command -v cml-pr\n");
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", &script]).env("CML_NATIVE_URL", format!("{}/release", forge.url()));
    let told = Ran::of(&mut sh).ok();
    assert!(told.contains("(SHA-256 verified)\n") && told.ends_with("/cml-pr\n"), "{told}");
}

/// A template's jobs with inputs put in as GitLab does, which the engine does otherwise: into the text, before that is
/// read as YAML. Defaults are those of the header.
fn in_text(template: &str, inputs: &[(&str, Value)]) -> String {
    let (spec, jobs) = template.split_once("\n---\n").unwrap();
    let default = |name: &str| {
        let about = spec.split(&format!("\n    {name}:\n")).nth(1).unwrap_or_else(|| panic!("no input {name}"));
        let default = about.lines().find_map(|line| line.trim().strip_prefix("default: ")).unwrap();
        default.trim_matches('\'').replace("''", "'")
    };
    let mut parts = jobs.split("$[[ inputs.");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (name, rest) = part.split_once(" ]]").unwrap();
        let given = inputs.iter().find(|(known, _)| *known == name).map(|(_, value)| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        text + &given.unwrap_or_else(|| default(name)) + rest
    })
}

#[test]
fn values_survive_the_way_in_which_gitlab_puts_them_in() {
    let forge = Forge::start();
    let Some(project) = Project::on(&forge) else { return };
    let template = std::fs::read_to_string(project.path("component/templates/report.yml")).unwrap();
    let title = r#"- a: 'b' "c" #d *e {f} %g | > & !h \i `j`"#;
    let inputs = [
        ("rules", json!([{ "when": "on_success" }])),
        ("native-url", json!(format!("{}/release", forge.url()))),
        ("command", json!("check create")),
        ("title", json!(title)),
        ("data", json!(["it's=a, \"b\"", "loss=0.1"])),
        ("comment", json!(true)),
        ("publish", json!(false)),
        ("timeout", json!(60)),
    ];
    project.file("job.yml", in_text(&template, &inputs));
    project.file(".gitlab-ci.yml", "include: { local: job.yml }\n");
    project.known(&forge);
    project.merge_request().ok();
    let status = forge.requests().into_iter().find(|request| request.path.contains("/statuses/")).unwrap();
    let status: Value = serde_json::from_slice(&status.body).unwrap();
    assert_eq!(status["name"], title);
    assert_eq!(status["description"], "it's: a, \"b\", loss: 0.1");
    assert!(only(&forge, &Target::Pull(7)).contains("| loss | 0.1 |"), "{}", forge.transcript());
}
