//! Tokens for GKE where Google's plugin is missing. Real: the program. Scripted: the cluster and Google's services for tokens; none of
//! this was tried with a cluster of Google's.

use super::fixture::ClusterFixture;
use crate::support::Ran;
use crate::support::fake::Vendor;
use crate::support::gce::{ACCOUNT, ACCOUNT_TOKEN, CLUSTER_TOKEN, Gce, PROVIDER, WORKER_TOKEN};
use crate::support::kubernetes::TOKEN;
use crate::support::recorder::Wrong;
use serde_json::json;

const IDENTITY: &str = "eyJhbGciOiJSUzI1NiJ9.an-identity-token.c2lnbmF0dXJl";
const KEY: &str = "GOOGLE_APPLICATION_CREDENTIALS_DATA";
/// As `gcloud container clusters get-credentials` writes it, with a path where no plugin is.
const PLUGIN: &str = "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: /none/gke-gcloud-auth-plugin, \
    provideClusterInfo: true, installHint: \"Install gke-gcloud-auth-plugin for use with kubectl\"}";
/// Of an old kubeconfig file.
const AUTH_PROVIDER: &str = "auth-provider: {name: gcp}";

/// A launcher, a cluster and Google's services.
struct Gke {
    gce: Gce,
    fixture: ClusterFixture,
}

impl Gke {
    /// With these fields of the user in the kubeconfig file, and the token that the cluster takes.
    fn new(user: &str, token: &str) -> Gke {
        let (gce, mut fixture) = (Gce::start(), ClusterFixture::new(Vendor::GitLab));
        for (name, value) in gce.variables() {
            fixture.cml.set(name, &value);
        }
        let config = fixture.cloud.kubeconfig().replace(&format!("token: \"{TOKEN}\""), user);
        fixture.cml.set("KUBERNETES_CONFIGURATION", &config);
        fixture.cloud.takes(token);
        Gke { gce, fixture }
    }

    fn set(&mut self, name: &'static str, value: &str) -> &mut Gke {
        self.fixture.cml.set(name, value);
        self
    }

    /// Lists the runners, with no secret in the log.
    fn list(&self) -> Ran {
        let ran = self.fixture.run(&["list", "--log", "debug"]);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!all.contains("ya29.") && !all.contains("eyJ") && !all.contains("PRIVATE KEY"), "{ran:#?}");
        ran
    }

    /// The cluster takes the token; returns the paths that Google's services were asked for.
    fn lists(&self) -> Vec<String> {
        let ran = self.list();
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        self.gce.calls().into_iter().map(|call| call.action).collect()
    }
}

