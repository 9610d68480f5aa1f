//! The runner program of Bitbucket, a Docker image:
//! <https://support.atlassian.com/bitbucket-cloud/docs/set-up-and-use-runners-for-linux/>.

use super::runners::SECRET;
use crate::env::Secret;
use crate::error::{Error, Result};
use crate::forge::runner::{Agent, Ending, EnvFile, Event, Job, JobResult, Place, Registration};
use crate::host::Signal;
use std::time::Duration;

/// Docker kills the container when it has not ended by then, in seconds.
const STOP: u64 = 30;
/// What that takes in all.
const GRACE: Duration = Duration::from_secs(STOP + 15);

/// "Completing step" announces the report of a step, which takes a moment; a runner that is stopped before leaves the step to
/// hang and fail.
const LINGER: Duration = Duration::from_secs(15);

/// How often Bitbucket is asked about the runner, whose lines no source tells: a fraction of what it answers in an hour.
const POLL: Duration = Duration::from_secs(30);

/// Variables for the container: <https://support.atlassian.com/bitbucket-cloud/docs/configure-a-runner-to-use-a-proxy/> and
/// <https://support.atlassian.com/bitbucket-cloud/docs/use-your-docker-images-in-self-hosted-runners/>.
const PASSED_ON: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PAUSE_IMAGE", "AUTH_PROXY_IMAGE", "CLONE_IMAGE"];

/// How the runner of a registration is run.
pub fn agent(registration: &Registration, place: &Place) -> Result<Agent> {
    let (credential, settings) = (&registration.credential, &registration.settings);
    let of = |name: &str| {
        let value = settings.get(name).map(String::as_str).or(credential.get(name).map(Secret::expose));
        value.filter(|value| !value.contains('\n')).ok_or_else(|| {
            Error::config(format!("the registration of runner {} has no {name}", registration.name))
                .hint("register it again")
        })
    };
    let work = place.work.display().to_string();
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
    if place.gpu {
        variables.push(("NVIDIA_VISIBLE_DEVICES", "all"));
    }
    let lines: String = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let file = place.hooks.join("bitbucket.env");
    let name = container(&registration.name);
    Ok(Agent {
        argv: argv(&name, &file.display().to_string(), &work, place.gpu, of("image")?),
        env: Vec::new(),
        files: vec![(file.clone(), Secret::new(lines))],
        own_files: Vec::new(),
        checked_files: Vec::new(),
        logs: None,
        reads,
        hook: None,
        ends,
        drain: Signal::Terminate,
        interrupt: Signal::Terminate,
        grace: GRACE,
        drain_grace: GRACE,
        linger: LINGER,
        second_interrupt: None,
        confirm_after: None,
        one_at_a_time: true,
        poll: Some(POLL),
        containers: Some(format!("name={}", registration.id.trim_matches(['{', '}']))),
        env_file: Some(EnvFile { path: file, names: PASSED_ON }),
        stop: Some(["docker", "container", "stop", "--time", &STOP.to_string(), &name].map(str::to_owned).into()),
        one_job_each: false,
        delete_first: false,
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

/// Docker's names have fewer characters than Bitbucket's.
fn container(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' });
    format!("cml-runner-{}", plain.collect::<String>())
}

/// Lines such as `[2022-06-05 17:23:41,945] Updating runner status to "ONLINE" and checking for new steps …`.
fn reads(line: &str) -> Option<Event> {
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

/// Those of `docker run`: <https://docs.docker.com/engine/containers/run/#exit-status>.
fn ends(code: Option<i32>, _: Option<JobResult>) -> Ending {
    let docker = |what: &str| {
        Ending::Failed(Error::config(what.to_owned()).hint(
            "check that Docker runs, that this user may use it (docker ps), and that it can pull the runner's image",
        ))
    };
    match code {
        // The last two: it was asked to end.
        Some(0 | 130 | 143) => Ending::Done,
        Some(125) => docker("Docker could not start the container of the runner"),
        Some(126 | 127) => docker("there is no Docker to run the runner's image, or the image is another one"),
        Some(137) => Ending::Failed(
            Error::remote("the container of the runner was killed")
                .hint("the runner asks for 512 MB of memory, and its steps for more: the machine may be too small"),
        ),
        Some(code) => Ending::Failed(
            Error::remote(format!("the runner's container ended with exit code {code}"))
                .hint("run this with --log debug to read what the program says"),
        ),
        None => Ending::Failed(Error::remote("the docker command was killed")),
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

    fn place() -> Place {
        Place {
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
        let agent = agent(&registration(true), &place()).unwrap();
        let words = agent.argv.join(" ");
        assert!(
            words.starts_with("docker container run --rm --name cml-runner-cml-x --env-file /h/bitbucket.env "),
            "{words}"
        );
        assert!(
            words.ends_with(" --volume /w:/w --gpus all registry/runner:1") && !words.contains("s3cret"),
            "{words}"
        );
        assert_eq!(
            agent.files[0].1.expose(),
            "ACCOUNT_UUID={a}\nREPOSITORY_UUID={r}\nRUNNER_UUID={u}\nOAUTH_CLIENT_ID=client\nOAUTH_CLIENT_SECRET=s3cret\n\
             WORKING_DIRECTORY=/w\nRUNTIME_PREREQUISITES_ENABLED=true\nNVIDIA_VISIBLE_DEVICES=all"
        );
        assert_eq!(agent.stop.unwrap().join(" "), "docker container stop --time 30 cml-runner-cml-x");
        let workspaces = super::agent(&registration(false), &place()).unwrap();
        assert!(!workspaces.files[0].1.expose().contains("REPOSITORY_UUID"));
    }

    #[test]
    fn lines_mean_what_the_runner_means() {
        let ready = "[2022-06-05 17:23:41,945] Updating runner status to \"ONLINE\" and checking for new steps assigned to the runner after 0 seconds and then every 30 seconds.";
        assert_eq!(reads(ready), Some(Event::Ready));
        let step = "[2022-06-05 17:24:12,246] Getting step StepId{accountUuid={a}, repositoryUuid={r}, pipelineUuid={p-1}, stepUuid={s-1}}.";
        let pipeline = Some("{p-1}".to_owned());
        let job = Job { id: Some("{s-1}".into()), rerun: pipeline.clone(), pipeline, ..Job::default() };
        assert_eq!(reads(step), Some(Event::Started(job)));
        let ended = |result| Some(Event::Ended { job: None, result });
        assert_eq!(
            reads("[2022-06-05 17:24:53,466] Completing step with result Result{status=FAILED, error=None}."),
            ended(JobResult::Failed)
        );
        assert_eq!(
            reads("[2022-06-05 17:24:53,466] Completing step with result Result{status=PASSED, error=None}."),
            ended(JobResult::Succeeded)
        );
        for line in [
            "Completing step with result Result{status=PASSED, error=None}.",
            "[x] Completing step with result Result{status=PASSED, error=None}.",
            "[2022-06-05 17:24:53,466] echo Completing step with result Result{status=PASSED",
            "",
        ] {
            assert_eq!(reads(line), None, "{line}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_docker() {
        assert!(matches!(ends(Some(0), None), Ending::Done) && matches!(ends(Some(143), None), Ending::Done));
        for code in [Some(1), Some(125), Some(127), Some(137), None] {
            assert!(matches!(ends(code, None), Ending::Failed(_)), "{code:?}");
        }
    }
}
