//! Credentials of kubeconfig files that are really there, with the native host. Plugins are shell scripts.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use super::*;
use crate::host::Host;
use crate::host::native::Native;
use crate::http::Http;
use crate::log::{Level, Log, Verbosity};
use std::fs;
use std::rc::Rc;

fn app(env: &[(&str, &str)]) -> App {
    let host: Rc<dyn Host> = Rc::new(Native::default().in_env(env.iter().copied().collect()));
    let log = Log::new(host.clone(), Verbosity::from(Level::Error));
    App { http: Http::new(host.clone(), log.clone(), Duration::from_secs(60)), host, log }
}

/// A kubeconfig file with one user.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "current-context: train\ncontexts: [{{name: train, context: {{cluster: k, user: u, namespace: ml}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:6443/base', {cluster}}}}}]\n\
         users: [{{name: u, user: {user}}}]\n"
    )
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What a request is given: the header, the TLS options and the proxy.
fn authorized(app: &App, access: &ClusterAccess) -> Result<(String, Option<TlsOptions>, Option<String>)> {
    let mut request = Request::new(Bytes::new());
    run(access.authorize(&mut request))?;
    let header = request.headers().get(header::AUTHORIZATION).map(|value| {
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    });
    let header = header.unwrap_or_default();
    if let Some((_, secret)) = header.split_once(' ') {
        assert_eq!(app.log.redact(secret), "***");
    }
    let tls = request.extensions().get::<Arc<TlsOptions>>().map(|tls| (**tls).clone());
    Ok((header, tls, request.extensions().get::<ProxyOverride>().map(|proxy| proxy.0.clone())))
}

fn of_data(text: &str) -> (App, Result<ClusterAccess>) {
    let app = app(&[("KUBERNETES_CONFIGURATION", text)]);
    let access = connect(&app);
    (app, access)
}

fn refusal(text: &str) -> (u8, String, String) {
    let error = of_data(text).1.err().unwrap();
    (error.exit_code(), error.to_string(), error.hint_text().unwrap_or_default().to_owned())
}

#[test]
fn the_sources_are_asked_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let named = |token: &str| kubeconfig("", &format!("{{token: {token}-0123456789}}"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("first"), named("first").replace("users:", "others:")).unwrap();
    fs::write(path("second"), named("second")).unwrap();
    fs::create_dir(path(".kube")).unwrap();
    fs::write(path(".kube/config"), named("home")).unwrap();
    let (ours, data, list) =
        (named("ours"), named("data"), format!("{}::{}:{}", path("none"), path("first"), path("second")));
    let home = folder.path().display().to_string();
    let all = [
        ("KUBERNETES_CONFIGURATION", ours.as_str()),
        ("KUBECONFIG_DATA", &data),
        ("KUBECONFIG", &list),
        ("HOME", &home),
    ];
    for (n, token) in ["ours", "data", "second", "home"].iter().enumerate() {
        let app = app(&all[n..]);
        let access = connect(&app).unwrap();
        assert_eq!((access.context(), access.namespace()), ("train", "ml"));
        assert_eq!(access.server().as_str(), "https://127.0.0.1:6443/base");
        assert_eq!(authorized(&app, &access).unwrap().0, format!("Bearer {token}-0123456789"));
    }
    let error = connect(&app(&[("KUBECONFIG", "/nowhere:/none"), ("HOME", &home)])).err().unwrap();
    assert_eq!(error.to_string(), "KUBECONFIG names /nowhere:/none, which does not exist");
    let error = connect(&app(&[("HOME", "/nowhere")])).err().unwrap();
    assert_eq!((error.exit_code(), error.to_string().as_str()), (4, "no Kubernetes configuration found"));
}

#[test]
fn files_are_relative_to_the_kubeconfig_file_and_data_take_precedence() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ca", "cert", "key", "token"] {
        fs::write(folder.path().join(name), format!("{name} of a file\n").replace(' ', "-")).unwrap();
    }
    let cluster = "certificate-authority: ca, tls-server-name: kube, proxy-url: 'http://proxy:3128'";
    let user =
        "{client-certificate: cert, client-key: none, client-key-data: UEVNLW9mLWRhdGE=, tokenFile: ./token, token: x}";
    let file = folder.path().join("config");
    fs::write(&file, kubeconfig(cluster, user)).unwrap();
    let app = app(&[("KUBECONFIG", file.to_str().unwrap())]);
    let access = connect(&app).unwrap();
    let (header, tls, proxy) = authorized(&app, &access).unwrap();
    assert_eq!((header.as_str(), proxy.as_deref()), ("Bearer token-of-a-file", Some("http://proxy:3128")));
    let identity = ClientIdentity { certificate: "cert-of-a-file\n".into(), key: Secret::new("PEM-of-data") };
    let expected = TlsOptions {
        ca: Some("ca-of-a-file\n".into()),
        identity: Some(identity),
        server_name: Some("kube".into()),
        insecure: false,
    };
    assert_eq!(tls, Some(expected));
    assert_eq!(app.log.redact("a PEM-of-data b"), "a *** b");
    // The kubelet replaces a token.
    fs::write(folder.path().join("token"), "another-token").unwrap();
    assert_eq!(authorized(&app, &access).unwrap().0, "Bearer another-token");
    fs::remove_file(folder.path().join("token")).unwrap();
    assert!(run(access.forget()));
    let error = authorized(&app, &access).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the Kubernetes token /") && error.contains("/token ("), "{error}");
}

