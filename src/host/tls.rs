//! How the connection of a single request is secured, where that is not the usual way.

use crate::env::Secret;

/// The TLS settings of one request, in an [`std::sync::Arc`] as an extension of the request: they replace the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The certificate authorities to trust instead of the usual ones, in PEM format.
    pub ca: Option<String>,
    /// The certificate that the client shows.
    pub identity: Option<ClientIdentity>,
    /// The name to ask for, and which the server's certificate must have, in place of that in the address.
    pub server_name: Option<String>,
    /// Whether to accept any certificate of the server.
    pub insecure: bool,
}

impl TlsOptions {
    /// Returns whether the usual authorities decide about the server's certificate.
    pub fn trusts_usual_roots(&self) -> bool {
        self.ca.is_none() && !self.insecure
    }
}

/// A client's certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, followed by those between it and its authority, in PEM format.
    pub certificate: String,
    /// Its private key in PEM format: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key: Secret,
}
