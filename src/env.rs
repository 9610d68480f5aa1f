//! The environment as a value, and every variable that the program reads, declared once.
//!
//! Options have environment names too (`CML_COMMENT_TARGET` for `--target`); those are derived from the
//! command line's declaration in [`crate::inputs`] and are not repeated here.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

mod secrets;
pub use secrets::{is_reference, is_secret_name, secrets};

/// A snapshot of the process's environment, taken once by the host.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// Returns the value of a variable; an empty one counts as unset, as CI systems pass empty strings for "none".
    pub fn get(&self, var: Var) -> Option<&str> {
        self.named(var.name)
    }

    /// Returns the value of a variable by a name known only at run time.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Returns the first of several variables that is set.
    pub fn first(&self, vars: &[Var]) -> Option<(Var, &str)> {
        vars.iter().find_map(|v| Some((*v, self.get(*v)?)))
    }

    /// Returns all names, for finding misspelt ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns all variables, for handing the environment on to an SDK.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Env(iter.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

impl fmt::Debug for Env {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Words in names of variables that hold secrets.
const SECRET_WORDS: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "API_KEY",
    "APIKEY",
    "JWT",
    "CONNECTION_STRING",
];
const SECRET_ENDINGS: &[&str] = &["_KEY", "_KEYS", "_PAT", "_PASS", "_PWD"];
/// Beginnings of names of variables with which a job shows who it is, or is given inputs.
const IDENTITY_PREFIXES: &[&str] =
    &["ACTIONS_", "ARM_", "AWS_", "AZURE_", "CLOUDSDK_", "GCP_", "GOOGLE_", "INPUT_", "VAULT_"];
/// GitLab's address of the repository has the job's token in it.
const SECRET_NAMES: &[&str] =
    &["CI_REPOSITORY_URL", "DOCKER_AUTH_CONFIG", "KUBECONFIG", "KUBECONFIG_DATA", "KUBERNETES_CONFIGURATION"];

/// Returns whether a variable holds a token, a key or an identity of a cloud, by its name in any case. Programs that this
/// one starts for itself do not get it (see [`crate::host::Command`]).
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_NAMES.contains(&name.as_str())
        || IDENTITY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SECRET_WORDS.iter().any(|word| name.contains(word))
        || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// A value that must not be seen: no `Display`, no `Serialize`, and `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Secret(String);

/// Serializes secrets as they are, where a field asks for it by `#[serde(serialize_with = "exposed::…")]`.
pub mod exposed {
    use super::{BTreeMap, Secret};
    use serde::{Serialize, Serializer};

    /// Serializes a secret that may be missing.
    pub fn optional<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(serializer)
    }

    /// Serializes secrets by name.
    pub fn map<S: Serializer>(secrets: &BTreeMap<String, Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(secrets.iter().map(|(name, secret)| (name, secret.expose())))
    }
}

impl Secret {
    /// Wraps a value, without the white space that copying and `echo` leave around it.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into().trim().to_owned())
    }

    /// Returns the value itself, to be put into a request and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret::new(text)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Secret::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A variable that the program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var {
    /// Its name.
    pub name: &'static str,
    /// What it is for; shown in the documentation.
    pub doc: &'static str,
}

