//! What stands for a machine in a cloud: a real Debian that `systemd-nspawn` boots, with cloud-init, which gets the user data from a
//! scripted metadata service as it does on EC2, or with what a test of another cloud sets up.
//!
//! Real: systemd and its timers, cloud-init and its EC2 datasource, the start script, the program, users, signals, the console, the
//! packet filter (nftables), power-off. Scripted: the metadata service, and apt-get (it has what a test put there). The
//! kernel is this machine's: its settings and clock cannot be changed from within. The machine has a network of its own, in
//! which only the forge, the metadata service and what else a test names answer, through proxies that come with systemd.

use crate::support::fake::http::{Framing, Response, read_request, write_response};
use crate::support::fake::server::{Port, Server, lock};
use crate::support::ignored::{ignored, is_native_only, skipped};
use crate::support::{TIMEOUT, eventually, executable};
use std::io::BufReader;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Starts the machine, within a namespace for its processes and mounts: with its first process all of them end. Each machine has
/// a group of processes of its own, as its systemd arranges everything below.
const BOOT: &str = r#"set -eu
cd "@VM@"
for groups in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  if [ -e "$groups/cgroup.procs" ]; then mkdir "$groups/@NAME@"; echo 0 >"$groups/@NAME@/cgroup.procs"; fi
done
proxy() { systemd-socket-activate -l "$1" /lib/systemd/systemd-socket-proxyd "$2" 2>>proxies & }
@OUTSIDE@
exec unshare --net sh -euc '
  proxy() { systemd-socket-activate -l "$1" /lib/systemd/systemd-socket-proxyd "$2" 2>>proxies & }
  ip link set lo up
  @INSIDE@
  mkdir -p root work mnt
  mount -t overlay overlay -o lowerdir=@TREE@,upperdir=root,workdir=work mnt
  code=133 # a restart
  while [ "$code" = 133 ]; do
    code=0
    systemd-nspawn --quiet --boot --directory mnt --machine @NAME@ --register=no --keep-unit --console=read-only \
      @CAPABILITY@ @DISC@ --bind "$PWD/job" </dev/null >>console 2>&1 || code=$?
  done
  exit "$code"
'
"#;
/// Of cloud-init's modules only those that run scripts: the others take time, and set up what the machine has no use for.
pub const CLOUD_INIT: &str = "cloud_init_modules: []
cloud_config_modules: []
cloud_final_modules: [scripts-per-boot, scripts-user]
";
const EC2: &str = "datasource_list: [Ec2]
datasource: {Ec2: {strict_id: false, max_wait: 60}}
";
/// Has the package that a test put there; at first another program has the lock, as on many images at their first boot.
const APT: &str = r#"#!/bin/sh
if [ ! -e /run/locked ]; then
  : >/run/locked
  echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)' >&2
  exit 100
fi
case " $* " in
  *' install docker.io '*) groupadd -f docker; cp /root/docker /usr/local/bin/docker ;;
esac
"#;

/// What the metadata service says.
#[derive(Clone, Default)]
struct Cloud {
    user_data: String,
    taken_back: bool,
    has_identity: bool,
}

/// A machine.
pub struct Vm {
    name: String,
    folder: tempfile::TempDir,
    child: Option<Child>,
    /// What answers at an address and port of its network.
    routes: Vec<(String, SocketAddr)>,
    /// What else a shell does in its network before it boots, in the folder [`Vm::path`].
    pub network: &'static str,
    /// A folder in [`Vm::path`] that is a disc, and where it is on the machine.
    pub disc: Option<(&'static str, &'static str)>,
    /// EC2's metadata service, if it has it.
    metadata: Option<Server>,
    cloud: Arc<Mutex<Cloud>>,
    /// Whether it may change its packet filter.
    pub has_filter: bool,
}

impl Vm {
    /// One of EC2 that is off. `None` where this may not be done.
    pub fn new() -> Option<Vm> {
        let mut vm = Vm::bare()?;
        let metadata = metadata(Arc::clone(&vm.cloud));
        vm.route("169.254.169.254:80", metadata.address);
        vm.metadata = Some(metadata);
        vm.put("root/etc/cloud/cloud.cfg.d/99_test.cfg", &format!("{EC2}{CLOUD_INIT}"), 0o644);
        Some(vm)
    }

