//! The runner program of GitHub, <https://github.com/actions/runner>: how to start it, and what its lines and exit codes
//! mean.
//!
//! It is the listener itself, `bin/Runner.Listener run`: `run.sh` around it hides exit codes and passes no signals on.

use super::runners::{JIT, ORGANISATION};
use crate::digest::hash;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runners::{
    Behavior, CheckedFile, Event, ExitDisposition, Job, JobResult, Registration, RunnerConfig, RunnerProcess,
    hook_script,
};
use crate::host::Signal;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// How long the listener takes to cancel a job, to send its log and to report it. SIGINT has no limit of its own there; a
/// step has 10 seconds (`ProcessInvoker.cs`), the report five attempts five seconds apart (`JobRunner.cs`).
const GRACE: Duration = Duration::from_secs(40);
/// How long the listener may take to report its job before it ends.
const LINGER: Duration = Duration::from_secs(120);
/// How long `run.sh` waits before it restarts a listener that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long `run.sh` waits for an update.
const UPDATE_PAUSE: Duration = Duration::from_secs(30);

const BEHAVIOR: Behavior = Behavior {
    drain: Signal::Interrupt,
    interrupt: Signal::Interrupt,
    grace: GRACE,
    drain_grace: GRACE,
    linger: LINGER,
    second_interrupt: None,
    confirm_after: None,
    one_at_a_time: true,
    poll: None,
    one_job_each: true,
    delete_first: true,
};

/// The listener takes its options from variables too, and removes them from its environment: `CommandSettings.cs`.
const JIT_VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
/// The variable without which an outdated version exits like any other failure: `Constants.cs`.
const TELL_OLD_VERSION: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";

/// The script that the runner calls before each job.
const HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// Runs the user's own hook after ours, as the runner itself would (`JobHookProvider.cs`).
const USERS_HOOK: &str = r#"case ${CML_ACTIONS_RUNNER_HOOK_JOB_STARTED-} in
  '') ;;
  *.ps1) exec pwsh -command ". '$CML_ACTIONS_RUNNER_HOOK_JOB_STARTED'" ;;
  *) exec bash --noprofile --norc -e -o pipefail "$CML_ACTIONS_RUNNER_HOOK_JOB_STARTED" ;;
esac
"#;
/// The files in which the listener stores a registration (`HostContext.cs`), which it prefers to a new one.
const OWN_FILES: &[&str] = &[
    ".runner",
    ".runner_migrated",
    ".credentials",
    ".credentials_migrated",
    ".credentials_rsaparams",
    ".credentials_rsaparams_migrated",
];

/// Refuses the folder of a runner that was configured by hand: its registration would be lost.
fn check_unconfigured(path: &Path, text: &str) -> Result<()> {
    let settings: Option<Map<String, Value>> = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok();
    let is_true =
        |value: &Value| value == &json!(true) || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let is_used_up = settings.is_none_or(|settings| {
        settings.iter().any(|(name, value)| name.eq_ignore_ascii_case("ephemeral") && is_true(value))
    });
    is_used_up.then_some(()).ok_or_else(|| {
        Error::config(format!("the runner of --runner-path is registered already ({})", path.display()))
            .hint("give a folder with an unpacked runner that has not been configured, or unregister that one with: ./config.sh remove")
    })
}

/// Refuses a folder whose `.env` file sets our hook: it takes precedence over the environment.
fn check_without_hook(path: &Path, text: &str) -> Result<()> {
    let is_set = text.lines().any(|line| line.split_once('=').is_some_and(|(name, _)| name.trim() == HOOK));
    (!is_set).then_some(()).ok_or_else(|| {
        Error::config(format!("{} sets {HOOK}, which cml needs itself", path.display()))
            .hint(format!("remove the line, set the variable in the environment, and pass --pass-env {HOOK}: cml then calls that script, too"))
    })
}

