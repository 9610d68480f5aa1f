//! The runner program of GitLab, <https://docs.gitlab.com/runner/>: how to start it, and what its lines and exit codes mean.
//!
//! Its token is in a configuration file that it reads once: a shell executor gives its own environment to the jobs.

use super::runners::{TOKEN, URL};
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runners::JobResult::{self, Canceled, Failed, Succeeded};
use crate::forge::runners::{Behavior, Event, ExitDisposition, Job, Registration, RunnerConfig, RunnerProcess};
use crate::host::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The program aborts its jobs within 30 seconds (`common.DefaultShutdownTimeout`), and then tells GitLab.
const GRACE: Duration = Duration::from_secs(40);
/// SIGQUIT is handled between two requests for a job, which GitLab may hold for 50 seconds
/// (<https://docs.gitlab.com/ci/runners/long_polling/>).
const DRAIN_GRACE: Duration = Duration::from_secs(75);
/// The program logs how a job ended before GitLab knows, and retries that for many minutes (`common.DefaultUpdateInterval`
/// and growing pauses).
const LINGER: Duration = Duration::from_secs(20 * 60);
/// The second SIGTERM ends the program at once (`commands/single.go`), also within a request for a job.
const SECOND_INTERRUPT: Duration = Duration::from_millis(500);
/// The program's first line comes before its first request, whose refusal comes within this time.
const CONFIRM_AFTER: Duration = Duration::from_secs(3);
/// The supervisor watches the idle time; the program ends this much later by itself.
const IDLE_MARGIN: Duration = Duration::from_secs(60);

const BEHAVIOR: Behavior = Behavior {
    drain: Signal::Quit,
    interrupt: Signal::Terminate,
    grace: GRACE,
    drain_grace: DRAIN_GRACE,
    linger: LINGER,
    second_interrupt: Some(SECOND_INTERRUPT),
    confirm_after: Some(CONFIRM_AFTER),
    one_at_a_time: true,
    poll: None,
    one_job_each: false,
    delete_first: false,
};

