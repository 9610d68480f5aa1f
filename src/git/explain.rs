//! What went wrong, by what git and the forges' git servers print. Pure.

use crate::error::{Error, Kind};
use crate::host::Output;

/// A text of git's or a server's, in lower case; the class; what it means; what to do.
type Known = (&'static str, Kind, &'static str, &'static str);

const KNOWN: &[Known] = &[
    (
        "without `workflow",
        Kind::Auth,
        "the token is not allowed to change workflow files",
        "leave .github/workflows out, or use a personal access token with the scope workflow",
    ),
    (
        "protected branch",
        Kind::Auth,
        "the branch is protected",
        "choose another --branch, or allow the token's user to push to it",
    ),
    (
        "repository rule violations",
        Kind::Auth,
        "a rule of the repository forbids this push",
        "choose a --branch that no rule covers, or allow the token's user to bypass the rule",
    ),
    (
        "permission denied to create branch",
        Kind::Auth,
        "the token is not allowed to create this branch",
        "see the branch restrictions of the repository, or choose another --branch",
    ),
    (
        "pre-receive hook declined",
        Kind::Auth,
        "the server's rules forbid this push",
        "choose a --branch that they do not cover, or allow the token's user to push to it",
    ),
    (
        "returned error: 403",
        Kind::Auth,
        "the token is not allowed to push to the repository",
        "grant write access: contents: write on GitHub, write_repository or api on GitLab, repository:write on Bitbucket",
    ),
    (
        "authentication failed",
        Kind::Auth,
        "the server does not accept the token",
        "check the token in REPO_TOKEN: it may have expired, or be valid for the API only",
    ),
    (
        "could not read username",
        Kind::Auth,
        "the server requires other credentials",
        "the token is only sent to the repository itself; check that --remote and --repo are the same repository",
    ),
    ("fetch first", Kind::Conflict, "the branch has commits that are not in the working copy", OTHER_BRANCH),
    ("non-fast-forward", Kind::Conflict, "the branch has commits that are not in the working copy", OTHER_BRANCH),
    ("cannot lock ref", Kind::Conflict, "the branch changed at the same time", OTHER_BRANCH),
    (
        "dubious ownership",
        Kind::Config,
        "the working copy belongs to another user",
        "run: git config --global --add safe.directory \"$PWD\"",
    ),
    ("not a git repository", Kind::Config, "not a git repository", "run this inside the clone of the repository"),
    (
        "please tell me who you are",
        Kind::Config,
        "the author of the commit is unknown",
        "pass --user-name and --user-email",
    ),
    (
        "outside repository",
        Kind::Config,
        "a file is outside of the repository",
        "only files of the working copy can be committed",
    ),
    (
        "does not appear to be a git repository",
        Kind::Config,
        "unknown remote",
        "check --remote: `git remote` lists them",
    ),
    ("not our ref", Kind::NotFound, "the remote does not have the commit", "push it first"),
    ("unadvertised object", Kind::NotFound, "the remote does not have the commit", "push it first"),
    (
        "repository not found",
        Kind::NotFound,
        "the repository was not found with this token",
        "check --repo and the token's access",
    ),
    (
        "returned error: 404",
        Kind::NotFound,
        "the repository was not found with this token",
        "check --repo and the token's access",
    ),
    (
        "could not resolve host",
        Kind::Remote,
        "the server cannot be reached",
        "check the network and the address of the remote",
    ),
    (
        "failed to connect",
        Kind::Remote,
        "the server cannot be reached",
        "check the network and the address of the remote",
    ),
    (
        "certificate",
        Kind::Remote,
        "git does not trust the server's certificate",
        "pass its certificate authority with --ca-cert FILE",
    ),
    (
        "returned error: 429",
        Kind::RateLimited,
        "the server limits the rate of requests",
        "wait, or allow more time with --timeout SECONDS",
    ),
    ("returned error: 5", Kind::Remote, "the server failed", "run this again"),
    ("connect tunnel failed", Kind::Remote, "the proxy refused git's request", PROXY),
    ("proxy connect aborted", Kind::Remote, "the proxy refused git's request", PROXY),
    ("could not resolve proxy", Kind::Remote, "the proxy cannot be reached", PROXY),
    ("couldn't connect to server", Kind::Remote, "the server cannot be reached", NETWORK),
    ("rpc failed", Kind::Remote, "the connection broke", NETWORK),
    ("empty reply from server", Kind::Remote, "the connection broke", NETWORK),
    ("connection reset", Kind::Remote, "the connection broke", NETWORK),
    ("recv failure", Kind::Remote, "the connection broke", NETWORK),
    ("send failure", Kind::Remote, "the connection broke", NETWORK),
    ("ssl_read", Kind::Remote, "the connection broke", NETWORK),
    ("unexpected disconnect", Kind::Remote, "the connection broke", NETWORK),
    ("hung up unexpectedly", Kind::Remote, "the connection broke", NETWORK),
    ("early eof", Kind::Remote, "the connection broke", NETWORK),
    ("timed out", Kind::Remote, "the server does not answer", NETWORK),
];
const NETWORK: &str = "check the network and the address of the remote";
const PROXY: &str = "check https_proxy and http_proxy; list hosts to reach directly in no_proxy";

/// How often a command is tried against a server that answers badly, and against one that cannot be reached at all, as
/// requests of the API are.
const ATTEMPTS: u32 = 8;
const ATTEMPTS_TO_CONNECT: u32 = 4;

/// Returns how often a command that ended like this is tried in all: once where it would fail again.
pub fn attempts(output: &Output) -> u32 {
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    // Certificates and passwords of proxies do not change.
    if has(&["certificate", "response 407", "returned error: 407"]) {
        return 1;
    }
    if has(&["returned error: 429", "returned error: 408", "returned error: 5"]) {
        return ATTEMPTS;
    }
    let broken = ["rpc failed", "empty reply", "connection reset", "recv failure", "send failure", "ssl_read"];
    if has(&broken) || has(&["unexpected disconnect", "hung up unexpectedly", "early eof", "timed out"]) {
        return ATTEMPTS;
    }
    let unreached = ["could not resolve", "failed to connect", "couldn't connect", "connect tunnel failed"];
    if has(&unreached) || has(&["proxy connect aborted"]) { ATTEMPTS_TO_CONNECT } else { 1 }
}
/// What the same means where nothing is pushed.
const READING: &[Known] = &[(
    "returned error: 403",
    Kind::Auth,
    "the token is not allowed to read the repository",
    "grant read access: contents: read on GitHub, read_repository on GitLab, repository on Bitbucket",
)];
const OTHER_BRANCH: &str = "run this again, or choose another --branch";

/// Returns the error of a git command that failed.
pub fn explain(args: &[&str], output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let (verb, doing) = (verb(args), failed(args));
    let lower = said.to_lowercase();
    let lines = told(&said);
    let reads = verb.is_some_and(|verb| matches!(verb, "fetch" | "ls-remote" | "clone"));
    let known = if reads { READING } else { &[] };
    match known.iter().chain(KNOWN).find(|(text, ..)| lower.contains(text)) {
        Some((_, kind, meaning, hint)) => Error::new(*kind, format!("{doing}: {meaning} ({lines})")).hint(*hint),
        None if lines.is_empty() => Error::config(doing),
        None => Error::config(format!("{doing}: {lines}")),
    }
}

/// Returns the command in a list of arguments.
fn verb<'a>(args: &[&'a str]) -> Option<&'a str> {
    args.get(if args.first() == Some(&"-C") { 2 } else { 0 }).copied()
}

