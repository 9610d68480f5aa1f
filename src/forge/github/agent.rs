//! The runner program of GitHub, <https://github.com/actions/runner>: what it is started with, what its lines and exit
//! codes mean.
//!
//! It is the listener itself, `bin/Runner.Listener run`: `run.sh` around it hides exit codes and passes no signals on.

use super::runners::{JIT, ORGANISATION};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::hash;
use crate::forge::runner::{Agent, CheckedFile, Ending, Event, Job, JobResult, Place, Registration, hook_script};
use crate::host::Signal;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;

/// What the listener takes to cancel a job, to send its log and to report it. SIGINT has no limit of its own there; a step has
/// 10 seconds (`ProcessInvoker.cs`), the report five tries five seconds apart (`JobRunner.cs`).
const GRACE: Duration = Duration::from_secs(40);
/// A listener that has run its job ends when it has reported it.
const LINGER: Duration = Duration::from_secs(120);
/// `run.sh` waits so long before it starts a listener again that failed.
const RETRY: Duration = Duration::from_secs(5);
/// `run.sh` waits so long for an update.
const UPDATE: Duration = Duration::from_secs(30);

/// The listener takes its options from variables too, and removes them from its environment: `CommandSettings.cs`.
const JIT_VARIABLE: &str = "ACTIONS_RUNNER_INPUT_JITCONFIG";
/// Without it a version that is too old ends as any other failure: `Constants.cs`.
const TELL_OLD_VERSION: &str = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE";

/// The script that the runner calls before each job.
const HOOK: &str = "ACTIONS_RUNNER_HOOK_JOB_STARTED";
/// The user's own one comes after ours, as the runner itself would call it (`JobHookProvider.cs`).
const USERS_HOOK: &str = r#"case ${CML_ACTIONS_RUNNER_HOOK_JOB_STARTED-} in
  '') ;;
  *.ps1) exec pwsh -command ". '$CML_ACTIONS_RUNNER_HOOK_JOB_STARTED'" ;;
  *) exec bash --noprofile --norc -e -o pipefail "$CML_ACTIONS_RUNNER_HOOK_JOB_STARTED" ;;
esac
"#;
/// What the listener keeps beside itself of a registration (`HostContext.cs`), and prefers to another one where it is left.
const OWN_FILES: &[&str] = &[
    ".runner",
    ".runner_migrated",
    ".credentials",
    ".credentials_migrated",
    ".credentials_rsaparams",
    ".credentials_rsaparams_migrated",
];

/// Refuses the folder of a runner that somebody configured by hand: its registration would be lost.
fn unconfigured(path: &Path, text: &str) -> Result<()> {
    let settings: Option<Map<String, Value>> = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok();
    let is_true =
        |value: &Value| value == &json!(true) || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let is_used_up = settings.is_none_or(|settings| {
        settings.iter().any(|(name, value)| name.eq_ignore_ascii_case("ephemeral") && is_true(value))
    });
    is_used_up.then_some(()).ok_or_else(|| {
        Error::config(format!("the runner of --runner-path is registered already ({})", path.display()))
            .hint("give a folder with an unpacked runner that was not configured, or remove that one with: ./config.sh remove")
    })
}

/// Refuses a folder whose environment file takes the place of our hook: it counts more than the environment.
fn without_hook(path: &Path, text: &str) -> Result<()> {
    let is_set = text.lines().any(|line| line.split_once('=').is_some_and(|(name, _)| name.trim() == HOOK));
    (!is_set).then_some(()).ok_or_else(|| {
        Error::config(format!("{} sets {HOOK}, which cml needs itself", path.display()))
            .hint(format!("take the line out, set the variable in the environment, and give --pass-env {HOOK}: cml then calls that script, too"))
    })
}