macro_rules! vars {
    ($($(#[$meta:meta])* $name:ident = $env:literal: $doc:literal;)*) => {
        /// The variables.
        pub mod vars {
            use super::Var;
            $(#[doc = $doc] pub const $name: Var = Var { name: $env, doc: $doc };)*
            /// All of them.
            pub const ALL: &[Var] = &[$($name),*];
        }
    };
}

vars! {
    CI = "CI": "Set by every CI system";
    CML_PR = "CML_PR": "Number of the run's pull request, in a CI that does not say it";
    CML_SHA = "CML_SHA": "Commit of the run, in a CI that does not say it";
    CML_BRANCH = "CML_BRANCH": "Branch of the run, in a CI that does not say it";
    GITHUB_WORKSPACE = "GITHUB_WORKSPACE": "Folder that GitHub's jobs check out into";
    CI_PROJECT_DIR = "CI_PROJECT_DIR": "Folder that GitLab's jobs check out into";
    BITBUCKET_CLONE_DIR = "BITBUCKET_CLONE_DIR": "Folder that Bitbucket's steps check out into";
    HOME = "HOME": "The user's folder; runners live in .cml there";
    IN_DOCKER = "IN_DOCKER": "Set by CML's images: jobs run beside the runner instead of in containers (GitLab)";
    REPO_TOKEN = "REPO_TOKEN": "The forge's token, CML's name for it";
    REPO_TOKEN_LOWER = "repo_token": "The same, an old spelling";
    SSL_CERT_FILE = "SSL_CERT_FILE": "PEM file of the certificate authorities to trust instead of the system's";
    SSL_CERT_DIR = "SSL_CERT_DIR": "Folder of the same";
    NODE_EXTRA_CA_CERTS = "NODE_EXTRA_CA_CERTS": "PEM file of certificate authorities to trust besides the others, as CML read it";
    TB_CREDENTIALS = "TB_CREDENTIALS": "Credentials of tensorboard.dev, which is gone; CML read them";
    NO_COLOR = "NO_COLOR": "No colours";
    CLICOLOR = "CLICOLOR": "0: no colours";
    CLICOLOR_FORCE = "CLICOLOR_FORCE": "1: colours even where the output is no terminal";
    TERM = "TERM": "Kind of the terminal; dumb: no colours and no line that replaces itself";
    WT_SESSION = "WT_SESSION": "Set by the terminal of Windows, which has colours";

    CML_ID_TOKEN = "CML_ID_TOKEN": "The job's identity token, as GitLab's id_tokens: give it";
    ACTIONS_ID_TOKEN_REQUEST_URL = "ACTIONS_ID_TOKEN_REQUEST_URL": "Where a GitHub job gets its identity token";
    ACTIONS_ID_TOKEN_REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "What it asks for it with";
    BITBUCKET_STEP_OIDC_TOKEN = "BITBUCKET_STEP_OIDC_TOKEN": "The identity token of a Bitbucket step with oidc: true";

    AWS_ACCESS_KEY_ID = "AWS_ACCESS_KEY_ID": "Amazon's access key";
    AWS_SECRET_ACCESS_KEY = "AWS_SECRET_ACCESS_KEY": "Its secret";
    AWS_SESSION_TOKEN = "AWS_SESSION_TOKEN": "The token of temporary keys";
    AWS_ROLE_ARN = "AWS_ROLE_ARN": "Role to take with the job's identity";
    AWS_ROLE_SESSION_NAME = "AWS_ROLE_SESSION_NAME": "What that is called in Amazon's logs";
    AWS_WEB_IDENTITY_TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE": "File with the identity token";
    AWS_PROFILE = "AWS_PROFILE": "Profile in ~/.aws";
    AWS_CONFIG_FILE = "AWS_CONFIG_FILE": "~/.aws/config, elsewhere";
    AWS_SHARED_CREDENTIALS_FILE = "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials, elsewhere";
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "Where a container of Amazon's gets its keys";
    AWS_CONTAINER_CREDENTIALS_FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI": "The same as a whole address";
    AWS_CONTAINER_AUTHORIZATION_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN": "What it asks for them with";
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "File with that";

    AZURE_SUBSCRIPTION_ID = "AZURE_SUBSCRIPTION_ID": "Azure's subscription";
    AZURE_TENANT_ID = "AZURE_TENANT_ID": "The tenant of the application that may use it";
    AZURE_CLIENT_ID = "AZURE_CLIENT_ID": "That application, or a managed identity";
    AZURE_CLIENT_SECRET = "AZURE_CLIENT_SECRET": "Its secret";
    AZURE_FEDERATED_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE": "File with an identity token that it trusts";
    AZURE_CREDENTIALS = "AZURE_CREDENTIALS": "The same values in the JSON of azure/login";
    AZURE_AUTHORITY_HOST = "AZURE_AUTHORITY_HOST": "Where it logs in, such as login.microsoftonline.us";
    AZURE_POD_IDENTITY_AUTHORITY_HOST = "AZURE_POD_IDENTITY_AUTHORITY_HOST": "Azure's metadata service, elsewhere";
    ARM_SUBSCRIPTION_ID = "ARM_SUBSCRIPTION_ID": "As AZURE_SUBSCRIPTION_ID, Terraform's name for it";
    ARM_TENANT_ID = "ARM_TENANT_ID": "As AZURE_TENANT_ID";
    ARM_CLIENT_ID = "ARM_CLIENT_ID": "As AZURE_CLIENT_ID";
    ARM_CLIENT_SECRET = "ARM_CLIENT_SECRET": "As AZURE_CLIENT_SECRET";
    ARM_OIDC_TOKEN_FILE_PATH = "ARM_OIDC_TOKEN_FILE_PATH": "As AZURE_FEDERATED_TOKEN_FILE";
    GOOGLE_APPLICATION_CREDENTIALS_DATA = "GOOGLE_APPLICATION_CREDENTIALS_DATA": "Content of a Google Cloud credentials file, as CML read it";
    GOOGLE_APPLICATION_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS": "Path of a Google Cloud credentials file";
    CML_GCP_WORKLOAD_IDENTITY_PROVIDER = "CML_GCP_WORKLOAD_IDENTITY_PROVIDER": "Provider that exchanges the job's identity for a token of Google Cloud";
    CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT = "CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT": "Service account that the job then acts as";
    CLOUDSDK_CONFIG = "CLOUDSDK_CONFIG": "gcloud's folder, instead of ~/.config/gcloud";
    CLOUDSDK_CORE_PROJECT = "CLOUDSDK_CORE_PROJECT": "Google Cloud project, where the credentials name none";
    CLOUDSDK_PROJECT = "CLOUDSDK_PROJECT": "The same";
    GCLOUD_PROJECT = "GCLOUD_PROJECT": "The same";
    GCP_PROJECT = "GCP_PROJECT": "The same";
    GOOGLE_CLOUD_PROJECT = "GOOGLE_CLOUD_PROJECT": "The same";
    GOOGLE_PROJECT = "GOOGLE_PROJECT": "The same";
    GCE_METADATA_HOST = "GCE_METADATA_HOST": "Host of Google's metadata server";

    KUBERNETES_CONFIGURATION = "KUBERNETES_CONFIGURATION": "Content of a kubeconfig file, as CML read it";
    KUBECONFIG_DATA = "KUBECONFIG_DATA": "The same, as CML's Terraform provider read it";
    KUBECONFIG = "KUBECONFIG": "Paths of kubeconfig files";
    KUBERNETES_SERVICE_HOST = "KUBERNETES_SERVICE_HOST": "Host of the cluster's API, inside a pod";
    KUBERNETES_SERVICE_PORT = "KUBERNETES_SERVICE_PORT": "Its port";

    GITHUB_ACTION_REPOSITORY = "GITHUB_ACTION_REPOSITORY": "owner/name of the action that the step uses";
    GITHUB_API_URL = "GITHUB_API_URL": "Base of GitHub's REST API";
    GITHUB_GRAPHQL_URL = "GITHUB_GRAPHQL_URL": "GitHub's GraphQL end point";
    GITHUB_EVENT_PATH = "GITHUB_EVENT_PATH": "File with the event that started the workflow";
    GITHUB_JOB = "GITHUB_JOB": "Name of the job in its workflow";
    GITHUB_OUTPUT = "GITHUB_OUTPUT": "File that takes the step's outputs";
    GITHUB_PATH = "GITHUB_PATH": "File that takes folders for PATH";
    GITHUB_REF = "GITHUB_REF": "The ref that started the workflow";
    GITHUB_HEAD_REF = "GITHUB_HEAD_REF": "Source branch of the pull request";
    GITHUB_BASE_REF = "GITHUB_BASE_REF": "Branch that the pull request of a GitHub run goes into";
    GITHUB_REPOSITORY = "GITHUB_REPOSITORY": "owner/name of the repository";
    GITHUB_RUN_ATTEMPT = "GITHUB_RUN_ATTEMPT": "How often the workflow run has been started";
    GITHUB_RUN_ID = "GITHUB_RUN_ID": "Number of the workflow run";
    GITHUB_RUN_NUMBER = "GITHUB_RUN_NUMBER": "The same number in the repository (Forgejo, Gitea)";
    FORGEJO_ACTIONS = "FORGEJO_ACTIONS": "Set in Forgejo's jobs";
    FORGEJO_TOKEN = "FORGEJO_TOKEN": "Forgejo's token; never sent to another forge";
    GITEA_ACTIONS = "GITEA_ACTIONS": "Set in Gitea's and Forgejo's jobs";
    GITEA_TOKEN = "GITEA_TOKEN": "Gitea's token; never sent to another forge";
    GITHUB_SERVER_URL = "GITHUB_SERVER_URL": "Address of GitHub's pages";
    GITHUB_SHA = "GITHUB_SHA": "The commit that started the workflow";
    GITHUB_STEP_SUMMARY = "GITHUB_STEP_SUMMARY": "File that takes the job summary";
    GITHUB_TOKEN = "GITHUB_TOKEN": "GitHub's token";
    GITHUB_WORKFLOW = "GITHUB_WORKFLOW": "Name of the workflow";
    INPUT_TOKEN = "INPUT_TOKEN": "The action's input token";
    RUNNER_DEBUG = "RUNNER_DEBUG": "1 when the run is repeated with debug logging";
    RUNNER_NAME = "RUNNER_NAME": "Name of the runner of the job; older versions of CML took it for one to launch";
    RUNNER_TEMP = "RUNNER_TEMP": "Folder for the time of the job";
    RUNNER_TRACKING_ID = "RUNNER_TRACKING_ID": "Identity of the job, by which its processes are found";
    RUNNER_TOOL_CACHE = "RUNNER_TOOL_CACHE": "Folder of tools that jobs share";

    GITLAB_TOKEN = "GITLAB_TOKEN": "GitLab's token";
    GIT_SSL_CAINFO = "GIT_SSL_CAINFO": "PEM file of the authorities that git trusts";
    GITLAB_USER_NAME = "GITLAB_USER_NAME": "Name of who started the pipeline";
    GITLAB_USER_EMAIL = "GITLAB_USER_EMAIL": "E-mail address of who started the pipeline";
    CI_API_V4_URL = "CI_API_V4_URL": "Base of GitLab's REST API";
    CI_COMMIT_REF_NAME = "CI_COMMIT_REF_NAME": "Branch or tag of the pipeline";
    CI_COMMIT_SHA = "CI_COMMIT_SHA": "Commit of the pipeline";
    CI_COMMIT_TAG = "CI_COMMIT_TAG": "Tag of the pipeline, if it is of one";
    CI_JOB_ID = "CI_JOB_ID": "Number of the job";
    CI_JOB_TOKEN = "CI_JOB_TOKEN": "The job's own token; it may not write comments";
    CI_JOB_URL = "CI_JOB_URL": "Page of the job";
    CI_MERGE_REQUEST_IID = "CI_MERGE_REQUEST_IID": "Number of the merge request";
    CI_MERGE_REQUEST_PROJECT_URL = "CI_MERGE_REQUEST_PROJECT_URL": "Project that the merge request is for";
    CI_MERGE_REQUEST_SOURCE_BRANCH_NAME = "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "Source branch of the merge request";
    CI_MERGE_REQUEST_TARGET_BRANCH_NAME = "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "Branch that the merge request of a GitLab run goes into";
    CI_DEFAULT_BRANCH = "CI_DEFAULT_BRANCH": "Default branch of a GitLab project";
    CI_MERGE_REQUEST_SOURCE_BRANCH_SHA = "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "Head of the source branch in merged-result pipelines";
    CI_OPEN_MERGE_REQUESTS = "CI_OPEN_MERGE_REQUESTS": "Open merge requests of the branch";
    CI_PIPELINE_ID = "CI_PIPELINE_ID": "Number of the pipeline";
    CI_PROJECT_ID = "CI_PROJECT_ID": "Number of the project";
    CI_PROJECT_PATH = "CI_PROJECT_PATH": "Path of the project, with its groups";
    CI_PROJECT_URL = "CI_PROJECT_URL": "Address of the project's page";
    CML_DOTENV = "CML_DOTENV": "File that takes the results as NAME=value lines (a GitLab dotenv report)";

    CML_GITLAB_RUNNER_DOWNLOADS = "CML_GITLAB_RUNNER_DOWNLOADS": "Address of a mirror of GitLab Runner's downloads";
    CML_GITLAB_RUNNER_VERSION = "CML_GITLAB_RUNNER_VERSION": "Version of GitLab Runner to download, such as v19.3.0";

    CML_BITBUCKET_RUNNER_IMAGE = "CML_BITBUCKET_RUNNER_IMAGE": "Image of Bitbucket's runner, such as a mirror's";
    BITBUCKET_TOKEN = "BITBUCKET_TOKEN": "Bitbucket's token";
    BITBUCKET_API_URL = "BITBUCKET_API_URL": "Base of Bitbucket's REST API, when it is not Bitbucket Cloud's";
    CML_BITBUCKET_PROXY = "CML_BITBUCKET_PROXY": "Proxy that signs a pipeline's requests, when it is not at the usual place (localhost:29418)";
    BITBUCKET_BRANCH = "BITBUCKET_BRANCH": "Branch of the pipeline";
    BITBUCKET_BUILD_NUMBER = "BITBUCKET_BUILD_NUMBER": "Number of the pipeline";
    BITBUCKET_COMMIT = "BITBUCKET_COMMIT": "Commit of the pipeline";
    BITBUCKET_GIT_HTTP_ORIGIN = "BITBUCKET_GIT_HTTP_ORIGIN": "Address of the repository";
    BITBUCKET_PIPE_SHARED_STORAGE_DIR = "BITBUCKET_PIPE_SHARED_STORAGE_DIR": "Folder through which a pipe hands results on";
    BITBUCKET_PIPELINE_UUID = "BITBUCKET_PIPELINE_UUID": "Identity of the pipeline";
    BITBUCKET_PR_ID = "BITBUCKET_PR_ID": "Number of the pull request";
    BITBUCKET_PR_DESTINATION_BRANCH = "BITBUCKET_PR_DESTINATION_BRANCH": "Branch that the pull request of a Bitbucket run goes into";
    BITBUCKET_REPO_FULL_NAME = "BITBUCKET_REPO_FULL_NAME": "workspace/name of the repository";
    BITBUCKET_REPO_UUID = "BITBUCKET_REPO_UUID": "Identity of the repository; set in every pipeline";
    BITBUCKET_STEP_RUN_NUMBER = "BITBUCKET_STEP_RUN_NUMBER": "How often the step has been started";
    BITBUCKET_STEP_UUID = "BITBUCKET_STEP_UUID": "Identity of the step";

    TF_BUILD = "TF_BUILD": "Set in jobs of Azure Pipelines";
    BUILD_REPOSITORY_PROVIDER = "BUILD_REPOSITORY_PROVIDER": "Forge of the repository (Azure Pipelines)";
    BUILD_REPOSITORY_URI = "BUILD_REPOSITORY_URI": "URL of the repository (Azure Pipelines)";
    BUILD_SOURCEBRANCH = "BUILD_SOURCEBRANCH": "Ref of the run (Azure Pipelines)";
    BUILD_SOURCEVERSION = "BUILD_SOURCEVERSION": "Commit of the run (Azure Pipelines)";
    BUILD_BUILDID = "BUILD_BUILDID": "Number of the run (Azure Pipelines)";
    BUILD_DEFINITIONNAME = "BUILD_DEFINITIONNAME": "Name of the pipeline (Azure Pipelines)";
    SYSTEM_COLLECTIONURI = "SYSTEM_COLLECTIONURI": "URL of the organization (Azure Pipelines)";
    SYSTEM_JOBID = "SYSTEM_JOBID": "Identity of the job (Azure Pipelines)";
    SYSTEM_TEAMPROJECT = "SYSTEM_TEAMPROJECT": "Name of the project (Azure Pipelines)";
    SYSTEM_PULLREQUEST_PULLREQUESTNUMBER = "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "Number of the pull request (Azure Pipelines)";
    SYSTEM_PULLREQUEST_SOURCEBRANCH = "SYSTEM_PULLREQUEST_SOURCEBRANCH": "Source branch of the pull request (Azure Pipelines)";
    SYSTEM_PULLREQUEST_TARGETBRANCH = "SYSTEM_PULLREQUEST_TARGETBRANCH": "Branch that the pull request of an Azure run goes into";
    SYSTEM_PULLREQUEST_SOURCECOMMITID = "SYSTEM_PULLREQUEST_SOURCECOMMITID": "Head of the pull request (Azure Pipelines)";
    SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI = "SYSTEM_PULLREQUEST_SOURCEREPOSITORYURI": "Repository of the source branch (Azure Pipelines)";

    BUILDKITE = "BUILDKITE": "Set in Buildkite's jobs";
    BUILDKITE_BRANCH = "BUILDKITE_BRANCH": "Branch of the build (Buildkite)";
    BUILDKITE_PULL_REQUEST_BASE_BRANCH = "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "Branch that the pull request of a Buildkite run goes into";
    BUILDKITE_PIPELINE_DEFAULT_BRANCH = "BUILDKITE_PIPELINE_DEFAULT_BRANCH": "Default branch of a Buildkite pipeline";
    BUILDKITE_BUILD_NUMBER = "BUILDKITE_BUILD_NUMBER": "Number of the build (Buildkite)";
    BUILDKITE_BUILD_URL = "BUILDKITE_BUILD_URL": "Page of the build (Buildkite)";
    BUILDKITE_COMMIT = "BUILDKITE_COMMIT": "Commit of the build (Buildkite)";
    BUILDKITE_JOB_ID = "BUILDKITE_JOB_ID": "Identity of the job (Buildkite)";
    BUILDKITE_PIPELINE_PROVIDER = "BUILDKITE_PIPELINE_PROVIDER": "Forge of the repository (Buildkite)";
    BUILDKITE_PIPELINE_SLUG = "BUILDKITE_PIPELINE_SLUG": "Name of the pipeline (Buildkite)";
    BUILDKITE_PULL_REQUEST = "BUILDKITE_PULL_REQUEST": "Number of the pull request, or false (Buildkite)";
    BUILDKITE_PULL_REQUEST_REPO = "BUILDKITE_PULL_REQUEST_REPO": "Repository of the source branch (Buildkite)";
    BUILDKITE_REPO = "BUILDKITE_REPO": "URL of the repository (Buildkite)";
    BUILDKITE_TAG = "BUILDKITE_TAG": "Tag of the build, if it is for one (Buildkite)";

    CIRCLECI = "CIRCLECI": "Set in CircleCI's jobs";
    CIRCLE_BRANCH = "CIRCLE_BRANCH": "Branch of the job (CircleCI)";
    CIRCLE_BUILD_NUM = "CIRCLE_BUILD_NUM": "Number of the job (CircleCI)";
    CIRCLE_BUILD_URL = "CIRCLE_BUILD_URL": "Page of the job (CircleCI)";
    CIRCLE_OIDC_TOKEN = "CIRCLE_OIDC_TOKEN": "Identity token of the job (CircleCI)";
    CIRCLE_OIDC_TOKEN_V2 = "CIRCLE_OIDC_TOKEN_V2": "The same in its newer form (CircleCI)";
    CIRCLE_PR_NUMBER = "CIRCLE_PR_NUMBER": "Number of a fork's pull request (CircleCI)";
    CIRCLE_PR_USERNAME = "CIRCLE_PR_USERNAME": "Owner of the fork (CircleCI)";
    CIRCLE_PULL_REQUEST = "CIRCLE_PULL_REQUEST": "Page of the pull request (CircleCI)";
    CIRCLE_REPOSITORY_URL = "CIRCLE_REPOSITORY_URL": "URL of the repository (CircleCI)";
    CIRCLE_SHA1 = "CIRCLE_SHA1": "Commit of the job (CircleCI)";
    CIRCLE_TAG = "CIRCLE_TAG": "Tag of the job, if it is for one (CircleCI)";
    CIRCLE_WORKFLOW_ID = "CIRCLE_WORKFLOW_ID": "Identity of the workflow (CircleCI)";
    CIRCLE_WORKFLOW_JOB_ID = "CIRCLE_WORKFLOW_JOB_ID": "Identity of the job (CircleCI)";

    JENKINS_URL = "JENKINS_URL": "Set in Jenkins' builds, where its URL is configured";
    BRANCH_NAME = "BRANCH_NAME": "Branch of a multibranch build (Jenkins)";
    BUILD_NUMBER = "BUILD_NUMBER": "Number of the build (Jenkins, TeamCity)";
    BUILD_TAG = "BUILD_TAG": "Identity of the build (Jenkins)";
    BUILD_URL = "BUILD_URL": "Page of the build (Jenkins, TeamCity)";
    CHANGE_BRANCH = "CHANGE_BRANCH": "Source branch of the pull request (Jenkins)";
    CHANGE_TARGET = "CHANGE_TARGET": "Branch that it goes into";
    CHANGE_FORK = "CHANGE_FORK": "Fork that the pull request comes from (Jenkins)";
    CHANGE_ID = "CHANGE_ID": "Number of the pull request (Jenkins)";
    GIT_BRANCH = "GIT_BRANCH": "Branch of the build (Jenkins)";
    GIT_COMMIT = "GIT_COMMIT": "Commit of the build (Jenkins)";
    GIT_URL = "GIT_URL": "URL of the repository (Jenkins)";
    GIT_URL_1 = "GIT_URL_1": "The same, where there are several (Jenkins)";
    JOB_NAME = "JOB_NAME": "Name of the job (Jenkins)";
    TAG_NAME = "TAG_NAME": "Tag of the build, if it is for one (Jenkins)";

    TEAMCITY_VERSION = "TEAMCITY_VERSION": "Set in TeamCity's builds";
    TEAMCITY_BUILDCONF_NAME = "TEAMCITY_BUILDCONF_NAME": "Name of the build configuration (TeamCity)";
    BUILD_VCS_NUMBER = "BUILD_VCS_NUMBER": "Commit of the build (TeamCity)";

    CI_COMMIT_BRANCH = "CI_COMMIT_BRANCH": "Branch of the pipeline (Woodpecker)";
    CI_COMMIT_PULL_REQUEST = "CI_COMMIT_PULL_REQUEST": "Number of the pull request (Woodpecker)";
    CI_COMMIT_SOURCE_BRANCH = "CI_COMMIT_SOURCE_BRANCH": "Source branch of the pull request (Woodpecker)";
    CI_COMMIT_TARGET_BRANCH = "CI_COMMIT_TARGET_BRANCH": "Branch that the pull request of a Woodpecker run goes into";
    CI_REPO_DEFAULT_BRANCH = "CI_REPO_DEFAULT_BRANCH": "Default branch of the repository of a Woodpecker run";
    CI_FORGE_TYPE = "CI_FORGE_TYPE": "Forge of the repository (Woodpecker)";
    CI_PIPELINE_NUMBER = "CI_PIPELINE_NUMBER": "Number of the pipeline (Woodpecker)";
    CI_PIPELINE_URL = "CI_PIPELINE_URL": "Page of the pipeline (Woodpecker)";
    CI_REPO_CLONE_URL = "CI_REPO_CLONE_URL": "URL to clone the repository from (Woodpecker)";
    CI_REPO_URL = "CI_REPO_URL": "Page of the repository (Woodpecker)";
    CI_STEP_URL = "CI_STEP_URL": "Page of the step (Woodpecker)";
    CI_WORKFLOW_NAME = "CI_WORKFLOW_NAME": "Name of the workflow (Woodpecker)";

    CML_CLEARML_READ_ONLY = "CML_CLEARML_READ_ONLY": "Refuse every request that would change something in ClearML";
    CLEARML_API_HOST = "CLEARML_API_HOST": "Address of ClearML's API";
    TRAINS_API_HOST = "TRAINS_API_HOST": "The same, an old spelling";
    CLEARML_WEB_HOST = "CLEARML_WEB_HOST": "Address of ClearML's pages, for links";
    TRAINS_WEB_HOST = "TRAINS_WEB_HOST": "The same, an old spelling";
    CLEARML_FILES_HOST = "CLEARML_FILES_HOST": "Address of ClearML's files";
    TRAINS_FILES_HOST = "TRAINS_FILES_HOST": "The same, an old spelling";
    CLEARML_API_ACCESS_KEY = "CLEARML_API_ACCESS_KEY": "ClearML's access key";
    TRAINS_API_ACCESS_KEY = "TRAINS_API_ACCESS_KEY": "The same, an old spelling";
    CLEARML_API_SECRET_KEY = "CLEARML_API_SECRET_KEY": "Its secret";
    TRAINS_API_SECRET_KEY = "TRAINS_API_SECRET_KEY": "The same, an old spelling";
    CLEARML_AUTH_TOKEN = "CLEARML_AUTH_TOKEN": "ClearML's token, instead of keys";
    CLEARML_API_HOST_VERIFY_CERT = "CLEARML_API_HOST_VERIFY_CERT": "PEM file of the certificate authority of ClearML's server";
    TRAINS_API_HOST_VERIFY_CERT = "TRAINS_API_HOST_VERIFY_CERT": "The same, an old spelling";
    CLEARML_CONFIG_FILE = "CLEARML_CONFIG_FILE": "ClearML's configuration, instead of ~/clearml.conf";
    TRAINS_CONFIG_FILE = "TRAINS_CONFIG_FILE": "The same, an old spelling";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset_and_secrets_hide() {
        let env: Env = [("CI", ""), ("GITHUB_TOKEN", "ghs_x")].into_iter().collect();
        assert_eq!(env.get(vars::CI), None);
        assert!(!format!("{env:?} {:?}", Secret::new("ghs_x")).contains("ghs_x"));
        assert_eq!(Secret::new(" a\n").expose(), "a");
    }

    #[test]
    fn tokens_keys_and_identities_are_known_by_their_names() {
        let secret = [
            "REPO_TOKEN",
            "repo_token",
            "GITHUB_TOKEN",
            "CML_COMMENT_DRIVER_TOKEN",
            "CI_JOB_TOKEN",
            "CI_JOB_JWT_V2",
            "INPUT_TOKEN",
            "INPUT_REPORT",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "ACTIONS_RUNTIME_TOKEN",
            "AWS_PROFILE",
            "AWS_SECRET_ACCESS_KEY",
            "AZURE_CLIENT_ID",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "BITBUCKET_STEP_OIDC_TOKEN",
            "WANDB_API_KEY",
            "SSH_PRIVATE_KEY",
            "DEPLOY_KEY",
            "GH_PAT",
            "CI_REGISTRY_PASSWORD",
            "CI_REPOSITORY_URL",
        ];
        let plain = [
            "PATH",
            "HOME",
            "PWD",
            "OLDPWD",
            "SSH_AUTH_SOCK",
            "GIT_ASKPASS",
            "GIT_CONFIG_KEY_0",
            "GIT_SSH_COMMAND",
            "CI",
            "GITHUB_WORKSPACE",
            "https_proxy",
            "LANG",
            "SystemRoot",
            "TMPDIR",
            "XDG_CONFIG_HOME",
        ];
        assert_eq!(secret.into_iter().find(|name| !is_sensitive(name)), None);
        assert_eq!(plain.into_iter().find(|name| is_sensitive(name)), None);
    }
}