    /// One of no cloud. `None` where this may not be done.
    pub fn bare() -> Option<Vm> {
        if is_native_only() {
            return None; // the agent is the native program
        }
        tree()?;
        let folder = tempfile::Builder::new().prefix("vm").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let name = format!("cml-{}", folder.path().file_name().unwrap().display());
        let cloud = Arc::<Mutex<Cloud>>::default();
        let (routes, network, disc, has_filter) = (Vec::new(), "", None, true);
        let vm = Vm { name, child: None, routes, network, disc, metadata: None, cloud, folder, has_filter };
        vm.put("root/etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=persistent\n", 0o644);
        vm.put("root/usr/local/sbin/apt-get", APT, 0o755);
        // What jobs of the machine may write to.
        std::fs::create_dir(vm.job()).unwrap();
        std::fs::set_permissions(vm.job(), std::fs::Permissions::from_mode(0o777)).unwrap();
        Some(vm)
    }

    /// Lets a server answer at an address and port of the machine's network.
    pub fn route(&mut self, place: &str, server: SocketAddr) {
        self.routes.push((place.to_owned(), server));
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that everybody on the machine may write to; there it has the same path.
    pub fn job(&self) -> PathBuf {
        self.path().join("job")
    }

    /// Writes a file; what is below `root` is on the machine's disk.
    pub fn put(&self, name: &str, text: &str, mode: u32) {
        let path = self.path().join(name);
        executable(&path, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Appends to a file that every machine has.
    pub fn append(&self, name: &str, text: &str) {
        let original = std::fs::read_to_string(Path::new(&tree().unwrap()).join(name)).unwrap();
        self.put(&format!("root/{name}"), &(original + text), 0o644);
    }

    /// What services wrote to its console, without their times and names.
    pub fn console(&self) -> String {
        let text = std::fs::read(self.path().join("console")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\r', "");
        let message = |line: &str| Some(line.strip_prefix('[')?.split_once("]: ")?.1.to_owned() + "\n");
        text.lines().filter_map(message).collect()
    }

    /// What the agent's service printed, without what systemd writes about it meanwhile. It is on the disk: what comes last may miss the
    /// console, to which the journal forwards on its own, before the power is off.
    pub fn journal(&self) -> String {
        self.read_journal(&["_SYSTEMD_UNIT=cml-agent.service", "_TRANSPORT=stdout"])
    }

    /// What all of its services printed, and systemd.
    pub fn everything_printed(&self) -> String {
        self.read_journal(&[])
    }

    fn read_journal(&self, filter: &[&str]) -> String {
        let folder = self.path().join("root/var/log/journal");
        let mut command = Command::new("journalctl");
        command.args(["--quiet", "--output=cat", "--directory"]).arg(folder).args(filter);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    /// Boots with user data of EC2, for a forge at an address.
    pub fn boot(&mut self, script: &str, forge: &str) {
        lock(&self.cloud).user_data = script.to_owned();
        self.turn_on(forge);
    }

    /// Boots, for a forge at an address.
    pub fn turn_on(&mut self, forge: &str) {
        self.route(forge, forge.parse().unwrap());
        let (mut outside, mut inside) = (String::new(), String::new());
        for (number, (place, server)) in self.routes.iter().enumerate() {
            outside += &format!("proxy \"$PWD/way{number}\" {server}\n");
            let place: SocketAddr = place.parse().unwrap();
            if !place.ip().is_loopback() {
                inside += &format!("ip addr replace {} dev lo\n", place.ip());
            }
            inside += &format!("proxy {place} \"$PWD/way{number}\"\n");
        }
        let capability = if self.has_filter { "--capability=CAP_NET_ADMIN" } else { "--drop-capability=CAP_NET_ADMIN" };
        let boot = BOOT.replace("@VM@", &self.path().display().to_string()).replace("@NAME@", &self.name);
        let disc = self.disc.map(|(folder, place)| format!("--bind-ro \"$PWD/{folder}:{place}\"")).unwrap_or_default();
        let boot = boot.replace("@OUTSIDE@", &outside).replace("@INSIDE@", &(inside + self.network));
        let boot = boot.replace("@DISC@", &disc);
        let boot = boot.replace("@CAPABILITY@", capability).replace("@TREE@", &tree().unwrap());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", &boot]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.child = Some(command.stdin(Stdio::null()).spawn().unwrap());
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || self.console());
    }

    /// Waits until it is off; the agent's exit code.
    pub fn until_off(&mut self) -> Option<i32> {
        let end = Instant::now() + TIMEOUT;
        let status = loop {
            match self.child.as_mut().unwrap().try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "it stays on: {}", self.console()),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status} {}", self.console());
        let journal = self.read_journal(&["--unit=cml-agent.service"]);
        match journal.split_once("Main process exited, code=exited, status=") {
            Some((_, rest)) => rest.split('/').next().unwrap().parse().ok(),
            None => journal.contains("cml-agent.service: Deactivated successfully.").then_some(0),
        }
    }

    /// The cloud takes it back.
    pub fn take_back(&self) {
        lock(&self.cloud).taken_back = true;
    }

    /// The cloud gives it an identity that the launcher does not know of.
    pub fn give_identity(&self) {
        lock(&self.cloud).has_identity = true;
    }

    /// Does something as root on the machine; what that prints. Nothing while it boots.
    pub fn as_root(&self, script: &str) -> String {
        let Some(init) = self.init().map(|pid| pid.to_string()) else { return String::new() };
        let within = ["--target", &init, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"];
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        // The machine may end meanwhile.
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=1", "40", "nsenter"])
            .args(within)
            .args(["--root", "--wd", "sh", "-c", script])
            .env_clear()
            .env("PATH", path);
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// What the agent says of itself, and the state of its service.
    pub fn agent(&self) -> String {
        let text =
            self.as_root("systemctl show --property ActiveState --property StatusText --value cml-agent.service");
        text.trim().split('\n').collect::<Vec<_>>().join(": ")
    }

    /// Waits until the agent says something of itself. Looking takes processes: not too often.
    pub fn until_agent(&self, says: &str) {
        let looks = || {
            std::thread::sleep(Duration::from_millis(300));
            self.agent() == says
        };
        self.until(says, looks);
    }

    /// The files on its disk that contain a text, a line each.
    pub fn files_with(&self, text: &str) -> String {
        let mut command = Command::new("grep");
        let output = command.args(["-rlF", "--", text]).arg(self.path().join("root")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The arguments of all its processes, a line each.
    pub fn arguments(&self) -> String {
        self.as_root("for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$file; echo; done")
    }

    /// Its first process, as this machine numbers it: that of the lowest namespace.
    fn init(&self) -> Option<u32> {
        let mut pid = self.child.as_ref()?.id();
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()? != "systemd\n" {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
            // The machine's is the last that was started.
            pid = children.split_whitespace().next_back()?.parse().ok()?;
        }
        Some(pid)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for groups in ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"] {
            remove_groups(&Path::new(groups).join(&self.name));
        }
    }
}

/// Removes a group of processes that have ended, and those below it.
fn remove_groups(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}

/// The machine's disk, which machines share and do not change. `None` where there can be no machine.
fn tree() -> Option<String> {
    let may = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    let Ok(tree) = std::env::var("CML_TEST_MACHINE") else {
        skipped("CML_TEST_MACHINE", "apt-get install systemd-container mmdebstrap, and cargo xtask tools as root");
        return None;
    };
    if !may.is_ok_and(|status| status.success()) {
        ignored("only root may boot machines");
        return None;
    }
    Some(tree)
}

/// The metadata service, as of <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>:
/// a session's token first, and a 404 as long as there is no notice. cloud-init, which names a version in place of `latest`, asks for a
/// token only where the firmware says that this is Amazon's.
fn metadata(cloud: Arc<Mutex<Cloud>>) -> Server {
    Port::bind().serve(move |socket, _| {
        let mut reader = BufReader::new(socket);
        while let Ok(Some(request)) = read_request(&mut reader, || {}) {
            let text = |text: &str| Response::bytes(200, "text/plain", text);
            let (version, path) = request.path().trim_start_matches('/').split_once('/').unwrap_or_default();
            let cloud = lock(&cloud).clone();
            let answer = match (request.method.as_str(), path) {
                ("PUT", "api/token") if request.header("x-aws-ec2-metadata-token-ttl-seconds").is_some() => {
                    text("session")
                }
                ("GET", _) if version == "latest" && request.header("x-aws-ec2-metadata-token") != Some("session") => {
                    Response::bytes(401, "text/html", "")
                }
                ("GET", "user-data") => text(&cloud.user_data),
                ("GET", "meta-data/") => text("instance-id"),
                ("GET", "meta-data/instance-id") => text("i-1"),
                ("GET", "meta-data/spot/instance-action") if cloud.taken_back => {
                    let notice = r#"{"action": "terminate", "time": "2026-01-31T12:02:00Z"}"#;
                    Response::bytes(200, "application/json", notice)
                }
                ("GET", "meta-data/iam/security-credentials/") if cloud.has_identity => text("someones-role"),
                ("GET", _) => Response::bytes(404, "text/html", ""),
                _ => Response::bytes(400, "text/html", ""),
            };
            if !write_response(reader.get_mut(), &request, &answer, Framing::Whole).unwrap_or(false) {
                return;
            }
        }
    })
}
