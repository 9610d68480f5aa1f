//! The start-up script of clouds with virtual machines: `bootstrap.sh`, with values that are checked before they are inserted.

use super::{Bootstrap, BootstrapBinary};
use crate::env::Secret;
use crate::error::{Error, Result};
use std::time::Duration;

const TEXT: &str = include_str!("vm/bootstrap.sh");
/// What a script has besides where an instance must delete itself.
const DELETION: &str = include_str!("vm/deletion.sh");
const DELETION_MARK: &str = "# @DELETION@";
/// How much longer than the launcher the instance waits for its runner, so that the launcher can show the console first.
const BOOT_MARGIN: Duration = Duration::from_secs(120);

/// Renders the script, for a POSIX shell, of at most `limit` bytes.
///
/// # Errors
/// [`crate::error::Kind::TooLarge`] when it is too long; or the binary's URL cannot be put into a script.
pub fn render(bootstrap: &Bootstrap, limit: usize) -> Result<Secret> {
    render_text(TEXT, bootstrap, limit)
}

/// Renders the script of an instance that deletes itself whenever it ends. `delete` is the script that asks the cloud for it, with `/bin/sh`.
///
/// # Errors
/// Those of [`render`].
pub fn render_with_deletion(bootstrap: &Bootstrap, limit: usize, delete: &str) -> Result<Secret> {
    let text = TEXT.replace(DELETION_MARK, &DELETION.replace("@SCRIPT@", delete.trim_end()));
    render_text(&text, bootstrap, limit)
}

fn render_text(text: &str, bootstrap: &Bootstrap, limit: usize) -> Result<Secret> {
    let Bootstrap { config, lifetime, .. } = bootstrap;
    let binary = bootstrap.binary()?;
    let protocols = check(binary)?;
    let max = lifetime.max.max(Duration::from_secs(1));
    let boot = max.min(lifetime.boot + BOOT_MARGIN);
    let text: String = text.lines().filter(|line| is_needed(line)).fold(String::new(), |text, line| text + line + "\n");
    // The configuration comes last: nothing in it is replaced.
    let text = text
        .replace("@LIFETIME@", &max.as_secs().to_string())
        .replace("@START@", &boot.as_secs().to_string())
        .replace("@PROTOCOLS@", protocols)
        .replace("@URL@", &binary.url)
        .replace("@SHA256@", binary.sha256.as_str())
        .replace("@DOCUMENT@", config.expose());
    if text.len() > limit {
        let message = format!("the instance's start-up script is {} bytes long, the limit is {limit}", text.len());
        return Err(Error::too_large(message));
    }
    Ok(Secret::new(text))
}

/// Returns whether a line of the template is kept: comments are only for readers of the source.
fn is_needed(line: &str) -> bool {
    !line.is_empty() && (!line.starts_with('#') || line.starts_with("#!"))
}

