//! The TLS options of one request, with the native host in this process: connections, certificates and keys are real. What the
//! program makes of a kubeconfig file is in `kubernetes/credentials.rs`.

use crate::support::fake::{Identity, accept};
use crate::support::ignored::is_native_only;
use bytes::Bytes;
use cml::env::Secret;
use cml::host::native::Native;
use cml::host::{CertificateFault, ClientIdentity, Host, SendError, SendPhase, TlsOptions};
use http::Request;
use rustls::ServerConfig;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A server on 127.0.0.1 that answers each request with the server name that the client asks for, and with its header Host.
fn serve(config: &Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, config) = (listener.local_addr().unwrap().port(), Arc::clone(config));
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let config = Arc::clone(&config);
            // A client that goes away is of no interest.
            std::thread::spawn(move || answer(&config, socket?));
        }
    });
    port
}

fn answer(config: &Arc<ServerConfig>, socket: TcpStream) -> io::Result<()> {
    let Some(mut stream) = accept(config, socket)? else { return Ok(()) };
    let name = stream.conn.server_name().unwrap_or("nothing").to_owned();
    loop {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let body = format!("{name} {host}");
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        stream.flush()?;
    }
}

fn send(host: &Native, port: u16, options: &TlsOptions) -> Result<String, SendError> {
    let mut request = Request::get(format!("https://127.0.0.1:{port}/")).body(Bytes::new()).unwrap();
    request.extensions_mut().insert(Arc::new(options.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(host.send(request, Duration::from_secs(30)))?;
    Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
}

fn phase(host: &Native, port: u16, options: &TlsOptions) -> SendPhase {
    send(host, port, options).unwrap_err().phase
}

fn trusting(identity: &Identity) -> TlsOptions {
    TlsOptions { ca: Some(identity.ca_pem.clone()), ..TlsOptions::default() }
}

fn shown((certificate, key): &(String, String)) -> Option<ClientIdentity> {
    Some(ClientIdentity { certificate: certificate.clone(), key: Secret::new(key.as_str()) })
}

#[test]
fn a_certificate_is_shown_where_the_request_has_one_and_only_there() {
    if is_native_only() {
        return;
    }
    let server = Identity::that_demands_clients();
    let (host, port) = (Native::default(), serve(&server.config));
    let without = trusting(&server);
    let with = TlsOptions { identity: shown(&server.client_pem), ..without.clone() };
    for _ in 0..2 {
        assert_eq!(send(&host, port, &with).unwrap(), format!("nothing 127.0.0.1:{port}"));
        let error = send(&host, port, &without).unwrap_err();
        assert_eq!(error.phase, SendPhase::ClientCertificate, "no connection is shared: {error:?}");
    }
    let strange = TlsOptions { identity: shown(&Identity::that_demands_clients().client_pem), ..without.clone() };
    assert_eq!(phase(&host, port, &strange), SendPhase::ClientCertificate);
    let (certificate, key) = server.client_pem;
    for broken in [(certificate.clone(), "no key".to_owned()), ("no certificate".to_owned(), key)] {
        let error = send(&host, port, &TlsOptions { identity: shown(&broken), ..without.clone() }).unwrap_err();
        assert!(error.phase == SendPhase::Invalid && error.text.contains("client certificate"), "{error:?}");
        assert!(!error.text.contains("no key"), "{error:?}");
    }
}

#[test]
fn only_the_authority_of_the_request_is_trusted() {
    if is_native_only() {
        return;
    }
    let (server, other) = (Identity::new(), Identity::new());
    let (host, port) = (Native::default(), serve(&server.config));
    host.trust(other.ca_pem.as_bytes()).unwrap();
    assert!(send(&host, port, &trusting(&server)).is_ok());
    assert_eq!(phase(&host, port, &trusting(&other)), SendPhase::Tls);
    assert_eq!(phase(&host, port, &TlsOptions::default()), SendPhase::Tls);
    let none = TlsOptions { ca: Some("no certificate".into()), ..TlsOptions::default() };
    assert_eq!(send(&host, port, &none).unwrap_err().text, "the given certificate authority contains no certificate");
    let any = TlsOptions { insecure: true, ..TlsOptions::default() };
    assert!(send(&host, port, &any).is_ok());
    assert_eq!(phase(&host, port, &TlsOptions::default()), SendPhase::Tls, "only that request");
}

#[test]
fn another_server_name_is_asked_for_and_checked() {
    if is_native_only() {
        return;
    }
    let server = Identity::of(&["kube.internal"], 1975, 4096);
    let (host, port) = (Native::default(), serve(&server.config));
    let wrong = SendPhase::Certificate(CertificateFault::WrongName);
    assert_eq!(phase(&host, port, &trusting(&server)), wrong);
    let named = |name: &str| TlsOptions { server_name: Some(name.into()), ..trusting(&server) };
    assert_eq!(send(&host, port, &named("kube.internal")).unwrap(), format!("kube.internal 127.0.0.1:{port}"));
    assert_eq!(phase(&host, port, &named("kube.external")), wrong);
    assert_eq!(phase(&host, port, &named("10.0.0.1")), SendPhase::Invalid);
    let expired = Identity::of(&["127.0.0.1"], 2001, 2002);
    let port = serve(&expired.config);
    assert_eq!(phase(&host, port, &trusting(&expired)), SendPhase::Certificate(CertificateFault::Expired));
}
