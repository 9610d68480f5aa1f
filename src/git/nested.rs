//! Repositories below the folder that the CI names: another checkout of the job, or a stranger's that an artifact brought along.
//!
//! git runs programs that a repository's settings name, and sends credentials where they say. So such a repository is used only
//! where its settings are those that `git clone` and the CIs' checkouts write.

use super::access::{Access, Call};
use super::{Checkout, slashes};
use crate::app::App;
use crate::error::{Error, Result};

/// Settings that run nothing and lead nowhere, in lower case. A `*` stands for any part of a name.
/// <https://git-scm.com/docs/git-config#_variables>
const HARMLESS: [&str; 32] = [
    "advice.*",
    "branch.*.merge",
    "branch.*.remote",
    "core.autocrlf",
    "core.bare",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.logallrefupdates",
    "core.longpaths",
    "core.precomposeunicode",
    "core.protectntfs",
    "core.repositoryformatversion",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "core.symlinks",
    "extensions.objectformat",
    "extensions.partialclone",
    "gc.auto",
    "http.*.extraheader",
    // What they lead to is among the settings that are looked at.
    "include.path",
    "includeif.*.path",
    "lfs.*.access",
    "lfs.repositoryformatversion",
    "protocol.version",
    "remote.*.fetch",
    "remote.*.partialclonefilter",
    "remote.*.promisor",
    "remote.*.tagopt",
    "submodule.*.active",
    "user.email",
    "user.name",
];

/// Refuses a repository with any other setting.
pub async fn check(app: &App, checkout: &Checkout) -> Result<()> {
    let call = Call { access: Access::Read, checkout: Some(checkout), at_top: true, settings: &[], env: Vec::new() };
    let args = ["config", "--local", "--includes", "--list", "-z"];
    let output = app.host.execute(&call.command(app, &args)).await;
    let output = output.ok().filter(|output| output.code == Some(0)).map(|output| output.stdout);
    let cannot = |what: &str| {
        Error::config(format!("the git repository in {} {what}", slashes(&checkout.top)))
            .hint("it is not the CI's working copy and may be untrusted; run this at the top of the working copy")
    };
    let settings = output.ok_or_else(|| cannot("has a configuration that git cannot read"))?;
    let settings = String::from_utf8_lossy(&settings).into_owned();
    match settings
        .split_terminator('\0')
        .map(|line| line.split_once('\n').unwrap_or((line, "")))
        .find(|pair| !fits(*pair))
    {
        None => Ok(()),
        Some((key, _)) => {
            Err(cannot(&format!("has the setting {}, which may run a program or point elsewhere", app.log.line(key))))
        }
    }
}

fn fits((key, value): (&str, &str)) -> bool {
    let lower = key.to_ascii_lowercase();
    match lower.as_str() {
        "filter.lfs.required" => true,
        "filter.lfs.clean" | "filter.lfs.smudge" | "filter.lfs.process" => {
            ["git-lfs clean -- %f", "git-lfs smudge -- %f", "git-lfs filter-process"].contains(&value)
        }
        remote if remote.starts_with("remote.") && remote.ends_with(".url") => {
            value.starts_with("https://") || value.starts_with("http://")
        }
        _ => HARMLESS.iter().any(|pattern| match pattern.split_once('*') {
            Some((start, end)) => {
                lower.len() > start.len() + end.len() && lower.starts_with(start) && lower.ends_with(end)
            }
            None => lower == *pattern,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn what_checkouts_write_fits_and_nothing_else() {
        for pair in [
            ("core.repositoryFormatVersion", "0"),
            ("remote.origin.url", "https://github.com/o/r"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("http.https://github.com/.extraheader", "AUTHORIZATION: basic x"),
            ("includeIf.gitdir:/w/x/.git.path", "/tmp/credentials"),
            ("filter.lfs.process", "git-lfs filter-process"),
            ("branch.main.merge", "refs/heads/main"),
        ] {
            assert!(fits(pair), "{pair:?}");
        }
        for pair in [
            ("core.sshcommand", "x"),
            ("core.worktree", "/"),
            ("remote.origin.url", "ext::sh -c x"),
            ("remote.origin.url", "ssh://x/y"),
            ("remote.origin.pushurl", "https://github.com/o/r"),
            ("remote.origin.uploadpack", "x"),
            ("url.ssh://x/.insteadof", "https://"),
            ("http.https://github.com/.proxy", "http://evil"),
            ("http.sslverify", "false"),
            ("http.extraheader", "x"),
            ("filter.lfs.clean", "sh -c x"),
            ("filter.x.process", "git-lfs filter-process"),
            ("submodule.x.update", "!x"),
            ("extensions.worktreeconfig", "true"),
            ("credential.helper", "!x"),
            ("alias.status", "!x"),
        ] {
            assert!(!fits(pair), "{pair:?}");
        }
    }
}
