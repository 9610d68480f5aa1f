//! Starts a runner program: its files, its environment and its shutdown policy.

use super::supervised::Supervised;
use crate::env::Env;
use crate::error::{Error, Result};
use crate::forge::runners::{CheckedFile, EnvFile, RunnerProcess};
use crate::host::logs::Logs;
use crate::host::{CommandSpec, Process, ShutdownPolicy};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The variables of our own environment that are passed on: what programs need to run on this host. Nothing of the job that
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

/// Returns the environment of the program: what is passed on, what the user names, and the runner's own.
fn environment(env: &Env, named: &[String], runner: &RunnerProcess) -> Vec<(String, String)> {
    let wanted = |name: &str| {
        let fits = |pattern: &&str| pattern.strip_suffix('*').map_or(name == *pattern, |start| name.starts_with(start));
        PASSED_ON.iter().any(fits) || named.iter().any(|other| other == name)
    };
    let is_taken = |name: &str| runner.env.iter().any(|(taken, _)| taken == name);
    // A variable that we set ourselves, such as a hook, is renamed: our hook calls the user's.
    let called = |name: &str| if is_taken(name) { format!("CML_{name}") } else { name.to_owned() };
    let ours = env.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (called(name), value.to_owned()));
    let theirs = runner.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    ours.chain(theirs).collect::<BTreeMap<_, _>>().into_iter().collect()
}

/// Returns the lines of a container's env file. A proxy on a loopback address is left out: the container has its own.
fn env_file_lines(supervised: &Supervised<'_>, file: &EnvFile) -> String {
    let env = supervised.app.host.env();
    let value = |name: &str| {
        let set = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let is_proxy = name.ends_with("_PROXY");
        let value = set(name).or_else(|| if is_proxy { set(&name.to_lowercase()) } else { None })?;
        let is_local = is_proxy && ["localhost", "//127.", "//[::1]"].iter().any(|local| value.contains(local));
        (!value.is_empty() && (name == "NO_PROXY" || !is_local)).then_some(value)
    };
    let names = file.names.iter().copied().chain(supervised.pass_env.iter().map(String::as_str));
    let mut lines = String::new();
    for (name, value) in names.filter_map(|name| Some((name, value(name)?))).collect::<BTreeMap<_, _>>() {
        if value.contains(['\n', '\r']) {
            supervised.app.log.warn(&format!("{name} has several lines, which Docker cannot pass on to the runner"));
        } else {
            lines.push_str(&format!("{name}={value}\n"));
        }
    }
    lines
}

/// Returns the files and folders to remove when the runner is gone.
pub fn private_paths(supervised: &Supervised<'_>, runner: Option<&RunnerProcess>) -> Vec<PathBuf> {
    let files =
        runner.into_iter().flat_map(|runner| runner.files.iter().map(|(path, _)| path).chain(&runner.own_files));
    files.cloned().chain([supervised.config.hooks.clone()]).chain(supervised.remove.iter().cloned()).collect()
}

/// Checks the program's folder for files that would break it, before anything in it is touched.
pub fn check_files(supervised: &Supervised<'_>, runner: &RunnerProcess) -> Result<()> {
    for CheckedFile { path, check } in &runner.checked_files {
        if let Ok(content) = supervised.app.host.read(path) {
            check(path, &String::from_utf8_lossy(&content))?;
        }
    }
    Ok(())
}

/// Writes the runner's files and starts its program.
pub async fn start(
    supervised: &Supervised<'_>,
    runner: &RunnerProcess,
    logs: Option<Logs>,
) -> Result<Box<dyn Process>> {
    let host = &supervised.app.host;
    let name = runner.argv.first().map_or("", String::as_str);
    let unwritten = |path: &PathBuf, error: &io::Error| {
        Error::config(format!("cannot write {} ({error})", path.display())).hint("choose another folder with --workdir")
    };
    for path in &runner.own_files {
        let _ = host.remove(path);
    }
    for folder in [&supervised.config.hooks, &supervised.config.work, &supervised.config.program] {
        host.make_private_folder(folder)
            .map_err(|error| unusable(&error).unwrap_or_else(|| unwritten(folder, &error)))?;
    }
    let mut env = environment(host.env(), &supervised.pass_env, runner);
    env.extend(supervised.env.iter().cloned());
    for (path, content) in &runner.files {
        let mut content = content.expose().to_owned();
        if let Some(file) = runner.env_file.as_ref().filter(|file| file.path == *path) {
            content.push('\n');
            content.push_str(&env_file_lines(supervised, file));
        }
        host.write_private(path, content.as_bytes()).map_err(|error| unwritten(path, &error))?;
    }
    let mut argv = runner.argv.clone();
    if let Some(user) = &supervised.user {
        chown_folders(supervised, user).await?;
        argv.splice(0..0, run_as(user));
        env.retain(|(name, _)| !["HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR"].contains(&name.as_str()));
        let theirs = [("HOME", format!("/home/{user}")), ("USER", user.clone()), ("LOGNAME", user.clone())];
        env.extend(theirs.map(|(name, value)| (name.to_owned(), value)));
    }
    let program = CommandSpec {
        argv,
        env,
        folder: supervised.config.program.clone(),
        shutdown: ShutdownPolicy {
            signal: runner.behavior.interrupt,
            command: runner.stop.clone(),
            grace: runner.behavior.grace,
            logs,
            remove: private_paths(supervised, Some(runner)),
            containers: runner.containers.clone(),
        },
    };
    host.start(&program).await.map_err(|error| {
        unusable(&error).unwrap_or_else(|| {
            Error::config(format!("cannot start the runner program {name} ({error})"))
                .hint("check that it exists and is built for this operating system and architecture")
        })
    })
}

/// Returns the command prefix that runs a command as another user and without protection from the out-of-memory killer:
/// <https://man7.org/linux/man-pages/man1/setpriv.1.html>. Both replace their own process, so that signals arrive.
fn run_as(user: &str) -> Vec<String> {
    let user = [format!("--reuid={user}"), format!("--regid={user}")];
    let words = ["choom", "-n", "0", "--", "setpriv", "--init-groups", "--inh-caps=-all"].map(str::to_owned);
    words.into_iter().chain(user).chain(["--".to_owned()]).collect()
}

/// Makes the user the owner of the runner's folders, but not of the folder above them; links are not followed.
async fn chown_folders(supervised: &Supervised<'_>, user: &str) -> Result<()> {
    let owner = format!("{user}:{user}");
    let folders = [&supervised.config.program, &supervised.config.work, &supervised.config.hooks]
        .map(|path| path.display().to_string());
    let mut words = vec!["chown", "-R", "-h", "-P", &owner, "--"];
    words.extend(folders.iter().map(String::as_str));
    let done = supervised.app.host.run(&words, &[]).await.is_ok_and(|output| output.code == Some(0));
    let failed =
        || Error::config(format!("cannot change the owner of the runner's folders to {user}")).hint("run this as root");
    done.then_some(()).ok_or_else(failed)
}

fn unusable(error: &io::Error) -> Option<Error> {
    (error.kind() == io::ErrorKind::Unsupported).then(|| {
        Error::unsupported("this build of cml cannot run a runner on this computer")
            .hint("use the native program on Linux or macOS; in the GitHub Action: native: true")
    })
}
