use super::*;
use proptest::prelude::*;

fn loaded(text: &str, origin: &str) -> Loaded {
    Loaded::parse(text, origin.to_owned(), PathBuf::from(format!("/{origin}"))).unwrap()
}

/// A file with one of each, whose values name it.
fn file(origin: &str, current: &str, context: &str, cluster: &str, user: &str) -> Loaded {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: '{current}'\n\
         contexts:\n- name: {context}\n  context: {{cluster: {cluster}, user: {user}, namespace: {origin}}}\n\
         clusters:\n- name: {cluster}\n  cluster: {{server: 'https://{origin}'}}\n\
         users:\n- name: {user}\n  user: {{token: {origin}-token}}\npreferences: {{}}\n"
    );
    loaded(&text, origin)
}

#[test]
fn the_first_of_several_files_wins_entry_by_entry() {
    let files = [file("a", "", "train", "red", "me"), file("b", "train", "train", "blue", "me")];
    let selected = select(&files).unwrap();
    assert_eq!((selected.context, selected.namespace), ("train", "a"));
    assert_eq!((selected.cluster.name, &*selected.cluster.value.server), ("red", "https://a"));
    let user = selected.user.unwrap();
    assert_eq!(user.value.token.as_ref().unwrap().expose(), "a-token");
    assert_eq!(user.file.folder, PathBuf::from("/a"));
    // A cluster may be in another file than the context: its paths are that file's.
    let mut files = [file("a", "train", "train", "blue", "me"), file("b", "other", "x", "blue", "you")];
    files[0].content.clusters.clear();
    let selected = select(&files).unwrap();
    assert_eq!((&*selected.cluster.value.server, &selected.cluster.file.folder), ("https://b", &PathBuf::from("/b")));
}

#[test]
fn what_kubectl_writes_is_read() {
    let text = r#"{"kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"k","user":""}}],
        "clusters":[{"name":"k","cluster":{"server":"https://k","insecure-skip-tls-verify":true,"extensions":[1]}}],"users":null}"#;
    let files = [loaded(text, "json")];
    let selected = select(&files).unwrap();
    assert_eq!(selected.cluster.value.insecure_skip_tls_verify, Some(true));
    assert!(selected.user.is_none() && selected.namespace.is_empty());
    // As gcloud and aws write it.
    let text = "users:\n- name: u\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      command: aws\n      args:\n      - eks\n      env: null\n      provideClusterInfo: false\n      interactiveMode: IfAvailable\n    token: '0123'\n";
    let user = loaded(text, "exec").content.users.remove(0).user;
    let exec = user.exec.unwrap();
    assert_eq!((exec.command.as_str(), &*exec.args, exec.env.len()), ("aws", &["eks".to_owned()][..], 0));
    assert_eq!(exec.interactive_mode.as_deref(), Some("IfAvailable"));
    assert_eq!(user.token.unwrap().expose(), "0123");
    // No file at all is an empty one.
    assert_eq!(loaded("", "empty").content, Kubeconfig::default());
}

#[test]
fn what_is_missing_is_named_with_its_file() {
    let full = || file("a", "train", "train", "red", "me");
    let error = |change: fn(&mut Kubeconfig)| {
        let mut files = [full()];
        change(&mut files[0].content);
        let error = select(&files).unwrap_err();
        (error.to_string(), error.hint_text().unwrap_or_default().to_owned())
    };
    let (message, hint) = error(|content| content.current_context.clear());
    assert_eq!(message, "a has no current-context");
    assert_eq!(hint, "choose one with: kubectl config use-context NAME; its contexts are: train");
    let (message, _) = error(|content| content.current_context = "other".into());
    assert_eq!(message, "a has no context 'other', which is its current-context");
    let (message, _) = error(|content| content.clusters.clear());
    assert_eq!(message, "the context 'train' in a names the cluster 'red', which does not exist");
    let (message, _) = error(|content| content.users.clear());
    assert_eq!(message, "the context 'train' in a names the user 'me', which does not exist");
    assert!(error(|content| content.contexts.clear()).1.ends_with("it has no contexts"));
}

#[test]
fn what_is_no_kubeconfig_is_refused_without_its_content() {
    let mistyped = "a field is missing or has a value of another type";
    for (text, says) in [
        ("users: [token: hunter2-0123", "invalid YAML at line "),
        ("hunter2: a\nhunter2: b", "invalid YAML at line 2 column 1"),
        ("users:\n- user: {token: hunter2-0123}\n", mistyped),
        ("- hunter2-0123\n", mistyped),
        ("hunter2-0123", mistyped),
        // As kubectl does: read as a number it would lose its first digit.
        ("users: [{name: hunter2, user: {token: 0123}}]", mistyped),
    ] {
        let error = Loaded::parse(text, "KUBECONFIG_DATA".into(), PathBuf::new()).unwrap_err();
        let shown = format!("{error} {error:?} {:?}", error.hint_text());
        assert!(shown.starts_with(&format!("KUBECONFIG_DATA is not a kubeconfig file: {says}")), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let error = Loaded::parse("/builds/kube.yaml", "KUBECONFIG_DATA".into(), PathBuf::new()).unwrap_err();
    assert!(error.hint_text().is_some_and(|hint| hint.contains("not its path")), "{error:?}");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "(?s).{0,200}", yaml in "[-a-z: \n\\[\\]{}&*!|>'\"]{0,120}") {
        for text in [text, yaml] {
            let _ = Loaded::parse(&text, "x".into(), PathBuf::new()).map(|file| select(&[file]).map(|_| ()).is_ok());
        }
    }

    #[test]
    fn values_come_back_as_they_are(token in "[!-~]{1,40}", namespace in "[a-z0-9][a-z0-9-]{0,20}") {
        let text = serde_json::json!({
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": namespace}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://k"}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "current-context": "c"
        });
        let files = [loaded(&text.to_string(), "json")];
        let selected = select(&files).unwrap();
        prop_assert_eq!(selected.namespace, namespace);
        prop_assert_eq!(selected.user.unwrap().value.token.as_ref().unwrap().expose(), token);
    }
}
