//! The rules that keep jobs from the cloud's metadata service, in network namespaces of their own (`firewall.sh`).
//!
//! Real: the rules' script, the packet filter, the kernel's routing. Scripted: the metadata services, which answer anybody.

use crate::support::ignored::{is_native_only, skipped};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// Who gets answers with the rules that some programs make: `+` or `-` for 169.254.169.254:80, 168.63.129.16:80 and :32526,
/// fd00:ec2::254, fd20:ce::254, and 169.254.169.254:53, which is DNS. `None` where this may not be done.
fn rules_by(programs: &[&str], argument: &str) -> Option<String> {
    let missing = |what: &str| {
        skipped(what, "apt-get install nftables iptables python3 util-linux");
        None
    };
    if is_native_only() {
        return None;
    }
    if !may_make_networks() {
        return None;
    }
    let found = |name: &&str| {
        let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
    };
    let folder = tempfile::tempdir().unwrap();
    for program in ["cat", "tr"].iter().chain(programs) {
        let Some(path) = found(program) else { return missing("network namespaces with a packet filter") };
        std::os::unix::fs::symlink(path, folder.path().join(program)).unwrap();
    }
    let output = Command::new("unshare")
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
        .arg(Path::new(FOLDER).join("tests/cloud/firewall.sh"))
        .arg(Path::new(FOLDER).join("src/runner/firewall.sh"))
        .arg(folder.path())
        .arg(argument)
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (before, after) = text.split_once('\n').unwrap_or_default();
    assert_eq!(
        before,
        "before: root ++++++ job ++++++ container ++++++",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(after.to_owned())
}

fn may_make_networks() -> bool {
    let made = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    let may = made.is_ok_and(|status| status.success());
    if !may {
        let _ = std::io::stderr().write_all(b"skipped: only root may make network namespaces\n");
    }
    may
}

/// Says who answers whom in a network namespace of its own: EC2's metadata service, on both of its addresses.
const SERVICE: &str = r#"
import http.server, socket, threading
class Service(http.server.BaseHTTPRequestHandler):
    def answer(self):
        path = self.path.removeprefix("/latest/")
        keys = '{"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "secret", "Token": "token"}'
        text = {"api/token": "session", "meta-data/iam/security-credentials/": "role"}.get(path, keys)
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    do_GET = do_PUT = answer
class Six(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
threading.Thread(target=http.server.ThreadingHTTPServer(("169.254.169.254", 80), Service).serve_forever).start()
Six(("fd00:ec2::254", 80), Service).serve_forever()
"#;

/// Real: the program, addresses, sockets. Scripted: the service. The proxy does not exist.
#[test]
fn the_metadata_service_is_never_asked_through_a_proxy() {
    if !may_make_networks() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("service.py"), SERVICE).unwrap();
    let program = crate::support::program();
    let words: Vec<&std::ffi::OsStr> = std::iter::once(program.get_program()).chain(program.get_args()).collect();
    for address in ["http://169.254.169.254", "http://[fd00:ec2::254]"] {
        let script = r#"ip link set lo up
            ip addr add 169.254.169.254/32 dev lo
            ip -6 addr add fd00:ec2::254/128 dev lo nodad
            python3 service.py 2>/dev/null & service=$!
            trap 'kill -9 $service' EXIT
            until python3 -c 'import socket; socket.create_connection(("fd00:ec2::254", 80))' 2>/dev/null; do sleep 0.1; done
            "$@" runner reap --cloud aws --repo https://github.com/o/r --timeout 2 --log debug"#;
        let output = Command::new("unshare")
            .args(["--net", "sh", "-c", script, "sh"])
            .args(&words)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", folder.path())
            .env("http_proxy", "http://127.0.0.1:1")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("AWS credentials from the instance profile"), "{address}: {told}");
    }
}

#[test]
fn only_root_reaches_the_metadata_services() {
    for programs in [&["nft"][..], &["iptables", "ip6tables"]] {
        let Some(after) = rules_by(programs, "") else { return };
        assert_eq!(after, "after 0: root ++++++ job -----+ container -----+\n", "{programs:?}");
    }
}

/// Those of other clouds have what a job needs to act as its instance.
#[test]
fn jobs_that_may_use_the_identity_do_not_reach_the_wire_server() {
    for programs in [&["nft"][..], &["iptables", "ip6tables"]] {
        let Some(after) = rules_by(programs, "identity") else { return };
        assert_eq!(after, "after 0: root ++++++ job +--+++ container +--+++\n", "{programs:?}");
    }
}

#[test]
fn rules_that_cannot_be_made_fail() {
    for programs in [&[][..], &["ip6tables"]] {
        let Some(after) = rules_by(programs, "") else { return };
        assert_eq!(after, "after 1: root ++++++ job ++++++ container ++++++\n", "{programs:?}");
    }
}
