//! Prepares an instance before its runner starts.

use super::{HOME, InstanceKind, USER, gpu, process};
use crate::app::App;
use crate::cloud::CLOUDS;
use crate::error::{Error, Result};
use crate::forge::runners::RunnerConfig;
use crate::host::{Command, Output};
use crate::runner::bootstrap_config::BootstrapConfig;
use crate::runner::package;
use futures_util::future::{Either, select};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

/// How long a system command may take: Docker's first one starts its daemon.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long installing a package may take.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);
/// Installs Docker on Debian and Ubuntu: <https://packages.ubuntu.com/noble/docker.io>. At the first boot another program
/// may hold the lock of the packages, or of their lists, for minutes.
const INSTALL: &str = r#"export DEBIAN_FRONTEND=noninteractive
locked() {
  said=$(apt-get -qq -o DPkg::Lock::Timeout=300 "$@" 2>&1) && return 1
  printf '%s\n' "$said"
  case $said in *[Ll]ock*) return 0 ;; *) exit 1 ;; esac
}
command -v apt-get >/dev/null || exit 1
while locked update; do sleep 5; done
while locked --yes --no-install-recommends install docker.io; do sleep 5; done"#;

/// The script that sets up the packet filter.
const FIREWALL: &str = include_str!("../../../runner/firewall.sh");

/// Removes the bootstrap configuration, and the copies that cloud-init keeps.
pub fn remove_secrets(app: &App, file: &Path, kind: &InstanceKind) -> Result<()> {
    app.host.remove(file).map_err(|error| {
        Error::config(format!("cannot delete the bootstrap configuration {} ({error})", file.display()))
            .hint("run this as root")
    })?;
    if matches!(kind, InstanceKind::Process(_)) {
        return Ok(());
    }
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
    for copy in ["/var/lib/waagent/ovf-env.xml", "/var/lib/waagent/CustomData"] {
        let _ = app.host.remove(Path::new(copy));
    }
    Ok(())
}

/// Prepares what the runner runs on, and installs its program.
pub async fn prepare(app: &App, bootstrap: &BootstrapConfig, kind: &InstanceKind) -> Result<RunnerConfig> {
    let docker_image = match kind {
        InstanceKind::Machine => prepare_machine(app, bootstrap).await?,
        InstanceKind::Process(folder) => {
            process::prepare(app, bootstrap, folder).await?;
            None
        }
    };
    let folder = kind.home().join("runner");
    let program = folder.join("program");
    if let Some(package) = &bootstrap.package {
        package::install(app, package, &program).await?;
    }
    Ok(RunnerConfig {
        program,
        work: folder.join("work"),
        single: bootstrap.single,
        idle: bootstrap.idle,
        docker_volumes: bootstrap.docker_volumes.clone(),
        docker_image,
        gpu: bootstrap.gpu,
        hooks: folder.join("hooks"),
    })
}

/// Creates the jobs' user, runs the user's start-up script, tries the GPU, and installs Docker. Returns the image for jobs that name none.
async fn prepare_machine(app: &App, bootstrap: &BootstrapConfig) -> Result<Option<String>> {
    if !succeeds(app, &["id", "-u", USER]).await {
        run_checked(app, &["useradd", "--create-home", "--home-dir", "/home/ci", "--shell", "/bin/bash", USER]).await?;
    }
    let folder = Path::new(HOME);
    run_checked(app, &["install", "-d", "-m", "0755", HOME, &format!("{HOME}/runner")]).await?;
    if let Some(script) = &bootstrap.startup_script {
        // A service does not have these variables, and git and pip need them.
        run_script(app, folder, script, &["HOME=/root", "USER=root", "LOGNAME=root"]).await?;
    }
    // The script may have installed the driver.
    if bootstrap.gpu && !gpu::is_others(app) {
        gpu::check(app).await.map_err(|why| {
            Error::config(format!("this instance has a GPU, but its NVIDIA driver does not work ({why})"))
                .hint("use a --cloud-image with the driver, or install it in --cloud-startup-script")
        })?;
    }
    let docker_image = set_up_docker(app, bootstrap).await?;
    // Last, so that nothing changes the packet filter before the first command that is not root's.
    block_metadata(app, bootstrap).await?;
    Ok(docker_image)
}

