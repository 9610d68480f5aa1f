//! The options of `cml runner launch`: every one of CML's.

use super::cloud::Cloud;
use super::idle::Idle;
use super::reuse::Mode;
use crate::app::App;
use crate::ci;
use crate::env::{Secret, vars};
use crate::error::{Error, Result};
use clap::ArgAction::Set;
use clap::Args;
use std::path::PathBuf;

/// Options of `cml runner launch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  # This machine runs one job that asks for the label gpu\n  \
    cml runner launch --labels gpu\n\n  \
    # Several jobs, until idle for half an hour; does nothing if such a runner is idle already\n  \
    cml runner launch --labels gpu --reuse-idle --idle-timeout 30m\n\n  \
    # The jobs of an organisation's repositories, without end\n  \
    cml runner launch --repo https://github.com/my-org --single=false --idle-timeout never\n\n  \
    # A new AWS instance, which is terminated after its job\n  \
    cml runner launch --cloud aws --cloud-region eu-west-1 --cloud-type l --labels gpu\n\n\
    The token must be allowed to manage runners; the job's own token is not. See docs/runners.md.")]
pub struct Launch {
    /// Labels (GitLab: tags) by which jobs choose the runner, separated by commas
    #[arg(long, value_name = "LABELS", default_value = "cml", value_delimiter = ',', help_heading = "Runner")]
    pub labels: Vec<String>,
    /// Name of the runner [default: cml-<hash>]
    #[arg(long, value_name = "NAME", help_heading = "Runner")]
    pub name: Option<String>,
    /// Runner group of the organisation (GitHub)
    #[arg(long, value_name = "GROUP", help_heading = "Runner")]
    pub runner_group: Option<String>,
    /// Docker volume for the containers of jobs; may be given several times (GitLab)
    #[arg(long, value_name = "VOLUME", num_args = 1.., help_heading = "Runner")]
    pub docker_volumes: Vec<String>,
    /// Docker image for jobs that name none (GitLab)
    #[arg(long, value_name = "IMAGE", help_heading = "Runner")]
    pub docker_image: Option<String>,
    /// Environment variable to pass on to jobs; may be given several times
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Runner")]
    pub pass_env: Vec<String>,
    /// Folder with the forge's unpacked runner program [default: downloaded]
    #[arg(long, value_name = "FOLDER", help_heading = "Runner")]
    pub runner_path: Option<PathBuf>,
    /// Folder to copy the runner program's own logs to when it has ended (GitHub)
    #[arg(long, value_name = "FOLDER", help_heading = "Runner")]
    pub keep_logs: Option<PathBuf>,
    /// Folder of the runner [default: ~/.cml/<name>]
    #[arg(long, alias = "path", hide = true, value_name = "FOLDER")]
    pub workdir: Option<PathBuf>,

    /// Time without a job after which the runner stops: seconds, "5 minutes", 1h30m, or never
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5 minutes",
        allow_hyphen_values = true,
        help_heading = "Behaviour"
    )]
    pub idle_timeout: Idle,
    /// Stop after one job [default: true on GitHub, except with --reuse]
    #[arg(long, action = Set, help_heading = "Behaviour")]
    pub single: Option<bool>,
    /// Do nothing if a runner with that name, or with all the labels, is online
    #[arg(long, action = Set, default_value_t = false, help_heading = "Behaviour")]
    pub reuse: bool,
    /// Do nothing if a runner with all the labels is online and idle
    #[arg(long, action = Set, default_value_t = false, help_heading = "Behaviour")]
    pub reuse_idle: bool,
    /// Do not rerun jobs that were interrupted with the runner
    #[arg(long, action = Set, default_value_t = false, help_heading = "Behaviour")]
    pub no_retry: bool,

    /// The cloud's options.
    #[command(flatten)]
    pub cloud: Cloud,
    /// The options of CML that have no effect.
    #[command(flatten)]
    pub old: Old,
}

/// The options of CML that have no effect: there is no Terraform.
#[derive(Debug, Args)]
pub struct Old {
    /// Has no effect: there is no Terraform provider
    #[arg(long, hide = true, value_name = "VERSION")]
    pub tpi_version: Option<String>,
    /// Has no effect: the instance runs this version
    #[arg(long, hide = true, value_name = "VERSION")]
    pub cml_version: Option<String>,
    /// Has no effect: there is no Terraform resource
    #[arg(long, alias = "tf_resource", hide = true, value_name = "BASE64")]
    pub tf_resource: Option<String>,
    /// Has no effect: CML did not read it either
    #[arg(long, hide = true, value_name = "TOKEN")]
    pub gcp_access_token: Option<Secret>,
    /// Has no effect: the runner stops when its log has been sent
    #[arg(long, hide = true, allow_hyphen_values = true, value_name = "SECONDS")]
    pub destroy_delay: Option<String>,
}

