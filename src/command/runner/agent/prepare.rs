//! What a machine does before its runner begins.

use super::{HOME, USER};
use crate::app::App;
use crate::cloud::CLOUDS;
use crate::error::{Error, Result};
use crate::forge::runner::Place;
use crate::host::Output;
use crate::runner::document::Document;
use crate::runner::package;
use futures_util::future::{Either, select};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

/// Commands of the system take seconds, and Docker's first one starts it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Downloading a package takes minutes at worst.
const INSTALLING: Duration = Duration::from_secs(600);
/// As Debian and Ubuntu have it: <https://packages.ubuntu.com/noble/docker.io>. At the first boot another program may have
/// the lock of the packages, or of their lists, for minutes.
const INSTALL: &str = r#"export DEBIAN_FRONTEND=noninteractive
locked() {
  said=$(apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 2>&1) && return 1
  printf '%s\n' "$said"
  case $said in *[Ll]ock*) return 0 ;; *) exit 1 ;; esac
}
command -v apt-get >/dev/null || exit 1
while locked update; do sleep 5; done
while locked --yes --no-install-recommends install docker.io; do sleep 5; done"#;

/// The rules of the packet filter.
const FIREWALL: &str = include_str!("../../../runner/firewall.sh");

/// Removes what the machine was told, and the copies that cloud-init keeps.
pub fn forget(app: &App, file: &Path) -> Result<()> {
    app.host.remove(file).map_err(|error| {
        Error::config(format!("cannot remove the launch document {} ({error})", file.display()))
            .hint("run this as root")
    })?;
    let list = |folder: &Path| app.host.list(folder).unwrap_or_default();
    for instance in list(Path::new("/var/lib/cloud/instances")) {
        let is_data =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("user-data"));
        let data = list(&instance).into_iter().filter(is_data);
        let pickled = [instance.join("obj.pkl"), instance.join("cloud-config.txt")];
        for copy in data.chain(list(&instance.join("scripts"))).chain(pickled) {
            let _ = app.host.remove(&copy);
        }
    }
    let _ = app.host.remove(Path::new("/var/lib/waagent/ovf-env.xml"));
    Ok(())
}

/// Makes the user, runs the user's own script, and gets the runner program.
pub async fn prepare(app: &App, document: &Document) -> Result<Place> {
    if !succeeds(app, &["id", "-u", USER]).await {
        must(app, &["useradd", "--create-home", "--home-dir", "/home/ci", "--shell", "/bin/bash", USER]).await?;
    }
    let folder = Path::new(HOME);
    must(app, &["install", "-d", "-m", "0755", HOME, &format!("{HOME}/runner")]).await?;
    if let Some(script) = &document.startup_script {
        run_script(app, folder, script).await?;
    }
    let docker_image = docker(app, document).await?;
    // The last to change the packet filter before anything runs that is not root's.
    block_metadata(app, document).await?;
    let program = folder.join("runner/program");
    if let Some(package) = &document.package {
        package::install(app, package, &program).await?;
    }
    Ok(Place {
        program,
        work: folder.join("runner/work"),
        single: document.single,
        idle: document.idle,
        docker_volumes: document.docker_volumes.clone(),
        docker_image,
        gpu: document.gpu,
        hooks: folder.join("runner/hooks"),
    })
}

/// Lets the user have Docker where jobs, or the runner itself, run in containers; the image for jobs that name none.
async fn docker(app: &App, document: &Document) -> Result<Option<String>> {
    let is_image = document.package.is_none();
    if document.docker_image.is_none() && !is_image {
        return Ok(None);
    }
    if has_docker(app).await {
        must(app, &["usermod", "-a", "-G", "docker", USER]).await?;
        return Ok(document.docker_image.clone());
    }
    if is_image {
        return Err(Error::config("the runner comes as an image, and Docker does not run on this machine")
            .hint("give --cloud-image one with Docker, or install it with --cloud-startup-script"));
    }
    if document.docker_required {
        return Err(Error::config("--docker-image is given, and Docker does not run on this machine")
            .hint("give --cloud-image one with Docker, or install it with --cloud-startup-script"));
    }
    app.log.warn("docker does not run here: jobs run as the user ci, outside of containers");
    Ok(None)
}

/// Whether Docker runs here; where there is none, the distribution's is installed first.
async fn has_docker(app: &App) -> bool {
    if succeeds(app, &["docker", "version"]).await {
        return true;
    }
    app.log.info("installing Docker");
    let output = run(app, &["sh", "-c", INSTALL], INSTALLING).await;
    output.is_ok_and(|output| output.code == Some(0)) && succeeds(app, &["docker", "version"]).await
}

/// Runs the user's script as root; what it prints is in the journal.
async fn run_script(app: &App, folder: &Path, script: &str) -> Result<()> {
    let file = folder.join("startup");
    let failed =
        |why: String| Error::config(format!("the start-up script failed ({why})")).hint("see --cloud-startup-script");
    app.host.write_private(&file, script.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let interpreter = script.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or("/bin/sh");
    let path = file.display().to_string();
    // A service has neither, and git and pip want them.
    let root = ["env", "HOME=/root", "USER=root", "LOGNAME=root"];
    let words: Vec<&str> = root.into_iter().chain(interpreter.split_whitespace()).chain([path.as_str()]).collect();
    app.log.info("running the start-up script");
    let outcome = app.host.hand_over(&words).await;
    let _ = app.host.remove(&file);
    match outcome {
        Ok(Some(0)) => Ok(()),
        Ok(Some(code)) => Err(failed(format!("exit code {code}"))),
        Ok(None) => Err(failed("a signal ended it".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Keeps all but root from the cloud's metadata, which have what the machine was told. Where the user gave the machine an
/// identity, jobs get its keys there. One that it has without the user's word is never for jobs.
async fn block_metadata(app: &App, document: &Document) -> Result<()> {
    if document.identity || succeeds(app, &["sh", "-c", FIREWALL]).await {
        return Ok(());
    }
    let has_identity = match CLOUDS.iter().find(|row| row.name == document.cloud) {
        Some(row) => (row.has_identity)(app).await,
        None => true,
    };
    if has_identity {
        return Err(Error::config("jobs could use this machine's identity: its packet filter takes no rules")
            .hint("give --cloud-image one with nftables, or --cloud-permission-set to let jobs use an identity"));
    }
    app.log.warn("jobs can read the cloud's metadata of this machine: its packet filter takes no rules");
    Ok(())
}

/// Runs a command of the system to its end, which comes in time.
async fn run(app: &App, words: &[&str], patience: Duration) -> io::Result<Output> {
    match select(app.host.run(words, &[]), pin!(app.host.sleep(patience))).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("it did not end within {} seconds", patience.as_secs()),
        )),
    }
}

async fn succeeds(app: &App, words: &[&str]) -> bool {
    run(app, words, PATIENCE).await.is_ok_and(|output| output.code == Some(0))
}

async fn must(app: &App, words: &[&str]) -> Result<()> {
    let failed =
        |why: String| Error::config(format!("cannot run {} ({why})", words.join(" "))).hint("run this as root");
    let output = run(app, words, PATIENCE).await.map_err(|error| failed(error.to_string()))?;
    match output.code {
        Some(0) => Ok(()),
        _ => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
