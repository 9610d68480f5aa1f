//! Where the credentials come from, and what is said when they do not work.

use super::fixture::AzureFixture;
use crate::support::azure::{CLIENT, SECRET, SUBSCRIPTION, TENANT};
use crate::support::fake::Vendor;

/// A fixture whose environment has these variables in place of the usual four.
fn with(variables: &[(&str, &str)]) -> AzureFixture {
    on(Vendor::GitHub, variables)
}

/// The same in the CI of another vendor.
fn on(vendor: Vendor, variables: &[(&str, &str)]) -> AzureFixture {
    let mut fixture = AzureFixture::new(vendor);
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_SUBSCRIPTION_ID"] {
        fixture.cml.unset(name);
    }
    for (name, value) in variables {
        fixture.cml.set(name, value);
    }
    fixture
}

#[test]
fn terraforms_names_and_the_json_of_azure_login_are_taken() {
    let json = format!(
        r#"{{"clientId":"{CLIENT}","clientSecret":"{SECRET}","subscriptionId":"{SUBSCRIPTION}","tenantId":"{TENANT}"}}"#
    );
    for variables in [
        &[
            ("ARM_TENANT_ID", TENANT),
            ("ARM_CLIENT_ID", CLIENT),
            ("ARM_CLIENT_SECRET", SECRET),
            ("ARM_SUBSCRIPTION_ID", SUBSCRIPTION),
        ][..],
        &[("AZURE_CREDENTIALS", json.as_str())],
    ] {
        let ran = with(variables).run(&["launch", "--dry-run"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
    }
}

#[test]
fn identities_are_federated() {
    let usual = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT), ("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)];
    // The job's, and that of a file.
    let fixture = with(&[&usual[..], &[("CML_ID_TOKEN", "identity-token-of-the-job")]].concat());
    assert_eq!(fixture.run(&["launch", "--dry-run"]).code, Some(0));
    let mut fixture = with(&usual);
    let file = fixture.cml.file("token", "identity-token-of-the-job\n").display().to_string();
    fixture.cml.set("AZURE_FEDERATED_TOKEN_FILE", &file);
    assert_eq!(fixture.run(&["launch", "--dry-run"]).code, Some(0));
    // One that the application does not trust.
    let fixture = with(&[&usual[..], &[("CML_ID_TOKEN", "another-token-of-the-job")]].concat());
    let says = format!("no federated credential of the application {CLIENT} fits this job (AADSTS700213: *)");
    fixture.run(&["launch"]).fails(4, &says, "add one with the issuer*");
    let says = format!(
        "AZURE_CLIENT_ID is set ({CLIENT}), but there is neither AZURE_CLIENT_SECRET nor an identity token of the job"
    );
    for (vendor, hint) in [
        (Vendor::GitHub, "add to the job: permissions: { id-token: write }"),
        (Vendor::GitLab, "add to the job: id_tokens: { CML_ID_TOKEN: { aud: api://AzureADTokenExchange } }"),
        (Vendor::Bitbucket, "set AZURE_CLIENT_SECRET: Azure does not accept the identity of a Bitbucket step"),
    ] {
        on(vendor, &usual).run(&["launch"]).fails(4, &says, hint);
    }
}

#[test]
fn wrong_and_missing_values_are_named() {
    let all = [
        ("AZURE_TENANT_ID", TENANT),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", SECRET),
        ("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION),
    ];
    let other = "11111111-2222-3333-4444-555555555555";
    for (name, value, code, says, hint) in [
        (
            "AZURE_CLIENT_SECRET",
            "wrong-secret-of-the-application",
            4,
            "Azure rejected the client secret of the application *",
            "check AZURE_CLIENT_SECRET*",
        ),
        (
            "AZURE_CLIENT_ID",
            other,
            4,
            "Azure knows no application 11111111-* in the tenant *",
            "check AZURE_CLIENT_ID*",
        ),
        ("AZURE_TENANT_ID", other, 4, "Azure knows no tenant 11111111-*", "check AZURE_TENANT_ID*"),
        ("AZURE_TENANT_ID", "", 3, "AZURE_CLIENT_SECRET is set, but AZURE_TENANT_ID is not", "set both*"),
        ("AZURE_SUBSCRIPTION_ID", "", 3, "AZURE_SUBSCRIPTION_ID is not set", "set it to the id of the subscription*"),
    ] {
        let fixture = with(&all.map(|(one, usual)| if one == name { (one, value) } else { (one, usual) }));
        let ran = fixture.run(&["launch"]);
        assert!(!ran.stderr.contains("wrong-secret"), "{ran:#?}");
        ran.fails(code, says, hint);
        assert_eq!(fixture.cloud.effects(), [""; 0]);
    }
    with(&[("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)]).run(&["launch"]).fails(
        4,
        "no Azure credentials found",
        "set AZURE_TENANT_ID*",
    );
}
