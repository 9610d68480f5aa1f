//! Who can see which secret.

use super::fixture::{SECRET, SupervisorFixture};

fn read(pid: u32, file: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
}

/// All processes below one, with it.
fn tree(root: u32) -> Vec<u32> {
    let numbers =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parent = |pid: u32| -> Option<(u32, u32)> {
        let stat = read(pid, "stat");
        Some((pid, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
    };
    let all: Vec<(u32, u32)> = numbers.filter_map(parent).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_program_sees_its_credential_and_nobody_the_launchers() {
    let running = SupervisorFixture::github("trap 'exit 0' INT; ready; begin a 41 1; env >$ROOT/env; rest 60")
        .set("debug", true)
        .start();
    running.until_busy();
    running.until("environment", |fixture| fixture.read("env").contains("PATH="));
    let listener = running.pid("listener");
    // Before it is itself, a new process has the arguments and the environment of the one that made it.
    running.until("its sleep", |_| tree(running.id()).iter().any(|pid| read(*pid, "cmdline").starts_with("sleep\0")));
    let all = tree(running.id());
    assert!(all.len() >= 4 && all.contains(&listener), "supervisor, guard, program, its sleep: {all:?}");
    for pid in &all {
        assert!(!read(*pid, "cmdline").contains(SECRET), "{pid}");
        let env = read(*pid, "environ");
        let launchers = ["-of-the-launcher", "GITHUB_RUN_ID"].iter().any(|word| env.contains(word));
        assert_eq!(launchers, *pid == running.id(), "{pid}: {env}");
        let stat = read(*pid, "stat");
        let below = *pid == listener || stat.contains(&format!(" {listener} "));
        assert_eq!(env.contains(SECRET), below, "{pid}: {env}");
    }
    let guard = all[1];
    assert_eq!((read(guard, "cmdline").as_str(), read(guard, "environ").as_str()), ("cml\0runner-guard\0", ""));
    let names: Vec<String> =
        running.fixture.read("env").lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect();
    for name in &names {
        let ours = ["PATH", "HOME", "LC_ALL", "PIDS", "ROOT", "PWD", "OLDPWD", "_", "SHLVL"].contains(&name.as_str());
        assert!(ours || name.starts_with("ACTIONS_RUNNER_"), "{name} is passed on: {names:?}");
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = |name: &str| std::fs::metadata(running.fixture.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("private"), mode("private/started.sh"), mode("work")), (0o700, 0o600, 0o700));
    running.signal("TERM");
    let (_, ran) = running.end();
    assert!(!ran.stderr.contains(SECRET), "{ran:#?}");
}

#[test]
fn what_the_program_says_is_only_shown_on_request_and_without_secrets() {
    for debug in [false, true] {
        let (_, ran) = SupervisorFixture::github(
            "echo \"my key is $ACTIONS_RUNNER_INPUT_JITCONFIG\"; echo '##[error]x'; ready; exit 0",
        )
        .set("debug", debug)
        .run();
        assert_eq!(ran.stderr.contains("debug: runner: my key is ***"), debug, "{ran:#?}");
        assert!(!ran.stderr.contains(SECRET) && !ran.stderr.contains("##["), "{ran:#?}");
    }
}