#[test]
fn every_credential_of_google_gives_a_token_for_a_cluster() {
    // A key is exchanged: a cluster takes no token that it has signed itself.
    assert_eq!(Gke::new(PLUGIN, CLUSTER_TOKEN).set(KEY, &Gce::key()).lists(), ["/token"]);
    assert_eq!(Gke::new(AUTH_PROVIDER, CLUSTER_TOKEN).set(KEY, &Gce::key()).lists(), ["/token"]);
    let mut gke = Gke::new(PLUGIN, CLUSTER_TOKEN);
    let path = gke.fixture.cml.file("key.json", Gce::key()).display().to_string();
    assert_eq!(gke.set("GOOGLE_APPLICATION_CREDENTIALS", &path).lists(), ["/token"]);
    // The job's identity, as itself and as a service account.
    let mut gke = Gke::new(PLUGIN, CLUSTER_TOKEN);
    gke.set("CML_ID_TOKEN", IDENTITY).set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", PROVIDER);
    assert_eq!(gke.lists(), ["/v1/token"]);
    gke.gce.forget();
    let generate = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
    assert_eq!(gke.set("CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT", ACCOUNT).lists(), ["/v1/token", &generate]);
    // A file of google-github-actions/auth.
    let mut gke = Gke::new(PLUGIN, CLUSTER_TOKEN);
    let (url, token) = (gke.gce.url(), gke.fixture.cml.file("token", IDENTITY));
    let file = json!({
        "type": "external_account", "audience": format!("//iam.googleapis.com/{PROVIDER}"), "token_url": format!("{url}/v1/token"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": { "file": token },
    });
    assert_eq!(gke.set(KEY, &file.to_string()).lists(), ["/v1/token"]);
    // gcloud's, whose scopes are those of the login.
    let gke = Gke::new(PLUGIN, ACCOUNT_TOKEN);
    let login = json!({ "type": "authorized_user", "client_id": "x.apps.googleusercontent.com", "client_secret": "a-client-secret-01",
        "refresh_token": "1//refresh-token-0123456789" });
    gke.fixture.cml.file(".config/gcloud/application_default_credentials.json", login.to_string());
    assert_eq!(gke.lists(), ["/token"]);
    // The service account of an instance.
    let gke = Gke::new(PLUGIN, WORKER_TOKEN);
    let token = json!({ "access_token": WORKER_TOKEN, "expires_in": 3000, "token_type": "Bearer" });
    gke.gce.tells("instance/service-accounts/default/token", &token.to_string());
    assert_eq!(gke.lists(), ["/computeMetadata/v1/instance/service-accounts/default/token"]);
}

#[test]
fn a_launch_asks_for_one_token() {
    let mut gke = Gke::new(PLUGIN, CLUSTER_TOKEN);
    let ran = gke.set(KEY, &Gce::key()).fixture.launch(&[]);
    assert_eq!((ran.code, gke.gce.calls().len()), (Some(0), 1), "{ran:#?}");
}

#[test]
fn a_token_that_the_cluster_refuses_is_replaced_once() {
    let mut gke = Gke::new(PLUGIN, CLUSTER_TOKEN);
    gke.fixture.cloud.fails("list jobs", 1, Wrong::Refused(401, "Unauthorized", "Unauthorized"));
    assert_eq!(gke.set(KEY, &Gce::key()).lists(), ["/token", "/token"]);
}

#[test]
fn what_is_missing_or_does_not_work_is_named() {
    let says =
        "the exec plugin /none/gke-gcloud-auth-plugin of the user 'ci' in KUBERNETES_CONFIGURATION is not installed";
    let sources = "give cml credentials, of which it found none: GOOGLE_APPLICATION_CREDENTIALS_DATA, GOOGLE_APPLICATION_CREDENTIALS, \
        CML_GCP_WORKLOAD_IDENTITY_PROVIDER, the file of gcloud auth application-default login, or an instance's service account (docs/gcp.md)";
    let install = "install it before cml, with: gcloud components install gke-gcloud-auth-plugin";
    Gke::new(PLUGIN, CLUSTER_TOKEN).list().fails(3, says, &format!("{install}; or {sources}"));
    Gke::new(AUTH_PROVIDER, CLUSTER_TOKEN).list().fails(
        4,
        "the user 'ci' in KUBERNETES_CONFIGURATION has the auth-provider 'gcp', and there are no Google Cloud credentials",
        sources,
    );
    // Another account than that of the credentials.
    let other = PLUGIN.replace("provideClusterInfo", "args: [--account=me@example.com], provideClusterInfo");
    let mut gke = Gke::new(&other, CLUSTER_TOKEN);
    let hint = format!("{install}; cml makes no tokens for the account that the plugin is to use");
    gke.set(KEY, &Gce::key()).list().fails(3, says, &hint);
    assert!(gke.gce.calls().is_empty());
    // Credentials that do not work are not passed over.
    let mut gke = Gke::new(PLUGIN, CLUSTER_TOKEN);
    gke.set(KEY, &Gce::key().replace("0123456789abcdef", "deleted")).list().fails(
        4,
        "Google Cloud refused the credentials (Invalid JWT Signature)",
        "check that the provider accepts*",
    );
    gke.set(KEY, "no json").list().fails(3, &format!("{KEY} is not a Google Cloud credentials file in JSON"), "*");
}
