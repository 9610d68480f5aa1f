//! What stands for a machine in a cloud: a namespace of its own for mounts and processes, in which a shell does as root what
//! cloud-init does, and runs the start script as it is.
//!
//! Real: the script, `dash`, the program, users, processes, files, signals, the notify socket. Standing in: systemd (a shell
//! script starts the unit's `ExecStart`, and takes the machine down when it ends or when `poweroff` is asked for), the
//! packet filter (recorded), apt-get (it has what a test put there), the metadata service (a server on this machine). The
//! network is this machine's, so that the fake forge can be reached.

use crate::support::fake::http::{Framing, Response, read_request, write_response};
use crate::support::fake::server::{Port, Server};
use crate::support::ignored::{ignored, is_native_only, skipped};
use crate::support::{eventually, executable};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The machine's first process. What it changes is its own: `/etc` is a copy, the rest is empty.
const BOOT: &str = r#"#!/bin/sh
set -eu
mkdir "@VM@/etc"
cp -a /etc/. "@VM@/etc"
mount --bind "@VM@/etc" /etc
for folder in /usr/local /home /run /var/lib; do mount -t tmpfs machine "$folder"; done
mkdir -p /usr/local/sbin /usr/local/bin /etc/systemd/system /var/lib/cloud/instances/i-1/scripts
cp "@VM@"/stubs/* /usr/local/sbin
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
cd /var/lib/cloud/instances/i-1
cp "@VM@/user-data" user-data.txt
cp "@VM@/user-data" scripts/part-001
rm "@VM@/user-data"
chmod 700 scripts/part-001
scripts/part-001 >>"@VM@/console" 2>&1 || echo "the start script ended with $?" >>"@VM@/console"
tries=0
while [ ! -e "@VM@/off" ] && [ "$tries" -lt 2400 ]; do tries=$((tries + 1)); sleep 0.05; done
"#;
const SYSTEMCTL: &str = r#"#!/bin/sh
umask 022
echo "systemctl $*" >>"@VM@/log"
case "$1" in
  poweroff) : >"@VM@/off" ;;
  start)
    command=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/cml-agent.service)
    (
      env -i PATH="$PATH" NOTIFY_SOCKET="@VM@/notify" AWS_EC2_METADATA_SERVICE_ENDPOINT="@METADATA@" $command >>"@VM@/console" 2>&1 &
      echo $! >"@VM@/pid"
      code=0; wait $! || code=$?
      find /var/lib/cml /var/lib/cloud /run -type f >"@VM@/left"
      echo "$code" >"@VM@/code"
      systemctl poweroff
    ) & ;;
esac
"#;
/// Has the package that a test put there; at first another program has the lock, as on many images at their first boot.
const APT: &str = r#"#!/bin/sh
echo "apt-get $*" >>"@VM@/log"
if [ ! -e "@VM@/locked" ]; then
  : >"@VM@/locked"
  echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)' >&2
  exit 100
fi
case " $* " in
  *' install docker.io '*) groupadd -f docker; cp "@VM@/docker" /usr/local/sbin/docker ;;
esac
"#;
const RECORDED: &str = "#!/bin/sh\necho \"$0 $*\" >>\"@VM@/log\"\n";

/// A machine.
pub struct Vm {
    folder: tempfile::TempDir,
    child: Option<Child>,
    notified: UnixDatagram,
    metadata: Server,
    taken_back: Arc<AtomicBool>,
    has_identity: Arc<AtomicBool>,
}

impl Vm {
    /// One that is off. `None` where this may not be done.
    pub fn new() -> Option<Vm> {
        if is_native_only() {
            return None; // the agent is the native program
        }
        let may = Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]).stderr(Stdio::null()).status();
        if !may.is_ok_and(|status| status.success()) {
            let id = Command::new("id").arg("-u").output().unwrap();
            match id.stdout.as_slice() {
                b"0\n" => skipped("unshare", "apt-get install util-linux"),
                _ => ignored("only root may make namespaces"),
            }
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let notified = UnixDatagram::bind(path.join("notify")).unwrap();
        notified.set_nonblocking(true).unwrap();
        let taken_back = Arc::new(AtomicBool::new(false));
        let has_identity = Arc::new(AtomicBool::new(false));
        let metadata = metadata(Arc::clone(&taken_back), Arc::clone(&has_identity));
        let vm = Vm { child: None, notified, metadata, taken_back, has_identity, folder };
        let recorded = ["nft", "iptables", "ip6tables", "sysctl"].map(|name| (format!("stubs/{name}"), RECORDED));
        let stubs = [("boot", BOOT), ("stubs/systemctl", SYSTEMCTL), ("stubs/apt-get", APT)];
        for (name, text) in stubs.map(|(name, text)| (name.to_owned(), text)).into_iter().chain(recorded) {
            let text = text.replace("@VM@", &vm.path().display().to_string());
            vm.put(&name, &text.replace("@METADATA@", &format!("http://{}", vm.metadata.address)), 0o755);
        }
        // What jobs of the machine may write to.
        std::fs::create_dir(vm.job()).unwrap();
        std::fs::set_permissions(vm.job(), std::fs::Permissions::from_mode(0o777)).unwrap();
        Some(vm)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that everybody on the machine may write to.
    pub fn job(&self) -> PathBuf {
        self.path().join("job")
    }

    pub fn put(&self, name: &str, text: &str, mode: u32) {
        let path = self.path().join(name);
        executable(&path, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Boots with user data.
    pub fn boot(&mut self, script: &str) {
        self.put("user-data", script, 0o600);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(self.path().join("boot")).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        self.child = Some(command.stdin(Stdio::null()).spawn().unwrap());
    }

    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || format!("{}\n{}", self.read("log"), self.read("console")));
    }

    /// Waits until it is off; the agent's exit code.
    pub fn until_off(&mut self) -> Option<i32> {
        self.until("the machine is off", || self.path().join("off").exists());
        let status = self.child.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}");
        self.read("code").trim().parse().ok()
    }

    /// What the service manager was told.
    pub fn told(&self) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notified.recv(&mut buffer) {
            text += &format!("{}\n", String::from_utf8_lossy(&buffer[..length]));
        }
        text
    }

    /// The cloud takes it back.
    pub fn take_back(&self) {
        self.taken_back.store(true, Ordering::Relaxed);
    }

    /// The cloud gives it an identity that the launcher does not know of.
    pub fn give_identity(&self) {
        self.has_identity.store(true, Ordering::Relaxed);
    }

    /// Sends the agent a signal.
    pub fn signal(&self, name: &str) {
        let (init, inside) = (self.init().to_string(), self.read("pid"));
        let arguments = ["--target", &init, "--pid", "--mount", "kill", name, inside.trim()];
        assert!(Command::new("nsenter").args(arguments).status().unwrap().success());
    }

    /// The arguments of all its processes, a line each.
    pub fn arguments(&self) -> String {
        let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = space(&self.init().to_string());
        assert!(ours.is_some());
        let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pids = names.filter(|name| name.bytes().all(|b| b.is_ascii_digit()) && space(name) == ours);
        let line = |pid: String| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        pids.map(|pid| line(pid).replace('\0', " ") + "\n").collect()
    }

    /// Its first process, as this machine numbers it.
    fn init(&self) -> u32 {
        let pid = self.child.as_ref().unwrap().id();
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The metadata service, as of <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>:
/// a session's token first, and a 404 as long as there is no notice.
fn metadata(taken_back: Arc<AtomicBool>, has_identity: Arc<AtomicBool>) -> Server {
    Port::bind().serve(move |socket, _| {
        let mut reader = BufReader::new(socket);
        while let Ok(Some(request)) = read_request(&mut reader, || {}) {
            let has = |name: &str, value: &str| request.header(name) == Some(value);
            let answer = match (request.method.as_str(), request.path()) {
                ("PUT", "/latest/api/token") if has("x-aws-ec2-metadata-token-ttl-seconds", "60") => {
                    Response::bytes(200, "text/plain", "session")
                }
                ("GET", _) if !has("x-aws-ec2-metadata-token", "session") => Response::bytes(401, "text/html", ""),
                ("GET", "/latest/meta-data/spot/instance-action") if taken_back.load(Ordering::Relaxed) => {
                    let notice = r#"{"action": "terminate", "time": "2026-01-31T12:02:00Z"}"#;
                    Response::bytes(200, "application/json", notice)
                }
                ("GET", "/latest/meta-data/iam/security-credentials/") if has_identity.load(Ordering::Relaxed) => {
                    Response::bytes(200, "text/plain", "someones-role")
                }
                ("GET", _) => Response::bytes(404, "text/html", ""),
                _ => Response::bytes(400, "text/html", ""),
            };
            if !write_response(reader.get_mut(), &request, &answer, Framing::Whole).unwrap_or(false) {
                return;
            }
        }
    })
}
