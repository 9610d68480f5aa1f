//! TLS: which certificates are trusted, and which one is shown.

use super::invalid;
use crate::env::{Env, vars};
use crate::host::{ClientIdentity, SendError, SendPhase, TlsOptions};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Returns the TLS configuration of the requests with these options; `extra` are the user's authorities besides the usual ones.
pub fn config(
    env: &Env,
    extra: &[CertificateDer<'static>],
    options: Option<&TlsOptions>,
) -> Result<ClientConfig, SendError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| untrusted(error.to_string()))?;
    let is_insecure = options.is_some_and(|options| options.insecure);
    let builder = if is_insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        let ca = options.and_then(|options| options.ca.as_deref());
        builder.with_root_certificates(ca.map_or_else(|| usual_roots(env, extra), given_roots)?)
    };
    let mut config = match options.and_then(|options| options.identity.as_ref()) {
        Some(ClientIdentity { certificate, key }) => {
            let wrong = |error: &dyn std::fmt::Display| invalid(format!("cannot use the client certificate: {error}"));
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
            let key = key.map_err(|_| invalid("the client certificate has no private key in PEM format".to_owned()))?;
            let chain = chain.map_err(|error| wrong(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&error))?
        }
        None => builder.with_no_client_auth(),
    };
    // A request that asks for another name than the one in its address says both only in this version.
    let is_renamed = options.is_some_and(|options| options.server_name.is_some());
    let versions: &[&[u8]] = if is_renamed { &[b"http/1.1"] } else { &[b"h2", b"http/1.1"] };
    config.alpn_protocols = versions.iter().map(|version| version.to_vec()).collect();
    Ok(config)
}

fn untrusted(text: String) -> SendError {
    SendError::new(SendPhase::Tls, text)
}

/// Returns the authorities of the system, of the environment and of the command line.
fn usual_roots(env: &Env, extra: &[CertificateDer<'static>]) -> Result<RootCertStore, SendError> {
    let mut roots = RootCertStore::empty();
    let (file, dir) = (env.get(vars::SSL_CERT_FILE), env.get(vars::SSL_CERT_DIR));
    let found = match (file, dir) {
        (None, None) => rustls_native_certs::load_native_certs(),
        _ => rustls_native_certs::load_certs_from_paths(file.map(Path::new), dir.map(Path::new)),
    };
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        if let Some(file) = file {
            return Err(untrusted(format!("{} names {file}, which contains no certificate", vars::SSL_CERT_FILE.name)));
        }
        // An image without CA certificates: the ones that the program carries.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // CML ran on Node, where this adds to whatever is trusted otherwise.
    if let Some(file) = env.get(vars::NODE_EXTRA_CA_CERTS) {
        roots.add_parsable_certificates(rustls_native_certs::load_certs_from_paths(Some(Path::new(file)), None).certs);
    }
    for root in extra {
        roots.add(root.clone()).map_err(|e| untrusted(format!("the certificate of --ca-cert: {e}")))?;
    }
    Ok(roots)
}

/// Returns the authorities of a request.
fn given_roots(pem: &str) -> Result<RootCertStore, SendError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(untrusted("the given certificate authority contains no certificate".to_owned())),
        _ => Ok(roots),
    }
}

/// Accepts the certificate of any server; that the server has its key is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
