//! Images, by project and family: <https://cloud.google.com/compute/docs/images/os-details>.

use super::Gcp;
use crate::cloud::sizes::Arch;
use crate::error::{Error, Result};
use serde_json::Value;

/// Canonical's.
const UBUNTU: &str = "ubuntu-os-cloud/family/ubuntu-2404-lts-amd64";
const UBUNTU_ARM: &str = "ubuntu-os-cloud/family/ubuntu-2404-lts-arm64";
/// Google's with Docker and NVIDIA's driver and toolkit, then Canonical's with the driver. Families name the branch of the driver, and go
/// with it.
const WITH_GPU: [&str; 3] = [
    "deeplearning-platform-release/family/common-cu129-ubuntu-2404-nvidia-580",
    "ubuntu-os-accelerator-images/family/ubuntu-accelerator-2404-amd64-with-nvidia-580",
    "ubuntu-os-accelerator-images/family/ubuntu-accelerator-2404-amd64-with-nvidia-595",
];

/// An image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its address.
    pub link: String,
    /// Its project and name, for people.
    pub name: String,
    /// The size of its disk in gigabytes.
    pub size: u32,
}

/// Returns an image as `project/family/NAME` or `project/NAME`.
///
/// # Errors
/// It has another form.
fn parse(text: &str) -> Result<String> {
    let parts: Vec<&str> = text.trim_start_matches("https://www.googleapis.com/compute/v1/").split('/').collect();
    let image = match parts[..] {
        // As CML's Terraform provider takes it.
        [project, family] => format!("{project}/family/{family}"),
        [project, "global", "images", name] | ["projects", project, "global", "images", name] => {
            format!("{project}/{name}")
        }
        [project, "global", "images", "family", name] | ["projects", project, "global", "images", "family", name] => {
            format!("{project}/family/{name}")
        }
        _ => String::new(),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if image.is_empty() || !image.chars().all(is_plain) || image.split('/').any(str::is_empty) {
        return Err(Error::usage(format!("--cloud-image {text} is not a Google Cloud image"))
            .hint("use project/family, such as debian-cloud/debian-13, or projects/PROJECT/global/images/NAME"));
    }
    Ok(image)
}

/// Returns the images to try in order.
///
/// # Errors
/// The user's has another form.
pub fn candidates(wanted: Option<&str>, arch: Arch, gpu: bool) -> Result<Vec<String>> {
    Ok(match wanted {
        Some(text) => vec![parse(text)?],
        None if arch == Arch::Arm64 => vec![UBUNTU_ARM.to_owned()],
        None if gpu => WITH_GPU.map(str::to_owned).to_vec(),
        None => vec![UBUNTU.to_owned()],
    })
}

impl Gcp {
    /// Fetches the first of several images that exists.
    pub(super) async fn image(&self, wanted: Option<&str>, arch: Arch, gpu: bool) -> Result<Image> {
        let candidates = candidates(wanted, arch, gpu)?;
        for image in &candidates {
            let (project, name) = image.split_once('/').unwrap_or_default();
            if let Some(found) = self.rest.find(self.url(&["projects", project, "global", "images", name])?).await? {
                return self.checked(&found, image, arch);
            }
        }
        Err(Error::not_found(format!("Google Cloud has no image {}", candidates.join(" or ")))
            .hint("check --cloud-image: gcloud compute images list --project PROJECT shows names and families"))
    }

    fn checked(&self, found: &Value, image: &str, arch: Arch) -> Result<Image> {
        let is_arm = found["architecture"] == "ARM64";
        if is_arm != (arch == Arch::Arm64) {
            let of_image = if is_arm { Arch::Arm64 } else { Arch::X86_64 };
            return Err(Error::usage(format!(
                "the image {image} is for {}, the machine types are for {}",
                of_image.name(),
                arch.name()
            ))
            .hint("use an image of the same architecture, or another --cloud-type or --cloud-arch"));
        }
        if found["deprecated"]["state"] == "DEPRECATED" {
            self.app.log.warn(&format!("the image {image} is deprecated"));
        }
        let link = found["selfLink"].as_str().unwrap_or_default().to_owned();
        let path = link.split_once("/projects/").map_or(link.as_str(), |(_, path)| path);
        let name = path.replace("/global/images/", "/");
        let size = found["diskSizeGb"].as_str().and_then(|size| size.parse().ok()).unwrap_or_default();
        Ok(Image { name, size, link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_google_and_cml_do() {
        for (text, expected) in [
            ("debian-cloud/debian-13", "debian-cloud/family/debian-13"),
            ("mine/global/images/x-1", "mine/x-1"),
            ("projects/mine/global/images/x-1", "mine/x-1"),
            ("projects/mine/global/images/family/x", "mine/family/x"),
            ("https://www.googleapis.com/compute/v1/projects/mine/global/images/x", "mine/x"),
        ] {
            assert_eq!(parse(text).unwrap(), expected);
        }
        for wrong in ["", "ami-0123", "a//b", "a/b c", "a/b/c", "ubuntu@owner:x86_64:*ubuntu*", "a/b?x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(candidates(None, Arch::X86_64, true).unwrap().len(), 3);
        assert_eq!(candidates(None, Arch::Arm64, false).unwrap(), [UBUNTU_ARM]);
    }
}
