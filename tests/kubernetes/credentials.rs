//! Credentials of kubeconfig files against a real TLS server in front of the scripted API server, in both builds.

use super::fixture::ClusterFixture;
use crate::support::fake::http::{Framing, Response, read_request, write_response};
use crate::support::fake::server::{Port, Server, lock};
use crate::support::fake::{Identity, Vendor, accept};
use crate::support::ignored::is_native_only;
use crate::support::kubernetes::TOKEN;
use crate::support::{Ran, executable, net};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

const LIST: &[&str] = &["list", "--cloud-region", "x"];
/// The fields of a user with the token.
const WITH_TOKEN: &str = "token: TOKEN";

/// Ends TLS, and passes requests on. It keeps the server names that clients ask for.
struct Front {
    server: Server,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl Front {
    fn start(identity: &Identity, backend: String) -> Front {
        let (config, names) = (Arc::clone(&identity.config), Arc::<Mutex<Vec<_>>>::default());
        let kept = Arc::clone(&names);
        let server = Port::bind().serve(move |socket, _| {
            let _ = pass_on(&config, socket, &backend, &kept);
        });
        Front { server, names }
    }
}

fn pass_on(
    config: &Arc<ServerConfig>,
    socket: TcpStream,
    backend: &str,
    names: &Mutex<Vec<Option<String>>>,
) -> io::Result<()> {
    let Some(stream) = accept(config, socket)? else { return Ok(()) };
    lock(names).push(stream.conn.server_name().map(str::to_owned));
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, || {})? {
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let headers: Vec<_> =
            headers.into_iter().filter(|(name, _)| ["authorization", "content-type"].contains(name)).collect();
        let answer = net::send(&request.method, &format!("{backend}{}", request.target), &headers, &request.body)?;
        let kind = answer.header("content-type").to_owned();
        write_response(
            reader.get_mut(),
            &request,
            &Response::bytes(answer.status, &kind, answer.body),
            Framing::Whole,
        )?;
    }
    Ok(())
}

/// A cluster behind TLS, and a kubeconfig file with fields of its cluster and of its user; `CA`, `CERT` and `KEY` in them are data.
fn secured(fixture: &mut ClusterFixture, identity: &Identity, cluster: &str, user: &str) -> Front {
    let plain = fixture.cloud.kubeconfig();
    let backend = plain.split('"').find(|text| text.starts_with("http://")).unwrap().to_owned();
    let (origin, path) = backend.split_at(backend.find("/k8s").unwrap());
    let front = Front::start(identity, origin.to_owned());
    let data = |text: &str| STANDARD.encode(text);
    let filled = |text: &str| {
        let (certificate, key) = &identity.client_pem;
        let text = text.replace("CERT", &data(certificate)).replace("KEY", &data(key));
        text.replace("CA", &data(&identity.ca_pem)).replace("TOKEN", TOKEN)
    };
    let config = format!(
        "current-context: t\ncontexts: [{{name: t, context: {{cluster: c, user: u, namespace: ml}}}}]\n\
         clusters: [{{name: c, cluster: {{server: \"https://{}{path}\"{}}}}}]\nusers: [{{name: u, user: {{{}}}}}]\n",
        front.server.address,
        if cluster.is_empty() { String::new() } else { format!(", {}", filled(cluster)) },
        filled(user)
    );
    fixture.cml.set("KUBERNETES_CONFIGURATION", &config);
    front
}

fn list(identity: &Identity, cluster: &str, user: &str) -> (Ran, Vec<Option<String>>) {
    let mut fixture = ClusterFixture::new(Vendor::GitLab);
    let front = secured(&mut fixture, identity, cluster, user);
    let ran = fixture.run(LIST);
    let key: String = identity.client_pem.1.lines().nth(1).unwrap().into();
    assert!(!format!("{ran:?}").contains(&key), "{ran:#?}");
    let names = lock(&front.names).clone();
    (ran, names)
}

#[test]
fn a_cluster_may_demand_a_client_certificate() {
    let identity = Identity::that_demands_clients();
    let certificate = format!("{WITH_TOKEN}, client-certificate-data: CERT, client-key-data: KEY");
    let (ran, names) = list(&identity, "certificate-authority-data: CA", &certificate);
    assert_eq!((ran.code, names.is_empty()), (Some(0), false), "{ran:#?}");
    let (ran, names) = list(&identity, "certificate-authority-data: CA", WITH_TOKEN);
    ran.fails(9, "127.0.0.1 does not accept the client certificate (*)", "check that it has not expired*");
    assert!(names.is_empty());
}