#[test]
fn a_user_may_have_a_password_or_nothing() {
    let (app, access) =
        of_data(&kubeconfig("insecure-skip-tls-verify: true", "{username: me, password: hunter2-0123}"));
    let (header, tls, _) = authorized(&app, &access.unwrap()).unwrap();
    assert_eq!(header, "Basic bWU6aHVudGVyMi0wMTIz");
    assert!(tls.is_some_and(|tls| tls.insecure));
    assert_eq!(app.log.redact("hunter2-0123"), "***");
    let (app, access) = of_data(&kubeconfig("", "{}"));
    let access = access.unwrap();
    assert_eq!(authorized(&app, &access).unwrap(), (String::new(), None, None));
    assert!(!run(access.forget()));
}

#[test]
fn what_is_not_supported_or_wrong_names_user_file_and_way_out() {
    for (cluster, user, code, message, hint) in [
        (
            "",
            "{auth-provider: {name: azure}}",
            7,
            "the auth-provider 'azure', which Kubernetes 1.26 has removed",
            "kubelogin convert-kubeconfig",
        ),
        ("", "{as: admin, token: x}", 7, "acts as another one, which cml does not support", "remove `as`"),
        (
            "",
            "{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}",
            7,
            "unknown version 'client",
            "eks update",
        ),
        (
            "",
            "{exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}}",
            7,
            "needs a terminal",
            "service account",
        ),
        ("", "{client-certificate-data: UEVN}", 3, "has a client-certificate but no client-key", "--flatten"),
        ("", "{client-key-data: UEVN}", 3, "has a client-key but no client-certificate", "--flatten"),
        ("", "{client-key: none, client-certificate-data: UEVN}", 3, "cannot read the client-key ", "--flatten"),
        ("certificate-authority-data: '*'", "{}", 3, "certificate-authority-data of the cluster 'k'", ""),
        ("certificate-authority-data: UEVN, insecure-skip-tls-verify: true", "{}", 3, "has both", "remove insecure"),
        ("", "{token: \"a b\"}", 3, "the value of token of the user 'u' in KUBERNETES_CONFIGURATION", "one line"),
    ] {
        let (exit, error, way) = refusal(&kubeconfig(cluster, user));
        assert!(exit == code && error.contains(message) && way.contains(hint), "{exit} {error} {way}");
        assert!(
            error.contains("KUBERNETES_CONFIGURATION") && error.contains(if user == "{}" { "'k'" } else { "'u'" }),
            "{error}"
        );
    }
    let (exit, error, _) = refusal(&kubeconfig("", "{}").replace("https://127", "ftp://127"));
    assert_eq!((exit, error.as_str()), (3, "the cluster 'k' in KUBERNETES_CONFIGURATION has no valid server"));
}

#[test]
fn a_pod_uses_its_service_account() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT", "443")];
    let app = app(&env);
    assert!(in_cluster::access(&app, folder.path()).unwrap().is_none(), "no token is mounted");
    for (name, text) in [("token", "eyJ-token\n"), ("ca.crt", "PEM"), ("namespace", "ml")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let access = in_cluster::access(&app, folder.path()).unwrap().unwrap();
    assert_eq!((access.context(), access.namespace()), ("in-cluster", "ml"));
    assert_eq!(access.server().as_str(), "https://[fd00::1]/");
    let (header, tls, _) = authorized(&app, &access).unwrap();
    assert_eq!((header.as_str(), tls.unwrap().ca.as_deref()), ("Bearer eyJ-token", Some("PEM")));
    assert!(in_cluster::access(&self::app(&env[..1]), folder.path()).unwrap().is_none());
}

