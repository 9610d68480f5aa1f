//! Prepares an instance that is a process in an existing environment, such as a pod's container, for its runner.

use super::prepare::{COMMAND_TIMEOUT, run, run_script};
use crate::app::App;
use crate::error::{Error, Result};
use crate::host::Output;
use crate::runner::bootstrap_config::BootstrapConfig;
use std::io;
use std::path::Path;

/// Where the driver's programs are: in the path, and where Google's clusters mount them
/// (<https://cloud.google.com/kubernetes-engine/docs/how-to/gpus#cuda>).
const NVIDIA_SMI: [&str; 2] = ["nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"];
/// The folders in which distributions have libicu, which GitHub's runner program needs.
const LIBRARIES: [&str; 5] =
    ["/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib"];
/// With this .NET does without libicu:
/// <https://learn.microsoft.com/dotnet/core/runtime-config/globalization#invariant-mode>.
const WITHOUT_ICU: &str = "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT";

/// Creates the runner's folder, tries the GPU, and runs the user's start-up script. There is no Docker.
pub async fn prepare(app: &App, bootstrap: &BootstrapConfig, folder: &Path) -> Result<()> {
    let failed = |error: io::Error| {
        Error::config(format!("cannot create {} ({error})", folder.display()))
            .hint("the container's working directory must be a folder that its user may write to")
    };
    app.host.make_private_folder(&folder.join("runner")).map_err(failed)?;
    if bootstrap.package.is_none() {
        return Err(Error::unsupported("the runner is a Docker image, which cannot run in a container")
            .hint("use a cloud with virtual machines"));
    }
    if bootstrap.gpu {
        check_gpu(app).await?;
    }
    if let Some(script) = &bootstrap.startup_script {
        run_script(app, folder, script, &[]).await?;
    }
    Ok(())
}

/// Returns the variables that the runner program needs in this environment.
pub fn environment(app: &App) -> Vec<(String, String)> {
    let has_icu = |folder: &&str| {
        let files = app.host.list(Path::new(folder)).unwrap_or_default();
        files.iter().any(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libicuuc.so")))
    };
    let is_set = app.env().named(WITHOUT_ICU).is_some();
    if is_set || LIBRARIES.iter().any(has_icu) {
        return Vec::new();
    }
    vec![(WITHOUT_ICU.to_owned(), "1".to_owned())]
}

/// Checks that the driver of the GPU works, before a job waits for it in vain.
async fn check_gpu(app: &App) -> Result<()> {
    let mut outcome = Err(io::Error::from(io::ErrorKind::NotFound));
    for program in NVIDIA_SMI {
        outcome = run(app, &[program, "--list-gpus"], COMMAND_TIMEOUT).await;
        if !outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    let why = match &outcome {
        Ok(output) if output.code == Some(0) && output.stdout.starts_with(b"GPU ") => {
            let gpus = String::from_utf8_lossy(&output.stdout);
            app.log.info(&format!("found {}", app.log.line(gpus.trim().replace('\n', ", ").as_str())));
            return Ok(());
        }
        Ok(output) => format!("nvidia-smi failed: {}", last_line(output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => "nvidia-smi not found".to_owned(),
        Err(error) => format!("nvidia-smi failed: {error}"),
    };
    Err(Error::config(format!("a GPU was asked for, but its NVIDIA driver is missing in the container ({why})"))
        .hint("the node needs NVIDIA's driver and container toolkit, as its GPU operator and the GPU nodes of GKE, EKS and AKS install them; check --cloud-kubernetes-node-selector"))
}

fn last_line(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    text.trim().lines().last().unwrap_or("it found no GPU").to_owned()
}