/// Returns the protocols that curl may use. The URL is put between single quotes.
fn check(binary: &BootstrapBinary) -> Result<&'static str> {
    let wrong = || {
        Error::config(format!("the address {:?} cannot be used in a start-up script", binary.url))
            .hint("give the static binary for Linux with --bootstrap-url and --bootstrap-sha256")
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._~:/?#[]!$&()*+,;=%-".contains(c);
    let protocols = match binary.url.split_once("://") {
        Some(("https", rest)) if !rest.is_empty() => "=https",
        Some(("http", rest)) if !rest.is_empty() => "=http,https",
        _ => return Err(wrong()),
    };
    if binary.url.chars().all(is_plain) { Ok(protocols) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Lifetime;
    use crate::error::Kind;
    use crate::runner::bootstrap_config::{BootstrapConfig, tests::config};
    use proptest::prelude::*;

    const LIFETIME: Lifetime = Lifetime { max: Duration::from_secs(3600), boot: Duration::from_secs(600) };

    fn binary(url: &str) -> BootstrapBinary {
        BootstrapBinary { url: url.to_owned(), sha256: "0123456789abcdef".repeat(4).parse().unwrap() }
    }

    fn bootstrap(config: &BootstrapConfig, url: &str) -> Bootstrap {
        Bootstrap { config: config.to_json(), binary: Some(binary(url)), lifetime: LIFETIME }
    }

    fn rendered(name: &str, token: &str, script: Option<&str>) -> String {
        let bootstrap = bootstrap(&config(name, token, script), "https://example.com/v1/cml-linux-x86_64?a=b");
        render(&bootstrap, 1 << 20).unwrap().expose().to_owned()
    }

    #[test]
    fn the_whole_script() {
        insta::assert_snapshot!(rendered("cml-1", "glrt-secret", Some("#!/bin/sh\necho hello\n")));
    }

    /// The script of an instance that deletes itself.
    fn rendered_with_deletion() -> String {
        let bootstrap = bootstrap(&config("cml-1", "glrt-secret", None), "https://example.com/cml");
        let delete = "#!/bin/sh\necho \"deletes $itself\"\n";
        render_with_deletion(&bootstrap, 1 << 20, delete).unwrap().expose().to_owned()
    }

    #[test]
    fn an_instance_that_deletes_itself_does_so_however_it_ends() {
        let (plain, text) = (rendered("cml-1", "glrt-secret", None), rendered_with_deletion());
        assert!(!plain.contains("cml-delete") && !plain.contains("@DELETION@"), "{plain}");
        let once = |part: &str| assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
        once("#!/bin/sh\necho \"deletes $itself\"\nCML_DELETE\n");
        // An orderly end, the lease, and without systemd or after a restart.
        once("ExecStop=/usr/local/sbin/cml-delete\n");
        once("|| /usr/local/sbin/cml-delete'\n");
        once("off=\"/usr/local/sbin/cml-delete; $off\"\n");
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let script = "x".repeat(20_000);
        let bootstrap = bootstrap(&config("r", "t", Some(script.as_str())), "https://example.com/cml");
        let error = render(&bootstrap, 16_384).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(error.to_string().ends_with("bytes long, the limit is 16384"), "{error}");
    }

    #[test]
    fn without_a_script_of_the_user_there_is_room() {
        assert!(rendered("r", "t", None).len() < 5376);
    }

    #[test]
    fn addresses_that_do_something_to_a_shell_are_refused() {
        let urls =
            ["", "https://", "ftp://a/b", "file:///etc/passwd", "https://a/'b", "https://a/b\nreboot", "https://a/ b"];
        for url in urls {
            let error = render(&bootstrap(&config("r", "t", None), url), 1 << 20).unwrap_err();
            assert_eq!(error.to_string(), format!("the address {url:?} cannot be used in a start-up script"));
            assert_eq!(error.kind(), Kind::Config);
        }
    }

    #[test]
    fn a_machine_ends_at_its_deadline_and_so_long_after_its_boot_and_soon_without_a_runner() {
        let text = rendered("r", "t", None);
        assert!(text.contains("OnCalendar=$end\nOnBootSec=3600\nPersistent=true\n"), "{text}");
        assert!(text.contains(" start=720 life=3600\n") && text.contains("TimeoutStartSec=720\n"), "{text}");
        assert!(text.contains("sysctl -q -w kernel.panic=10"), "{text}");
        let short = Lifetime { max: Duration::from_secs(60), ..LIFETIME };
        let bootstrap = Bootstrap { lifetime: short, ..bootstrap(&config("r", "t", None), "https://a/b") };
        let text = render(&bootstrap, 1 << 20).unwrap();
        assert!(text.expose().contains(" start=60 life=60\n"));
    }

    #[test]
    fn plain_http_is_spoken_where_the_user_says_so() {
        let said = |url: &str| {
            let script = render(&bootstrap(&config("r", "t", None), url), 1 << 20).unwrap();
            script.expose().lines().find(|line| line.contains("curl")).unwrap().to_owned()
        };
        assert!(said("https://a/b").contains("--proto '=https' "));
        assert!(said("http://a/b").contains("--proto '=http,https' "));
    }

    proptest! {
        /// Whatever the values are, the script around the document is the same.
        #[test]
        fn nothing_breaks_out(name in "(?s).*", token in "(?s).*|CML_END|.*'.*|@URL@", script in "(?s).*") {
            let text = rendered(&name, &token, Some(script.as_str()));
            let json = config(&name, &token, Some(script.as_str())).to_json();
            let plain = rendered("r", "t", None);
            let usual = config("r", "t", None).to_json();
            prop_assert_eq!(text.replacen(json.expose(), "", 1), plain.replacen(usual.expose(), "", 1));
            prop_assert!(!json.expose().contains('\n'));
        }
    }

    const UNITS: [&str; 5] =
        ["cml-deadline.service", "cml-deadline.timer", "cml-lease.service", "cml-lease.timer", "cml-agent.service"];

    /// Runs it with a stub for each of curl, systemctl and sleep, in a folder of its own; what they were asked.
    #[cfg(target_os = "linux")]
    #[allow(clippy::disallowed_methods, clippy::disallowed_types)]
    fn run(curl: &str) -> (bool, String) {
        run_on(curl, false)
    }

    /// The same on an image that was made of a runner.
    #[cfg(target_os = "linux")]
    #[allow(clippy::disallowed_methods, clippy::disallowed_types)]
    fn run_on(curl: &str, was_runner: bool) -> (bool, String) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["bin", "units", "usr", "old"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        if was_runner {
            std::fs::write(root.join("units/cml-agent.service"), "[Service]\nExecStart=/bin/false\n").unwrap();
            std::fs::write(root.join("old/cml-boot.timer"), "[Timer]\nOnActiveSec=720\n").unwrap();
        }
        std::fs::write(root.join("instance-id"), "i-1").unwrap();
        let log = root.join("log").display().to_string();
        for (name, body) in [("curl", curl), ("systemctl", ""), ("sleep", ""), ("shutdown", ""), ("sysctl", "")] {
            let stub = root.join("bin").join(name);
            std::fs::write(&stub, format!("#!/bin/sh\necho \"{name} $1\" >>{log}\n{body}\n")).unwrap();
            std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        // It goes on beside the script.
        let detached = root.join("bin/setsid");
        std::fs::write(&detached, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&detached, std::fs::Permissions::from_mode(0o755)).unwrap();
        let here = |name: &str| root.join(name).display().to_string();
        let good = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c";
        let text = rendered("r", "$(touch broken)`id`'", None)
            .replace("/etc/systemd/system.control", &here("units"))
            .replace("/etc/systemd/system", &here("old"))
            .replace("/usr/local/bin", &here("usr"))
            .replace("/usr/local/sbin", &here("usr"))
            .replace("/var/lib/cloud/scripts", &here("scripts"))
            .replace("/dev/watchdog", &here("watchdog"))
            .replace("/run/cml", &here("run"))
            .replace("/var/lib/cloud/data/instance-id", &here("instance-id"))
            .replace(&"0123456789abcdef".repeat(4), good);
        let path = format!("{}:/usr/bin:/bin", here("bin"));
        let mut command = std::process::Command::new("sh");
        let done = command.args(["-c", &text]).env("PATH", path).current_dir(root).output().unwrap();
        let said = std::fs::read_to_string(root.join("log")).unwrap();
        assert!(!root.join("broken").exists());
        assert_eq!(std::fs::read_dir(root.join("old")).unwrap().count(), 0);
        for unit in std::fs::read_dir(root.join("units")).unwrap().map(Result::unwrap) {
            let metadata = unit.metadata().unwrap();
            assert!(metadata.is_dir() || metadata.permissions().mode() & 0o777 == 0o644, "{:?}", unit.path());
        }
        if done.status.success() {
            // And two folders, of what is started with the instance.
            assert_eq!(std::fs::read_dir(root.join("units")).unwrap().count(), UNITS.len() + 2);
            check_lease(&root.join("usr/cml-lease"), &root.join("run/lease"));
            let condition =
                format!("ExecCondition=/bin/sh -c '[ \"$$(cat {} 2>/dev/null)\" = \"i-1\" ]'\n", here("instance-id"));
            for unit in UNITS {
                let text = std::fs::read_to_string(root.join("units").join(unit)).unwrap();
                let has_condition = unit.ends_with(".service");
                assert_eq!(text.contains(&condition), has_condition, "{unit}: {text}");
            }
            let config = BootstrapConfig::parse(&std::fs::read(root.join("run/launch.json")).unwrap()).unwrap();
            assert_eq!(config.registration.credential["token"].expose(), "$(touch broken)`id`'");
            // Once more, after a restart.
            std::fs::remove_dir_all(root.join("run")).unwrap();
            std::fs::remove_file(root.join("log")).unwrap();
            let again = command.output().unwrap();
            assert_eq!(String::from_utf8_lossy(&again.stdout), "cml: this instance was restarted: it ends\n");
            assert!(again.status.success() && !root.join("run").exists());
            assert_eq!(std::fs::read_to_string(root.join("log")).unwrap(), "systemctl poweroff\n");
        }
        (done.status.success(), said)
    }

    /// Runs what the timers run with other leases than the first one.
    #[cfg(target_os = "linux")]
    #[allow(clippy::disallowed_methods)]
    fn check_lease(check: &std::path::Path, file: &std::path::Path) {
        let holds = || std::process::Command::new("sh").arg(check).output().unwrap().status.success();
        assert!(holds(), "the first one");
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let now: u64 = uptime.split('.').next().unwrap().parse().unwrap();
        let cases =
            [(now + 300, true), (now + 720, true), (now, false), (0, false), (now + 3600, false), (u64::MAX, false)];
        for (end, expected) in cases {
            std::fs::write(file, format!("{end}\n")).unwrap();
            assert_eq!(holds(), expected, "{end} at {now}");
        }
        std::fs::write(file, "soon\n").unwrap();
        assert!(!holds(), "no number");
        std::fs::remove_file(file).unwrap();
        assert!(!holds(), "no lease");
    }

    /// Has a program judge a text; `false` where it is not here, which in CI is an error.
    #[cfg(target_os = "linux")]
    #[allow(clippy::disallowed_methods)]
    fn judged_by(words: &[&str], text: &str) -> bool {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut command = Command::new(words[0]);
        let pipes = command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut child) = pipes.spawn() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs {}", words[0]);
            return false;
        };
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said));
        true
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[allow(clippy::disallowed_methods)]
    fn shells_and_systemd_find_nothing_wrong_with_it() {
        let text = rendered("r", "it's $HOME", Some("#!/bin/sh\necho hello\n"));
        judged_by(&["dash", "-n"], &text);
        let shellcheck = std::env::var("CML_TEST_SHELLCHECK").unwrap_or("shellcheck".into());
        judged_by(&[&shellcheck, "--shell=sh", "-"], &text);
        judged_by(&[&shellcheck, "--shell=sh", "-"], TEXT);
        let with_deletion = rendered_with_deletion();
        judged_by(&["dash", "-n"], &with_deletion);
        judged_by(&[&shellcheck, "--shell=sh", "-"], &with_deletion);
        judged_by(&[&shellcheck, "--shell=sh", "-"], include_str!("azure/delete.sh"));
        judged_by(&[&shellcheck, "--shell=sh", "-"], include_str!("gcp/delete.sh"));
        judged_by(&[&shellcheck, "--shell=sh", "-"], include_str!("../runner/firewall.sh"));
        let folder = tempfile::tempdir().unwrap();
        for unit in UNITS {
            let (_, rest) = text.split_once(&format!("cat >\"$units/{unit}\" <<")).unwrap();
            let (_, rest) = rest.split_once('\n').unwrap();
            let (unit_text, _) = rest.split_once("\nCML_END\n").unwrap();
            // The program is not on this machine, and the shell puts the time in.
            let unit_text =
                unit_text.replace("/usr/local/bin/cml", "/bin/true").replace("$end", "2099-01-31 12:00:00 UTC");
            let condition = "ExecCondition=/bin/sh -c '[ \"$$(cat /x 2>/dev/null)\" = \"i-1\" ]'";
            let unit_text = unit_text.replace("$condition", condition);
            std::fs::write(folder.path().join(unit), unit_text).unwrap();
        }
        let unit = |name: &str| folder.path().join(name).display().to_string();
        let (_, rest) = with_deletion.split_once("cat >\"$units/cml-delete.service\" <<CML_END\n").unwrap();
        let (unit_text, _) = rest.split_once("\nCML_END\n").unwrap();
        let unit_text = unit_text.replace("/usr/local/sbin/cml-delete", "/bin/true").replace("$condition\n", "");
        std::fs::write(folder.path().join("cml-delete.service"), unit_text).unwrap();
        let units = [UNITS.as_slice(), &["cml-delete.service"]].concat();
        let units: Vec<String> = units.into_iter().map(unit).collect();
        judged_by(
            &[["systemd-analyze", "verify"].as_slice(), &units.iter().map(String::as_str).collect::<Vec<_>>()].concat(),
            "",
        );
        judged_by(&["systemd-analyze", "calendar", "2099-01-31 12:00:00 UTC"], "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_shell_runs_it_and_every_failure_ends_the_machine() {
        const WRITE: &str = "while [ $# -gt 0 ]; do [ \"$1\" = -o ] && printf %s BODY >\"$2\"; shift; done; exit 0";
        let begun = "systemctl daemon-reload\nsystemctl start\nsysctl -q\ncurl --proto\n";
        let (is_well, said) = run(&WRITE.replace("BODY", "good"));
        let unit = "systemctl daemon-reload\nsystemctl start\n";
        assert_eq!((is_well, said), (true, format!("{begun}{unit}")));
        let (is_well, said) = run_on(&WRITE.replace("BODY", "good"), true);
        let begun_again = format!("systemctl daemon-reload\nsystemctl stop\n{begun}");
        assert_eq!((is_well, said), (true, format!("{begun_again}{unit}")));
        let (is_well, said) = run(&WRITE.replace("BODY", "bad"));
        assert_eq!((is_well, said), (false, format!("{begun}sleep 30\nsystemctl poweroff\n")));
        let (is_well, said) = run("exit 22");
        assert!(!is_well && said.ends_with("sleep 30\nsystemctl poweroff\n"), "{said}");
        assert_eq!(said.matches("curl").count(), 6);
    }
}
