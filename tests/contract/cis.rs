//! The contract of the trait `Ci`: the same assertions over every row of `CIS`, each with the environment of a push and of a pull
//! request. The variables and the form of their values are those of the vendors' documentation, which `src/ci/` links; none was
//! recorded in a real job. The program is real, the forges are the fakes.

use crate::support::fake::{Forge, HEAD, Target, Vendor};
use crate::support::host::TestHost;
use crate::support::ignored::is_native_only;
use crate::support::{Cml, Ran};
use cml::ci::{self, CIS, Context, ForgeHint, Outputs};
use cml::env::Env;
use cml::host::Host;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use serde_json::json;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The commit of a test merge, which no branch of the forge has.
const MERGE: &str = "0123456789012345678901234567890123456789";
/// Whether a job is of a push or of a pull request.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    Push,
    PullRequest,
}
use Event::{PullRequest, Push};

type Variables = Vec<(&'static str, String)>;

/// A job of a CI, as its documentation describes the environment.
struct Job {
    /// The name that `cml doctor` shows.
    title: &'static str,
    /// The forge of the repository.
    vendor: Vendor,
    /// What the CI sets.
    variables: Variables,
    /// What a user has to set besides `REPO_TOKEN`, and where the fake is.
    given: Variables,
    /// Whether the CI says the commit of this event.
    has_commit: bool,
    /// Whether the CI says the repository.
    has_repository: bool,
}

impl Job {
    fn env(&self) -> Env {
        self.variables.iter().chain(&self.given).map(|(name, value)| (*name, value.clone())).collect()
    }

    fn cml(&self) -> Cml {
        let mut cml = Cml::alone();
        for (name, value) in self.variables.iter().chain(&self.given) {
            cml.set(name, value);
        }
        cml.set("REPO_TOKEN", "good");
        cml.clone()
    }
}

fn owned(list: &[(&'static str, &str)]) -> Variables {
    list.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The job of a row.
fn job(row: &str, forge: &Forge, event: Event, folder: &std::path::Path) -> Job {
    let is_pull = event == PullRequest;
    let pick = |pull: &'static str, push: &'static str| if is_pull { pull } else { push };
    let [github, gitlab, bitbucket] =
        [Vendor::GitHub, Vendor::GitLab, Vendor::Bitbucket].map(|vendor| forge.repo_url(vendor));
    let driver = |name: &str| owned(&[("CML_DRIVER", name)]);
    let made = |title, vendor, variables: Variables, given: Variables| Job {
        title,
        vendor,
        variables,
        given,
        has_commit: true,
        has_repository: true,
    };
    match row {
        "GitHub Actions" => {
            let event = match event {
                PullRequest => json!({ "pull_request": { "number": 7,
                    "head": { "sha": HEAD, "ref": "feature", "repo": { "full_name": "octo/model" } } } }),
                Push => json!({ "ref": "refs/heads/feature", "after": HEAD }),
            };
            let path = folder.join("event.json");
            std::fs::write(&path, event.to_string()).unwrap();
            let variables = owned(&[
                ("CI", "true"),
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_REPOSITORY", "octo/model"),
                ("GITHUB_SERVER_URL", forge.url()),
                ("GITHUB_API_URL", &forge.api(Vendor::GitHub)),
                ("GITHUB_SHA", pick(MERGE, HEAD)),
                ("GITHUB_REF", pick("refs/pull/7/merge", "refs/heads/feature")),
                ("GITHUB_HEAD_REF", pick("feature", "")),
                ("GITHUB_EVENT_PATH", path.to_str().unwrap()),
                ("GITHUB_WORKFLOW", "train"),
                ("GITHUB_RUN_ID", "99"),
                ("GITHUB_JOB", "report"),
            ]);
            made("GitHub Actions", Vendor::GitHub, variables, Vec::new())
        }
        "Forgejo Actions and Gitea Actions" => {
            let mut job = job("GitHub Actions", forge, event, folder);
            job.variables.extend(owned(&[
                ("FORGEJO_ACTIONS", "true"),
                ("GITEA_ACTIONS", "true"),
                ("GITHUB_SERVER_URL", "https://codeberg.org"),
                ("GITHUB_API_URL", "https://codeberg.org/api/v1"),
                ("GITHUB_TOKEN", "token-of-codeberg-0123456789"),
                ("GITHUB_RUN_NUMBER", "12"),
            ]));
            // The forge is not supported: the report goes to a repository elsewhere.
            job.given = owned(&[("CML_REPO", &github), ("CML_DRIVER", "github"), ("CML_PR", pick("7", ""))]);
            job.title = "Forgejo Actions";
            job
        }
        "GitLab CI/CD" => {
            let variables = [
                ("CI", "true"),
                ("GITLAB_CI", "true"),
                ("CI_PROJECT_URL", &gitlab),
                ("CI_PROJECT_PATH", "group/model"),
                ("CI_API_V4_URL", &forge.api(Vendor::GitLab)),
                ("CI_COMMIT_SHA", HEAD),
                ("CI_COMMIT_REF_NAME", pick("refs/merge-requests/7/head", "feature")),
                ("CI_MERGE_REQUEST_IID", pick("7", "")),
                ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", pick("feature", "")),
                ("CI_PIPELINE_ID", "1201"),
                ("CI_JOB_ID", "99"),
                ("CI_JOB_URL", &format!("{gitlab}/-/jobs/99")),
            ];
            made("GitLab CI/CD", Vendor::GitLab, owned(&variables), Vec::new())
        }
        "Bitbucket Pipelines" => {
            let variables = owned(&[
                ("CI", "true"),
                ("BITBUCKET_REPO_UUID", "{1}"),
                ("BITBUCKET_REPO_FULL_NAME", "team/model"),
                ("BITBUCKET_COMMIT", HEAD),
                ("BITBUCKET_BRANCH", "feature"),
                ("BITBUCKET_PR_ID", pick("7", "")),
                ("BITBUCKET_PIPELINE_UUID", "{2}"),
                ("BITBUCKET_BUILD_NUMBER", "99"),
                ("BITBUCKET_STEP_UUID", "{3}"),
            ]);
            let api = forge.api(Vendor::Bitbucket);
            let given = [("BITBUCKET_API_URL", &*api), ("CML_REPO", &bitbucket), ("CML_DRIVER", "bitbucket")];
            made("Bitbucket Pipelines", Vendor::Bitbucket, variables, owned(&given))
        }
        "Azure Pipelines" => {
            let variables = owned(&[
                ("TF_BUILD", "True"),
                ("BUILD_REPOSITORY_PROVIDER", "GitHub"),
                ("BUILD_REPOSITORY_URI", &github),
                ("BUILD_SOURCEBRANCH", pick("refs/pull/7/merge", "refs/heads/feature")),
                ("BUILD_SOURCEVERSION", pick(MERGE, HEAD)),
                ("BUILD_BUILDID", "99"),
                ("BUILD_DEFINITIONNAME", "train"),
                ("SYSTEM_COLLECTIONURI", "https://dev.azure.com/octo/"),
                ("SYSTEM_TEAMPROJECT", "ML models"),
                ("SYSTEM_JOBID", "12f1170f-54f2-53f3-20dd-22fc7dff55f9"),
                ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", pick("7", "")),
                ("SYSTEM_PULLREQUEST_SOURCEBRANCH", pick("feature", "")),
                ("SYSTEM_PULLREQUEST_SOURCECOMMITID", pick(HEAD, "")),
                ("SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI", if is_pull { &github } else { "" }),
            ]);
            made("Azure Pipelines", Vendor::GitHub, variables, Vec::new())
        }
        "Buildkite" => {
            let repo = format!("{gitlab}.git");
            let variables = owned(&[
                ("CI", "true"),
                ("BUILDKITE", "true"),
                ("BUILDKITE_PIPELINE_PROVIDER", "gitlab"),
                ("BUILDKITE_PIPELINE_SLUG", "train"),
                ("BUILDKITE_REPO", &repo),
                ("BUILDKITE_COMMIT", HEAD),
                ("BUILDKITE_BRANCH", "feature"),
                ("BUILDKITE_TAG", ""),
                ("BUILDKITE_PULL_REQUEST", pick("7", "false")),
                ("BUILDKITE_PULL_REQUEST_REPO", if is_pull { &repo } else { "" }),
                ("BUILDKITE_BUILD_NUMBER", "1514"),
                ("BUILDKITE_BUILD_URL", "https://buildkite.com/acme-inc/train/builds/1514"),
                ("BUILDKITE_JOB_ID", "e44f9784-e20e-4b93-a21d-f41fd5869db9"),
            ]);
            made("Buildkite", Vendor::GitLab, variables, owned(&[("CI_API_V4_URL", &forge.api(Vendor::GitLab))]))
        }
        "CircleCI" => {
            let page = format!("{github}/pull/7");
            let variables = owned(&[
                ("CI", "true"),
                ("CIRCLECI", "true"),
                ("CIRCLE_REPOSITORY_URL", &github),
                ("CIRCLE_PULL_REQUEST", if is_pull { &page } else { "" }),
                ("CIRCLE_SHA1", HEAD),
                ("CIRCLE_BRANCH", "feature"),
                ("CIRCLE_BUILD_NUM", "99"),
                ("CIRCLE_BUILD_URL", "https://circleci.com/gh/octo/model/99"),
                ("CIRCLE_WORKFLOW_ID", "b3a7bd5d-0ae7-4d35-b2f7-3a6b6e0e9b9a"),
                ("CIRCLE_WORKFLOW_JOB_ID", "6bf3dd5a-77c2-4e5c-8c0a-8cbb7a3e6f4f"),
            ]);
            made("CircleCI", Vendor::GitHub, variables, driver("github"))
        }
        "Jenkins" => {
            let variables = owned(&[
                ("JENKINS_URL", "https://jenkins.example.com/"),
                ("BUILD_NUMBER", "12"),
                ("BUILD_TAG", "jenkins-model-12"),
                ("BUILD_URL", "https://jenkins.example.com/job/model/12/"),
                ("JOB_NAME", pick("model/PR-7", "model/feature")),
                ("BRANCH_NAME", pick("PR-7", "feature")),
                ("CHANGE_ID", pick("7", "")),
                ("CHANGE_BRANCH", pick("feature", "")),
                ("CHANGE_TARGET", pick("main", "")),
                ("GIT_URL", &format!("{github}.git")),
                ("GIT_COMMIT", pick(MERGE, HEAD)),
                ("GIT_BRANCH", pick("PR-7", "origin/feature")),
            ]);
            Job { has_commit: !is_pull, ..made("Jenkins", Vendor::GitHub, variables, driver("github")) }
        }
        "TeamCity" => {
            let variables = owned(&[
                ("TEAMCITY_VERSION", "2025.11 (build 208117)"),
                ("TEAMCITY_BUILDCONF_NAME", "Train"),
                ("BUILD_NUMBER", "12"),
                ("BUILD_VCS_NUMBER", HEAD),
                ("BUILD_URL", "https://teamcity.example.com/build/1234"),
            ]);
            let api = forge.api(Vendor::Bitbucket);
            let given = owned(&[
                ("BITBUCKET_API_URL", &api),
                ("CML_REPO", &bitbucket),
                ("CML_DRIVER", "bitbucket"),
                ("CML_PR", pick("7", "")),
                ("CML_BRANCH", pick("feature", "refs/heads/feature")),
            ]);
            Job { has_repository: false, ..made("TeamCity", Vendor::Bitbucket, variables, given) }
        }
        "Woodpecker CI" => {
            let variables = owned(&[
                ("CI", "woodpecker"),
                ("CI_FORGE_TYPE", "github"),
                ("CI_REPO_URL", &github),
                ("CI_REPO_CLONE_URL", &format!("{github}.git")),
                ("CI_COMMIT_SHA", HEAD),
                ("CI_COMMIT_BRANCH", pick("main", "feature")),
                ("CI_COMMIT_SOURCE_BRANCH", pick("feature", "")),
                ("CI_COMMIT_PULL_REQUEST", pick("7", "")),
                ("CI_WORKFLOW_NAME", "train"),
                ("CI_PIPELINE_NUMBER", "8"),
                ("CI_PIPELINE_URL", "https://ci.example.com/repos/7/pipeline/8"),
                ("CI_STEP_URL", "https://ci.example.com/repos/7/pipeline/8/2"),
            ]);
            made("Woodpecker CI", Vendor::GitHub, variables, Vec::new())
        }
        "another one" => {
            let given = owned(&[
                ("CI_API_V4_URL", &forge.api(Vendor::GitLab)),
                ("CML_DRIVER", "gitlab"),
                ("CML_REPO", &gitlab),
                ("CML_PR", pick("7", "false")),
                ("CML_SHA", HEAD),
                ("CML_BRANCH", "feature"),
            ]);
            Job { has_repository: false, ..made("another one", Vendor::GitLab, owned(&[("CI", "true")]), given) }
        }
        row => panic!("{row} has no environment: the contract needs one"),
    }
}

/// Holds every row to the contract, in a job of each event.
fn each(test: impl Fn(&Forge, &Job, Event)) {
    for row in CIS {
        for event in [Push, PullRequest] {
            let (forge, folder) = (Forge::start(), tempfile::tempdir().unwrap());
            test(&forge, &job(row.title, &forge, event, folder.path()), event);
        }
    }
}

/// What the CI of a job, and its user, say about the run.
fn context(job: &Job) -> Context {
    let folder = tempfile::tempdir().unwrap();
    let host = TestHost { native: Native::default(), env: job.env(), folder: folder.path().to_owned() };
    let env = job.env();
    ci::context(ci::detect(&env).as_deref(), &host).unwrap()
}

#[test]
fn every_row_is_found_by_its_variables_and_nothing_by_none() {
    assert!(CIS.iter().all(|row| (row.new)(&Env::default()).is_none()));
    each(|_, job, event| {
        let set: Env = job.variables.iter().cloned().collect();
        let found = ci::detect(&set).map(|ci| ci.title());
        assert_eq!(found, Some(job.title), "{event:?}");
    });
}

#[test]
fn every_row_says_what_the_run_is_about() {
    each(|forge, job, event| {
        let found = context(job);
        let what = format!("{} {event:?}: {found:?}", job.title);
        assert_eq!(found.pull_request, (event == PullRequest).then_some(7), "{what}");
        assert_eq!(found.branch.as_deref(), Some("feature"), "{what}");
        assert_eq!(found.commit.as_deref(), job.has_commit.then_some(HEAD), "{what}");
        assert_eq!((found.fork, found.issue), (None, None), "{}", job.title);
        let own = found.repository.map(|repository| repository.url());
        let expected = match job.title {
            "Forgejo Actions" => Some("https://codeberg.org/octo/model".to_owned()),
            "Bitbucket Pipelines" => Some("https://bitbucket.org/team/model".to_owned()),
            _ => job.has_repository.then(|| forge.repo_url(job.vendor)),
        };
        assert_eq!(own, expected, "{}", job.title);
        // Each value has its source, and a value that is not there has none.
        let sources = found.sources;
        for (value, source) in [
            (own.is_some(), sources.repository),
            (found.commit.is_some(), sources.commit),
            (found.pull_request.is_some(), sources.pull_request),
            (found.branch.is_some(), sources.branch),
        ] {
            assert_eq!(value, !source.is_empty(), "{}: {sources:?}", job.title);
        }
        if job.title != "another one" {
            let page = found.run_url.unwrap();
            assert!(url::Url::parse(&page).is_ok(), "{page}");
            assert!(found.run.is_some() && found.workflow.is_some(), "{}", job.title);
        }
    });
}

#[test]
fn results_go_to_the_files_that_the_ci_names_and_to_no_others() {
    each(|_, job, _| {
        let files = [
            ("GITHUB_OUTPUT", "/out"),
            ("GITHUB_STEP_SUMMARY", "/summary"),
            ("BITBUCKET_PIPE_SHARED_STORAGE_DIR", "/shared"),
        ];
        let env: Env = job.variables.iter().map(|(name, value)| (*name, value.as_str())).chain(files).collect();
        let ci = ci::detect(&env).unwrap();
        let (outputs, summary) = match job.title {
            "GitHub Actions" | "Forgejo Actions" => (Some(Outputs::Heredoc("/out".into())), Some(1024 * 1024)),
            "Bitbucket Pipelines" => (Some(Outputs::Dotenv("/shared/cml.env".into())), None),
            _ => (None, None),
        };
        assert_eq!((ci.outputs(), ci.summary().map(|summary| summary.limit)), (outputs, summary), "{}", job.title);
    });
}

#[test]
fn a_comment_reaches_the_pull_request_of_every_ci() {
    each(|forge, job, event| {
        let ran = job.cml().run(&["comment", "create", "report.md"]);
        assert_eq!(ran.code, Some(0), "{} {event:?}: {ran:#?}\n{}", job.title, forge.transcript());
        let comments = forge.live_comments(job.vendor, &Target::Pull(7));
        assert_eq!(comments.len(), 1, "{} {event:?}\n{}", job.title, forge.transcript());
        if job.has_commit || job.vendor == Vendor::GitHub {
            assert!(comments[0].body.contains(&format!("#{HEAD}")), "{}: {}", job.title, comments[0].body);
        }
        assert!(!forge.transcript().contains("codeberg") && !forge.transcript().contains(MERGE));
    });
}

#[test]
fn doctor_names_every_ci() {
    each(|_, job, event| {
        let ran = job.cml().run(&["doctor"]);
        let source = if job.title == "another one" { "  (from CI)" } else { "" };
        assert!(ran.stdout.contains(&format!("  CI            {}{source}\n", job.title)), "{ran:#?}");
        let line = if event == PullRequest { "  pull request  7  (from " } else { "  pull request  not named\n" };
        assert!(ran.stdout.contains(line), "{} {event:?}: {ran:#?}", job.title);
    });
}

/// A job whose repository is where it builds, of a row.
fn start(row: &str, event: Event) -> (Forge, Job, tempfile::TempDir) {
    let (forge, folder) = (Forge::start(), tempfile::tempdir().unwrap());
    let job = job(row, &forge, event, folder.path());
    (forge, job, folder)
}

const NOT_SUPPORTED: &str = "pass --repo and a token in REPO_TOKEN to report to GitHub, GitLab or Bitbucket; docs/other-ci.md says what else works";

#[test]
fn forgejo_is_not_taken_for_github() {
    let (forge, mut job, _folder) = start("Forgejo Actions and Gitea Actions", PullRequest);
    job.given.clear();
    let mut cml = job.cml();
    for args in [&["comment", "create", "report.md"][..], &["check", "create", "report.md"], &["pr", "create"]] {
        cml.run(args).fails(7, "repositories on Forgejo are not supported", NOT_SUPPORTED);
    }
    let ran = cml.run(&["doctor"]);
    assert!(ran.stdout.contains("  forge         Forgejo, which is not supported  (from the CI)\n"), "{ran:#?}");
    assert!(ran.stdout.contains("https://codeberg.org/octo/model  (from GITHUB_REPOSITORY)\n"), "{ran:#?}");
    assert_eq!(ran.code, Some(7), "{ran:#?}");
    // Gitea's runner sets its own variable only.
    cml.unset("FORGEJO_ACTIONS").run(&["comment", "create", "report.md"]).fails(
        7,
        "repositories on Gitea are not supported",
        NOT_SUPPORTED,
    );
    // GITHUB_TOKEN is Forgejo's: GitHub never gets it. The number of Forgejo's pull request is not one of GitHub's.
    cml.unset("REPO_TOKEN").set("CML_REPO", &forge.repo_url(Vendor::GitHub)).set("CML_DRIVER", "github");
    let ran = cml.run(&["comment", "create", "report.md"]);
    assert!(ran.code == Some(4) && ran.stderr.starts_with("error: no token found for GitHub\n"), "{ran:#?}");
    assert!(forge.requests().is_empty());
    let ran = cml.set("REPO_TOKEN", "good").run(&["doctor"]);
    assert!(ran.stdout.contains("  pull request  not named\n"), "{ran:#?}");
}

#[test]
fn repositories_of_other_forges_are_refused_by_name() {
    let refused = |row: &str, variable: &'static str, value: &str| -> Ran {
        let (_forge, job, _folder) = start(row, Push);
        job.cml().set(variable, value).run(&["comment", "create", "report.md"])
    };
    let azure = refused("Azure Pipelines", "BUILD_REPOSITORY_PROVIDER", "TfsGit");
    azure.fails(7, "repositories on Azure Repos are not supported", NOT_SUPPORTED);
    let woodpecker = refused("Woodpecker CI", "CI_FORGE_TYPE", "forgejo");
    woodpecker.fails(7, "repositories on Forgejo are not supported", NOT_SUPPORTED);
    // One that no variable names.
    let circle = refused("CircleCI", "CML_DRIVER", "");
    circle.fails(3, "cannot determine the forge of 127.0.0.1:*", "pass --driver *");
}

#[test]
fn what_users_say_themselves_goes_first_and_must_fit() {
    let (_forge, job, _folder) = start("Azure Pipelines", PullRequest);
    let mut cml = job.cml();
    cml.set("CML_PR", "8").set("CML_SHA", MERGE).set("CML_BRANCH", "tune");
    let ran = cml.run(&["doctor"]);
    for line in ["pull request  8  (from CML_PR)", "branch        tune  (from CML_BRANCH)"] {
        assert!(ran.stdout.contains(&format!("  {line}\n")), "{ran:#?}");
    }
    assert!(ran.stdout.contains(&format!("  commit        {MERGE}  (from CML_SHA)\n")), "{ran:#?}");
    // What a CI leaves of a variable that it does not set.
    for nothing in ["false", "$CHANGE_ID", "${CHANGE_ID}", "%teamcity.pullRequest.number%"] {
        let ran = cml.set("CML_PR", nothing).run(&["doctor"]);
        assert!(ran.stdout.contains("  pull request  7  (from SYSTEM_PULLREQUEST_"), "{nothing}: {ran:#?}");
    }
    for (variable, value, takes) in [
        ("CML_PR", "PR-7", "it takes the number of a pull request, such as 42"),
        ("CML_SHA", "HEAD", "it takes a commit, such as the output of git rev-parse HEAD"),
        ("CML_BRANCH", "refs/tags/v1", "it takes the name of a branch, such as main"),
    ] {
        let mut cml = job.cml();
        let ran = cml.set(variable, value).run(&["comment", "create", "report.md"]);
        ran.fails(2, &format!("invalid value '{value}' in {variable}"), takes);
    }
}

#[test]
fn a_check_of_a_merge_is_about_the_head() {
    for row in ["Jenkins", "Azure Pipelines"] {
        let (forge, job, _folder) = start(row, PullRequest);
        job.cml().unset("SYSTEM_PULLREQUEST_SOURCECOMMITID").run(&["check", "create", "report.md"]).ok();
        let commits: Vec<String> = forge
            .repo(Vendor::GitHub, "octo/model", |repo| repo.checks.iter().map(|check| check.sha.clone()).collect());
        assert_eq!(commits, [HEAD], "{row}");
    }
}

#[test]
fn forks_are_seen_where_the_ci_says_so() {
    for (row, variable, value) in [
        ("Jenkins", "CHANGE_FORK", "visitor"),
        ("CircleCI", "CIRCLE_PR_USERNAME", "visitor"),
        ("Buildkite", "BUILDKITE_PULL_REQUEST_REPO", "https://gitlab.com/visitor/model.git"),
        ("Azure Pipelines", "SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI", "https://github.com/visitor/model"),
    ] {
        let (_forge, mut job, _folder) = start(row, PullRequest);
        job.variables.push((variable, value.to_owned()));
        assert_eq!(context(&job).fork.as_deref(), Some("visitor"), "{row}");
    }
}

#[test]
fn the_documentation_lists_every_row() {
    let read = |name: &str| std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/").to_owned() + name);
    let page = read("other-ci.md").unwrap();
    for row in CIS {
        let is_row = page.contains(&format!("| {} |", row.title)) || page.contains(&format!("## {}\n", row.title));
        let is_own = ["GitHub Actions", "GitLab CI/CD", "Bitbucket Pipelines"].contains(&row.title);
        let is_named = if is_own || row.title == "another one" { page.contains("| any other |") } else { is_row };
        assert!(is_named, "docs/other-ci.md does not list {}", row.title);
    }
    // A variable that it names is one that is read.
    for name in page.split('`').skip(1).step_by(2).filter(|code| code.contains('_') && !code.contains(' ')) {
        let name = name.split('=').next().unwrap();
        let is_var = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let is_known = ["CML_REPO", "CML_DRIVER", "COMMENT_URL"].contains(&name);
        assert!(!is_var || is_known || cml::env::vars::ALL.iter().any(|var| var.name == name), "{name} is not read");
    }
}

/// What docs/other-ci.md says works on Forgejo without its forge.
#[test]
fn a_report_on_forgejo_can_be_a_page() {
    if is_native_only() {
        return;
    }
    let (_forge, mut job, _folder) = start("Forgejo Actions and Gitea Actions", PullRequest);
    job.given.clear();
    let cml = job.cml();
    cml.run(&["comment", "create", "--driver", "local", "report.md"]).ok();
    assert!(cml.path().join(".cml").is_dir());
}

#[test]
fn identity_tokens_come_from_the_cis_own_variable() {
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.identity.c2lnbmF0dXJl";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    each(|_, job, _| {
        let variables = ["BITBUCKET_STEP_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"].map(|name| (name, TOKEN));
        let list = job.variables.iter().map(|(name, value)| (*name, value.as_str())).chain(variables);
        let (env, folder) = (list.collect::<Env>(), tempfile::tempdir().unwrap());
        let host = TestHost { native: Native::default(), env: env.clone(), folder: folder.path().to_owned() };
        let host: Rc<dyn Host> = Rc::new(host);
        let log = Log::new(host.clone(), Level::Error);
        let http = Http::new(host, log.clone(), Duration::from_secs(1));
        let token =
            runtime.block_on(ci::detect(&env).unwrap().identity_token(&http, &log, "sts.amazonaws.com")).unwrap();
        let has_one = ["Bitbucket Pipelines", "CircleCI"].contains(&job.title);
        assert_eq!(token.is_some_and(|token| token.expose() == TOKEN), has_one, "{}", job.title);
    });
}

/// How a job gets its token is said in the words of its own CI, with the cloud's audience.
#[test]
fn a_missing_identity_token_has_a_hint_for_its_ci() {
    each(|_, job, _| {
        let env: Env = job.variables.iter().cloned().collect();
        let expected = match job.title {
            "GitHub Actions" => "add to the job: permissions: { id-token: write }",
            "GitLab CI/CD" => "add to the job: id_tokens: { CML_ID_TOKEN: { aud: api://cloud } }",
            "Bitbucket Pipelines" => "add to the step: oidc: true",
            _ => "set CML_ID_TOKEN to an identity token for the audience api://cloud",
        };
        assert_eq!(ci::identity_hint(&env, "api://cloud"), expected, "{}", job.title);
    });
}

/// The variables of a CI are told apart from each other's: no job is of two, but for those that set GitHub's too.
#[test]
fn no_job_is_of_two_systems() {
    each(|_, job, _| {
        let env: Env = job.variables.iter().cloned().collect();
        let titles: BTreeMap<&str, ForgeHint> = CIS
            .iter()
            .filter_map(|row| Some((row.title, (row.new)(&env)?.forge())))
            .filter(|(title, _)| *title != "another one")
            .collect();
        let expected = match job.title {
            "another one" => 0,
            "Forgejo Actions" => 2,
            _ => 1,
        };
        assert_eq!(titles.len(), expected, "{titles:?}");
    });
}
