//! The bodies of requests, as Azure describes them: <https://github.com/Azure/azure-rest-api-specs>.

use serde::Serialize;
use std::collections::BTreeMap;

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

/// The id of another resource.
#[derive(Debug, Clone, Serialize)]
pub struct Reference {
    /// The id.
    pub id: String,
}

/// A resource group.
#[derive(Serialize)]
pub struct ResourceGroup<'a> {
    pub location: &'a str,
    pub tags: &'a Tags,
}

/// A resource with a location, tags and properties.
#[derive(Serialize)]
pub struct Resource<'a, T> {
    pub location: &'a str,
    pub tags: &'a Tags,
    pub properties: T,
}

/// The properties of a network security group.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroup {
    pub security_rules: Vec<Named<SecurityRule>>,
}

/// A part of a resource, with a name.
#[derive(Serialize)]
pub struct Named<T> {
    pub name: String,
    pub properties: T,
}

/// A rule of a network security group.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityRule {
    pub priority: u32,
    pub direction: &'static str,
    pub access: &'static str,
    pub protocol: &'static str,
    pub source_address_prefix: &'static str,
    pub source_port_range: &'static str,
    pub destination_address_prefix: &'static str,
    pub destination_port_range: &'static str,
}

/// The properties of a virtual network.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    pub address_space: AddressSpace,
    pub subnets: Vec<Named<Subnet>>,
}

/// The addresses of a virtual network.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressSpace {
    pub address_prefixes: Vec<&'static str>,
}

/// The properties of a subnet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    pub address_prefix: &'static str,
    pub default_outbound_access: bool,
    pub network_security_group: Reference,
}

/// A virtual machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualMachine {
    pub location: String,
    pub tags: Tags,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    pub identity: Identity,
    pub properties: MachineProperties,
}

/// Which zone a machine is in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    pub zone_placement_policy: &'static str,
}

/// The identities of a machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user_assigned_identities: BTreeMap<String, Empty>,
}

/// A role that an identity gets: <https://learn.microsoft.com/rest/api/authorization/role-assignments/create>.
#[derive(Serialize)]
pub struct RoleAssignment<'a> {
    pub properties: RoleAssignmentProperties<'a>,
}

/// The properties of an assigned role.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoleAssignmentProperties<'a> {
    pub role_definition_id: String,
    pub principal_id: &'a str,
    pub principal_type: &'static str,
}

/// An empty object.
#[derive(Serialize)]
pub struct Empty {}

/// The properties of a virtual machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineProperties {
    pub hardware_profile: HardwareProfile,
    pub storage_profile: StorageProfile,
    pub os_profile: OsProfile,
    pub network_profile: NetworkProfile,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_profile: Option<SecurityProfile>,
    pub priority: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eviction_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_profile: Option<BillingProfile>,
    pub diagnostics_profile: DiagnosticsProfile,
}

/// The size.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HardwareProfile {
    pub vm_size: String,
}

/// The image and the disk.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageProfile {
    pub image_reference: ImageReference,
    pub os_disk: OsDisk,
}

/// An image of the marketplace, or one of the user's own by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ImageReference {
    /// One of the marketplace.
    Published { publisher: String, offer: String, sku: String, version: String },
    /// A managed image, or one of a gallery.
    Own { id: String },
}

/// The disk of the system.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OsDisk {
    pub name: String,
    pub create_option: &'static str,
    pub delete_option: &'static str,
    #[serde(rename = "diskSizeGB")]
    pub disk_size_gb: u32,
    pub managed_disk: ManagedDisk,
}

/// The kind of a disk.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManagedDisk {
    pub storage_account_type: &'static str,
}

/// The system's first boot.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OsProfile {
    pub computer_name: String,
    pub admin_username: &'static str,
    pub custom_data: String,
    pub linux_configuration: LinuxConfiguration,
}

/// How one logs in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxConfiguration {
    pub disable_password_authentication: bool,
    pub ssh: Ssh,
}

/// The keys that may log in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ssh {
    pub public_keys: Vec<SshKey>,
}

/// A key that may log in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SshKey {
    pub path: String,
    pub key_data: &'static str,
}

/// The network interfaces, which are created with the machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkProfile {
    pub network_api_version: &'static str,
    pub network_interface_configurations: Vec<Tagged<Interface>>,
}

/// A part of a machine that becomes a resource of its own.
#[derive(Serialize)]
pub struct Tagged<T> {
    pub name: String,
    pub tags: Tags,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    pub properties: T,
}

/// The kind of a public address.
#[derive(Serialize)]
pub struct Sku {
    pub name: &'static str,
}

/// The properties of a network interface.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    pub primary: bool,
    pub delete_option: &'static str,
    pub ip_configurations: Vec<Named<IpConfiguration>>,
}

/// The addresses of a network interface.
#[derive(Serialize)]
pub struct IpConfiguration {
    pub subnet: Reference,
    #[serde(rename = "publicIPAddressConfiguration")]
    pub public_address: Tagged<PublicAddress>,
}

/// The properties of a public address.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicAddress {
    pub delete_option: &'static str,
    #[serde(rename = "publicIPAllocationMethod")]
    pub allocation_method: &'static str,
}

/// What is checked at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityProfile {
    pub security_type: &'static str,
    pub uefi_settings: UefiSettings,
}

/// The firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UefiSettings {
    pub secure_boot_enabled: bool,
    pub v_tpm_enabled: bool,
}

/// The price of a spot machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BillingProfile {
    pub max_price: f64,
}

/// The console.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticsProfile {
    pub boot_diagnostics: BootDiagnostics,
}

/// The console.
#[derive(Serialize)]
pub struct BootDiagnostics {
    pub enabled: bool,
}
