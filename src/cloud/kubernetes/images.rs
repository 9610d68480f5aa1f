//! The images of a pod: ours, with the program, and the one in which jobs run.

use crate::error::{Error, Result};

/// Our image. Its full name, as a bare one is looked up elsewhere where a cluster has other registries.
const IMAGE: &str = "docker.io/org/cml";
/// Set when a release is built.
const IS_RELEASE: bool = option_env!("CML_RELEASE").is_some();

/// Returns the image with the static program, of this version; of the newest release for a build that is none.
pub fn program() -> String {
    format!("{IMAGE}:{}", if IS_RELEASE { env!("CARGO_PKG_VERSION") } else { "latest" })
}

/// Returns the image in which jobs run.
///
/// # Errors
/// The user's is not the name of an image.
pub fn jobs(given: Option<&str>, gpu: bool) -> Result<String> {
    match given {
        Some(image) if image.contains(char::is_whitespace) || image.contains("://") => {
            Err(Error::usage(format!("--cloud-image {image} is not a container image"))
                .hint("on Kubernetes it is a container image, such as docker.io/library/python:3.13"))
        }
        Some(image) => Ok(image.to_owned()),
        None => {
            let version = if IS_RELEASE { env!("CARGO_PKG_VERSION") } else { env!("CARGO_PKG_VERSION_MAJOR") };
            Ok(format!("{IMAGE}:{version}-dvc3{}", if gpu { "-gpu" } else { "" }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_full_names() {
        assert!(program().starts_with("docker.io/org/cml:"));
        assert!(jobs(None, true).unwrap().ends_with("-dvc3-gpu"));
        assert_eq!(jobs(Some("python:3.13"), true).unwrap(), "python:3.13");
        assert_eq!(jobs(Some("https://python"), false).unwrap_err().exit_code(), 2);
    }
}
