//! What stands for each cloud, and what the suite asks of it.

#[cfg(feature = "kubernetes")]
use crate::support::api_server::{ApiServer, Namespace};
#[cfg(feature = "azure")]
use crate::support::azure::Azure;
use crate::support::clouds::FakeCloud;
use crate::support::ec2::{Ec2, answered};
use crate::support::eventually;
#[cfg(feature = "gcp")]
use crate::support::gce::Gce;
#[cfg(feature = "kubernetes")]
use crate::support::kubernetes::Kubernetes;
use crate::support::moto::Moto;
use crate::support::recorder::Wrong;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cml::env::Env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of a machine that somebody else made.
#[cfg(feature = "azure")]
const FOREIGN: &str = "cml-1";

/// What stands for a cloud.
pub enum Backend {
    Aws(Ec2),
    #[cfg(feature = "azure")]
    Azure(Azure),
    #[cfg(feature = "gcp")]
    Gcp(Gce),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Kubernetes),
    #[cfg(feature = "kubernetes")]
    ApiServer(Namespace),
    Dummy(PathBuf),
}

/// What the suite needs to know about a cloud.
pub struct Expected {
    /// Its [`Driver::name`].
    pub name: &'static str,
    /// Starts what stands for it, in a region of its own; `None` where that cannot run.
    pub start: fn(&'static str, &Path) -> Option<Backend>,
    /// Whether it limits the length of a bootstrap.
    pub has_limit: bool,
}

#[cfg_attr(not(feature = "aws"), allow(dead_code))]
fn aws(region: &'static str, _: &Path) -> Option<Backend> {
    Some(Backend::Aws(Ec2::over(Moto::with_machines(region)?, region)?))
}

#[cfg(feature = "azure")]
fn azure(_: &'static str, _: &Path) -> Option<Backend> {
    let azure = Azure::start();
    azure.make_network("westus2");
    Some(Backend::Azure(azure))
}

#[cfg(feature = "gcp")]
fn gcp(_: &'static str, _: &Path) -> Option<Backend> {
    Some(Backend::Gcp(Gce::start()))
}

#[cfg(feature = "kubernetes")]
fn kubernetes(_: &'static str, _: &Path) -> Option<Backend> {
    Some(Backend::Kubernetes(Kubernetes::start()))
}

#[cfg(feature = "kubernetes")]
fn api_server(region: &'static str, _: &Path) -> Option<Backend> {
    Some(Backend::ApiServer(ApiServer::shared()?.namespace(region)))
}

fn dummy(_: &'static str, folder: &Path) -> Option<Backend> {
    let region = folder.join("region");
    std::fs::create_dir(&region).unwrap();
    Some(Backend::Dummy(region))
}

/// One or more for each row of `CLOUDS`.
pub const EXPECTED: &[Expected] = &[
    #[cfg(feature = "aws")]
    Expected { name: "aws", start: aws, has_limit: true },
    #[cfg(feature = "azure")]
    Expected { name: "azure", start: azure, has_limit: true },
    #[cfg(feature = "gcp")]
    Expected { name: "gcp", start: gcp, has_limit: true },
    #[cfg(feature = "kubernetes")]
    Expected { name: "kubernetes", start: kubernetes, has_limit: true },
    #[cfg(feature = "kubernetes")]
    Expected { name: "kubernetes", start: api_server, has_limit: true },
    #[cfg(debug_assertions)]
    Expected { name: "dummy", start: dummy, has_limit: false },
];

/// The region and the variables of a fake.
fn place(cloud: &dyn FakeCloud) -> (String, Env) {
    (cloud.region().to_owned(), cloud.environment().into_iter().collect())
}

impl Backend {
    /// The region, and the variables.
    pub fn place(&self) -> (String, Env) {
        match self {
            Backend::Aws(ec2) => place(ec2),
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => place(azure),
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => place(gce),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => place(cluster),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(namespace) => {
                (String::new(), [("KUBERNETES_CONFIGURATION", namespace.kubeconfig())].into_iter().collect())
            }
            Backend::Dummy(region) => (region.display().to_string(), std::iter::empty::<(&str, &str)>().collect()),
        }
    }