#[test]
fn the_authority_and_the_name_of_a_cluster_are_those_of_its_kubeconfig() {
    let identity = Identity::of(&["kube.internal"], 1975, 4096);
    let with_name = "certificate-authority-data: CA, tls-server-name: kube.internal";
    let (ran, names) = list(&identity, with_name, WITH_TOKEN);
    assert_eq!((ran.code, names.first()), (Some(0), Some(&Some("kube.internal".to_owned()))), "{ran:#?}");
    let (ran, _) = list(&identity, "certificate-authority-data: CA", WITH_TOKEN);
    ran.fails(9, "the certificate of 127.0.0.1 is for a different name (*)", "check the address*");
    let (ran, _) = list(&identity, "", WITH_TOKEN);
    ran.fails(9, "the connection to 127.0.0.1 is not trusted (*)", "if your company*");
    let other = STANDARD.encode(Identity::new().ca_pem);
    let (ran, _) =
        list(&identity, &format!("certificate-authority-data: {other}, tls-server-name: kube.internal"), WITH_TOKEN);
    ran.fails(9, "the connection to 127.0.0.1 is not trusted (*)", "check the certificate authority that is given*");
    let (ran, _) = list(&identity, "insecure-skip-tls-verify: true", WITH_TOKEN);
    assert!(ran.code == Some(0) && ran.stderr.contains("is not checked: insecure-skip-tls-verify"), "{ran:#?}");
    let (ran, _) = list(&Identity::of(&["127.0.0.1"], 2001, 2002), "certificate-authority-data: CA", WITH_TOKEN);
    ran.fails(9, "the certificate of 127.0.0.1 has expired (*)", "*the clock of this computer*");
}

/// Node asks the proxy for one name and the server for another; the program's HTTP client has one name for both. Nothing is sent then.
#[test]
fn another_server_name_through_a_proxy_is_refused_by_the_program() {
    if is_native_only() {
        return;
    }
    let fields = "certificate-authority-data: CA, tls-server-name: kube.internal, proxy-url: 'http://127.0.0.1:1'";
    let (ran, names) = list(&Identity::of(&["kube.internal"], 1975, 4096), fields, WITH_TOKEN);
    let says = "cannot send the request to 127.0.0.1 (another server name cannot be asked for through a proxy)";
    ran.fails(3, says, "");
    assert!(names.is_empty());
}

/// An exec plugin is a program of the user's; here a script that counts how often it is run.
#[test]
fn a_token_of_a_plugin_that_the_cluster_refuses_is_replaced_once() {
    let mut fixture = ClusterFixture::new(Vendor::GitLab);
    let bin = fixture.cml.path().join("bin");
    let script = format!(
        "#!/bin/sh\necho x >>'{0}/ran'\nn=$(wc -l <'{0}/ran' | tr -d ' ')\ntoken=refused-token-1; [ \"$n\" -gt 1 ] && token={TOKEN}\n\
         printf '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":{{\"token\":\"%s\"}}}}' \"$token\"\n",
        fixture.cml.path().display()
    );
    executable(&bin.join("our-login"), script);
    fixture.cml.set("PATH", &format!("{}:{}", bin.display(), fixture.cml.env["PATH"]));
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: our-login, interactiveMode: IfAvailable}";
    let with_plugin = fixture.cloud.kubeconfig().replace(&format!("token: \"{TOKEN}\""), exec);
    fixture.cml.set("KUBERNETES_CONFIGURATION", &with_plugin);
    let ran = fixture.run(LIST);
    assert_eq!((ran.code, fixture.cml.read("ran").lines().count()), (Some(0), 2), "{ran:#?}");
    assert!(!format!("{ran:?}").contains("refused-token-1"), "{ran:#?}");
    // One that is missing is named.
    fixture.cml.set("KUBERNETES_CONFIGURATION", &with_plugin.replace("our-login", "/none/kubelogin"));
    fixture.run(LIST).fails(
        3,
        "the exec plugin /none/kubelogin of the user 'ci' in KUBERNETES_CONFIGURATION is not installed",
        "install it before cml: https://azure.github.io/kubelogin/*",
    );
}

/// What is in the environment is not the jobs' of a runner on this machine, nor another program's.
#[test]
fn a_kubeconfig_in_a_variable_is_masked() {
    let fixture = ClusterFixture::new(Vendor::GitHub);
    fixture.cml.file("report.md", format!("the token is {TOKEN}\n"));
    let ran = fixture.cml.run(&["comment", "create", "report.md"]);
    assert!(
        ran.code == Some(3) && ran.stderr.contains("the value of KUBERNETES_CONFIGURATION is in line 1 of report.md"),
        "{ran:#?}"
    );
    assert!(!ran.stderr.contains(TOKEN));
    fixture.cml.file("report.md", "apiVersion: v1\nkind: Config\n");
    fixture.cml.run(&["comment", "create", "report.md"]).ok();
}