/// Says which command failed.
pub fn failed(args: &[&str]) -> String {
    format!("git {} failed", verb(args).unwrap_or_default())
}

/// Returns the lines that tell something, as one, without credentials in addresses.
fn told(said: &str) -> String {
    let noise = ["hint:", "To ", "error: failed to push"];
    let lines = said.lines().map(str::trim).filter(|line| !noise.iter().any(|noise| line.starts_with(noise)));
    let lines = lines.map(|line| line.trim_start_matches("remote:").trim()).filter(|line| !line.is_empty());
    let text = lines.map(without_credentials).collect::<Vec<_>>().join("; ");
    text.chars().take(500).collect()
}

fn without_credentials(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        text.push_str(before);
        text.push_str("://");
        let end = after.find(['/', ' ', '\'']).unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |at| &after[at + 1..]);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_tried_again() {
        let of = |stderr: &str| attempts(&Output { code: Some(128), stdout: Vec::new(), stderr: stderr.into() });
        for (stderr, expected) in [
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 502", 8),
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 429", 8),
            ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", 8),
            ("fatal: unable to access 'https://h/r/': Empty reply from server", 8),
            (
                "fatal: unable to access 'https://h/r/': Failed to connect to 127.0.0.1 port 9 after 0 ms: Could not connect to server",
                4,
            ),
            ("fatal: unable to access 'https://h/r/': CONNECT tunnel failed, response 502", 4),
            ("fatal: unable to access 'https://h/r/': CONNECT tunnel failed, response 407", 1),
            ("fatal: unable to access 'https://h/r/': The requested URL returned error: 403", 1),
            (
                "fatal: unable to access 'https://h/r/': SSL certificate problem: unable to get local issuer certificate",
                1,
            ),
            (" ! [rejected] x -> y (fetch first)", 1),
        ] {
            assert_eq!(of(stderr), expected, "{stderr}");
        }
    }

    #[test]
    fn refusals_are_explained_and_keep_no_credentials() {
        let of = |stderr: &str| {
            let output = Output { code: Some(1), stdout: Vec::new(), stderr: stderr.into() };
            let error = explain(&["-C", "/x", "push"], &output);
            (error.kind(), error.to_string())
        };
        let (kind, text) =
            of("fatal: unable to access 'https://me:s3cret@host/r/': The requested URL returned error: 403");
        assert_eq!(kind, Kind::Auth);
        assert_eq!(
            text,
            "git push failed: the token is not allowed to push to the repository (fatal: unable to access 'https://host/r/': The requested URL returned error: 403)"
        );
        let refused = "fatal: unable to access 'https://host/r/': The requested URL returned error: 403";
        let output = Output { code: Some(128), stdout: Vec::new(), stderr: refused.into() };
        assert!(explain(&["fetch", "--quiet"], &output).hint_text().unwrap().starts_with("grant read access: "));
        assert_eq!(of("remote: error: GH006: Protected branch update failed for refs/heads/main.").0, Kind::Auth);
        assert_eq!(
            of("remote: GitLab: You are not allowed to push code to protected branches on this project.").0,
            Kind::Auth
        );
        assert_eq!(of(" ! [rejected] x -> y (fetch first)\nhint: more").0, Kind::Conflict);
        assert_eq!(
            of("fatal: unable to access 'https://h/': The requested URL returned error: 429").0,
            Kind::RateLimited
        );
        assert_eq!(of("something else"), (Kind::Config, "git push failed: something else".to_owned()));
    }
}