/// Sets Docker up where jobs, or the runner itself, run in containers. Returns the image for jobs that name none.
async fn set_up_docker(app: &App, bootstrap: &BootstrapConfig) -> Result<Option<String>> {
    let is_image = bootstrap.package.is_none();
    if bootstrap.docker_image.is_none() && !is_image {
        return Ok(None);
    }
    if ensure_docker(app).await {
        run_checked(app, &["usermod", "-a", "-G", "docker", USER]).await?;
        return Ok(bootstrap.docker_image.clone());
    }
    if is_image {
        return Err(Error::config("the runner is a Docker image, but Docker is not running on this instance")
            .hint("use a --cloud-image with Docker, or install it in --cloud-startup-script"));
    }
    if bootstrap.docker_required {
        return Err(Error::config("--docker-image needs Docker, which is not running on this instance")
            .hint("use a --cloud-image with Docker, or install it in --cloud-startup-script"));
    }
    app.log.warn("Docker is not running: jobs run as user ci, outside of containers");
    Ok(None)
}

/// Returns whether Docker runs; installs the distribution's first if there is none.
async fn ensure_docker(app: &App) -> bool {
    if succeeds(app, &["docker", "version"]).await {
        return true;
    }
    app.log.info("installing Docker");
    let output = run(app, &["sh", "-c", INSTALL], INSTALL_TIMEOUT).await;
    output.is_ok_and(|output| output.code == Some(0)) && succeeds(app, &["docker", "version"]).await
}

/// Runs the user's start-up script with some more variables; its output is in the journal.
pub async fn run_script(app: &App, folder: &Path, script: &str, env: &[&str]) -> Result<()> {
    let file = folder.join("startup");
    let failed =
        |why: String| Error::config(format!("the start-up script failed ({why})")).hint("see --cloud-startup-script");
    app.host.write_private(&file, script.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let interpreter = script.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or("/bin/sh");
    let path = file.display().to_string();
    let env = ["env"].iter().chain(env).copied();
    let argv: Vec<&str> = env.chain(interpreter.split_whitespace()).chain([path.as_str()]).collect();
    app.log.info("running the start-up script");
    let outcome = app.host.hand_over(&Command { trusted: true, ..Command::new(argv) }).await;
    let _ = app.host.remove(&file);
    match outcome {
        Ok(Some(0)) => Ok(()),
        Ok(Some(code)) => Err(failed(format!("exit code {code}"))),
        Ok(None) => Err(failed("killed by a signal".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Blocks the cloud's metadata service, which serves the bootstrap configuration, for all users but root. If the user gave
/// the instance an identity, jobs get its credentials there. An identity that the user did not give is never for jobs; nor is Azure's
/// wire server.
async fn block_metadata(app: &App, bootstrap: &BootstrapConfig) -> Result<()> {
    if bootstrap.identity {
        if !succeeds(app, &["sh", "-c", FIREWALL, "sh", "identity"]).await && bootstrap.cloud == "azure" {
            app.log.warn("jobs can reach this instance's wire server: cannot set up its packet filter");
        }
        return Ok(());
    }
    if succeeds(app, &["sh", "-c", FIREWALL]).await {
        return Ok(());
    }
    let has_identity = match CLOUDS.iter().find(|row| row.name == bootstrap.cloud) {
        Some(row) => (row.has_identity)(app).await,
        None => true,
    };
    if has_identity {
        return Err(Error::config("jobs could use this instance's identity: cannot set up its packet filter")
            .hint("use a --cloud-image with nftables, or let jobs use an identity with --cloud-permission-set"));
    }
    app.log.warn("jobs can read this instance's metadata: cannot set up its packet filter");
    Ok(())
}

/// Runs a system command, with a timeout.
pub async fn run(app: &App, argv: &[&str], timeout: Duration) -> io::Result<Output> {
    match select(app.host.run(argv, &[]), pin!(app.host.sleep(timeout))).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("timed out after {} seconds", timeout.as_secs())))
        }
    }
}

async fn succeeds(app: &App, argv: &[&str]) -> bool {
    run(app, argv, COMMAND_TIMEOUT).await.is_ok_and(|output| output.code == Some(0))
}

async fn run_checked(app: &App, argv: &[&str]) -> Result<()> {
    let failed = |why: String| Error::config(format!("cannot run {} ({why})", argv.join(" "))).hint("run this as root");
    let output = run(app, argv, COMMAND_TIMEOUT).await.map_err(|error| failed(error.to_string()))?;
    match output.code {
        Some(0) => Ok(()),
        _ => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
