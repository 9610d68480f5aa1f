//! How a runner program is started: its files, its environment, its shutdown.

use super::supervise::Supervised;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::forge::runner::{Agent, CheckedFile, EnvFile};
use crate::host::logs::Logs;
use crate::host::{CommandSpec, Process, ShutdownPolicy};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// What is passed on of our own environment: what programs need to run on this machine. Nothing of the job that
/// launches, no token.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "LD_LIBRARY_PATH",
    "CUDA_*",
    "NVIDIA_*",
    "XDG_RUNTIME_DIR",
    "DOCKER_HOST",
    "JAVA_HOME",
];

/// The environment of the program: what is passed on, what the user names, and the agent's own.
fn environment(env: &Env, named: &[String], agent: &Agent) -> Vec<(String, String)> {
    let wanted = |name: &str| {
        let fits = |pattern: &&str| pattern.strip_suffix('*').map_or(name == *pattern, |start| name.starts_with(start));
        PASSED_ON.iter().any(fits) || named.iter().any(|other| other == name)
    };
    let is_taken = |name: &str| agent.env.iter().any(|(taken, _)| taken == name);
    // What we set ourselves, such as a hook, calls the user's.
    let called = |name: &str| if is_taken(name) { format!("CML_{name}") } else { name.to_owned() };
    let ours = env.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (called(name), value.to_owned()));
    let theirs = agent.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    ours.chain(theirs).collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// The lines of a file by which a container gets variables. A proxy on this machine's own address is not the container's.
fn variables(it: &Supervised<'_>, file: &EnvFile) -> String {
    let env = it.app.host.env();
    let value = |name: &str| {
        let set = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let is_proxy = name.ends_with("_PROXY");
        let value = set(name).or_else(|| if is_proxy { set(&name.to_lowercase()) } else { None })?;
        let is_local = is_proxy && ["localhost", "//127.", "//[::1]"].iter().any(|local| value.contains(local));
        (!value.is_empty() && (name == "NO_PROXY" || !is_local)).then_some(value)
    };
    let names = file.names.iter().copied().chain(it.pass_env.iter().map(String::as_str));
    let mut lines = String::new();
    for (name, value) in names.filter_map(|name| Some((name, value(name)?))).collect::<BTreeMap<_, _>>() {
        match value.contains(['\n', '\r']) {
            true => it.app.log.warn(&format!("{name} has several lines, which Docker cannot pass on to the runner")),
            false => lines.push_str(&format!("{name}={value}\n")),
        }
    }
    lines
}

/// Everything that is removed when the runner is gone.
pub fn leftovers(it: &Supervised<'_>, agent: Option<&Agent>) -> Vec<PathBuf> {
    let files = agent.into_iter().flat_map(|agent| agent.files.iter().map(|(path, _)| path).chain(&agent.own_files));
    files.cloned().chain([it.place.hooks.clone()]).chain(it.remove.iter().cloned()).collect()
}

/// Refuses a folder with what the program would stumble over, before anything in it is touched.
pub fn check(it: &Supervised<'_>, agent: &Agent) -> Result<()> {
    for CheckedFile { path, check } in &agent.checked_files {
        if let Ok(content) = it.app.host.read(path) {
            check(path, &String::from_utf8_lossy(&content))?;
        }
    }
    Ok(())
}

/// Writes the agent's files and starts its program.
pub async fn start(it: &Supervised<'_>, agent: &Agent, logs: Option<Logs>) -> Result<Box<dyn Process>> {
    let host = &it.app.host;
    let name = agent.argv.first().map_or("", String::as_str);
    let unwritten = |path: &PathBuf, error: &io::Error| {
        Error::config(format!("cannot write {} ({error})", path.display())).hint("choose another folder with --workdir")
    };
    for path in &agent.own_files {
        let _ = host.remove(path);
    }
    for folder in [&it.place.hooks, &it.place.work, &it.place.program] {
        host.make_private_folder(folder)
            .map_err(|error| unusable(&error).unwrap_or_else(|| unwritten(folder, &error)))?;
    }
    let mut env = environment(host.env(), &it.pass_env, agent);
    for (path, content) in &agent.files {
        let mut content = content.expose().to_owned();
        if let Some(file) = agent.env_file.as_ref().filter(|file| file.path == *path) {
            content.push('\n');
            content.push_str(&variables(it, file));
        }
        host.write_private(path, content.as_bytes()).map_err(|error| unwritten(path, &error))?;
    }
    let mut argv = agent.argv.clone();
    if let Some(user) = &it.user {
        give(it, user).await?;
        argv.splice(0..0, becoming(user));
        env.retain(|(name, _)| !["HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR"].contains(&name.as_str()));
        let theirs = [("HOME", format!("/home/{user}")), ("USER", user.clone()), ("LOGNAME", user.clone())];
        env.extend(theirs.map(|(name, value)| (name.to_owned(), value)));
    }
    let program = CommandSpec {
        argv,
        env,
        folder: it.place.program.clone(),
        shutdown: ShutdownPolicy {
            signal: agent.interrupt,
            command: agent.stop.clone(),
            grace: agent.grace,
            logs,
            remove: leftovers(it, Some(agent)),
            containers: agent.containers.clone(),
        },
    };
    host.start(&program).await.map_err(|error| {
        unusable(&error).unwrap_or_else(|| {
            Error::config(format!("cannot start the runner program {name} ({error})"))
                .hint("check that it is there and made for this machine")
        })
    })
}

/// The words before a command that make it another user's, and as likely to be killed for memory as any other:
/// <https://man7.org/linux/man-pages/man1/setpriv.1.html>. Both take their own place, so that signals arrive.
fn becoming(user: &str) -> Vec<String> {
    let user = [format!("--reuid={user}"), format!("--regid={user}")];
    let words = ["choom", "-n", "0", "--", "setpriv", "--init-groups", "--inh-caps=-all"].map(str::to_owned);
    words.into_iter().chain(user).chain(["--".to_owned()]).collect()
}

/// Gives the runner's folders to the user; the folder above them is not the user's, and links are not followed.
async fn give(it: &Supervised<'_>, user: &str) -> Result<()> {
    let owner = format!("{user}:{user}");
    let folders = [&it.place.program, &it.place.work, &it.place.hooks].map(|path| path.display().to_string());
    let mut words = vec!["chown", "-R", "-h", "-P", &owner, "--"];
    words.extend(folders.iter().map(String::as_str));
    let done = it.app.host.run(&words, &[]).await.is_ok_and(|output| output.code == Some(0));
    let failed =
        || Error::config(format!("cannot give the runner's folders to the user {user}")).hint("run this as root");
    done.then_some(()).ok_or_else(failed)
}

fn unusable(error: &io::Error) -> Option<Error> {
    (error.kind() == io::ErrorKind::Unsupported).then(|| {
        Error::unsupported("this build cannot run a runner on this machine")
            .hint("use the native program on Linux or macOS; in the GitHub Action: native: true")
    })
}
