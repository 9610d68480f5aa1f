//! Translates the refusals of Azure's Resource Manager:
//! <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>.

use crate::cloud::attempts::Reaction;
use crate::cloud::rest::{Dialect, Failure, Refused};
use crate::error::{Error, Kind};
use crate::http::Refusal;
use serde_json::Value;

/// How Azure says no.
pub const DIALECT: Dialect = Dialect { title: "Azure", read: code_and_message, explain, is_final };

/// What lacks capacity or quota, by its codes:
/// <https://learn.microsoft.com/troubleshoot/azure/virtual-machines/windows/allocation-failure>,
/// <https://learn.microsoft.com/azure/virtual-machines/error-codes-spot>.
const CAPACITY: [&str; 8] = [
    "SkuNotAvailable",
    "AllocationFailed",
    "ZonalAllocationFailed",
    "OverconstrainedAllocationRequest",
    "OverconstrainedZonalAllocationRequest",
    "SpotPriceGreaterThanProvidedMaxPrice",
    "NotAvailableForSubscription",
    "AzureSpotIsNotSupportedForThisVMSize",
];

/// Returns what a refusal means for the attempts that are left.
pub fn react(failure: &Failure) -> Reaction {
    match failure.code() {
        "AzureSpotFeatureNotEnabledForSubscription" => Reaction::OtherModel,
        // Each family of sizes has a quota of its own, and Azure refuses at once.
        code if CAPACITY.contains(&code) || failure.error.kind() == Kind::NoCapacity => {
            Reaction::Next { first: Vec::new() }
        }
        "RetryableError" | "ReferencedResourceNotProvisioned" => Reaction::Retry,
        _ => Reaction::Fatal,
    }
}

/// Returns whether the same request may succeed in a moment: another operation holds the object, or a new identity is not known everywhere
/// yet.
pub fn is_busy(failure: &Failure) -> bool {
    let passing = [
        "AnotherOperationInProgress",
        "RetryableError",
        "NicReservedForAnotherVm",
        "PublicIPAddressCannotBeDeleted",
        "Conflict",
        "PrincipalNotFound",
    ];
    passing.contains(&failure.code())
        || failure.code() == "OperationNotAllowed" && failure.error.kind() == Kind::Conflict
}

/// Some lacks of capacity come with a status of the server's own faults.
fn is_final(refusal: &Refusal) -> bool {
    refusal.status.is_server_error() && CAPACITY.contains(&code_and_message(&refusal.json()).0.as_str())
}

/// Returns the code and the message of an error's document: `{"error": {"code": …, "message": …}}`, or only the inner one. The first
/// detail says more than the outer error of a deployment.
fn code_and_message(body: &Value) -> (String, String) {
    let outer = if body["error"].is_object() { &body["error"] } else { body };
    let text = |value: &Value| value.as_str().unwrap_or_default().trim().to_owned();
    let inner = &outer["details"][0];
    let most = if inner["code"].is_string() { inner } else { outer };
    (text(&most["code"]), text(&most["message"]))
}

/// Translates a refusal by its code, else by its status.
fn explain(refused: &Refused) -> Error {
    let code = refused.code.as_str();
    let says = refused.message.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    let plain = match (says.is_empty(), code.is_empty()) {
        (true, true) => format!("status {}", refused.status),
        (true, false) => code.to_owned(),
        (false, true) => says.to_owned(),
        (false, false) => format!("{says} ({code})"),
    };
    error(refused.status, code, says, &plain)
}