/// Returns how to run the runner of a registration.
pub fn runner_process(registration: &Registration, config: &RunnerConfig) -> Result<RunnerProcess> {
    let credential = &registration.credential;
    let jit = credential.get(JIT).ok_or_else(|| {
        Error::config(format!("the registration of runner {} has no just-in-time configuration", registration.name))
            .hint("register it again")
    })?;
    let started = config.hooks.join("started.sh");
    let variables = ["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "GITHUB_REPOSITORY"];
    let (configuration, label) = adjusted_jit_config(jit, config);
    let env = vec![
        (JIT_VARIABLE.to_owned(), configuration),
        (TELL_OLD_VERSION.to_owned(), Secret::new("1")),
        // <https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/run-scripts>
        (HOOK.to_owned(), Secret::new(started.display().to_string())),
    ];
    let hook = hook_script(&config.hook_log(), "started", &variables) + USERS_HOOK;
    let files = vec![(started, Secret::new(hook))];
    let parse_hook =
        if registration.settings.contains_key(ORGANISATION) { parse_organization_hook_line } else { parse_hook_line };
    Ok(RunnerProcess {
        argv: vec![config.program.join("bin/Runner.Listener").display().to_string(), "run".to_owned()],
        env,
        files,
        own_files: OWN_FILES.iter().map(|name| config.program.join(name)).collect(),
        checked_files: vec![
            CheckedFile { path: config.program.join(".runner"), check: check_unconfigured },
            CheckedFile { path: config.program.join(".env"), check: check_without_hook },
        ],
        logs: Some(config.program.join("_diag")),
        parse_line,
        parse_hook_line: Some(parse_hook),
        interpret_exit,
        behavior: BEHAVIOR,
        containers: label.map(|label| format!("label={label}")),
        env_file: None,
        stop: None,
    })
}

/// Returns the configuration with our working directory, for one job, and without updates of the program: those would run
/// unsupervised, and the program is the newest one. One that cannot be parsed is passed on unchanged. Also returns the label
/// of its containers: the listener derives that from the settings' text (`DockerCommandManager.cs`).
fn adjusted_jit_config(jit: &Secret, config: &RunnerConfig) -> (Secret, Option<String>) {
    let changed = || {
        let mut files: Map<String, Value> = serde_json::from_slice(&decode(jit.expose())?).ok()?;
        let settings = decode(files.get(".runner")?.as_str()?)?;
        let settings = settings.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&settings);
        let mut settings: Map<String, Value> = serde_json::from_slice(settings).ok()?;
        settings
            .retain(|name, _| !["workfolder", "disableupdate", "ephemeral"].contains(&name.to_lowercase().as_str()));
        settings.insert("workFolder".to_owned(), json!(config.work));
        settings.insert("disableUpdate".to_owned(), json!(true));
        // What makes the listener end after its job.
        settings.insert("ephemeral".to_owned(), json!(true));
        let settings = Value::Object(settings).to_string();
        let label = hash(settings.to_lowercase().as_bytes())[..6].to_owned();
        files.insert(".runner".to_owned(), json!(BASE64_STANDARD.encode(settings)));
        Some((Secret::new(BASE64_STANDARD.encode(Value::Object(files).to_string())), Some(label)))
    };
    changed().unwrap_or_else(|| (jit.clone(), None))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text.trim()).ok()
}

