//! Translates Amazon's errors: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>.

use crate::auth::aws::tag;
use crate::error::{Error, Kind, chain};
use crate::http::{Refusal, explain_status};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use std::error::Error as StdError;

/// Returns the code of an error that EC2 answered.
pub fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    match error {
        SdkError::ServiceError(refused) => refused.err().code(),
        _ => None,
    }
}

/// Translates an error of the SDK. `action` is the permission that the request needs.
pub fn explained<E, R>(action: &str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if let SdkError::ServiceError(refused) = &error {
        let (code, says) = (refused.err().code().unwrap_or_default(), refused.err().message().unwrap_or_default());
        return refusal(action, code, says);
    }
    match Error::from_chain(&error) {
        Some(ours) => ours.clone(),
        None => {
            let root = chain(&error).last().map(ToString::to_string).unwrap_or_default();
            Error::internal(format!("the EC2 client failed ({root})"))
        }
    }
}

/// Translates an answer that is a refusal.
pub fn refused(action: &str, answer: &Refusal) -> Error {
    let body = String::from_utf8_lossy(answer.body);
    match tag(&body, "Code") {
        Some(code) => refusal(action, code, tag(&body, "Message").unwrap_or_default()),
        None => explain_status(answer, "the server", ""),
    }
}

/// Returns whether an answer says that there is no capacity. Its status is that of a passing fault:
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#api-error-codes-table-server>.
pub fn is_about_capacity(answer: &Refusal) -> bool {
    tag(&String::from_utf8_lossy(answer.body), "Code").is_some_and(is_capacity)
}

/// Returns the error of a refusal for lack of capacity or quota; `None` for another answer.
pub fn no_capacity(body: &[u8]) -> Option<Error> {
    let body = String::from_utf8_lossy(body);
    let error = refusal("ec2:CreateFleet", tag(&body, "Code")?, tag(&body, "Message").unwrap_or_default());
    (error.kind() == Kind::NoCapacity).then_some(error)
}

/// Translates a refusal by its code.
pub fn refusal(action: &str, code: &str, says: &str) -> Error {
    let error = |kind, what: String| Error::new(kind, what);
    let plain = || {
        let says = says.trim_end_matches('.');
        if says.is_empty() { code.to_owned() } else { format!("{says} ({code})") }
    };
    match code {
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => not_allowed(action, says),
        code if code.starts_with("AuthFailure.ServiceLinkedRole") => {
            error(Kind::Auth, format!("AWS cannot create the service-linked role that launches need: {}", plain()))
                .hint("create it once: aws iam create-service-linked-role --aws-service-name spot.amazonaws.com (or ec2fleet.amazonaws.com)")
        }
        "AuthFailure" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException" => {
            error(Kind::Auth, format!("AWS rejected the credentials ({code})"))
                .hint("check the keys, that the region is enabled for the account, and that the clock of this computer is right")
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            error(Kind::Auth, "the AWS credentials have expired".to_owned())
                .hint("get new ones in the same job, shortly before the launch: those of a role expire after one hour by default")
        }
        "OptInRequired" | "Blocked" | "PendingVerification" => {
            error(Kind::Auth, format!("the AWS account cannot be used in this region: {}", plain()))
                .hint("check the account's messages from AWS, and whether the region is enabled")
        }
        "InstanceLimitExceeded" | "VcpuLimitExceeded" | "MaxSpotInstanceCountExceeded" => {
            error(Kind::NoCapacity, format!("the AWS account has reached its limit: {}", plain()))
                .hint("request an increase under Service Quotas, Amazon EC2; limits are in vCPUs per family of instance types")
        }
        _ if is_capacity(code) => error(Kind::NoCapacity, plain()),
        "InvalidParameterValue" | "InvalidParameterCombination" | "MissingParameter" | "ValidationError" => {
            error(Kind::Config, format!("EC2 rejected the request: {}", plain()))
        }
        _ if code.contains("NotFound") || code.contains(".Malformed") || code.contains("Malformed") => {
            error(Kind::NotFound, plain()).hint("check the identifier, and that it is in the region of --cloud-region")
        }
        _ => error(Kind::Remote, format!("EC2 refused {action}: {}", plain())),
    }
}

