//! Follows a task that was put into a queue, until it shows that it runs, ends, or takes too long. Time in the queue is counted apart.

use super::report::log_tail::without_secrets;
use super::selection::duration;
use crate::app::App;
use crate::clearml::Client;
use crate::clearml::launch::State;
use crate::clearml::queues::Queue;
use crate::error::{Error, Kind, Result};
use crate::http::Http;
use crate::messages;
use clap::ArgAction::Set;
use clap::Args;
use std::time::Duration;

/// How long the requests of one look may take, retries included.
const LOOK_TIMEOUT: Duration = Duration::from_secs(120);
/// So many lines of the log are read to find out why a task failed, and so many of them are shown.
const LOG_LINES: usize = 1000;
const SHOWN_LINES: usize = 30;
/// The most events that one request returns.
const MAX_LINES: usize = 5000;

/// How long to wait, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct Patience {
    /// Give up if no worker has taken the task after this time, such as 90, 30m or 2h
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = seconds)]
    pub queue_timeout: u64,
    /// How often to look at the task
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = seconds)]
    pub poll: u64,
    /// Show the log of the task, without secrets
    #[arg(long, action = Set, default_value_t = false)]
    pub follow: bool,
}

/// Parses a time into seconds, at least one.
pub fn seconds(text: &str) -> Result<u64, String> {
    match duration(text)?.as_secs() {
        0 => Err("expected at least one second".to_owned()),
        seconds => Ok(seconds),
    }
}

/// What a task has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// An iteration or a scalar, or its end.
    Iteration,
    /// That a worker has taken it.
    Started,
    /// Its end.
    Completed,
    /// A line of its log, in which `*` stands for anything.
    Log(String),
}

impl std::str::FromStr for Until {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "iteration" => Until::Iteration,
            "started" => Until::Started,
            "completed" => Until::Completed,
            _ => match text.strip_prefix("log:").filter(|pattern| !pattern.is_empty()) {
                Some(pattern) => Until::Log(pattern.to_owned()),
                None => {
                    return Err(Error::usage(format!("'{text}' is not something to wait for"))
                        .hint("write iteration, started, completed or log:TEXT"));
                }
            },
        })
    }
}

/// How following ended.
#[derive(Debug)]
pub struct Ending {
    /// `passed`, `task_failed`, `timeout`, as JSON has it.
    pub kind: &'static str,
    /// What happened.
    pub outcome: Result<String>,
    /// The last state of the task.
    pub state: State,
    /// The end of its log, if it failed.
    pub log: Vec<String>,
}

/// A task that is followed.
pub struct Follower<'a> {
    /// The program; its requests have a budget of their own, not that of `--timeout`.
    pub app: &'a App,
    /// The server.
    pub client: &'a Client,
    /// The task.
    pub id: &'a str,
    /// The queue that it is in.
    pub queue: &'a Queue,
    /// What it has to show.
    pub until: Until,
    /// How long to wait.
    pub patience: &'a Patience,
    /// How long it may take from when a worker takes it.
    pub timeout: u64,
}

/// Returns the program with a budget for each look in place of `--timeout`, which has another meaning for these verbs.
pub fn with_own_budget(app: &App) -> App {
    App { http: Http::new(app.host.clone(), app.log.clone(), LOOK_TIMEOUT), ..app.clone() }
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Queued,
    Running,
    Done,
    Failed,
}

fn phase(status: &str) -> Phase {
    match status {
        "queued" => Phase::Queued,
        "completed" | "published" | "publishing" | "closed" => Phase::Done,
        // `created`: somebody has taken it out of the queue.
        "failed" | "stopped" | "created" => Phase::Failed,
        // One that is not known yet.
        _ => Phase::Running,
    }
}

