//! Where the token of a launch comes from. Real: the program. Scripted: Google's services for tokens, the CIs and the metadata server.

use super::fixture::GcpFixture;
use crate::support::fake::Vendor;
use crate::support::gce::{ACCOUNT, Gce, PROJECT, PROVIDER, WORKER_TOKEN};
use crate::support::recorder::Wrong;
use serde_json::{Value, json};

const IDENTITY: &str = "eyJhbGciOiJSUzI1NiJ9.an-identity-token.c2lnbmF0dXJl";

/// Made for this test with `openssl ecparam -genkey -name prime256v1`.
const ELLIPTIC_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgvaKXpMlldcHyRCO0
67VAwS9V8gIXM2VAT8rNgopdm66hRANCAAQnQ0UgOUNGPxYsqU380Ruwsf98/6Li
4jpsVA2e3WaU8U0YrVPiKHLkDu+nCKMhetLVQohk1xHTpHBHk4Y6OPyU
-----END PRIVATE KEY-----
";

fn dry_run(fixture: &GcpFixture) {
    let ran = fixture.run(&["launch", "--dry-run", "--log", "debug"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(!ran.stderr.contains(IDENTITY), "{ran:#?}");
}

/// The paths of requests that were not for Compute Engine.
fn others(fixture: &GcpFixture) -> Vec<String> {
    let calls = fixture.cloud.calls().into_iter().map(|call| call.action);
    calls
        .filter(|action| action.starts_with('/') && !action.starts_with("/compute") && !action.contains("testIam"))
        .collect()
}

#[test]
fn a_key_signs_its_own_token_as_content_and_as_file() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    dry_run(&fixture);
    assert_eq!(others(&fixture), [""; 0], "no request for a token");
    let mut fixture = GcpFixture::without_credentials(Vendor::GitHub);
    let path = fixture.cml.file("key.json", Gce::key());
    fixture.cml.set("GOOGLE_APPLICATION_CREDENTIALS", &path.display().to_string());
    dry_run(&fixture);
    assert_eq!(others(&fixture), [""; 0]);
}

#[test]
fn every_ci_gives_an_identity_that_is_exchanged() {
    for (vendor, variable) in [
        (Vendor::GitLab, "CML_ID_TOKEN"),
        (Vendor::Bitbucket, "BITBUCKET_STEP_OIDC_TOKEN"),
        (Vendor::GitHub, "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    ] {
        let mut fixture = GcpFixture::without_credentials(vendor);
        fixture.cml.set(variable, IDENTITY).set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", PROVIDER);
        if vendor == Vendor::GitHub {
            let url = format!("{}/identity?api-version=2", fixture.cloud.url());
            fixture.cml.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
        }
        // As itself, in a project that is named.
        fixture.cml.set("GOOGLE_CLOUD_PROJECT", PROJECT);
        dry_run(&fixture);
        let asked = if vendor == Vendor::GitHub { vec!["/identity", "/v1/token"] } else { vec!["/v1/token"] };
        assert_eq!(others(&fixture), asked, "{vendor:?}");
        let identity = fixture.cloud.of("/identity");
        assert!(
            identity
                .iter()
                .all(|call| call.query[1] == ("audience".into(), format!("https://iam.googleapis.com/{PROVIDER}")))
        );
        // As a service account, whose address names the project.
        fixture.cloud.forget();
        fixture.cml.unset("GOOGLE_CLOUD_PROJECT").set("CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT", ACCOUNT);
        dry_run(&fixture);
        assert_eq!(
            others(&fixture).last().unwrap(),
            &format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken")
        );
    }
}

/// The file that google-github-actions/auth writes: <https://google.aip.dev/auth/4117>.
#[test]
fn files_of_workload_identities_and_of_gcloud_are_taken() {
    let mut fixture = GcpFixture::without_credentials(Vendor::GitHub);
    let url = fixture.cloud.url();
    let mut file = json!({
        "type": "external_account", "universe_domain": "googleapis.com", "audience": format!("//iam.googleapis.com/{PROVIDER}"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": format!("{url}/v1/token"),
        "service_account_impersonation_url": format!("{url}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken"),
        "credential_source": { "url": format!("{url}/identity?api-version=2"), "headers": { "Authorization": "Bearer a-request-token-0123" },
            "format": { "type": "json", "subject_token_field_name": "value" } },
    });
    fixture.cml.set("GOOGLE_APPLICATION_CREDENTIALS_DATA", &file.to_string());
    dry_run(&fixture);
    assert_eq!(others(&fixture).len(), 3, "{:?}", others(&fixture));
    let token = fixture.cml.file("token", IDENTITY);
    file["credential_source"] = json!({ "file": token });
    fixture.cloud.forget();
    fixture.cml.set("GOOGLE_APPLICATION_CREDENTIALS_DATA", &file.to_string());
    dry_run(&fixture);
    assert_eq!(others(&fixture).len(), 2);
    // gcloud's own, where nothing else is.
    let fixture = GcpFixture::without_credentials(Vendor::GitHub);
    let login = json!({ "type": "authorized_user", "client_id": "x.apps.googleusercontent.com", "client_secret": "a-client-secret-01",
        "refresh_token": "1//refresh-token-0123456789", "quota_project_id": PROJECT });
    fixture.cml.file(".config/gcloud/application_default_credentials.json", login.to_string());
    dry_run(&fixture);
    assert_eq!(others(&fixture), ["/token"]);
    // And an instance's own.
    let fixture = GcpFixture::without_credentials(Vendor::GitHub);
    let token = json!({ "access_token": WORKER_TOKEN, "expires_in": 3000, "token_type": "Bearer" });
    fixture.cloud.tells("instance/service-accounts/default/token", &token.to_string());
    fixture.cloud.tells("project/project-id", PROJECT);
    dry_run(&fixture);
}

#[test]
fn credentials_that_do_not_work_are_named() {
    let key = |field: &str, value: Value| {
        let mut key: Value = serde_json::from_str(&Gce::key()).unwrap();
        key[field] = value;
        key.to_string()
    };
    let other = json!({ "type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": { "environment_id": "aws1", "url": "http://169.254.169.254" } });
    let no_key = "the private_key of GOOGLE_APPLICATION_CREDENTIALS_DATA is not an RSA key in PEM";
    for (content, code, says, hint) in [
        (
            "not json".to_owned(),
            3,
            "GOOGLE_APPLICATION_CREDENTIALS_DATA is not a Google Cloud credentials file in JSON",
            "GOOGLE_APPLICATION_CREDENTIALS_DATA takes the content of the file*",
        ),
        (key("private_key", json!("x")), 3, no_key, "give the JSON file of the key unchanged"),
        (key("private_key", json!(ELLIPTIC_KEY)), 3, no_key, "give the JSON file of the key unchanged"),
        (key("client_email", json!("")), 3, "GOOGLE_APPLICATION_CREDENTIALS_DATA has no client_email", ""),
        (
            key("universe_domain", json!("example.com")),
            7,
            "GOOGLE_APPLICATION_CREDENTIALS_DATA is for the universe example.com; cml supports googleapis.com only",
            "",
        ),
        (
            key("type", json!("gdch_service_account")),
            7,
            "GOOGLE_APPLICATION_CREDENTIALS_DATA has credentials of the type gdch_service_account",
            "use the key of a service account*",
        ),
        (
            key("private_key_id", json!("deleted")),
            4,
            "Google Cloud rejected the credentials (Invalid Credentials)",
            "check that the key or login still exists*",
        ),
        (
            other.to_string(),
            7,
            "GOOGLE_APPLICATION_CREDENTIALS_DATA takes its identity from a program or from AWS, which cml does not support",
            "use a workload identity whose token is in a file*",
        ),
    ] {
        let mut fixture = GcpFixture::without_credentials(Vendor::GitHub);
        fixture.cml.set("GOOGLE_APPLICATION_CREDENTIALS_DATA", &content);
        fixture.run(&["launch"]).fails(code, says, hint);
        fixture.is_clean();
    }
    let mut fixture = GcpFixture::without_credentials(Vendor::GitLab);
    fixture.run(&["launch"]).fails(
        4,
        "no Google Cloud credentials found",
        "set GOOGLE_APPLICATION_CREDENTIALS_DATA to the content*add to the job: id_tokens: { CML_ID_TOKEN: { aud: https://iam.googleapis.com/projects/NUMBER/*",
    );
    fixture.cml.set("GOOGLE_APPLICATION_CREDENTIALS", "missing.json");
    fixture.run(&["launch"]).fails(3, "cannot read missing.json of GOOGLE_APPLICATION_CREDENTIALS*", "give the path*");
    fixture
        .cml
        .unset("GOOGLE_APPLICATION_CREDENTIALS")
        .set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", PROVIDER)
        .set("CML_ID_TOKEN", IDENTITY);
    fixture.run(&["launch"]).fails(
        3,
        "the Google Cloud project is unknown: these credentials name none*",
        "set GOOGLE_CLOUD_PROJECT to the id of the project",
    );
}

#[test]
fn what_keeps_the_account_from_the_job_is_said() {
    let in_gitlab =
        format!("add to the job: id_tokens: {{ CML_ID_TOKEN: {{ aud: https://iam.googleapis.com/{PROVIDER} }} }}");
    for (vendor, hint) in [
        (Vendor::GitHub, "add to the job: permissions: { id-token: write }"),
        (Vendor::GitLab, in_gitlab.as_str()),
        (Vendor::Bitbucket, "add to the step: oidc: true"),
    ] {
        let mut fixture = GcpFixture::without_credentials(vendor);
        fixture.cml.set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", PROVIDER).set("GOOGLE_CLOUD_PROJECT", PROJECT);
        let says = "CML_GCP_WORKLOAD_IDENTITY_PROVIDER is set, but the job has no identity token";
        fixture.run(&["launch"]).fails(4, says, hint);
    }
    let mut fixture = GcpFixture::without_credentials(Vendor::GitLab);
    fixture.cml.set("GOOGLE_CLOUD_PROJECT", PROJECT);
    fixture.cml.set("CML_ID_TOKEN", IDENTITY).set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", "my-provider");
    fixture.run(&["launch"]).fails(
        3,
        "CML_GCP_WORKLOAD_IDENTITY_PROVIDER does not name a workload identity provider",
        "give projects/NUMBER/*",
    );
    fixture.cml.set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", &format!("//iam.googleapis.com/{PROVIDER}-2"));
    fixture.run(&["launch"]).fails(
        4,
        "Google Cloud refused the credentials (The target service indicated*",
        "check the workload identity provider*",
    );
    fixture
        .cml
        .set("CML_GCP_WORKLOAD_IDENTITY_PROVIDER", PROVIDER)
        .set("CML_GCP_WORKLOAD_IDENTITY_SERVICE_ACCOUNT", "other@p.iam.gserviceaccount.com");
    fixture.run(&["launch"]).fails(
        4,
        "Google Cloud refused the credentials (Permission 'iam.serviceAccounts.getAccessToken' denied)",
        "grant the identity the role roles/iam.workloadIdentityUser*",
    );
    fixture.is_clean();
}

/// A token that is refused is replaced once; a service that is slow for a moment is asked again.
#[test]
fn a_refused_token_is_replaced() {
    let fixture = GcpFixture::new(Vendor::GitHub);
    fixture.cloud.fails("compute.machineTypes.list", 1, Wrong::Refused(401, "authError", "Invalid Credentials"));
    fixture.cloud.fails("compute.firewalls.get", 1, Wrong::Refused(503, "backendError", "Backend Error"));
    dry_run(&fixture);
}
