//! Keys for the identity that a CI gives to a job.

use super::fixture::{CloudFixture, SECRET};
use crate::support::fake::Vendor;
use crate::support::recorder::Wrong;

const ROLE: &str = "arn:aws:iam::123456789012:role/ci";
const IDENTITY: &str = "eyJhbGciOiJSUzI1NiJ9.an-identity-token.c2lnbmF0dXJl";

/// Without keys, with a role.
fn fixture(vendor: Vendor, region: &'static str) -> Option<CloudFixture> {
    let mut fixture = CloudFixture::new(vendor, region)?;
    fixture.cml.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY").set("AWS_ROLE_ARN", ROLE);
    Some(fixture)
}

#[test]
fn gitlab_and_bitbucket_hand_the_identity_over_in_a_variable() {
    for (vendor, region, variable) in [
        (Vendor::GitLab, "me-south-1", "CML_ID_TOKEN"),
        (Vendor::Bitbucket, "me-central-1", "BITBUCKET_STEP_OIDC_TOKEN"),
    ] {
        let Some(mut fixture) = fixture(vendor, region) else { return };
        fixture.cml.set(variable, IDENTITY);
        let ran = fixture.run(&["launch", "--dry-run", "--log", "debug"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert!(!ran.stderr.contains(IDENTITY) && !ran.stderr.contains(SECRET), "{ran:#?}");
        assert!(ran.stderr.contains(&format!("AWS credentials from the job's identity, as {ROLE}")), "{ran:#?}");
        let asked = &fixture.cloud.of("AssumeRoleWithWebIdentity")[0];
        assert_eq!((&*asked.fields["RoleArn"], &*asked.fields["WebIdentityToken"]), (ROLE, IDENTITY));
        assert!(!asked.fields["RoleSessionName"].is_empty() && !asked.has_token);
        let others: Vec<_> =
            fixture.cloud.calls().into_iter().filter(|call| call.action.starts_with("Describe")).collect();
        assert!(!others.is_empty() && others.iter().all(|call| call.has_token), "{others:?}");
    }
}

#[test]
fn a_github_job_asks_for_its_identity() {
    let Some(mut fixture) = fixture(Vendor::GitHub, "af-south-1") else { return };
    let url = format!("{}/identity?api-version=2", fixture.cloud.url());
    fixture.cml.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url).set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "a-bearer-token");
    fixture.cloud.serves("/identity", &serde_json::json!({ "count": 1, "value": IDENTITY }).to_string());
    let ran = fixture.run(&["launch", "--dry-run", "--log", "debug"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert!(!ran.stderr.contains(IDENTITY) && !ran.stderr.contains("a-bearer-token"), "{ran:#?}");
    let (target, bearer) = fixture.cloud.served().remove(0);
    assert_eq!(target, "/identity?api-version=2&audience=sts.amazonaws.com");
    assert_eq!(bearer, "Bearer a-bearer-token");
    assert_eq!(fixture.cloud.of("AssumeRoleWithWebIdentity")[0].fields["WebIdentityToken"], IDENTITY);
}

#[test]
fn what_keeps_the_role_from_the_job_is_said() {
    for (vendor, hint) in [
        (Vendor::GitHub, "add to the job: permissions: { id-token: write }"),
        (Vendor::GitLab, "add to the job: id_tokens: { CML_ID_TOKEN: { aud: sts.amazonaws.com } }"),
        (Vendor::Bitbucket, "add to the step: oidc: true"),
    ] {
        let Some(fixture) = fixture(vendor, "il-central-1") else { return };
        fixture.run(&["launch"]).fails(4, "AWS_ROLE_ARN is set, but the job has no identity token", hint);
    }
    let Some(mut fixture) = fixture(Vendor::GitLab, "il-central-1") else { return };
    fixture.cml.set("CML_ID_TOKEN", IDENTITY);
    let says = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    fixture.cloud.fails("AssumeRoleWithWebIdentity", 1, Wrong::Refused(403, "AccessDenied", says));
    fixture.run(&["launch"]).fails(
        4,
        &format!("AWS refused to let the job assume the role {ROLE}*"),
        "the role's trust policy must name this repository*",
    );
    fixture.cml.unset("AWS_ROLE_ARN").set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    fixture.run(&["launch"]).fails(3, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not", "set both*");
    fixture.cml.unset("AWS_ACCESS_KEY_ID");
    fixture.run(&["launch"]).fails(
        4,
        "no AWS credentials found",
        "in CI set AWS_ROLE_ARN and add to the job: id_tokens:*",
    );
    fixture.is_clean();
}

/// Real: the program. Scripted: the refusals, as STS words them; the roles are moto's.
#[test]
fn a_refusal_of_the_identity_that_passes_is_asked_again_and_a_final_one_is_not() {
    let Some(mut fixture) = fixture(Vendor::GitLab, "il-central-1") else { return };
    fixture.cml.set("CML_ID_TOKEN", IDENTITY).set("AWS_ROLE_ARN", &format!("{ROLE}\n"));
    let key = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements";
    for (code, says, times) in [
        ("InvalidIdentityToken", key, 2),
        ("IDPCommunicationError", "There is an error communicating with the IDP", 1),
        ("Throttling", "Rate exceeded", 1),
    ] {
        fixture.cloud.forget();
        fixture.cloud.fails("AssumeRoleWithWebIdentity", times, Wrong::Refused(400, code, says));
        let ran = fixture.run(&["launch", "--dry-run"]);
        assert_eq!(ran.code, Some(0), "{code}: {ran:#?}");
        assert_eq!(fixture.cloud.of("AssumeRoleWithWebIdentity").len(), times + 1, "{code}");
    }
    for (code, says) in [
        ("InvalidIdentityToken", "No OpenIDConnect provider found in your account"),
        ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    ] {
        fixture.cloud.forget();
        fixture.cloud.fails("AssumeRoleWithWebIdentity", 1, Wrong::Refused(403, code, says));
        assert_eq!(fixture.run(&["launch", "--dry-run"]).code, Some(4));
        assert_eq!(fixture.cloud.of("AssumeRoleWithWebIdentity").len(), 1, "{code}");
    }
}

#[test]
fn white_space_around_a_key_is_cut_off_and_within_it_is_an_error_with_the_variables_name() {
    let Some(mut fixture) = CloudFixture::new(Vendor::GitHub, "me-central-1") else { return };
    fixture
        .cml
        .set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE\n")
        .set("AWS_SECRET_ACCESS_KEY", &format!(" {SECRET}\r\n"));
    let ran = fixture.run(&["reap", "--recheck-after", "0"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    fixture.cml.file("a.txt", "a");
    for (name, value) in
        [("AWS_ACCESS_KEY_ID", "AKIA\nIOSFODNN7EXAMPLE"), ("AWS_SESSION_TOKEN", "a b"), ("AWS_SECRET_ACCESS_KEY", "ü")]
    {
        let mut cml = fixture.cml.clone();
        cml.set(name, value).set("AWS_REGION", "eu-west-1");
        let error = format!("the value of {name} contains an invalid character, such as a line break");
        cml.run(&["runner", "reap"]).fails(3, &error, "check how the secret is stored*");
        let ran = cml.run(&["asset", "publish", "a.txt", "--publish-url", "s3://b/x"]);
        ran.fails(3, &format!("cannot publish a.txt: {error}"), "check how the secret is stored*");
    }
}

#[test]
fn a_profile_of_this_user_has_the_keys() {
    let Some(mut fixture) = CloudFixture::new(Vendor::GitHub, "ap-southeast-3") else { return };
    fixture.cml.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY");
    let keys = format!("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {SECRET}\n");
    fixture.cml.file(".aws/credentials", keys);
    let json = serde_json::json!({ "Version": 1, "AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": SECRET, "SessionToken": IDENTITY });
    let printed = fixture.cml.file("keys.json", json.to_string());
    fixture.cml.file(".aws/config", format!("[profile ci]\ncredential_process = cat '{}'\n", printed.display()));
    for (profile, has_token) in [(None, false), (Some("ci"), true)] {
        if let Some(profile) = profile {
            fixture.cml.set("AWS_PROFILE", profile);
        }
        fixture.cloud.forget();
        let ran = fixture.run(&["launch", "--dry-run", "--log", "debug"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let source = format!("AWS credentials from the profile {}", profile.unwrap_or("default"));
        assert!(ran.stderr.contains(&source) && !ran.stderr.contains(SECRET), "{ran:#?}");
        assert!(
            !fixture.cloud.calls().is_empty() && fixture.cloud.calls().iter().all(|call| call.has_token == has_token)
        );
    }
}
