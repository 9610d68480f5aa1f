//! The runner program of Bitbucket, a Docker image:
//! <https://support.atlassian.com/bitbucket-cloud/docs/set-up-and-use-runners-for-linux/>.

use super::runners::SECRET;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runners::{
    Behavior, EnvFile, Event, ExitDisposition, Job, JobResult, Registration, RunnerConfig, RunnerProcess,
};
use crate::host::Signal;
use std::time::Duration;

/// The time in seconds after which Docker kills the container.
const STOP: u64 = 30;
/// How long stopping may take in all.
const GRACE: Duration = Duration::from_secs(STOP + 15);

/// How long reporting a step may take after the line "Completing step"; a runner that is stopped before leaves the step
/// hanging.
const LINGER: Duration = Duration::from_secs(15);

/// How often Bitbucket is asked about the runner, whose source is not public: a fraction of its hourly rate limit.
const POLL: Duration = Duration::from_secs(30);

const BEHAVIOR: Behavior = Behavior {
    drain: Signal::Terminate,
    interrupt: Signal::Terminate,
    grace: GRACE,
    drain_grace: GRACE,
    linger: LINGER,
    second_interrupt: None,
    confirm_after: None,
    one_at_a_time: true,
    poll: Some(POLL),
    one_job_each: false,
    delete_first: false,
};

/// Variables for the container: <https://support.atlassian.com/bitbucket-cloud/docs/configure-a-runner-to-use-a-proxy/> and
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-your-docker-images-in-self-hosted-runners/>.
const PASSED_ON: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PAUSE_IMAGE", "AUTH_PROXY_IMAGE", "CLONE_IMAGE"];

/// Returns how to run the runner of a registration.
pub fn runner_process(registration: &Registration, config: &RunnerConfig) -> Result<RunnerProcess> {
    let (credential, settings) = (&registration.credential, &registration.settings);
    let of = |name: &str| {
        let value = settings.get(name).map(String::as_str).or(credential.get(name).map(Secret::expose));
        value.filter(|value| !value.contains('\n')).ok_or_else(|| {
            Error::config(format!("the registration of runner {} has no {name}", registration.name))
                .hint("register it again")
        })
    };
    let work = config.work.display().to_string();
    let mut variables = vec![("ACCOUNT_UUID", of("account_uuid")?)];
    if settings.contains_key("repository_uuid") {
        variables.push(("REPOSITORY_UUID", of("repository_uuid")?));
    }
    variables.extend([
        ("RUNNER_UUID", registration.id.as_str()),
        ("OAUTH_CLIENT_ID", of("oauth_client_id")?),
        ("OAUTH_CLIENT_SECRET", of(SECRET)?),
        ("WORKING_DIRECTORY", work.as_str()),
        ("RUNTIME_PREREQUISITES_ENABLED", "true"),
    ]);
    if config.gpu {
        variables.push(("NVIDIA_VISIBLE_DEVICES", "all"));
    }
    let lines: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let file = config.hooks.join("bitbucket.env");
    let name = container_name(&registration.name);
    Ok(RunnerProcess {
        argv: argv(&name, &file.display().to_string(), &work, config.gpu, of("image")?),
        env: Vec::new(),
        files: vec![(file.clone(), Secret::new(lines))],
        own_files: Vec::new(),
        checked_files: Vec::new(),
        logs: None,
        parse_line,
        parse_hook_line: None,
        interpret_exit,
        behavior: BEHAVIOR,
        containers: Some(format!("name={}", registration.id.trim_matches(['{', '}']))),
        env_file: Some(EnvFile { path: file, names: PASSED_ON }),
        stop: Some(["docker", "container", "stop", "--time", &STOP.to_string(), &name].map(str::to_owned).into()),
    })
}

fn argv(name: &str, env_file: &str, work: &str, gpu: bool, image: &str) -> Vec<String> {
    let mut argv = vec!["docker", "container", "run", "--rm", "--name", name, "--env-file", env_file];
    let work = format!("{work}:{work}");
    argv.extend(["--volume", "/var/run/docker.sock:/var/run/docker.sock"]);
    argv.extend(["--volume", "/var/lib/docker/containers:/var/lib/docker/containers:ro", "--volume", &work]);
    if gpu {
        argv.extend(["--gpus", "all"]);
    }
    argv.push(image);
    argv.into_iter().map(str::to_owned).collect()
}

/// Returns the container's name: Docker allows fewer characters than Bitbucket.
fn container_name(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' });
    format!("cml-runner-{}", plain.collect::<String>())
}

/// Parses lines such as `[2022-06-05 17:23:41,945] Updating runner status to "ONLINE" and checking for new steps …`.
fn parse_line(line: &str) -> Option<Event> {
    let (time, text) = line.strip_prefix('[')?.split_once("] ")?;
    if !time.starts_with(|c: char| c.is_ascii_digit()) || time.len() > 30 {
        return None;
    }
    if text.starts_with("Updating runner status to \"ONLINE\"") {
        return Some(Event::Ready);
    }
    if let Some(step) = text.strip_prefix("Getting step StepId{") {
        let of = |name: &str| step.split_once(name)?.1.split_inclusive('}').next().map(str::to_owned);
        let pipeline = of("pipelineUuid=");
        return Some(Event::Started(Job { id: of("stepUuid="), rerun: pipeline.clone(), pipeline, ..Job::default() }));
    }
    let result = text.strip_prefix("Completing step with result Result{status=")?;
    let result = if result.starts_with("PASSED") { JobResult::Succeeded } else { JobResult::Failed };
    Some(Event::Ended { job: None, result })
}