    /// What the cloud itself says that it bills.
    pub fn billed(&self) -> Vec<String> {
        match self {
            Backend::Aws(ec2) => ec2.alive().into_iter().map(|machine| machine.id).collect(),
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => azure.billed().into_iter().filter(|name| name != FOREIGN).collect(),
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => gce.billed(),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => cluster.billed(),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(namespace) => namespace.billed(),
            Backend::Dummy(region) => {
                let folders = std::fs::read_dir(region).unwrap().map(|folder| folder.unwrap().path());
                let live = folders.filter(|folder| !folder.join("code").exists());
                live.map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect()
            }
        }
    }

    /// Requests that have an effect.
    pub fn effects(&self) -> Vec<String> {
        match self {
            Backend::Aws(ec2) => ec2.effects(),
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => azure.effects(),
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => gce.effects(),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => cluster.effects(),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(namespace) => namespace.effects(),
            Backend::Dummy(_) => self.billed(),
        }
    }

    /// Loses every answer to a launch from now on. Returns whether the cloud can.
    pub fn loses_answers(&self) -> bool {
        match self {
            Backend::Aws(ec2) => ec2.fails("CreateFleet", 99, Wrong::LostAnswer),
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => azure.fails("Microsoft.Compute/virtualMachines/write", 99, Wrong::LostAnswer),
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => gce.fails("compute.instances.create", 99, Wrong::LostAnswer),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => cluster.fails("create jobs", 99, Wrong::LostAnswer),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(_) => return false,
            Backend::Dummy(_) => return false,
        }
        true
    }

    /// An instance that somebody else made.
    pub fn make_foreign(&self) {
        match self {
            Backend::Aws(ec2) => drop(ec2.ask(
                "Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1\
                &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=cml-1",
            )),
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => azure.make_foreign(FOREIGN),
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => gce.make_foreign("us-west1-a"),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => cluster.make_foreign("cml-1"),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(namespace) => namespace.make_foreign("cml-1"),
            Backend::Dummy(region) => std::fs::create_dir(region.join("cml-1")).unwrap(),
        }
    }

    /// Lets an instance's lifetime, of a minute or less, pass.
    pub fn pass_deadline(&self, id: &str) {
        match self {
            Backend::Aws(ec2) => {
                let fleet = ec2.of("CreateFleet").pop().unwrap().fields;
                let data =
                    fleet.iter().find(|(name, _)| name.ends_with("LaunchTemplateSpecificationUserData")).unwrap().1;
                let script = String::from_utf8(STANDARD.decode(data).unwrap()).unwrap();
                // It powers itself off; what that means is up to the template.
                assert!(script.contains("OnBootSec=60\n"), "{script}");
                let template = ec2.of("CreateLaunchTemplate").pop().unwrap().fields;
                let action = match &*template["LaunchTemplateData.InstanceInitiatedShutdownBehavior"] {
                    "terminate" => "TerminateInstances",
                    _ => "StopInstances",
                };
                ec2.ask(&format!("Action={action}&InstanceId.1={id}"));
            }
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => {
                assert!(azure.custom_data(id).contains("OnBootSec=60\n"));
                azure.power_off(id);
                azure.run_deletion(id);
            }
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => gce.pass(Duration::from_secs(61)),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => cluster.pass(Duration::from_secs(2)),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(namespace) => {
                eventually("a deadline", || namespace.jobs().is_empty(), || namespace.kubectl(&["describe", "jobs"]));
            }
            Backend::Dummy(region) => {
                let code = region.join(id).join("code");
                eventually("an end", || code.exists(), || id.to_owned());
            }
        }
    }

    /// Gives an instance a console with this content.
    pub fn fill_console(&self, id: &str, text: &str) {
        match self {
            Backend::Aws(ec2) => {
                let content = format!("<instanceId>{id}</instanceId><output>{}</output>", STANDARD.encode(text));
                ec2.fails("GetConsoleOutput", 1, Wrong::Answered(answered("GetConsoleOutput", &content)));
            }
            #[cfg(feature = "azure")]
            Backend::Azure(azure) => azure.fill_console(id, text),
            #[cfg(feature = "gcp")]
            Backend::Gcp(gce) => gce.fill_console(id, text),
            #[cfg(feature = "kubernetes")]
            Backend::Kubernetes(cluster) => cluster.fill_log(id, text),
            #[cfg(feature = "kubernetes")]
            Backend::ApiServer(namespace) => namespace.fill_log(id, text),
            Backend::Dummy(region) => std::fs::write(region.join(id).join("console"), text).unwrap(),
        }
    }
}
