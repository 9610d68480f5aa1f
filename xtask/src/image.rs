//! The images of a release, built by the Docker daemon that is at hand, or by one that is started for it.

use crate::shell::{Result, output, run};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The targets of image/Dockerfile. Each becomes an image `cml-test:<target>`.
const TARGETS: [&str; 3] = ["cml", "pipe", "train"];
/// What stands in for the Dockerfile's base image where no registry is reached: made of Debian's packages.
const STAND_IN: &str = "cml-test:debian";
/// The program, and certificates: release.rs says why.
const LARGEST: u64 = 16_000_000;
const FOLDER: &str = "target/docker";

/// A client that can build, and its daemon.
pub struct Docker {
    client: PathBuf,
    host: Option<String>,
    daemon: Option<Daemon>,
}

struct Daemon {
    child: Child,
    /// Two daemons cannot share what one keeps: the second waits until the first has ended.
    _alone: File,
    /// What it has while it runs. Not below the working copy: addresses of sockets are limited in length.
    folder: PathBuf,
}

impl Docker {
    /// The daemon that the environment names, or one of our own: for that it takes Linux, root and Debian's `docker.io`.
    pub fn find() -> Result<Docker> {
        if !cfg!(target_os = "linux") {
            return Err("the images are made of a program for Linux: build them there".to_owned());
        }
        let client = client().ok_or("there is no `docker` that has BuildKit: apt install docker.io")?;
        let mut docker = Docker { client, host: None, daemon: None };
        if docker.says(&["info"]).is_some() {
            return Ok(docker);
        }
        if output("id", &["-u"]).as_deref() != Some("0") || output("dockerd", &["--version"]).is_none() {
            return Err("no Docker daemon answers; start it, or be root with dockerd installed".to_owned());
        }
        docker.start()?;
        Ok(docker)
    }

    fn start(&mut self) -> Result {
        let data = std::path::absolute(Path::new(FOLDER).join("data")).map_err(|e| e.to_string())?;
        std::fs::create_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
        let alone = File::create(format!("{FOLDER}/lock")).map_err(|e| format!("{FOLDER}/lock: {e}"))?;
        alone.lock().map_err(|e| format!("{FOLDER}/lock: {e}"))?;
        let folder = std::env::temp_dir().join(format!("cml-docker-{}", std::process::id()));
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        std::fs::create_dir(&folder).map_err(failed)?;
        let host = format!("unix://{}/socket", folder.display());
        let log = File::create(format!("{FOLDER}/log")).map_err(failed)?;
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(data);
        command.arg("--exec-root").arg(folder.join("exec")).arg("-p").arg(folder.join("pid"));
        // It changes nothing of the machine's network, which containers share.
        command.args([
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
            "--bridge=none",
        ]);
        command.args(["-H", &host]).stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let child = command.spawn().map_err(|e| format!("dockerd: {e}"))?;
        self.daemon = Some(Daemon { child, _alone: alone, folder });
        self.host = Some(host);
        for _ in 0..300 {
            if self.says(&["info"]).is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(format!("dockerd does not start: {FOLDER}/log says why"))
    }

    /// What the tests are told.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let host = self.host.iter().map(|host| ("DOCKER_HOST", host.into()));
        host.chain([("CML_TEST_DOCKER", self.client.clone())]).collect()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        command.args(args).env("DOCKER_BUILDKIT", "1").envs(self.host.iter().map(|host| ("DOCKER_HOST", host)));
        command
    }

