//! Prepares an instance that is a process in an existing environment, such as a pod's container, for its runner.

use super::gpu;
use super::prepare::run_script;
use crate::app::App;
use crate::error::{Error, Result};
use crate::runner::bootstrap_config::BootstrapConfig;
use std::io;
use std::path::Path;

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
        gpu::check(app).await.map_err(|why| {
            Error::config(format!("a GPU was asked for, but its NVIDIA driver is missing in the container ({why})"))
                .hint("the node needs NVIDIA's driver and container toolkit, as its GPU operator and the GPU nodes of GKE, EKS and AKS install them; check --cloud-kubernetes-node-selector")
        })?;
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
