//! Signatures with RSA keys.

use crate::env::Secret;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

/// Signs a message with a key in PEM.
pub fn sign(key: &Secret, message: &[u8]) -> Result<Vec<u8>, String> {
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| "it is not a private key in PEM")?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        _ => return Err("it is not an RSA key".to_owned()),
    };
    let pair = pair.map_err(|error| format!("it is not a usable RSA key: {error}"))?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| "signing with it failed".to_owned())?;
    Ok(signature)
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
        assert_eq!(sign(&Secret::new(KEY), b"header.claims"), Ok(BASE64_STANDARD.decode(packed).unwrap()));
    }

    #[test]
    fn what_is_no_rsa_key_is_named_without_it() {
        let ec = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----";
        let broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        for (key, says) in [
            ("secret", "it is not a private key in PEM"),
            (ec, "it is not an RSA key"),
            (broken, "it is not a usable RSA key: "),
        ] {
            let error = sign(&Secret::new(key), b"x").unwrap_err();
            assert!(error.starts_with(says) && !error.contains("AAAA"), "{error}");
        }
    }
}
