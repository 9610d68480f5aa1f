//! A machine, a forge, and runner programs that print the real lines and tell the forge what they do.

use crate::support::fake::{Forge, Runner, Vendor};
use crate::support::{Cml, Ran, TIMEOUT, eventually, executable};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the scripts share. `tell` says to the forge what the runner does: before its line, as a runner's session with
/// the forge begins before it says so, and a test that waits for the line may ask the forge at once. A job's end is told after
/// its line, which announces it.
const COMMON: &str = r#"#!/bin/sh
tell() { printf '%s' "$CREDENTIAL" | curl -sS -o /dev/null -X POST --data-binary @- "$TELL/$1"; }
until_there() { while [ ! -e "$ROOT/$1" ]; do sleep 0.05; done; }
say() { printf '2026-01-31 12:00:00Z: %s\n' "$1"; }
env >"$ROOT/env"
"#;
/// The listener ends its job and its session when it is interrupted (`Runner.cs`), and says what it removed of a registration
/// after a whole job only.
const GITHUB: &str = r#"
CREDENTIAL=$ACTIONS_RUNNER_INPUT_JITCONFIG
stop() {
  printf 'Exiting...\n'
  if [ -n "$busy" ]; then sleep 0.3; say 'Job train completed with result: Canceled'; fi
  tell offline; exit 0
}
# As .NET does, when nobody reads any more what it says.
trap '' PIPE
busy=''; trap stop INT TERM
tell online; say 'Listening for Jobs'
until_there go
tell busy; busy=1; say 'Running job: train'
until_there end
say 'Job train completed with result: Succeeded'; sleep 0.1; tell done
printf '√ Removed .credentials\n√ Removed .runner\n'
"#;
/// GitLab's own protocol (`network/gitlab.go`) and answer to signals (`commands/single.go`): a request for a job is held by the
/// server and ended by no signal; SIGQUIT is seen between two of them only, the first SIGTERM aborts the job, the second one
/// the program. Shorter than there: the pause after an answer without a job (3 s).
const GITLAB: &str = r#"
setting() { sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" "$config"; }
config=$4
CREDENTIAL=$(setting token) API=$(setting url)/api/v4
single=''; case " $* " in *' --max-builds=1 '*) single=1 ;; esac
finished='' terms=0 child='' update=''
log() { printf '{"level":"%s",%s,"time":"2026-01-31T12:00:00Z"}\n' "$1" "$2" >&2; }
trap 'finished=1' QUIT
trap 'finished=1 terms=$((terms + 1)); if [ "$terms" -gt 1 ]; then log fatal "\"msg\":\"forced exit: terminated\""; exit 1; fi' INT TERM
trap '[ -n "$child" ] && kill "$child" 2>/dev/null; tell offline' EXIT
# Waits for the child: to its end, or with a word until the first SIGTERM.
await() {
  until [ -n "$1" ] && [ "$terms" -gt 0 ]; do
    wait "$child"; result=$?
    kill -0 "$child" 2>/dev/null || break
  done
  kill "$child" 2>/dev/null; child=''
}
pause() { sleep "$1" & child=$!; await abort; }
# A request with a method, a path, a file for its body, and headers. Its secrets are in no list of processes.
ask() {
  method=$1 path=$2 body=$3; shift 3
  printf '%s\n' "$@" >headers
  curl -sS -o answer -D head -X "$method" -H @headers --data-binary "@$body" "$API/$path" & child=$!
  await ''
  code=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' head)
}
header() { tr -d '\r' <head | tr A-Z a-z | sed -n "s/^$1: //p"; }
member() { sed -n "s/.*\"$1\":\"\{0,1\}\([^\",]*\)\"\{0,1\},\"$2\".*/\1/p" answer; }
# The job's state, and what GitLab says of it.
state() {
  printf '{"token":"%s",%s}' "$token" "$1" >body
  ask PUT "jobs/$job" body 'Content-Type: application/json' "JOB-TOKEN: $token"
  status=$(header job-status)
  case "$code $status" in
    *' failed' | *' canceled' | '403 '*) log warning "\"code\":$code,\"job\":$job,\"job-status\":\"$status\",\"msg\":\"Submitting job to coordinator... job failed\"" ;;
    *) log info "\"code\":$code,\"job\":$job,\"job-status\":\"$status\",\"msg\":\"Submitting job to coordinator...ok\"" ;;
  esac
}
ended() { log "$1" "\"duration_s\":0.5,\"job\":$job,\"job-status\":\"$2\",$3"; }
run() {
  job=$(member id image) token=$(member token variables) script=$(sed -n 's/.*"script":\["\([^]]*\)"\].*/\1/p' answer)
  log info "\"job\":$job,\"msg\":\"Checking for jobs... received\""
  state '"state":"running"'
  case "$status" in canceled | canceling | failed) return ;; esac
  { echo 'Running with gitlab-runner'; exec sh -c "$script"; } >trace 2>&1 & child=$!
  await abort
  ask PATCH "jobs/$job/trace?debug_trace=false" trace 'Content-Type: text/plain' "JOB-TOKEN: $token" \
    "Content-Range: 0-$(($(wc -c <trace) - 1))"
  # The end is told before it is reported.
  if [ "$terms" -gt 0 ]; then
    ended warning failed '"exit_code":0,"failure_reason":"runner_interrupted","msg":"Job failed: aborted: terminated"'
    state '"state":"failed","failure_reason":"runner_interrupted"'
  elif [ "$result" = 0 ]; then
    ended info success '"msg":"Job succeeded"'
    state '"state":"success"'
  else
    ended warning failed "\"exit_code\":$result,\"msg\":\"Job failed: exit status $result\""
    state "\"state\":\"failed\",\"failure_reason\":\"script_failure\",\"exit_code\":$result"
  fi
  [ -z "$single" ] || finished=1
}
log info "\"msg\":\"Starting runner for ${API%/api/v4} with token t1_abc ...\""
while [ -z "$finished" ]; do
  printf '{"token":"%s","system_id":"s_1","last_update":"%s","info":{"name":"gitlab-runner"}}' "$CREDENTIAL" "$update" >body
  ask POST jobs/request body 'Content-Type: application/json' "RUNNER-TOKEN: $CREDENTIAL"
  case "$code" in
    201) run ;;
    204) update=$(header x-gitlab-last-update); pause 0.05 ;;
    403)
      log error "\"msg\":\"Checking for jobs... forbidden\",\"status\":\"POST $API/jobs/request: 403 Forbidden\""
      log info '"msg":"Runner is not healthy!"'
      pause 300 ;;
    *) log warning "\"msg\":\"Checking for jobs... failed\",\"status\":\"$code\""; pause 0.05 ;;
  esac