/// Returns how to run the runner of a registration.
pub fn runner_process(registration: &Registration, config: &RunnerConfig) -> Result<RunnerProcess> {
    let (Some(url), Some(token)) = (registration.settings.get(URL), registration.credential.get(TOKEN)) else {
        return Err(Error::config(format!("the registration of runner {} has no token", registration.name))
            .hint("register it again"));
    };
    let config_file = config.hooks.join("config.toml");
    let args = ["--log-format=json", "run-single", "--config"].map(str::to_owned);
    let mut argv = vec![path(&config.program.join("gitlab-runner"))];
    argv.extend(args);
    argv.push(path(&config_file));
    argv.push(format!("--runner={}", registration.name));
    if let Some(idle) = config.idle {
        argv.push(format!("--wait-timeout={}", (idle + IDLE_MARGIN).as_secs()));
    }
    if config.single {
        argv.push("--max-builds=1".to_owned());
    }
    Ok(RunnerProcess {
        argv,
        env: Vec::new(),
        files: vec![(config_file, configuration(&registration.name, url, token, config))],
        own_files: Vec::new(),
        checked_files: Vec::new(),
        logs: None,
        parse_line,
        parse_hook_line: None,
        interpret_exit,
        behavior: BEHAVIOR,
        containers: None,
        env_file: None,
        stop: None,
    })
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// <https://docs.gitlab.com/runner/configuration/advanced-configuration/>. Strings are written as in JSON, which TOML
/// reads too.
fn configuration(name: &str, url: &str, token: &Secret, config: &RunnerConfig) -> Secret {
    let text = |text: &str| Value::from(text).to_string();
    let executor = if config.docker_image.is_some() { "docker" } else { "shell" };
    let mut lines = vec![
        "concurrent = 1".to_owned(),
        "[[runners]]".to_owned(),
        format!("name = {}", text(name)),
        format!("url = {}", text(url)),
        format!("token = {}", text(token.expose())),
        format!("executor = {}", text(executor)),
    ];
    match &config.docker_image {
        None => {
            lines.push(format!("builds_dir = {}", text(&path(&config.work))));
            lines.push(format!("cache_dir = {}", text(&path(&config.work.join("cache")))));
        }
        Some(image) => {
            let volumes = config.docker_volumes.iter().map(String::as_str).chain(["/cache"]);
            let volumes: Vec<String> = volumes.map(text).collect();
            lines.push("[runners.docker]".to_owned());
            lines.push(format!("image = {}", text(image)));
            lines.push(format!("volumes = [{}]", volumes.join(", ")));
            if config.gpu {
                // <https://docs.gitlab.com/runner/configuration/gpus/>
                lines.push("gpus = \"all\"".to_owned());
            }
        }
    }
    Secret::new(lines.join("\n") + "\n")
}

/// Parses lines of `network/gitlab.go`, `common/build.go` and `commands/single.go`, as JSON: no output of a job can look
/// like one.
fn parse_line(line: &str) -> Option<Event> {
    let fields: Value = serde_json::from_str(line.trim()).ok()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let job = || fields.get("job").and_then(Value::as_u64).map(|id| id.to_string());
    let status = || text("status").map_or_else(String::new, |status| format!(" ({status})"));
    let message = text("msg")?;
    if message.starts_with("Starting runner for ") {
        return Some(Event::Ready);
    }
    if let Some(outcome) = message.strip_prefix("Checking for jobs... ") {
        return match outcome {
            "received" => {
                let id = job()?;
                Some(Event::Started(Job { id: Some(id.clone()), rerun: Some(id), ..Job::default() }))
            }
            // GitLab does not know the token, or something between refuses for a while.
            "forbidden" => Some(Event::Refused(format!("GitLab refuses the runner's token{}", status()))),
            "no content" => None,
            trouble => Some(Event::Trouble(format!("cannot fetch jobs from GitLab: {trouble}{}", status()))),
        };
    }
    let ended = message == "Job succeeded" || message.starts_with("Job failed");
    // The cache, and what is sent to GitLab, have one of these each.
    if ended && fields.get("duration_s").is_some() {
        let succeeded = text("job-status")? == "success";
        return Some(Event::Ended { job: Some(job()?), result: if succeeded { Succeeded } else { Failed } });
    }
    // A job that GitLab took back before it ran has no other line.
    if let Some(outcome) = message.strip_prefix("Submitting job to coordinator...") {
        let is_over = matches!(text("job-status"), Some("canceled" | "canceling" | "failed"))
            || matches!(outcome.trim(), "not found" | "forbidden" | "job failed");
        return if is_over { Some(Event::Ended { job: Some(job()?), result: Canceled }) } else { None };
    }
    let fatal = matches!(text("level"), Some("fatal" | "panic"));
    fatal.then(|| Event::Trouble(message.to_owned()))
}

fn interpret_exit(code: Option<i32>, _: Option<JobResult>) -> ExitDisposition {
    let what = match code {
        Some(0) => return ExitDisposition::Completed,
        Some(code) => format!("GitLab Runner exited with code {code}"),
        None => "GitLab Runner was killed".to_owned(),
    };
    ExitDisposition::Failed(Error::remote(what).hint("run this with --log debug to see the program's output"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process_of(image: Option<&str>, idle: Option<u64>) -> RunnerProcess {
        let registration = Registration {
            driver: "gitlab".into(),
            id: "7".into(),
            name: "cml-\"x\"".into(),
            credential: [(TOKEN.to_owned(), Secret::new("glrt-s3cret"))].into(),
            settings: [(URL.to_owned(), "https://host/prefix".to_owned())].into(),
        };
        let config = RunnerConfig {
            program: "/p".into(),
            work: "/w".into(),
            single: true,
            idle: idle.map(Duration::from_secs),
            docker_volumes: vec!["/data:/data:ro".into()],
            docker_image: image.map(str::to_owned),
            gpu: true,
            hooks: "/h".into(),
        };
        runner_process(&registration, &config).unwrap()
    }

    #[test]
    fn the_token_is_in_the_file_only() {
        let runner = process_of(Some("iterativeai/cml:latest-gpu"), Some(300));
        assert_eq!(
            runner.argv.join(" "),
            "/p/gitlab-runner --log-format=json run-single --config /h/config.toml --runner=cml-\"x\" --wait-timeout=360 --max-builds=1"
        );
        assert!(runner.env.is_empty());
        assert_eq!(
            runner.files[0].1.expose(),
            "concurrent = 1\n[[runners]]\nname = \"cml-\\\"x\\\"\"\nurl = \"https://host/prefix\"\ntoken = \"glrt-s3cret\"\nexecutor = \"docker\"\n\
             [runners.docker]\nimage = \"iterativeai/cml:latest-gpu\"\nvolumes = [\"/data:/data:ro\", \"/cache\"]\ngpus = \"all\""
        );
        let shell = process_of(None, None);
        let file = shell.files[0].1.expose();
        assert!(file.contains("executor = \"shell\"\nbuilds_dir = \"/w\"\n") && !file.contains("docker"), "{file}");
        assert!(!shell.argv.iter().any(|word| word.contains("wait-timeout")));
    }

    #[test]
    fn lines_mean_what_the_program_means() {
        let ready = r#"{"level":"info","msg":"Starting runner for https://gitlab.com with token t1_abc ...","time":"2026-08-22T10:00:00Z"}"#;
        assert_eq!(parse_line(ready), Some(Event::Ready));
        let received = r#"{"job":1234,"level":"info","msg":"Checking for jobs... received","repo_url":"https://gitlab.com/g/p.git","runner":"t1_abc","time":"2026-08-22T10:00:03Z"}"#;
        let job = Job { id: Some("1234".into()), rerun: Some("1234".into()), ..Job::default() };
        assert_eq!(parse_line(received), Some(Event::Started(job)));
        let ended = |result| Some(Event::Ended { job: Some("1234".into()), result });
        let passed = r#"{"duration_s":9.7,"job":1234,"job-status":"success","level":"info","msg":"Job succeeded","project":7,"runner":"t1_abc"}"#;
        assert_eq!(parse_line(passed), ended(Succeeded));
        let failed = r#"{"duration_s":9.7,"error":{},"exit_code":1,"job":1234,"job-status":"failed","level":"warning","msg":"Job failed: exit status 1"}"#;
        assert_eq!(parse_line(failed), ended(Failed));
        let system = r#"{"duration_s":0.1,"job":1234,"job-status":"failed","level":"error","msg":"Job failed (system failure): aborted: terminated"}"#;
        assert_eq!(parse_line(system), ended(Failed));
        // Since GitLab Runner 19.1.
        let interrupted = r#"{"duration_s":4.2,"exit_code":0,"failure_reason":"runner_interrupted","job":1234,"job-status":"failed","level":"warning","msg":"Job failed: aborted: terminated"}"#;
        assert_eq!(parse_line(interrupted), ended(Failed));
        let canceled = r#"{"code":200,"job":1234,"job-status":"canceling","level":"info","msg":"Submitting job to coordinator...ok"}"#;
        assert_eq!(parse_line(canceled), ended(Canceled));
        let unknown = r#"{"code":404,"job":1234,"job-status":"","level":"warning","msg":"Submitting job to coordinator... not found"}"#;
        assert_eq!(parse_line(unknown), ended(Canceled));
        let forbidden = r#"{"level":"error","msg":"Checking for jobs... forbidden","runner":"t1_abc","status":"POST https://gitlab.com/api/v4/jobs/request: 403 Forbidden"}"#;
        let refused = "GitLab refuses the runner's token (POST https://gitlab.com/api/v4/jobs/request: 403 Forbidden)";
        assert_eq!(parse_line(forbidden), Some(Event::Refused(refused.into())));
        let down = r#"{"level":"warning","msg":"Checking for jobs... failed","status":"502 Bad Gateway"}"#;
        assert_eq!(
            parse_line(down),
            Some(Event::Trouble("cannot fetch jobs from GitLab: failed (502 Bad Gateway)".into()))
        );
    }

    #[test]
    fn nothing_else_ends_a_job() {
        for line in [
            r#"{"duration_s":0.2,"level":"error","msg":"Failed to assume role"}"#,
            r#"{"job":1,"job-status":"running","msg":"Updating job...","level":"info"}"#,
            r#"{"job":1,"job-status":"success","msg":"Job succeeded","level":"info"}"#,
            r#"{"code":200,"job":1,"job-status":"running","msg":"Submitting job to coordinator...ok","level":"info"}"#,
            "Job succeeded",
            "duration_s=1 job=1 Job succeeded",
            "",
            "[]",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
        assert!(matches!(interpret_exit(Some(0), None), ExitDisposition::Completed));
        assert!(
            matches!(interpret_exit(Some(1), None), ExitDisposition::Failed(_))
                && matches!(interpret_exit(None, None), ExitDisposition::Failed(_))
        );
    }
}