#[cfg(unix)]
mod plugins {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn plugin(folder: &Path, name: &str, script: &str) -> String {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// A user with a plugin.
    fn user(version: &str, command: &str, more: &str) -> String {
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/{version}, command: '{command}', args: [a, b], {more}}}}}"
        )
    }

    #[test]
    fn a_plugin_is_run_again_when_its_token_expires_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["v1", "v1beta1"] {
            let script = "echo \"$1 $2 $REGION\" >>ran\necho \"$KUBERNETES_EXEC_INFO\" >info\nprintf '{\"apiVersion\":\"client.authentication.k8s.io/VERSION\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"token-number-%s\",\"expirationTimestamp\":\"%s\"}}' \"$(wc -l <ran | tr -d ' ')\" \"$(cat expires)\"";
            let script = format!("cd '{}'\n{}", folder.path().display(), script.replace("VERSION", version));
            plugin(folder.path(), "plugin", &script);
            fs::write(folder.path().join("expires"), "2100-01-01T00:00:00Z").unwrap();
            let _ = fs::remove_file(folder.path().join("ran"));
            let file = folder.path().join("config");
            let more = "env: [{name: REGION, value: north}], provideClusterInfo: true, interactiveMode: IfAvailable";
            fs::write(&file, kubeconfig("", &user(version, "./plugin", more))).unwrap();
            let app = app(&[("KUBECONFIG", file.to_str().unwrap()), ("PATH", "/usr/bin:/bin")]);
            let access = connect(&app).unwrap();
            let token = || authorized(&app, &access).map(|(header, ..)| header).unwrap();
            assert_eq!((token(), token()), ("Bearer token-number-1".into(), "Bearer token-number-1".into()));
            assert!(run(access.forget()));
            fs::write(folder.path().join("expires"), "2001-01-01T00:00:00Z").unwrap();
            assert_eq!((token(), token()), ("Bearer token-number-2".into(), "Bearer token-number-3".into()));
            assert_eq!(fs::read_to_string(folder.path().join("ran")).unwrap(), "a b north\n".repeat(3));
            let info = fs::read_to_string(folder.path().join("info")).unwrap();
            assert!(info.contains("\"server\":\"https://127.0.0.1:6443/base\""), "{info}");
        }
    }

    #[test]
    fn a_plugin_may_print_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","status":{"clientCertificateData":"CERT","clientKeyData":"KEY-0123456789"}}'"#;
        let command = plugin(folder.path(), "plugin", script);
        let (app, access) = of_data(&kubeconfig("", &user("v1", &command, "")));
        let (header, tls, _) = authorized(&app, &access.unwrap()).unwrap();
        let identity = ClientIdentity { certificate: "CERT".into(), key: Secret::new("KEY-0123456789") };
        assert_eq!((header.as_str(), tls.unwrap().identity), ("", Some(identity)));
        assert_eq!(app.log.redact("KEY-0123456789"), "***");
    }

    #[test]
    fn a_plugin_that_fails_or_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = |command: &str, more: &str| {
            let (app, access) = of_data(&kubeconfig("", &user("v1", command, more)));
            let error = authorized(&app, &access.unwrap()).unwrap_err();
            (error.exit_code(), error.to_string(), error.hint_text().unwrap_or_default().to_owned())
        };
        for (script, why) in [
            ("printf 'first\n expired login\n)\n' >&2; exit 3", "expired login"),
            ("echo secret-in-no-json", "its output is not an ExecCredential in JSON"),
            (
                r#"echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"x"}}'"#,
                "it printed version client.authentication.k8s.io/v1beta1 instead of client.authentication.k8s.io/v1",
            ),
            (r#"echo '{"apiVersion":"client.authentication.k8s.io/v1"}'"#, "its output has no status"),
            (
                r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","status":{}}'"#,
                "it printed neither a token nor a certificate",
            ),
            (
                r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","status":{"clientKeyData":"x"}}'"#,
                "it printed a certificate without its key, or the key alone",
            ),
        ] {
            let command = plugin(folder.path(), "plugin", script);
            let (code, message, _) = error(&command, "");
            let expected =
                format!("the exec plugin {command} of the user 'u' in KUBERNETES_CONFIGURATION failed ({why})");
            assert_eq!((code, message), (4, expected));
        }
        for (command, more, hint) in [
            ("/none/kubelogin", "", "azure.github.io/kubelogin"),
            ("/none/other", "installHint: \"\\nInstall other\\nthus\"", "Install other"),
            ("/none/other", "", "install it before cml"),
        ] {
            let (code, message, way) = error(command, more);
            assert_eq!(code, 3);
            assert_eq!(
                message,
                format!("the exec plugin {command} of the user 'u' in KUBERNETES_CONFIGURATION is not installed")
            );
            assert!(way.contains(hint), "{way}");
        }
    }

    #[test]
    fn a_token_of_eks_is_made_where_amazons_plugin_is_missing() {
        let user = user("v1beta1", "/none/aws", "").replace("[a, b]", "[eks, get-token, --cluster-name, train]");
        let text = kubeconfig("", &user).replace("127.0.0.1:6443/base", "ABC.gr7.eu-west-1.eks.amazonaws.com");
        let with = |env: &[(&str, &str)]| {
            let app =
                app(&[&[("KUBECONFIG_DATA", text.as_str()), ("AWS_EC2_METADATA_DISABLED", "true")], env].concat());
            let access = connect(&app).unwrap();
            authorized(&app, &access).map(|(header, ..)| header)
        };
        let keys = [
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ];
        let header = with(&keys).unwrap();
        let token = header.strip_prefix("Bearer k8s-aws-v1.").unwrap();
        let address = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, token).unwrap();
        let address = String::from_utf8(address).unwrap();
        assert!(address.starts_with("https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&"), "{address}");
        let error = with(&[]).unwrap_err();
        assert!(error.to_string().ends_with("is not installed"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("AWS_ROLE_ARN")), "{error:?}");
        let error = with(&keys[..1]).unwrap_err();
        assert_eq!(error.to_string(), "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    }
}