/// How the runner of a registration is run.
pub fn agent(registration: &Registration, place: &Place) -> Result<Agent> {
    let credential = &registration.credential;
    let jit = credential.get(JIT).ok_or_else(|| {
        Error::config(format!("the registration of runner {} has no just-in-time configuration", registration.name))
            .hint("register it again")
    })?;
    let started = place.hooks.join("started.sh");
    let variables = ["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "GITHUB_REPOSITORY"];
    let (configuration, label) = configured(jit, place);
    let env = vec![
        (JIT_VARIABLE.to_owned(), configuration),
        (TELL_OLD_VERSION.to_owned(), Secret::new("1")),
        // <https://docs.github.com/en/actions/how-tos/manage-runners/self-hosted-runners/run-scripts>
        (HOOK.to_owned(), Secret::new(started.display().to_string())),
    ];
    let hook = hook_script(&place.journal(), "started", &variables) + USERS_HOOK;
    let files = vec![(started, Secret::new(hook))];
    let hook = if registration.settings.contains_key(ORGANISATION) { began_elsewhere } else { began };
    Ok(Agent {
        argv: vec![place.program.join("bin/Runner.Listener").display().to_string(), "run".to_owned()],
        env,
        files,
        own_files: OWN_FILES.iter().map(|name| place.program.join(name)).collect(),
        checked_files: vec![
            CheckedFile { path: place.program.join(".runner"), check: unconfigured },
            CheckedFile { path: place.program.join(".env"), check: without_hook },
        ],
        logs: Some(place.program.join("_diag")),
        reads,
        hook: Some(hook),
        ends,
        drain: Signal::Interrupt,
        interrupt: Signal::Interrupt,
        grace: GRACE,
        drain_grace: GRACE,
        linger: LINGER,
        second_interrupt: None,
        confirm_after: None,
        one_at_a_time: true,
        poll: None,
        containers: label.map(|label| format!("label={label}")),
        env_file: None,
        stop: None,
        one_job_each: true,
        delete_first: true,
    })
}

/// The configuration with this machine's folder for jobs, for one job, and without updates of the program: those would take
/// place outside of the supervision, and the program is the newest one. One that is not understood is passed on as it is.
/// With it comes the label of its containers: the listener makes that of the settings' text (`DockerCommandManager.cs`).
fn configured(jit: &Secret, place: &Place) -> (Secret, Option<String>) {
    let changed = || {
        let mut files: Map<String, Value> = serde_json::from_slice(&decode(jit.expose())?).ok()?;
        let settings = decode(files.get(".runner")?.as_str()?)?;
        let settings = settings.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&settings);
        let mut settings: Map<String, Value> = serde_json::from_slice(settings).ok()?;
        settings
            .retain(|name, _| !["workfolder", "disableupdate", "ephemeral"].contains(&name.to_lowercase().as_str()));
        settings.insert("workFolder".to_owned(), json!(place.work));
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

/// Lines of `Runner.cs`, `JobDispatcher.cs` and `MessageListener.cs`. The name of a job is anybody's text.
fn reads(line: &str) -> Option<Event> {
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
            what: "the runner program does not find libicu on this machine",
            hint: "install it (Debian, Ubuntu: apt-get install libicu-dev; Fedora, Amazon Linux: dnf install libicu), or do without: \
                set DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 and give --pass-env DOTNET_SYSTEM_GLOBALIZATION_INVARIANT",
        });
    }
    troubles.iter().any(|known| line.starts_with(known)).then(|| Event::Trouble(line.to_owned()))
}

/// What follows `2026-01-31 12:00:00Z: `.
fn after_time(line: &str) -> Option<&str> {
    const FORM: &[u8] = b"0000-00-00 00:00:00Z: ";
    let fits = line.len() >= FORM.len()
        && line.bytes().zip(FORM).all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form });
    if fits { line.get(FORM.len()..) } else { None }
}

/// A line that the hooks of [`agent`] wrote.
fn began(line: &str) -> Option<Event> {
    let mut fields = line.trim_end_matches('\n').split('\t');
    if fields.next() != Some("started") {
        return None;
    }
    let run = fields.next().filter(|run| !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_digit()));
    let attempt = fields.next().and_then(|attempt| attempt.parse().ok());
    Some(Event::Started(Job { rerun: run.map(str::to_owned), attempt, ..Job::default() }))
}

/// The same for the runner of an organisation: runs are those of any repository, so that their numbers say too little.
fn began_elsewhere(line: &str) -> Option<Event> {
    match began(line)? {
        Event::Started(job) => Some(Event::Started(Job { rerun: None, ..job })),
        event => Some(event),
    }
}