impl Follower<'_> {
    /// Follows the task.
    ///
    /// # Errors
    /// The server cannot be reached, or the task is gone.
    pub async fn follow(&self) -> Result<Ending> {
        let host = &self.app.host;
        let mut since = (Phase::Queued, host.elapsed());
        let (mut shown, mut place) = (Shown::default(), None);
        loop {
            self.app.http.restart_budget();
            let state = self.client.state(self.id).await?;
            let phase = phase(&state.task.status);
            if phase != since.0 {
                if phase == Phase::Running {
                    self.app.log.info(&format!("{} took the task", worker(&state)));
                }
                // A task that is queued again has the whole time once more.
                since = (phase, host.elapsed());
            }
            if phase == Phase::Queued {
                place = self.show_place(place).await;
            }
            if self.patience.follow && phase != Phase::Queued {
                self.show_log(&mut shown).await?;
            }
            if let Some(ending) = self.judge(phase, &state).await? {
                self.app.log.clear_progress();
                return Ok(ending);
            }
            let (limit, what) = match phase {
                Phase::Queued => (self.patience.queue_timeout, "waiting in the queue"),
                _ => (self.timeout, "running"),
            };
            let left = Duration::from_secs(limit).saturating_sub(host.elapsed().saturating_sub(since.1));
            if left.is_zero() {
                self.app.log.clear_progress();
                return self.late(phase, state, place).await;
            }
            self.app.log.progress(&format!("the task is {what}"));
            host.sleep(left.min(Duration::from_secs(self.patience.poll))).await;
        }
    }

    /// Returns how it ended, if it has.
    async fn judge(&self, phase: Phase, state: &State) -> Result<Option<Ending>> {
        let passed =
            |message: String| Ending { kind: "passed", outcome: Ok(message), state: state.clone(), log: Vec::new() };
        let is_seen = match &self.until {
            Until::Log(pattern) if phase != Phase::Queued => {
                let lines = self.client.log_tail(self.id, MAX_LINES).await?;
                lines.iter().any(|line| line.contains(pattern) || fast_glob::glob_match(pattern, line))
            }
            _ => false,
        };
        let worker = worker(state);
        match phase {
            _ if is_seen => Ok(Some(passed(format!("the task wrote what --until names, on {worker}")))),
            Phase::Failed => self.failed(state).await.map(Some),
            Phase::Done if matches!(self.until, Until::Log(_)) => {
                let error = Error::new(Kind::Died, "the ClearML task completed without writing what --until names");
                let outcome = Err(error.hint("* stands for anything in log:TEXT"));
                Ok(Some(Ending { kind: "task_failed", outcome, state: state.clone(), log: Vec::new() }))
            }
            Phase::Done => Ok(Some(passed(format!("the task completed on {worker}")))),
            Phase::Running => Ok(match self.until {
                Until::Started => Some(passed(format!("{worker} took the task"))),
                Until::Iteration if state.iteration > 0 => {
                    Some(passed(format!("the task reported iteration {} on {worker}", state.iteration)))
                }
                Until::Iteration if state.task.own_scalars().next().is_some() => {
                    Some(passed(format!("the task reported a scalar on {worker}")))
                }
                _ => None,
            }),
            Phase::Queued => Ok(None),
        }
    }

    /// Returns the ending of a task that failed: why, as far as its log tells.
    async fn failed(&self, state: &State) -> Result<Ending> {
        let task = &state.task;
        if task.status == "created" {
            let outcome = Err(Error::new(Kind::Died, "the ClearML task was taken out of the queue")
                .hint("somebody dequeued or reset it: start this again"));
            return Ok(Ending { kind: "task_failed", outcome, state: state.clone(), log: Vec::new() });
        }
        let log = self.log().await;
        let reason = [&task.status_reason, &state.message].into_iter().find(|text| !text.trim().is_empty());
        let reason = reason.map(|text| format!(": {}", text.trim())).unwrap_or_default();
        let cause = cause(&log).map(|line| format!("; {line}")).unwrap_or_default();
        let word = if task.status == "failed" { "failed" } else { "was stopped" };
        let error = Error::new(Kind::Died, format!("the ClearML task {word} on {}{reason}{cause}", worker(state)));
        let is_unpushed = log.iter().any(|line| line.contains("Make sure you pushed the requested commit"));
        let hint = if is_unpushed {
            "push the commit to a branch that the agent can fetch, and give the agent git credentials for private repositories"
        } else if log.is_empty() {
            "the agent has written no log: look at the agent itself"
        } else {
            "the end of its log is above"
        };
        Ok(Ending { kind: "task_failed", outcome: Err(error.hint(hint)), state: state.clone(), log })
    }

    /// Returns how many tasks are before it in the queue, and says so where that has changed. It is only said: an error does not count.
    async fn show_place(&self, known: Option<usize>) -> Option<usize> {
        let place = self.client.place(&self.queue.id, self.id).await.ok().flatten();
        if let Some(before) = place.filter(|_| place != known) {
            self.app.log.info(&format!("{} in the queue {}", before_it(before), self.queue.name));
        }
        place
    }

    async fn late(&self, phase: Phase, state: State, place: Option<usize>) -> Result<Ending> {
        let (outcome, log) = if phase == Phase::Queued {
            let time = human(self.patience.queue_timeout);
            let place = place.filter(|before| *before > 0);
            let place = place.map(|before| format!("; {}", before_it(before))).unwrap_or_default();
            let error = Error::new(
                Kind::NoCapacity,
                format!("no worker took the task from the ClearML queue {} in {time}{place}", self.queue.name),
            );
            (error.hint("start another agent for the queue, or allow more time with --queue-timeout"), Vec::new())
        } else {
            let time = human(self.timeout);
            let what = match self.until {
                Until::Completed => "did not complete",
                Until::Log(_) => "did not write what --until names",
                _ => "reported no iteration and no scalar",
            };
            let error = Error::new(Kind::Died, format!("the ClearML task {what} in {time} on {}", worker(&state)));
            (error.hint("allow more time with --timeout (installing packages counts), or check that the script calls Task.init"), self.log().await)
        };
        Ok(Ending { kind: "timeout", outcome: Err(outcome), state, log })
    }

    /// Returns the end of the log, without secrets; none where it cannot be read.
    async fn log(&self) -> Vec<String> {
        self.app.http.restart_budget();
        let lines = self.client.log_tail(self.id, LOG_LINES).await.unwrap_or_default();
        let mut lines = without_secrets(self.app, lines);
        lines.drain(..lines.len().saturating_sub(SHOWN_LINES));
        lines
    }

    /// Shows what is new in the log.
    async fn show_log(&self, shown: &mut Shown) -> Result<()> {
        let lines = without_secrets(self.app, self.client.log_tail(self.id, MAX_LINES).await?);
        for line in shown.new_lines(lines) {
            self.app.log.info(&line);
        }
        Ok(())
    }
}