/// Parses lines of `Runner.cs`, `JobDispatcher.cs` and `MessageListener.cs`. The name of a job is untrusted text.
fn parse_line(line: &str) -> Option<Event> {
    let line = line.trim_end();
    if let Some(text) = after_time(line) {
        if text == "Listening for Jobs" {
            return Some(Event::Ready);
        }
        if let Some(name) = text.strip_prefix("Running job: ") {
            return Some(Event::Started(Job { name: Some(name.to_owned()), ..Job::default() }));
        }
        if let Some(job) = text.strip_prefix("Job ") {
            let (_, result) = job.rsplit_once(" completed with result: ")?;
            let result = match result {
                "Succeeded" | "SucceededWithIssues" => JobResult::Succeeded,
                "Failed" | "Skipped" => JobResult::Failed,
                "Canceled" | "Abandoned" => JobResult::Canceled,
                _ => return None,
            };
            return Some(Event::Ended { job: None, result });
        }
        return text.starts_with("Runner connect error: ").then(|| Event::Trouble(text.to_owned()));
    }
    if line.starts_with("The runner no longer exists on the server.")
        || line.starts_with("Failed to create a session. The runner registration has been deleted from the server")
    {
        return Some(Event::Deregistered);
    }
    let troubles = [
        "An error occurred: ",
        "Failed to create session. ",
        "A session for this runner already exists.",
        "The local machine's clock may be out of sync",
        "Fail to create and validate runner's work directory",
    ];
    // .NET's own.
    if line.starts_with("Process terminated. Couldn't find a valid ICU package") {
        return Some(Event::Unusable {
            what: "the runner program cannot find libicu on this computer",
            hint: "install it (Debian, Ubuntu: apt-get install libicu-dev; Fedora, Amazon Linux: dnf install libicu), or do without it: \
                set DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 and pass --pass-env DOTNET_SYSTEM_GLOBALIZATION_INVARIANT",
        });
    }
    troubles.iter().any(|known| line.starts_with(known)).then(|| Event::Trouble(line.to_owned()))
}

/// Returns what follows `2026-01-31 12:00:00Z: `.
fn after_time(line: &str) -> Option<&str> {
    const FORM: &[u8] = b"0000-00-00 00:00:00Z: ";
    let fits = line.len() >= FORM.len()
        && line.bytes().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form });
    if fits { line.get(FORM.len()..) } else { None }
}

/// Parses a line that the hooks of [`runner_process`] wrote.
fn parse_hook_line(line: &str) -> Option<Event> {
    let mut fields = line.trim_end_matches('\n').split('\t');
    if fields.next() != Some("started") {
        return None;
    }
    let run = fields.next().filter(|run| !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_digit()));
    let attempt = fields.next().and_then(|attempt| attempt.parse().ok());
    Some(Event::Started(Job { rerun: run.map(str::to_owned), attempt, ..Job::default() }))
}

/// Parses the same line for the runner of an organisation: runs belong to any repository, so that their ids are not enough.
fn parse_organization_hook_line(line: &str) -> Option<Event> {
    match parse_hook_line(line)? {
        Event::Started(job) => Some(Event::Started(Job { rerun: None, ..job })),
        event => Some(event),
    }
}

