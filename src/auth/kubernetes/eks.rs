//! Tokens for clusters of Amazon EKS, as `aws eks get-token` makes them: an address of STS that is signed for 15 minutes, and says to
//! the cluster who signed it.
//!
//! <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>

use super::UserCredential;
use super::config::Exec;
use crate::app::App;
use crate::auth::Expiring;
use crate::auth::aws::{Credentials, Keys, domain};
use crate::digest::hash;
use crate::env::Secret;
use crate::error::{Kind, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// How long a cluster accepts a token; less than the 15 minutes that it really does.
const LIFETIME: Duration = Duration::from_secs(14 * 60);
/// The header that makes a signature one for a cluster.
const HEADER: &str = "x-k8s-aws-id";
/// What is not percent-encoded in a signed address.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Makes the token that Amazon's plugin would print; `None` where the plugin is another one, is to take a role or a profile of its own,
/// or where there are no keys.
///
/// # Errors
/// Keys are configured, and do not work.
pub async fn token(app: &App, exec: &Exec, server: &Url) -> Result<Option<Expiring<UserCredential>>> {
    let Some((cluster, region)) = wanted(exec, server, |name| app.env().named(name)) else { return Ok(None) };
    let keys = match Credentials::new(app, &region).keys().await {
        Ok(keys) => keys,
        Err(error) if error.kind() == Kind::Auth && error.to_string().starts_with("no AWS credentials") => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let now = app.host.now();
    app.log.debug(&format!("{} is not installed: making the token of the EKS cluster {cluster} here", exec.command));
    let address = signed_address(&keys, &cluster, &region, now);
    let token = format!("k8s-aws-v1.{}", BASE64_URL_SAFE_NO_PAD.encode(address));
    let value = UserCredential::bearer("the token of EKS", &token, None)?;
    Ok(Some(Expiring { value, expires: Some(now + LIFETIME) }))
}

/// Returns the cluster and the region that a plugin makes a token for.
fn wanted<'a>(exec: &Exec, server: &Url, env: impl Fn(&str) -> Option<&'a str>) -> Option<(String, String)> {
    let program = Path::new(&exec.command).file_stem()?.to_str()?;
    let option = |names: &[&str]| {
        let mut args = exec.args.iter();
        let position = |arg: &String| {
            let (name, value) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
            names.contains(&name).then(|| value.map(str::to_owned))
        };
        let value = args.find_map(position)?;
        value.or_else(|| args.next().cloned())
    };
    let cluster = match program {
        "aws" if exec.args.iter().any(|arg| arg == "get-token") => option(&["--cluster-name", "--cluster-id"]),
        "aws-iam-authenticator" => option(&["-i", "--cluster-id"]),
        _ => None,
    }?;
    // Another identity than the environment's.
    let is_other = option(&["--role-arn", "--role", "-r", "--profile"]).is_some()
        || exec.env.iter().any(|variable| variable.name == "AWS_PROFILE");
    let of_exec = exec.env.iter().find(|variable| variable.name == "AWS_REGION").map(|one| one.value.expose());
    // https://<id>.<shard>.<region>.eks.amazonaws.com
    let of_server = server.host_str().and_then(|host| host.split_once(".eks.")?.0.rsplit('.').next());
    let region = option(&["--region"]).or_else(|| {
        of_exec.or(of_server).or_else(|| env("AWS_REGION")).or_else(|| env("AWS_DEFAULT_REGION")).map(str::to_owned)
    });
    region.filter(|_| !is_other).map(|region| (cluster, region))
}

/// Returns the address of STS's GetCallerIdentity, signed in its query:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
fn signed_address(keys: &Keys, cluster: &str, region: &str, now: Duration) -> String {
    let time = DateTime::from_timestamp(i64::try_from(now.as_secs()).unwrap_or_default(), 0).unwrap_or_default();
    let (date, moment) = (time.format("%Y%m%d").to_string(), time.format("%Y%m%dT%H%M%SZ").to_string());
    let host = format!("sts.{region}.{}", domain(region));
    let scope = format!("{date}/{region}/sts/aws4_request");
    let mut query = vec![
        ("Action", "GetCallerIdentity".to_owned()),
        ("Version", "2011-06-15".to_owned()),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("{}/{scope}", keys.id)),
        ("X-Amz-Date", moment.clone()),
        ("X-Amz-Expires", "60".to_owned()),
    ];
    query.extend(keys.token.as_ref().map(|token| ("X-Amz-Security-Token", token.expose().to_owned())));
    query.push(("X-Amz-SignedHeaders", format!("host;{HEADER}")));
    let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let query = query.join("&");
    let canonical = format!("GET\n/\n{query}\nhost:{host}\n{HEADER}:{cluster}\n\nhost;{HEADER}\n{}", hash(b""));
    let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hash(canonical.as_bytes()));
    let first = Secret::new(format!("AWS4{}", keys.secret.expose()));
    let steps = [date.as_str(), region, "sts", "aws4_request", &to_sign];
    let signature = steps.into_iter().fold(first.expose().as_bytes().to_vec(), |key, text| hmac(&key, text));
    let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("https://{host}/?{query}&X-Amz-Signature={signature}")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do: the error is never made.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::config::ExecVariable;
    use super::*;

    /// Compared with botocore 1.43, `RequestSigner.generate_presigned_url`, which puts the token last.
    #[test]
    fn an_address_is_signed_as_amazons_sdk_does() {
        let keys = |token: Option<&str>| Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            token: token.map(Secret::new),
            source: String::new(),
        };
        let signed = |token| signed_address(&keys(token), "train", "eu-west-1", Duration::from_secs(1_795_869_296));
        assert_eq!(
            signed(None),
            "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261128%2Feu-west-1%2Fsts%2Faws4_request\
             &X-Amz-Date=20261128T123456Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
             &X-Amz-Signature=74f048454755dd3701cd7558e28f8e1cc0d801031d791f8808d955cf975a772e"
        );
        let temporary = signed(Some("FwoGZXIvYXdzEXAMPLE/+="));
        assert!(temporary.contains("&X-Amz-Security-Token=FwoGZXIvYXdzEXAMPLE%2F%2B%3D&"), "{temporary}");
        let signature = "&X-Amz-Signature=2d6fa9441f2e42b6701a2bb2dacd243189390492a26996695dfdecb538fc4b73";
        assert!(temporary.ends_with(signature), "{temporary}");
    }

    #[test]
    fn what_the_plugin_is_asked_for_is_read_from_its_arguments() {
        let asked = |command: &str, args: &str, variable: Option<&str>| {
            let env = variable.map(|name| ExecVariable { name: name.to_owned(), value: Secret::new("eu-north-1") });
            let exec = Exec {
                command: command.to_owned(),
                args: args.split_whitespace().map(str::to_owned).collect(),
                env: env.into_iter().collect(),
                ..Exec::default()
            };
            let server = Url::parse("https://ABC.gr7.us-east-2.eks.amazonaws.com").unwrap();
            wanted(&exec, &server, |_| None).map(|(cluster, region)| format!("{cluster} {region}"))
        };
        for (command, args, variable, expected) in [
            (
                "aws",
                "--region eu-west-1 eks get-token --cluster-name train --output json",
                None,
                Some("train eu-west-1"),
            ),
            ("aws", "eks get-token --cluster-name=train", None, Some("train us-east-2")),
            ("/usr/bin/aws", "eks get-token --cluster-name train", Some("AWS_REGION"), Some("train eu-north-1")),
            ("aws-iam-authenticator", "token -i train", None, Some("train us-east-2")),
            ("aws", "eks get-token --cluster-name train --role-arn arn:aws:iam::1:role/x", None, None),
            ("aws", "eks get-token --cluster-name train", Some("AWS_PROFILE"), None),
            ("aws", "eks get-token", None, None),
            ("aws", "sts get-caller-identity --cluster-name train", None, None),
            ("gke-gcloud-auth-plugin", "-i train", None, None),
        ] {
            assert_eq!(asked(command, args, variable).as_deref(), expected, "{command} {args}");
        }
    }
}
