//! Tries the instance's GPU before its runner is online, before a job waits for it in vain.

use super::prepare::{COMMAND_TIMEOUT, run};
use crate::app::App;
use crate::host::Output;
use std::io;
use std::path::Path;

/// Where the driver's programs are: in the path, and where Google's clusters mount them
/// (<https://cloud.google.com/kubernetes-engine/docs/how-to/gpus#cuda>).
const NVIDIA_SMI: [&str; 2] = ["nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi"];
/// The devices, a folder each: <https://docs.kernel.org/PCI/sysfs-pci.html>.
const DEVICES: &str = "/sys/bus/pci/devices";
/// NVIDIA's number: <https://pcisig.com/membership/member-companies?combine=10de>.
const NVIDIA: &[u8] = b"0x10de";

/// Checks that NVIDIA's driver works.
///
/// # Errors
/// Why it does not.
pub async fn check(app: &App) -> Result<(), String> {
    let mut outcome = Err(io::Error::from(io::ErrorKind::NotFound));
    for program in NVIDIA_SMI {
        outcome = run(app, &[program, "--list-gpus"], COMMAND_TIMEOUT).await;
        if !outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    match &outcome {
        Ok(output) if output.code == Some(0) && output.stdout.starts_with(b"GPU ") => {
            let gpus = String::from_utf8_lossy(&output.stdout);
            app.log.info(&format!("found {}", app.log.line(gpus.trim().replace('\n', ", ").as_str())));
            Ok(())
        }
        Ok(output) => Err(format!("nvidia-smi failed: {}", last_line(output))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("nvidia-smi not found".to_owned()),
        Err(error) => Err(format!("nvidia-smi failed: {error}")),
    }
}

/// Returns whether the machine's accelerators are another maker's, which are not tried.
pub fn is_others(app: &App) -> bool {
    let devices = app.host.list(Path::new(DEVICES)).unwrap_or_default();
    let is_nvidia = |device: &Path| app.host.read(&device.join("vendor")).is_ok_and(|text| text.starts_with(NVIDIA));
    !devices.is_empty() && !devices.iter().any(|device| is_nvidia(device))
}

fn last_line(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    text.trim().lines().last().unwrap_or("it found no GPU").to_owned()
}