/// What of a log was shown.
#[derive(Default)]
struct Shown {
    lines: Vec<String>,
}

impl Shown {
    /// Returns the lines after those that were shown: the beginning may be cut off meanwhile.
    fn new_lines(&mut self, lines: Vec<String>) -> Vec<String> {
        let overlap =
            (0..=self.lines.len()).find(|from| lines.starts_with(&self.lines[*from..])).unwrap_or(self.lines.len());
        let new = lines[self.lines.len() - overlap..].to_vec();
        self.lines = lines;
        new
    }
}

/// Returns the line of a log that says why a program ended.
fn cause(log: &[String]) -> Option<&str> {
    let is_cause = |line: &&String| {
        let first = line.split([' ', ':']).next().unwrap_or_default();
        let is_named =
            (first.ends_with("Error") || first.ends_with("Exception")) && line.starts_with(&format!("{first}:"));
        is_named || ["fatal: ", "error: ", "ERROR: "].iter().any(|start| line.starts_with(start))
    };
    log.iter().rev().find(is_cause).map(|line| line.as_str())
}

fn before_it(count: usize) -> String {
    match count {
        0 => "the task is the next one".to_owned(),
        1 => "1 task is before it".to_owned(),
        _ => format!("{} are before it", messages::count(count, "task")),
    }
}

fn worker(state: &State) -> &str {
    if state.task.worker.is_empty() { "the agent" } else { &state.task.worker }
}

fn human(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn times_and_ends_are_read() {
        assert_eq!(
            (seconds("10m"), seconds("5"), human(600), human(90)),
            (Ok(600), Ok(5), "10 min".into(), "90 s".into())
        );
        assert!(seconds("0").is_err() && seconds("x").is_err());
        assert_eq!("log:epoch *".parse::<Until>().unwrap(), Until::Log("epoch *".into()));
        assert!("log:".parse::<Until>().is_err() && "iterations".parse::<Until>().is_err());
        for (status, expected) in [
            ("queued", Phase::Queued),
            ("in_progress", Phase::Running),
            ("publishing", Phase::Done),
            ("new", Phase::Running),
        ] {
            assert_eq!(phase(status), expected);
        }
    }

    #[test]
    fn the_cause_is_the_last_error() {
        let log = lines(
            "ValueError: first\nfatal: unable to read tree abc\nclearml_agent: ERROR: x\nProcess failed, exit code 1",
        );
        assert_eq!(cause(&log), Some("fatal: unable to read tree abc"));
        assert_eq!(
            cause(&lines("Traceback:\nModuleNotFoundError: No module named 'x'\nbye")),
            Some("ModuleNotFoundError: No module named 'x'")
        );
        assert_eq!(cause(&lines("all is well")), None);
    }

    #[test]
    fn each_line_is_shown_once() {
        let mut shown = Shown::default();
        assert_eq!(shown.new_lines(lines("a\nb")), lines("a\nb"));
        assert_eq!(shown.new_lines(lines("a\nb\nb")), lines("b"));
        assert_eq!(shown.new_lines(lines("b\nb\nc")), lines("c"));
        assert_eq!(shown.new_lines(lines("b\nb\nc")), lines(""));
    }
}