/// Interprets the exit codes of `Constants.Runner.ReturnCode`.
fn interpret_exit(code: Option<i32>, last: Option<JobResult>) -> ExitDisposition {
    let failed = |what: &str| {
        ExitDisposition::Failed(
            Error::remote(what.to_owned()).hint("run this with --log debug to see the program's output"),
        )
    };
    match code {
        Some(0) => ExitDisposition::Completed,
        // It lost the forge while the job ran, and cancelled it (`Runner.cs`).
        Some(2) if last == Some(JobResult::Canceled) => ExitDisposition::JobLost,
        // Its registration ended with its job: <https://github.com/actions/runner/issues/3822>.
        Some(2) if last.is_some() => ExitDisposition::Completed,
        Some(2 | 6) => ExitDisposition::Restart(RETRY_PAUSE),
        Some(3 | 4) => ExitDisposition::Restart(UPDATE_PAUSE),
        Some(5) => ExitDisposition::Failed(
            Error::conflict("another runner program is using the same registration")
                .hint("launch a new runner: a registration is good for one runner program"),
        ),
        Some(7) => ExitDisposition::Failed(
            Error::unsupported("GitHub no longer accepts this version of the runner program")
                .hint("leave out --runner-path to download the newest version"),
        ),
        Some(1) => failed("the runner program gave up (exit code 1)"),
        Some(code) => failed(&format!("the runner program exited with code {code}")),
        None => failed("the runner program was killed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn ended(result: JobResult) -> Option<Event> {
        Some(Event::Ended { job: None, result })
    }

    fn started(name: &str) -> Option<Event> {
        Some(Event::Started(Job { name: Some(name.to_owned()), ..Job::default() }))
    }

    fn config() -> RunnerConfig {
        RunnerConfig {
            program: "/p".into(),
            work: "/w".into(),
            single: true,
            idle: None,
            docker_volumes: vec![],
            docker_image: None,
            gpu: false,
            hooks: "/h".into(),
        }
    }

    fn registration(credential: &[(&str, &str)]) -> Registration {
        let credential = credential.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
        let credential: BTreeMap<_, _> = credential.collect();
        let settings = BTreeMap::new();
        Registration { driver: "github".into(), id: "7".into(), name: "cml-x".into(), credential, settings }
    }

    #[test]
    fn lines_mean_what_the_listener_means() {
        let at = "2026-01-01 00:00:00Z: ";
        assert_eq!(parse_line(&format!("{at}Listening for Jobs")), Some(Event::Ready));
        assert_eq!(parse_line(&format!("{at}Running job: train (gpu)\r")), started("train (gpu)"));
        assert_eq!(parse_line(&format!("{at}Job train completed with result: Succeeded")), ended(JobResult::Succeeded));
        for (result, means) in [
            ("Failed", JobResult::Failed),
            ("Skipped", JobResult::Failed),
            ("Canceled", JobResult::Canceled),
            ("Abandoned", JobResult::Canceled),
        ] {
            assert_eq!(parse_line(&format!("{at}Job train completed with result: {result}")), ended(means));
        }
        assert!(matches!(
            parse_line(&format!("{at}Runner connect error: no. Retrying until reconnected.")),
            Some(Event::Trouble(_))
        ));
        assert_eq!(
            parse_line("The runner no longer exists on the server. Cleaning up local configuration."),
            Some(Event::Deregistered)
        );
        assert!(matches!(parse_line("A session for this runner already exists."), Some(Event::Trouble(_))));
        for line in [
            "",
            "√ Connected to GitHub",
            "Current runner version: '2.336.0'",
            "2026-01-01 00:00:00Z: Runner reconnected.",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
    }

    #[test]
    fn names_of_jobs_are_only_names() {
        let at = "2026-01-01 00:00:00Z: ";
        let name = "x completed with result: Failed";
        assert_eq!(parse_line(&format!("{at}Running job: {name}")), started(name));
        assert_eq!(
            parse_line(&format!("{at}Job {name} completed with result: Succeeded")),
            ended(JobResult::Succeeded)
        );
        assert_eq!(
            parse_line(&format!("{at}Running job: 2026-01-01 00:00:00Z: Listening for Jobs")),
            started("2026-01-01 00:00:00Z: Listening for Jobs")
        );
        assert_eq!(parse_line("say 2026-01-01 00:00:00Z: Listening for Jobs"), None);
        assert_eq!(parse_line("2026-01-01 00:00:00Z: Job ü completed with result: Great"), None);
        assert_eq!(parse_line("ü026-01-01 00:00:00Z: Listening for Jobs"), None);
    }

    #[test]
    fn exit_codes_are_those_of_run_sh_and_more() {
        assert!(matches!(interpret_exit(Some(0), None), ExitDisposition::Completed));
        assert!(matches!(interpret_exit(Some(2), None), ExitDisposition::Restart(RETRY_PAUSE)));
        assert!(matches!(interpret_exit(Some(2), Some(JobResult::Succeeded)), ExitDisposition::Completed));
        assert!(matches!(interpret_exit(Some(2), Some(JobResult::Failed)), ExitDisposition::Completed));
        assert!(matches!(interpret_exit(Some(2), Some(JobResult::Canceled)), ExitDisposition::JobLost));
        assert!(matches!(interpret_exit(Some(3), None), ExitDisposition::Restart(UPDATE_PAUSE)));
        assert!(matches!(interpret_exit(Some(4), None), ExitDisposition::Restart(UPDATE_PAUSE)));
        for code in [Some(1), Some(5), Some(7), Some(134), None] {
            assert!(matches!(interpret_exit(code, None), ExitDisposition::Failed(_)), "{code:?}");
        }
    }

    #[test]
    fn the_configuration_is_in_the_environment_only() {
        let settings =
            BASE64_STANDARD.encode("\u{feff}{\"AgentId\":7,\"WorkFolder\":\"_work\",\"DisableUpdate\":\"False\"}");
        let jit = BASE64_STANDARD.encode(json!({ ".runner": settings, ".credentials": "e30=" }).to_string());
        let runner = runner_process(&registration(&[("jit", &jit)]), &config()).unwrap();
        assert_eq!(runner.argv, ["/p/bin/Runner.Listener", "run"]);
        let env: BTreeMap<_, _> = runner.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let files: Value = serde_json::from_slice(&decode(env[JIT_VARIABLE]).unwrap()).unwrap();
        assert_eq!(files[".credentials"], "e30=");
        let settings: Value = serde_json::from_slice(&decode(files[".runner"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(settings, json!({ "AgentId": 7, "workFolder": "/w", "disableUpdate": true, "ephemeral": true }));
        let text = BASE64_STANDARD.decode(files[".runner"].as_str().unwrap()).unwrap();
        let lower = String::from_utf8(text).unwrap().to_lowercase();
        let label = format!("label={}", &hash(lower.as_bytes())[..6]);
        assert_eq!(runner.containers.unwrap(), label, "as DockerCommandManager.cs makes it");
        assert_eq!(env["ACTIONS_RUNNER_HOOK_JOB_STARTED"], "/h/started.sh");
        assert_eq!(runner.files.len(), 1);
        // What is not understood is GitHub's matter.
        let runner = super::runner_process(&registration(&[("jit", "opaque")]), &config()).unwrap();
        assert_eq!(runner.env[0].1.expose(), "opaque");
        assert!(super::runner_process(&registration(&[]), &config()).is_err());
    }

    #[test]
    fn folders_of_other_runners_are_not_used() {
        let path = Path::new("/r/.runner");
        for used_up in ["{\"AgentId\":7,\"Ephemeral\":true}", "\u{feff}{\"ephemeral\":\"True\"}", "", "broken"] {
            assert!(check_unconfigured(path, used_up).is_ok(), "{used_up}");
        }
        for configured in ["{\"AgentId\":7}", "\u{feff}{\"agentId\":7,\"ephemeral\":false}"] {
            let error = check_unconfigured(path, configured).unwrap_err();
            assert_eq!(error.to_string(), "the runner of --runner-path is registered already (/r/.runner)");
        }
        let path = Path::new("/r/.env");
        assert!(
            check_without_hook(
                path,
                "LANG=C.UTF-8\n# ACTIONS_RUNNER_HOOK_JOB_STARTED\nACTIONS_RUNNER_HOOK_JOB_COMPLETED=/x.sh"
            )
            .is_ok()
        );
        let error = check_without_hook(path, "LANG=C\r\nACTIONS_RUNNER_HOOK_JOB_STARTED=/x.sh\r\n").unwrap_err();
        assert_eq!(error.to_string(), "/r/.env sets ACTIONS_RUNNER_HOOK_JOB_STARTED, which cml needs itself");
    }

    #[test]
    fn hooks_tell_the_run() {
        let run = Job { rerun: Some("99".into()), attempt: Some(2), ..Job::default() };
        assert_eq!(parse_hook_line("started\t99\t2\ttrain\to/r\n"), Some(Event::Started(run.clone())));
        assert_eq!(
            parse_organization_hook_line("started\t99\t2\ttrain\to/r"),
            Some(Event::Started(Job { rerun: None, ..run }))
        );
        assert_eq!(parse_hook_line("completed\t99"), None);
        assert_eq!(parse_hook_line("started\tx\t\t\t"), Some(Event::Started(Job::default())));
        let mut registration = registration(&[("jit", "x")]);
        registration.settings.insert(ORGANISATION.to_owned(), "octo".to_owned());
        let runner = runner_process(&registration, &config()).unwrap();
        assert_eq!(
            runner.parse_hook_line.unwrap()("started\t99\t1\tj\to/r"),
            Some(Event::Started(Job { attempt: Some(1), ..Job::default() }))
        );
    }
}