/// `Constants.Runner.ReturnCode`.
fn ends(code: Option<i32>, last: Option<JobResult>) -> Ending {
    let failed = |what: &str| {
        Ending::Failed(Error::remote(what.to_owned()).hint("run this with --log debug to read what the program says"))
    };
    match code {
        Some(0) => Ending::Done,
        // It lost the forge while the job ran, and cancelled it (`Runner.cs`).
        Some(2) if last == Some(JobResult::Canceled) => Ending::JobCut,
        // Its registration ended with its job: <https://github.com/actions/runner/issues/3822>.
        Some(2) if last.is_some() => Ending::Done,
        Some(2 | 6) => Ending::Again(RETRY),
        Some(3 | 4) => Ending::Again(UPDATE),
        Some(5) => Ending::Failed(
            Error::conflict("another runner program uses the same registration")
                .hint("launch a new runner; one registration is good for one machine"),
        ),
        Some(7) => Ending::Failed(
            Error::unsupported("GitHub does not accept this version of the runner program any more")
                .hint("leave --runner-path out, so that the newest one is downloaded"),
        ),
        Some(1) => failed("the runner program gave up (exit code 1)"),
        Some(code) => failed(&format!("the runner program ended with exit code {code}")),
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

    fn place() -> Place {
        Place {
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
        assert_eq!(reads(&format!("{at}Listening for Jobs")), Some(Event::Ready));
        assert_eq!(reads(&format!("{at}Running job: train (gpu)\r")), started("train (gpu)"));
        assert_eq!(reads(&format!("{at}Job train completed with result: Succeeded")), ended(JobResult::Succeeded));
        for (result, means) in [
            ("Failed", JobResult::Failed),
            ("Skipped", JobResult::Failed),
            ("Canceled", JobResult::Canceled),
            ("Abandoned", JobResult::Canceled),
        ] {
            assert_eq!(reads(&format!("{at}Job train completed with result: {result}")), ended(means));
        }
        assert!(matches!(
            reads(&format!("{at}Runner connect error: no. Retrying until reconnected.")),
            Some(Event::Trouble(_))
        ));
        assert_eq!(
            reads("The runner no longer exists on the server. Cleaning up local configuration."),
            Some(Event::Deregistered)
        );
        assert!(matches!(reads("A session for this runner already exists."), Some(Event::Trouble(_))));
        for line in [
            "",
            "√ Connected to GitHub",
            "Current runner version: '2.336.0'",
            "2026-01-01 00:00:00Z: Runner reconnected.",
        ] {
            assert_eq!(reads(line), None, "{line}");
        }
    }

    #[test]
    fn names_of_jobs_are_only_names() {
        let at = "2026-01-01 00:00:00Z: ";
        let name = "x completed with result: Failed";
        assert_eq!(reads(&format!("{at}Running job: {name}")), started(name));
        assert_eq!(reads(&format!("{at}Job {name} completed with result: Succeeded")), ended(JobResult::Succeeded));
        assert_eq!(
            reads(&format!("{at}Running job: 2026-01-01 00:00:00Z: Listening for Jobs")),
            started("2026-01-01 00:00:00Z: Listening for Jobs")
        );
        assert_eq!(reads("say 2026-01-01 00:00:00Z: Listening for Jobs"), None);
        assert_eq!(reads("2026-01-01 00:00:00Z: Job ü completed with result: Great"), None);
        assert_eq!(reads("ü026-01-01 00:00:00Z: Listening for Jobs"), None);
    }

    #[test]
    fn exit_codes_are_those_of_run_sh_and_more() {
        assert!(matches!(ends(Some(0), None), Ending::Done));
        assert!(matches!(ends(Some(2), None), Ending::Again(RETRY)));
        assert!(matches!(ends(Some(2), Some(JobResult::Succeeded)), Ending::Done));
        assert!(matches!(ends(Some(2), Some(JobResult::Failed)), Ending::Done));
        assert!(matches!(ends(Some(2), Some(JobResult::Canceled)), Ending::JobCut));
        assert!(matches!(ends(Some(3), None), Ending::Again(UPDATE)));
        assert!(matches!(ends(Some(4), None), Ending::Again(UPDATE)));
        for code in [Some(1), Some(5), Some(7), Some(134), None] {
            assert!(matches!(ends(code, None), Ending::Failed(_)), "{code:?}");
        }
    }

    #[test]
    fn the_configuration_is_in_the_environment_only() {
        let settings =
            BASE64_STANDARD.encode("\u{feff}{\"AgentId\":7,\"WorkFolder\":\"_work\",\"DisableUpdate\":\"False\"}");
        let jit = BASE64_STANDARD.encode(json!({ ".runner": settings, ".credentials": "e30=" }).to_string());
        let agent = agent(&registration(&[("jit", &jit)]), &place()).unwrap();
        assert_eq!(agent.argv, ["/p/bin/Runner.Listener", "run"]);
        let env: BTreeMap<_, _> = agent.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let files: Value = serde_json::from_slice(&decode(env[JIT_VARIABLE]).unwrap()).unwrap();
        assert_eq!(files[".credentials"], "e30=");
        let settings: Value = serde_json::from_slice(&decode(files[".runner"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!(settings, json!({ "AgentId": 7, "workFolder": "/w", "disableUpdate": true, "ephemeral": true }));
        let text = BASE64_STANDARD.decode(files[".runner"].as_str().unwrap()).unwrap();
        let lower = String::from_utf8(text).unwrap().to_lowercase();
        let label = format!("label={}", &hash(lower.as_bytes())[..6]);
        assert_eq!(agent.containers.unwrap(), label, "as DockerCommandManager.cs makes it");
        assert_eq!(env["ACTIONS_RUNNER_HOOK_JOB_STARTED"], "/h/started.sh");
        assert_eq!(agent.files.len(), 1);
        // What is not understood is GitHub's matter.
        let agent = super::agent(&registration(&[("jit", "opaque")]), &place()).unwrap();
        assert_eq!(agent.env[0].1.expose(), "opaque");
        assert!(super::agent(&registration(&[]), &place()).is_err());
    }

    #[test]
    fn folders_of_other_runners_are_not_used() {
        let path = Path::new("/r/.runner");
        for used_up in ["{\"AgentId\":7,\"Ephemeral\":true}", "\u{feff}{\"ephemeral\":\"True\"}", "", "broken"] {
            assert!(unconfigured(path, used_up).is_ok(), "{used_up}");
        }
        for configured in ["{\"AgentId\":7}", "\u{feff}{\"agentId\":7,\"ephemeral\":false}"] {
            let error = unconfigured(path, configured).unwrap_err();
            assert_eq!(error.to_string(), "the runner of --runner-path is registered already (/r/.runner)");
        }
        let path = Path::new("/r/.env");
        assert!(
            without_hook(
                path,
                "LANG=C.UTF-8\n# ACTIONS_RUNNER_HOOK_JOB_STARTED\nACTIONS_RUNNER_HOOK_JOB_COMPLETED=/x.sh"
            )
            .is_ok()
        );
        let error = without_hook(path, "LANG=C\r\nACTIONS_RUNNER_HOOK_JOB_STARTED=/x.sh\r\n").unwrap_err();
        assert_eq!(error.to_string(), "/r/.env sets ACTIONS_RUNNER_HOOK_JOB_STARTED, which cml needs itself");
    }

    #[test]
    fn hooks_tell_the_run() {
        let run = Job { rerun: Some("99".into()), attempt: Some(2), ..Job::default() };
        assert_eq!(began("started\t99\t2\ttrain\to/r\n"), Some(Event::Started(run.clone())));
        assert_eq!(began_elsewhere("started\t99\t2\ttrain\to/r"), Some(Event::Started(Job { rerun: None, ..run })));
        assert_eq!(began("completed\t99"), None);
        assert_eq!(began("started\tx\t\t\t"), Some(Event::Started(Job::default())));
        let mut registration = registration(&[("jit", "x")]);
        registration.settings.insert(ORGANISATION.to_owned(), "octo".to_owned());
        let agent = agent(&registration, &place()).unwrap();
        assert_eq!(
            agent.hook.unwrap()("started\t99\t1\tj\to/r"),
            Some(Event::Started(Job { attempt: Some(1), ..Job::default() }))
        );
    }
}