    fn says(&self, args: &[&str]) -> Option<String> {
        let output = self.command(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Builds all images of a static program for this machine.
    pub fn build(&self, program: &Path) -> Result {
        let base = self.base()?;
        let (programs, context) = (format!("{FOLDER}/programs"), format!("{FOLDER}/context"));
        let failed = |e: std::io::Error| format!("{FOLDER}: {e}");
        for folder in [&programs, &context] {
            let _ = std::fs::remove_dir_all(folder); // that of the last time, if any
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let (name, arch) = match std::env::consts::ARCH {
            "x86_64" => ("cml-linux-x86_64", "amd64"),
            "aarch64" => ("cml-linux-aarch64", "arm64"),
            other => return Err(format!("there are no images for {other}")),
        };
        std::fs::copy(program, Path::new(&programs).join(name)).map_err(failed)?;
        run(Command::new(".github/scripts/context.sh").args([&programs, &context]))?;
        // All that is in the image `cml`. What daemons call its size differs with where they keep it.
        let archive = std::fs::metadata(Path::new(&context).join(format!("{arch}.tar"))).map_err(failed)?;
        if archive.len() > LARGEST {
            return Err(format!("the image cml should not be larger than {LARGEST} bytes: it has {}", archive.len()));
        }
        let arch = format!("TARGETARCH={arch}");
        for target in TARGETS {
            let tag = format!("cml-test:{target}");
            let arguments = ["--network", "host", "--target", target, "--build-arg", &arch, "--tag", &tag];
            let mut command = self.command(&["build", "--quiet"]);
            command.args(arguments).args(base.iter().flat_map(|base| ["--build-arg", base])).arg(&context);
            run(&mut command)?;
            let size = self.says(&["image", "inspect", "--format", "{{.Size}}", &tag]).unwrap_or_default();
            println!("{tag}: {size} bytes");
        }
        Ok(())
    }

    /// The argument that names another base image, where that of the Dockerfile cannot be pulled: Debian made of its packages,
    /// with the certificates that this machine trusts.
    fn base(&self) -> Result<Option<String>> {
        let stand_in = Some(format!("DEBIAN={STAND_IN}"));
        if self.says(&["image", "inspect", STAND_IN]).is_some() {
            return Ok(stand_in);
        }
        let dockerfile = std::fs::read_to_string("image/Dockerfile").map_err(|e| format!("image/Dockerfile: {e}"))?;
        let pinned = dockerfile.lines().find_map(|line| line.strip_prefix("ARG DEBIAN="));
        if run(&mut self.command(&["pull", "--quiet", pinned.ok_or("image/Dockerfile names no base image")?])).is_ok() {
            return Ok(None);
        }
        let root = format!("{FOLDER}/debian");
        let _ = std::fs::remove_dir_all(&root); // what is left of one that failed
        run(Command::new("debootstrap").args(["--variant=minbase", "trixie", &root]).stdout(Stdio::null()))?;
        let own = "/usr/local/share/ca-certificates";
        run(Command::new("mkdir").args(["-p", own, &format!("{root}{own}")]))?;
        run(Command::new("cp").args(["-RL", &format!("{own}/."), &format!("{root}{own}")]))?;
        let tar = format!("{root}.tar");
        run(Command::new("tar").args([
            "-C",
            &root,
            "--exclude=./dev/*",
            "--exclude=./var/cache/apt/*",
            "-cf",
            &tar,
            ".",
        ]))?;
        run(&mut self.command(&["import", &tar, STAND_IN]))?;
        // The documentation's recipe is tried on it, too.
        run(&mut self.command(&["tag", STAND_IN, "debian:trixie-slim"]))?;
        let _ = std::fs::remove_file(tar);
        std::fs::remove_dir_all(&root).map_err(|e| format!("{root}: {e}"))?;
        Ok(stand_in)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let Some(Daemon { child, folder, .. }) = &mut self.daemon else { return };
        // It ends its containers' monitor too, which a kill would leave behind.
        output("kill", &[&child.id().to_string()]);
        let _ = child.wait();
        output("umount", &[&folder.join("exec/netns/default").display().to_string()]);
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Of the clients on PATH one that can build with BuildKit: newer ones need a component for it.
fn client() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join("docker"));
    candidates.find(|docker| {
        let mut command = Command::new(docker);
        command.args(["build", "--help"]).env("DOCKER_BUILDKIT", "1");
        command.output().is_ok_and(|output| output.status.success())
    })
}
