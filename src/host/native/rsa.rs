//! Signatures with RSA keys.

use crate::env::Secret;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

/// Signs a message with a key in PEM; `None` when it is not an RSA key.
pub fn sign(key: &Secret, message: &[u8]) -> Option<Vec<u8>> {
    let pair = match PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).ok()? {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return None,
    };
    let pair = pair.ok()?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    /// A key that was made for this test with `openssl genrsa`, and what `openssl dgst -sha256 -sign` makes of a message.
    const KEY: &str = include_str!("rsa/test.pem");
    const SIGNATURE: &str = include_str!("rsa/test.sig");

    #[test]
    fn a_signature_is_openssls() {
        let packed: String = SIGNATURE.split_whitespace().collect();
        assert_eq!(sign(&Secret::new(KEY), b"header.claims"), BASE64_STANDARD.decode(packed).ok());
    }

    #[test]
    fn nothing_else_signs() {
        let ec = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----";
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        for key in ["secret", ec, broken] {
            assert_eq!(sign(&Secret::new(key), b"x"), None, "{key}");
        }
    }
}
