//! What a request to the Resource Manager is: a resource, and the permission that it needs.

use super::{MACHINES, SUBSCRIPTION};

/// A resource, or what else a path names.
#[derive(Debug, PartialEq)]
pub enum Route {
    Group,
    Skus,
    Versions(String),
    Permissions,
    Operation(String),
    /// Machine and name of a role.
    Role(String, String),
    /// Type, and the names of it and of a part.
    Resource(String, Vec<String>),
}

pub fn route(path: &[String]) -> Option<Route> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let ["subscriptions", SUBSCRIPTION, rest @ ..] = &path[..] else { return None };
    Some(match rest {
        ["resourceGroups", _] => Route::Group,
        ["providers", "Microsoft.Compute", "skus"] => Route::Skus,
        ["providers", "Microsoft.Authorization", "permissions"] => Route::Permissions,
        ["providers", "Microsoft.Compute", "locations", _, "operations", id] => Route::Operation((*id).to_owned()),
        ["providers", "Microsoft.Compute", "locations", _, "publishers", image @ ..] => {
            Route::Versions(image.join("/"))
        }
        ["resourceGroups", _, "providers", "Microsoft.Authorization", "permissions"] => Route::Permissions,
        [
            "resourceGroups",
            _,
            "providers",
            "Microsoft.Compute",
            "virtualMachines",
            machine,
            "providers",
            "Microsoft.Authorization",
            "roleAssignments",
            name,
        ] => Route::Role((*machine).to_owned(), (*name).to_owned()),
        ["resourceGroups", _, "providers", provider, kind, names @ ..] => {
            Route::Resource(format!("{provider}/{kind}"), names.iter().map(|name| (*name).to_owned()).collect())
        }
        _ => return None,
    })
}

/// The permission that a request needs, and the version of its interface.
pub fn needs(route: &Route, method: &str) -> (String, &'static str) {
    let verb = match method {
        "GET" => "read",
        "PUT" => "write",
        "DELETE" => "delete",
        other => panic!("{other}"),
    };
    match route {
        Route::Group => (format!("Microsoft.Resources/subscriptions/resourceGroups/{verb}"), "2021-04-01"),
        Route::Skus => ("Microsoft.Compute/skus/read".to_owned(), "2021-07-01"),
        Route::Versions(_) => {
            let action = "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read";
            (action.to_owned(), "2025-04-01")
        }
        Route::Permissions => ("Microsoft.Authorization/permissions/read".to_owned(), "2022-04-01"),
        Route::Role(..) => (format!("Microsoft.Authorization/roleAssignments/{verb}"), "2022-04-01"),
        Route::Operation(_) => (String::new(), "2025-04-01"),
        Route::Resource(kind, names) => {
            let version = match kind.split('/').next().unwrap() {
                "Microsoft.Compute" => "2025-04-01",
                "Microsoft.Network" => "2024-05-01",
                "Microsoft.ManagedIdentity" => "2023-01-31",
                other => panic!("{other}"),
            };
            let part = if names.len() > 2 { format!("/{}", names[1]) } else { String::new() };
            (format!("{kind}{part}/{verb}"), version)
        }
    }
}

/// What Azure checks besides when a resource is written.
pub fn implied(kind: &str, has_own_identity: bool) -> &'static [&'static str] {
    match kind {
        MACHINES => &OF_A_MACHINE[..if has_own_identity { 6 } else { 7 }],
        "Microsoft.Network/virtualNetworks" => &["Microsoft.Network/networkSecurityGroups/join/action"],
        _ => &[],
    }
}

const OF_A_MACHINE: [&str; 7] = [
    "Microsoft.Compute/disks/write",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/networkInterfaces/join/action",
    "Microsoft.Network/publicIPAddresses/write",
    "Microsoft.Network/publicIPAddresses/join/action",
    "Microsoft.Network/virtualNetworks/subnets/join/action",
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
];
