//! Node's cryptography, for the signatures of buckets.

use super::js;
use object_store::client::{CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm};
use object_store::{Error, Result};

/// The provider.
#[derive(Debug)]
pub struct Crypto;

fn unknown() -> Error {
    Error::NotSupported { source: "this algorithm is not supported".into() }
}

impl CryptoProvider for Crypto {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Box::new(Sha256 { key: None, data: Vec::new() })),
            _ => Err(unknown()),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Box::new(Sha256 { key: Some(secret.to_owned()), data: Vec::new() })),
            _ => Err(unknown()),
        }
    }

    /// For Google's buckets, which the native program has.
    fn sign(&self, _: SigningAlgorithm, _: &[u8]) -> Result<Box<dyn Signer>> {
        Err(unknown())
    }
}

/// SHA-256 of what was given, with a key an HMAC. After the end, `data` is the result.
struct Sha256 {
    key: Option<Vec<u8>>,
    data: Vec<u8>,
}

impl Sha256 {
    fn end(&mut self) -> &[u8] {
        self.data = match &self.key {
            Some(key) => js::hmac(key, &self.data),
            None => js::digest(&self.data),
        };
        &self.data
    }
}

impl DigestContext for Sha256 {
    fn update(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        Ok(self.end())
    }
}

impl HmacContext for Sha256 {
    fn update(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        Ok(self.end())
    }
}