done
"#;
const BITBUCKET: &str = r#"
case "$1 $2" in
  'container run') ;;
  'pull --quiet') echo "$3" >>"$ROOT/pulled"; echo 'Error: no route to the registry' >&2; exit 1 ;;
  'container stop') kill -TERM "$(cat "$ROOT/docker.pid")"; exit 0 ;;
  *) exit 1 ;;
esac
echo $$ >"$ROOT/docker.pid"
CREDENTIAL=$(sed -n 's/^OAUTH_CLIENT_SECRET=//p' "$7")
trap 'tell offline; exit 143' INT TERM
tell online; printf '[2026-01-31 12:00:00,941] Updating runner status to "ONLINE" and checking for new steps.\n'
until_there go
tell busy
printf '[2026-01-31 12:00:01,941] Getting step StepId{accountUuid={a}, repositoryUuid={r}, pipelineUuid={p}, stepUuid={s}}.\n'
until_there end
printf '[2026-01-31 12:00:02,941] Completing step with result Result{status=PASSED, error=None}.\n'
sleep 0.3; tell done
until_there never
"#;
/// The server holds requests for GitLab's jobs so long; 50 seconds on gitlab.com.
const HOLD: Duration = Duration::from_secs(2);

/// A forge's runner program, which reads `TELL` and `ROOT` in its environment.
pub fn program(vendor: Vendor) -> String {
    let own = match vendor {
        Vendor::GitHub => GITHUB,
        Vendor::GitLab => GITLAB,
        Vendor::Bitbucket => BITBUCKET,
    };
    format!("{COMMON}{own}")
}

/// Begins a job of the forge's only runner; it ends when there is a file `end` in the folder.
pub fn begin_job(vendor: Vendor, forge: &Forge, root: &Path) -> Option<u64> {
    if vendor == Vendor::GitLab {
        let end = root.join("end");
        return Some(forge.queue_job(&format!("until test -e '{}'; do sleep 0.05; done", end.display())));
    }
    std::fs::write(root.join("go"), "").unwrap();
    None
}