/// Translates a refusal by a policy, with Amazon's message, which names the policy, sometimes encoded.
fn not_allowed(action: &str, says: &str) -> Error {
    let denied = denied(says).unwrap_or(action);
    let words = says.trim();
    let what = if words.is_empty() { String::new() } else { format!(": {words}") };
    let hint = if words.contains("service control policy") {
        "a service control policy of the organization denies it: ask its administrators".to_owned()
    } else if words.contains("explicit deny") {
        "a policy denies it explicitly: allowing it elsewhere does not help".to_owned()
    } else {
        format!("allow {denied} in the policy of the role or user; docs/runners.md has the whole policy")
    };
    let decode = "; aws sts decode-authorization-message --encoded-message … shows which condition failed";
    let hint = if words.contains("Encoded authorization failure message") { hint + decode } else { hint };
    Error::new(Kind::Auth, format!("AWS does not allow {denied}{what}")).hint(hint)
}

/// Adds to the reason why an instance ended what to do about it, if that is known.
pub fn ended(code: Option<&str>, says: String) -> String {
    match code {
        // <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-instancelaunchfailure.html>
        Some("Client.InternalError") => format!(
            "{says} (often the disk's encryption key: its policy must allow this role, and AWSServiceRoleForEC2Spot for spot instances, to use it)"
        ),
        _ => says,
    }
}

/// Returns whether another type, zone or market may have capacity: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-troubleshooting.html>.
pub fn is_capacity(code: &str) -> bool {
    const CODES: &[&str] = &[
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacity",
        "UnfulfillableCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "InsufficientFreeAddressesInSubnet",
        "Unsupported",
        "InvalidFleetConfiguration",
        "UnsupportedOperation",
    ];
    CODES.contains(&code)
}

/// Returns the action that a message says is denied.
fn denied(says: &str) -> Option<&str> {
    let (_, rest) = says.split_once("not authorized to perform: ")?;
    rest.split([' ', '.', ',']).next().filter(|action| action.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_permission_that_is_missing() {
        let says = "You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/ci/x is not \
            authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/ml because no identity-based policy \
            allows the iam:PassRole action. Encoded authorization failure message: abc";
        let error = refusal("ec2:RunInstances", "UnauthorizedOperation", says);
        let (text, hint) = (error.to_string(), error.hint_text().unwrap_or_default());
        assert!(
            error.kind() == Kind::Auth && text.starts_with("AWS does not allow iam:PassRole: You are not"),
            "{text}"
        );
        assert!(text.ends_with("Encoded authorization failure message: abc"), "{text}");
        assert!(
            hint.starts_with("allow iam:PassRole in the policy") && hint.contains("decode-authorization"),
            "{hint}"
        );
        let error = refusal("ec2:CreateFleet", "UnauthorizedOperation", "");
        assert_eq!(error.to_string(), "AWS does not allow ec2:CreateFleet");
        let says = "User: x is not authorized to perform: ec2:RunInstances on resource: y with an explicit deny in a service control policy";
        let error = refusal("ec2:CreateFleet", "UnauthorizedOperation", says);
        assert!(error.to_string().ends_with("in a service control policy"), "{error}");
        assert!(error.hint_text().unwrap_or_default().starts_with("a service control policy of the organization"));
        let error = refusal("ec2:RunInstances", "AuthFailure.ServiceLinkedRoleCreationNotPermitted", "No permission");
        assert!(error.hint_text().unwrap_or_default().contains("--aws-service-name spot.amazonaws.com"));
    }

    #[test]
    fn a_key_that_nobody_may_use_looks_like_an_error_of_amazons() {
        let says = || "Client error on launch".to_owned();
        assert!(ended(Some("Client.InternalError"), says()).contains("the disk's encryption key"));
        assert_eq!(ended(Some("Server.SpotInstanceTermination"), says()), says());
    }
}