impl Launch {
    /// Returns the labels, trimmed and without duplicates.
    pub fn labels(&self) -> Result<Vec<String>> {
        let mut labels: Vec<String> = Vec::new();
        for label in self.labels.iter().map(|label| label.trim()).filter(|label| !label.is_empty()) {
            if !labels.iter().any(|known| known.eq_ignore_ascii_case(label)) {
                labels.push(label.to_owned());
            }
        }
        if labels.is_empty() {
            return Err(Error::usage("--labels is empty").hint("give at least one label: --labels gpu,linux"));
        }
        Ok(labels)
    }

    /// Returns what to do about existing runners.
    pub fn mode(&self) -> Result<Mode> {
        let given =
            [("--single", self.single == Some(true)), ("--reuse", self.reuse), ("--reuse-idle", self.reuse_idle)];
        let mut given = given.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name);
        if let (Some(one), Some(other)) = (given.next(), given.next()) {
            return Err(Error::usage(format!("{one} cannot be used with {other}")).hint(match one {
                "--single" => "a runner that stops after one job cannot be reused: leave out one of them",
                _ => "--reuse takes any runner, --reuse-idle only an idle one: leave out one of them",
            }));
        }
        Ok(match (self.reuse, self.reuse_idle) {
            (true, _) => Mode::Reuse,
            (_, true) => Mode::ReuseIdle,
            _ => Mode::New,
        })
    }

    /// Returns whether the runner stops after one job; `by_default` is the forge's default.
    pub fn is_single(&self, by_default: bool) -> bool {
        self.single.unwrap_or(by_default && !self.reuse && !self.reuse_idle)
    }

    /// Warns about options that have no effect, and hides the secrets among them.
    pub fn warn(&self, app: &App) {
        if let Some(token) = &self.old.gcp_access_token {
            app.log.hide("--gcp-access-token", token);
        }
        if let Some(key) = &self.cloud.cloud_ssh_private {
            app.log.hide("--cloud-ssh-private", key);
        }
        let old = [
            ("--tpi-version", self.old.tpi_version.is_some()),
            ("--cml-version", self.old.cml_version.is_some()),
            ("--tf-resource", self.old.tf_resource.is_some()),
            ("--gcp-access-token", self.old.gcp_access_token.is_some()),
            ("--destroy-delay", self.old.destroy_delay.is_some()),
        ];
        let old: Vec<_> = old.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        if !old.is_empty() {
            app.log
                .warn(&format!("these options no longer have an effect, as Terraform is not used: {}", old.join(", ")));
        }
        let unused = if self.cloud.location.cloud.is_none() { self.cloud.given() } else { Vec::new() };
        if !unused.is_empty() {
            app.log.warn(&format!("these options have no effect without --cloud: {}", unused.join(", ")));
        }
        let here = [
            ("--pass-env", !self.pass_env.is_empty()),
            ("--runner-path", self.runner_path.is_some()),
            ("--keep-logs", self.keep_logs.is_some()),
            ("--workdir", self.workdir.is_some()),
        ];
        let here: Vec<_> = here.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        if self.cloud.location.cloud.is_some() && !here.is_empty() {
            app.log.warn(&format!("these options have no effect with --cloud: {}", here.join(", ")));
        }
        let is_cis = ci::detect(app.env()).is_some_and(|ci| ci.names_runner());
        if app.env().get(vars::RUNNER_NAME).is_some() && !is_cis {
            app.log.warn("ignoring RUNNER_NAME environment variable, use CML_RUNNER_NAME or --name instead");
        }
    }

    /// Checks options that depend on each other, before anything is done.
    pub fn check(&self) -> Result<()> {
        if self.name.as_deref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::usage("--name is empty").hint("leave it out to use a generated name"));
        }
        if self.cloud.location.cloud.is_none() && self.cloud.dry_run {
            return Err(Error::usage("--dry-run needs --cloud").hint("add --cloud aws, or leave out --dry-run"));
        }
        if self.cloud.cloud_ssh_private.is_some() && self.cloud.location.cloud.is_some() {
            return Err(Error::unsupported("--cloud-ssh-private is not supported: instances accept no inbound connections")
                .hint("to log in, use a role with AmazonSSMManagedInstanceCore as --cloud-permission-set, and run: aws ssm start-session --target i-…"));
        }
        for name in &self.pass_env {
            if name.is_empty() || name.contains('=') {
                return Err(Error::usage(format!("--pass-env {name} is not the name of a variable"))
                    .hint("set the variable in the environment and pass only its name: --pass-env HF_TOKEN"));
            }
        }
        Ok(())
    }
}