/// Interprets the exit codes of `docker run`: <https://docs.docker.com/engine/containers/run/#exit-status>.
fn interpret_exit(code: Option<i32>, _: Option<JobResult>) -> ExitDisposition {
    let docker = |what: &str| {
        ExitDisposition::Failed(Error::config(what.to_owned()).hint(
            "check that Docker runs, that this user may use it (docker ps), and that it can pull the runner's image",
        ))
    };
    match code {
        // The last two: it was asked to end.
        Some(0 | 130 | 143) => ExitDisposition::Completed,
        Some(125) => docker("Docker could not start the runner's container"),
        Some(126 | 127) => docker("docker was not found, or the image is not the runner's"),
        Some(137) => ExitDisposition::Failed(
            Error::remote("the runner's container was killed")
                .hint("the runner needs 512 MB of memory, and its steps more: this computer may have too little"),
        ),
        Some(code) => ExitDisposition::Failed(
            Error::remote(format!("the runner's container exited with code {code}"))
                .hint("run this with --log debug to see the program's output"),
        ),
        None => ExitDisposition::Failed(Error::remote("the docker command was killed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn registration(repository: bool) -> Registration {
        let mut settings: BTreeMap<_, _> = [
            ("account_uuid", "{a}"),
            ("repository_uuid", "{r}"),
            ("oauth_client_id", "client"),
            ("image", "registry/runner:1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        if !repository {
            settings.remove("repository_uuid");
        }
        let credential = BTreeMap::from([(SECRET.to_owned(), Secret::new("s3cret"))]);
        Registration { driver: "bitbucket".into(), id: "{u}".into(), name: "cml x".into(), credential, settings }
    }

    fn config() -> RunnerConfig {
        RunnerConfig {
            program: "/p".into(),
            work: "/w".into(),
            single: true,
            idle: None,
            docker_volumes: vec![],
            docker_image: None,
            gpu: true,
            hooks: "/h".into(),
        }
    }

    #[test]
    fn the_secret_is_in_the_file_only() {
        let runner = runner_process(&registration(true), &config()).unwrap();
        let words = runner.argv.join(" ");
        assert!(
            words.starts_with("docker container run --rm --name cml-runner-cml-x --env-file /h/bitbucket.env "),
            "{words}"
        );
        assert!(
            words.ends_with(" --volume /w:/w --gpus all registry/runner:1") && !words.contains("s3cret"),
            "{words}"
        );
        assert_eq!(
            runner.files[0].1.expose(),
            "ACCOUNT_UUID={a}\nREPOSITORY_UUID={r}\nRUNNER_UUID={u}\nOAUTH_CLIENT_ID=client\nOAUTH_CLIENT_SECRET=s3cret\n\
             WORKING_DIRECTORY=/w\nRUNTIME_PREREQUISITES_ENABLED=true\nNVIDIA_VISIBLE_DEVICES=all"
        );
        assert_eq!(runner.stop.unwrap().join(" "), "docker container stop --time 30 cml-runner-cml-x");
        let workspaces = super::runner_process(&registration(false), &config()).unwrap();
        assert!(!workspaces.files[0].1.expose().contains("REPOSITORY_UUID"));
    }

    #[test]
    fn lines_mean_what_the_runner_means() {
        let ready = "[2022-06-05 17:23:41,945] Updating runner status to \"ONLINE\" and checking for new steps assigned to the runner after 0 seconds and then every 30 seconds.";
        assert_eq!(parse_line(ready), Some(Event::Ready));
        let step = "[2022-06-05 17:24:12,246] Getting step StepId{accountUuid={a}, repositoryUuid={r}, pipelineUuid={p-1}, stepUuid={s-1}}.";
        let pipeline = Some("{p-1}".to_owned());
        let job = Job { id: Some("{s-1}".into()), rerun: pipeline.clone(), pipeline, ..Job::default() };
        assert_eq!(parse_line(step), Some(Event::Started(job)));
        let ended = |result| Some(Event::Ended { job: None, result });
        assert_eq!(
            parse_line("[2022-06-05 17:24:53,466] Completing step with result Result{status=FAILED, error=None}."),
            ended(JobResult::Failed)
        );
        assert_eq!(
            parse_line("[2022-06-05 17:24:53,466] Completing step with result Result{status=PASSED, error=None}."),
            ended(JobResult::Succeeded)
        );
        for line in [
            "Completing step with result Result{status=PASSED, error=None}.",
            "[x] Completing step with result Result{status=PASSED, error=None}.",
            "[2022-06-05 17:24:53,466] echo Completing step with result Result{status=PASSED",
            "",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_docker() {
        assert!(
            matches!(interpret_exit(Some(0), None), ExitDisposition::Completed)
                && matches!(interpret_exit(Some(143), None), ExitDisposition::Completed)
        );
        for code in [Some(1), Some(125), Some(127), Some(137), None] {
            assert!(matches!(interpret_exit(code, None), ExitDisposition::Failed(_)), "{code:?}");
        }
    }
}