fn error(status: u16, code: &str, says: &str, plain: &str) -> Error {
    let is_quota =
        code == "QuotaExceeded" || code == "OperationNotAllowed" && says.to_ascii_lowercase().contains("quota");
    match code {
        // The message names the action and the scope.
        "AuthorizationFailed" | "LinkedAuthorizationFailed" => Error::auth(format!("Azure does not allow it: {plain}"))
            .hint("assign the role of docs/azure.md to this application, on the scope that is named"),
        "InvalidAuthenticationToken" | "ExpiredAuthenticationToken" | "AuthenticationFailed" => {
            Error::auth(format!("Azure rejected the credentials: {plain}"))
                .hint("check that AZURE_TENANT_ID is the subscription's tenant, and the clock of this computer")
        }
        "InvalidSubscriptionId" | "SubscriptionNotFound" => {
            Error::auth(format!("Azure knows no such subscription: {plain}"))
                .hint("check AZURE_SUBSCRIPTION_ID, and that the application has a role in that subscription")
        }
        "MissingSubscriptionRegistration" => Error::config(format!("the subscription cannot be used yet: {plain}"))
            .hint("register what it needs once: az provider register -n Microsoft.Compute; az provider register -n Microsoft.Network"),
        _ if is_quota => Error::new(Kind::NoCapacity, format!("the subscription has reached its limit: {plain}"))
            .hint("request an increase under Quotas, Compute; limits are in vCPUs per family of sizes, spot has its own"),
        _ if CAPACITY.contains(&code) => Error::new(Kind::NoCapacity, plain),
        "RequestDisallowedByPolicy" => Error::config(format!("a policy of the subscription refuses it: {plain}"))
            .hint("ask the subscription's administrators, or use another --cloud-azure-resource-group"),
        "ResourceGroupBeingDeleted" => Error::conflict(format!("the resource group is being deleted: {plain}"))
            .hint("wait until it is gone, or use another --cloud-azure-resource-group"),
        "LocationNotAvailableForResourceType" | "NoRegisteredProviderFound" => {
            Error::usage(format!("Azure has no such region: {plain}")).hint("az account list-locations lists them")
        }
        "PropertyChangeNotAllowed" => Error::conflict(plain),
        _ => match status {
            401 => Error::auth(format!("Azure rejected the credentials: {plain}"))
                .hint("check AZURE_TENANT_ID and AZURE_CLIENT_ID"),
            403 => Error::auth(format!("Azure does not allow it: {plain}")),
            404 => Error::not_found(plain),
            409 | 412 => Error::conflict(plain),
            400 => Error::config(format!("Azure rejected the request: {plain}")),
            429 => Error::new(Kind::RateLimited, plain),
            _ => Error::remote(format!("Azure answered: {plain}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failure(status: u16, code: &str, message: &str) -> Failure {
        let body = json!({"error": {"code": code, "message": message}});
        let (code, message) = code_and_message(&body);
        DIALECT.failure(Refused { status, code, message, body })
    }

    #[test]
    fn codes_have_their_exit_codes_and_reactions() {
        let action = "The client 'c' does not have authorization to perform action 'Microsoft.Compute/virtualMachines/write' over scope '/subscriptions/s/resourceGroups/g'.";
        let quota =
            "Operation could not be completed as it results in exceeding approved standardDASv5Family Cores quota.";
        let next = || Reaction::Next { first: Vec::new() };
        for (status, code, message, exit, reaction) in [
            (409, "SkuNotAvailable", "The requested VM size is not available", 11, next()),
            (409, "AllocationFailed", "Allocation failed.", 11, next()),
            (409, "SpotPriceGreaterThanProvidedMaxPrice", "0.5 > 0.1", 11, next()),
            (409, "OperationNotAllowed", quota, 11, next()),
            (409, "QuotaExceeded", quota, 11, next()),
            (409, "AzureSpotFeatureNotEnabledForSubscription", "no", 6, Reaction::OtherModel),
            (409, "OperationNotAllowed", "the VM is being deleted", 6, Reaction::Fatal),
            (403, "AuthorizationFailed", action, 4, Reaction::Fatal),
            (403, "LinkedAuthorizationFailed", action, 4, Reaction::Fatal),
            (409, "MissingSubscriptionRegistration", "The subscription is not registered", 3, Reaction::Fatal),
            (400, "InvalidParameter", "The value is invalid", 3, Reaction::Fatal),
            (404, "ResourceGroupNotFound", "Resource group 'g' could not be found.", 5, Reaction::Fatal),
            (500, "InternalServerError", "", 9, Reaction::Fatal),
        ] {
            let failure = failure(status, code, message);
            assert_eq!((failure.error.exit_code(), react(&failure)), (exit, reaction), "{failure:?}");
            assert!(failure.error.to_string().contains(code), "{failure:?}");
        }
        let error = failure(403, "AuthorizationFailed", action).error;
        let says = "Microsoft.Compute/virtualMachines/write' over scope '/subscriptions/s/resourceGroups/g'";
        assert!(error.to_string().contains(says), "{error}");
        assert!(is_busy(&failure(409, "OperationNotAllowed", "the VM is being deleted")));
    }

    #[test]
    fn a_detail_says_more_than_its_deployment() {
        let body = json!({"error": {"code": "ResourceDeploymentFailure", "message": "see details", "details": [
            {"code": "AllocationFailed", "message": "no capacity"}]}});
        assert_eq!(code_and_message(&body), ("AllocationFailed".to_owned(), "no capacity".to_owned()));
        let failure = DIALECT.failure(Refused { status: 502, ..Refused::default() });
        assert_eq!(failure.error.to_string(), "Azure answered: status 502");
    }
}