/// A machine with its forge.
pub struct RunnerFixture {
    pub vendor: Vendor,
    pub forge: Forge,
    pub cml: Cml,
}

impl RunnerFixture {
    pub fn new(vendor: Vendor) -> RunnerFixture {
        let forge = Forge::start();
        forge.configure_runners(|runners| runners.queue.hold = HOLD);
        let mut cml = Cml::on(&forge, vendor);
        let root = cml.path().display().to_string();
        cml.set("TELL", &forge.tell_url()).set("ROOT", &root).set("CML_RUNNER_PASS_ENV", "TELL,ROOT");
        cml.set("CML_GITLAB_RUNNER_DOWNLOADS", &forge.downloads_url()).set("CML_GITLAB_RUNNER_VERSION", "v1.2.3");
        cml.set("PATH", &format!("{root}/path:{}", cml.env["PATH"]));
        cml.set("RUNNER_TRACKING_ID", "github_1").set("BITBUCKET_STEP_UUID", "{step}");
        let fixture = RunnerFixture { vendor, forge, cml };
        fixture.put("path/docker", Vendor::Bitbucket);
        fixture.put("gitlab-runner", Vendor::GitLab);
        fixture.put("bin/Runner.Listener", Vendor::GitHub);
        let tar = ["--create", "--gzip", "--file", "runner.tar.gz", "bin"];
        assert!(Command::new("tar").args(tar).current_dir(fixture.cml.path()).status().unwrap().success());
        let bytes = |name: &str| std::fs::read(fixture.cml.path().join(name)).unwrap();
        let (x64, amd64) = if cfg!(target_arch = "aarch64") { ("arm64", "arm64") } else { ("x64", "amd64") };
        let (osx, darwin) = if cfg!(target_os = "macos") { ("osx", "darwin") } else { ("linux", "linux") };
        let (github, gitlab) = (bytes("runner.tar.gz"), bytes("gitlab-runner"));
        fixture.forge.offer_download(&format!("actions-runner-{osx}-{x64}-2.336.0.tar.gz"), &github);
        fixture.forge.offer_download(&format!("v1.2.3/binaries/gitlab-runner-{darwin}-{amd64}"), &gitlab);
        fixture
    }

    fn put(&self, name: &str, vendor: Vendor) {
        executable(&self.cml.path().join(name), program(vendor));
    }

    /// The runners that the forge knows.
    pub fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    /// Begins a job, which ends when there is a file `end`.
    pub fn begin_job(&self) -> Option<u64> {
        begin_job(self.vendor, &self.forge, self.cml.path())
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.cml.run(&[&["runner"], args].concat())
    }

    /// Starts a launch; its log is in the file of that name.
    pub fn launch(&self, name: &str, args: &[&str]) -> Launch {
        let log = self.cml.path().join(name);
        let mut command = self.cml.command(&[&["runner", "launch"], args].concat());
        let child = command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        Launch { child, log: log.display().to_string() }
    }

    /// Waits for something.
    pub fn until(&self, what: &str, there: impl Fn() -> bool) {
        eventually(what, there, || self.forge.transcript());
    }

    /// Nothing is left at the forge, nor on the machine but the folder of jobs and the cache.
    pub fn is_clean(&self) {
        assert!(self.runners().is_empty(), "{:?}", self.runners());
        let left: Vec<_> =
            files(&self.cml.path().join(".cml")).into_iter().filter(|path| !path.contains("_work")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let below = |path: std::path::PathBuf| if path.is_dir() { files(&path) } else { vec![path.display().to_string()] };
    entries.flat_map(|entry| below(entry.unwrap().path())).collect()
}

/// A launch under way.
pub struct Launch {
    child: Child,
    log: String,
}

impl Launch {
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits for a word in its log.
    pub fn until(&self, word: &str) {
        eventually(word, || self.log().contains(word), || self.log());
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn kill(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ran {
        let end = Instant::now() + TIMEOUT;
        while !self.is_over() {
            assert!(Instant::now() < end, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        let code = self.child.wait().unwrap().code();
        Ran { code, stdout: String::new(), stderr: self.log() }
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The states of the runner that a log tells, and how it ended.
pub fn events(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let word = |line: &Value, name: &str| line[name].as_str().map(str::to_owned);
    let event = |line: Value| {
        let status = word(&line, "status")?;
        Some(word(&line, "reason").map_or(status.clone(), |reason| format!("{status}: {reason}")))
    };
    lines.filter_map(event).collect()
}
