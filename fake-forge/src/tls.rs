//! A private certificate authority, a certificate for localhost, and a connection that is plain or TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// What a TLS server needs, and the authority that its clients must trust.
pub struct Identity {
    pub config: Arc<ServerConfig>,
    /// The authority's certificate, for `SSL_CERT_FILE` and the like.
    pub ca_pem: String,
    /// A client's certificate by the same authority, and its key.
    pub client_pem: (String, String),
}

impl Identity {
    /// A new authority, and a certificate by it for `localhost` and 127.0.0.1.
    pub fn new() -> Identity {
        Identity::of(&["localhost", "127.0.0.1"], 1975, 4096)
    }

    /// The same, of a server that demands a certificate of its clients.
    pub fn that_demands_clients() -> Identity {
        Identity::made(&["localhost", "127.0.0.1"], 1975, 4096, true)
    }

    /// The same for some names, from the beginning of one year to that of another.
    pub fn of(names: &[&str], from: i32, to: i32) -> Identity {
        Identity::made(names, from, to, false)
    }

    fn made(names: &[&str], from: i32, to: i32, demands_client: bool) -> Identity {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "Fake forge CA");
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("a CA certificate");

        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (certificate, server_key) = signed(&authority, names, ExtendedKeyUsagePurpose::ServerAuth, from, to);
        let client = signed(&authority, Vec::new(), ExtendedKeyUsagePurpose::ClientAuth, 1975, 4096);
        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("ring speaks the default versions")
        };
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        let config = if demands_client {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).expect("its own certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            builder()
                .with_client_cert_verifier(verifier.build().expect("an authority"))
                .with_single_cert(chain, private)
        } else {
            builder().with_no_client_auth().with_single_cert(chain, private)
        };
        let config = config.expect("a certificate that fits its key");
        let client_pem = (pem("CERTIFICATE", client.0.der()), pem("PRIVATE KEY", &client.1.serialize_der()));
        Identity { config: Arc::new(config), ca_pem: pem("CERTIFICATE", authority.der()), client_pem }
    }
}

/// A certificate by an authority, and its key.
fn signed(
    authority: &CertifiedIssuer<'static, KeyPair>,
    names: Vec<String>,
    purpose: ExtendedKeyUsagePurpose,
    from: i32,
    to: i32,
) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::new(names).expect("valid names");
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let key = key();
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate, key)
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key pair")
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Accepts a connection. `None` when the client was refused: it has read the alert that says why.
pub fn accept(
    config: &Arc<ServerConfig>,
    mut socket: TcpStream,
) -> io::Result<Option<StreamOwned<ServerConnection, TcpStream>>> {
    let mut session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while session.is_handshaking() {
        if session.complete_io(&mut socket).is_err() {
            while session.wants_write() && session.write_tls(&mut socket)? > 0 {}
            socket.shutdown(Shutdown::Write)?;
            // What is left unread would end the connection before the alert arrives.
            io::copy(&mut socket, &mut io::sink())?;
            return Ok(None);
        }
    }
    Ok(Some(StreamOwned::new(session, socket)))
}

/// A connection, as the rest of the server sees it.
pub enum Conn {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Conn {
    /// Wraps an accepted socket; the TLS handshake happens with the first read.
    pub fn new(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Conn> {
        let Some(config) = tls else { return Ok(Conn::Plain(socket)) };
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Conn::Tls(Box::new(StreamOwned::new(session, socket))))
    }

    /// An orderly end: for TLS with `close_notify`, so that an answer without a length counts as whole.
    pub fn close(&mut self) {
        if let Conn::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// An end without a word, as of a crashed server.
    pub fn abort(&mut self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Conn::Plain(socket) => socket,
            Conn::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Conn::Plain(socket) => socket.read(buffer),
            Conn::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Conn::Plain(socket) => socket.write(bytes),
            Conn::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Conn::Plain(socket) => socket.flush(),
            Conn::Tls(stream) => stream.flush(),
        }
    }
}
