//! Supervises a runner program from its start until nothing is left of it: joins processes, signals and time with the
//! state machine, and the forge to unregister the runner and to rerun lost jobs.

use super::hook_log::HookLog;
use super::state::{Action, DeregisterResult, Input, LifecycleEvent, Rules, RunOutcome, RunnerState};
use super::supervised::Supervised;
use super::{cleanup, start, status};
use crate::error::{Error, Kind, Result};
use crate::forge::runners::{Behavior, Event, ExitDisposition, RunnerProcess};
use crate::host::logs::Logs;
use crate::host::{Process, ProcessEvent, Signal};
use crate::shutdown::Shutdown;
use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

/// How often the hook log is read while a job runs that no hook has reported.
const HOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How many of the program's last lines are shown when it fails.
const SHOWN_LINES: usize = 20;

/// Runs a registered runner until it ends or is asked to. Whatever happens, it is unregistered then, its processes are gone
/// and its private files removed.
///
/// # Errors
///
/// [`Kind::Interrupted`] when a signal ended it while a job was running; otherwise what kept it from running.
pub async fn supervise(supervised: Supervised<'_>) -> Result<()> {
    for secret in supervised.registration.credential.values() {
        supervised.app.log.hide("the credential of the runner", secret);
    }
    let mut supervisor = Supervisor {
        hook_log: HookLog::new(supervised.config.hook_log()),
        supervised,
        runner: None,
        process: None,
        tasks: FuturesUnordered::new(),
        tail: VecDeque::new(),
        old_logs: None,
        unregistered: false,
        is_unclean: false,
        renew_at: Duration::ZERO,
    };
    let outcome =
        supervisor.run().await.unwrap_or_else(|error| RunOutcome { reason: error.to_string(), error: Some(error) });
    if outcome.error.as_ref().is_some_and(|error| error.kind() != Kind::Interrupted) {
        for line in &supervisor.tail {
            supervisor.supervised.app.log.quote(&format!("runner: {line}"));
        }
    }
    supervisor.clean_up().await;
    let Supervised { app, repo, registration, .. } = &supervisor.supervised;
    status::announce_termination(app, repo, &registration.name, &outcome.reason);
    outcome.error.map_or(Ok(()), Err)
}

struct Supervisor<'a> {
    supervised: Supervised<'a>,
    runner: Option<RunnerProcess>,
    process: Option<Box<dyn Process>>,
    hook_log: HookLog,
    /// Background tasks.
    tasks: FuturesUnordered<LocalBoxFuture<'a, Option<Input>>>,
    tail: VecDeque<String>,
    /// The program's logs that were there before it; `None` where there was no folder of them.
    old_logs: Option<Vec<PathBuf>>,
    unregistered: bool,
    /// Whether a job began that has not ended well: it may have left containers.
    is_unclean: bool,
    /// When the lease is renewed next.
    renew_at: Duration,
}

enum SupervisorEvent {
    Process(ProcessEvent),
    Signal(Signal),
    Task(Option<Input>),
    Time,
}

impl<'a> Supervisor<'a> {
    async fn run(&mut self) -> Result<RunOutcome> {
        for end in std::mem::take(&mut self.supervised.shutdown_triggers) {
            self.tasks.push(Box::pin(async move { Some(Input::Signal(end.await)) }));
        }
        self.start().await?;
        let mut state = RunnerState::new(self.rules()?, self.now());
        loop {
            self.renew_lease(&state);
            let event = self.wait(&state).await;
            let mut inputs: VecDeque<Input> = self.handle_event(event, &state).await.into();
            while let Some(input) = inputs.pop_front() {
                for action in state.feed(input, self.now()) {
                    match action {
                        Action::Finish(outcome) => return Ok(outcome),
                        Action::Renew => match self.renew().await? {
                            Some(signal) => inputs.push_back(Input::Signal(signal)),
                            None => state.renewed(self.now()),
                        },
                        action => self.action(action).await?,
                    }
                }
            }
        }
    }

    /// Renews the lease when that is due. As this is part of the loop, nothing renews it when the loop hangs.
    fn renew_lease(&mut self, state: &RunnerState) {
        let now = self.now();
        if let Some(lease) = self.supervised.lease
            && now >= self.renew_at
        {
            self.renew_at = now + lease.interval;
            if state.needs_instance(now) {
                (lease.renew)();
            }
        }
    }

    fn now(&self) -> Duration {
        self.supervised.app.host.elapsed()
    }

    fn rules(&self) -> Result<Rules> {
        let runner = self.runner.as_ref().ok_or_else(|| Error::internal("a runner without a program"))?;
        let (behavior, can_check) = (runner.behavior, self.supervised.runners.is_some());
        Ok(Rules {
            name: self.supervised.registration.name.clone(),
            idle: self.supervised.config.idle,
            single: self.supervised.config.single || (behavior.one_job_each && self.supervised.renew.is_none()),
            can_check,
            behavior: Behavior { delete_first: behavior.delete_first && can_check, ..behavior },
        })
    }

    /// Starts the program with the present registration.
    async fn start(&mut self) -> Result<()> {
        self.end_process().await;
        let make = self
            .supervised
            .driver
            .runner_process
            .ok_or_else(|| Error::unsupported(format!("{} has no runner program", self.supervised.driver.title)))?;
        let runner = make(&self.supervised.registration, &self.supervised.config)?;
        for (_, secret) in runner.env.iter().filter(|(_, value)| !Path::new(value.expose()).is_absolute()) {
            self.supervised.app.log.hide("the credential of the runner", secret);
        }
        if self.runner.is_none() {
            self.old_logs = runner.logs.as_deref().and_then(|folder| self.supervised.app.host.list(folder).ok());
        }
        start::check_files(&self.supervised, &runner)?;
        let logs = self.logs(&runner);
        let process = start::start(&self.supervised, self.runner.insert(runner), logs).await?;
        self.supervised.app.log.debug(&format!("the runner program is process {}", process.id()));
        self.process = Some(process);
        Ok(())
    }

    /// Gets another registration and starts the program with it. A signal that comes first is returned for the state
    /// machine: what was registered by then is unregistered at the end.
    async fn renew(&mut self) -> Result<Option<Signal>> {
        let app = self.supervised.app;
        let next = self.supervised.renew.ok_or_else(|| Error::internal("a runner without another registration"))?;
        app.http.restart_budget();
        let mut shutdown = Shutdown::new(app, "the runner");
        let made = shutdown.run_to_completion(next()).await;
        let signal = shutdown.received();
        match made {
            Ok(registration) => {
                registration
                    .credential
                    .values()
                    .for_each(|secret| app.log.hide("the credential of the runner", secret));
                self.supervised.registration = registration;
            }
            Err(error) if signal.is_none() => return Err(error),
            Err(_) => {}
        }
        if signal.is_none() {
            self.start().await?;
        }
        Ok(signal)
    }

    async fn wait(&mut self, state: &RunnerState) -> SupervisorEvent {
        let host = &self.supervised.app.host;
        let renew_at = self.supervised.lease.map(|_| self.renew_at);
        let next = state.deadline().into_iter().chain(renew_at).min();
        let mut pause = next.map(|next| next.saturating_sub(host.elapsed()));
        if state.wants_hook() && self.runner.as_ref().is_some_and(|runner| runner.parse_hook_line.is_some()) {
            pause = Some(pause.map_or(HOOK_INTERVAL, |pause| pause.min(HOOK_INTERVAL)));
        }
        let time = async {
            match pause {
                Some(pause) => host.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        let told = async {
            match &mut self.process {
                Some(process) => process.next().await,
                None => std::future::pending().await,
            }
        };
        let task = async {
            match self.tasks.next().await {
                Some(input) => input,
                None => std::future::pending().await,
            }
        };
        let (told, task, time) = (pin!(told), pin!(task), pin!(time));
        match select(select(host.interrupted(), told), select(task, time)).await {
            Either::Left((Either::Left((signal, _)), _)) => SupervisorEvent::Signal(signal),
            Either::Left((Either::Right((told, _)), _)) => SupervisorEvent::Process(told),
            Either::Right((Either::Left((input, _)), _)) => SupervisorEvent::Task(input),
            Either::Right((Either::Right(((), _)), _)) => SupervisorEvent::Time,
        }
    }

    /// Returns what an event means to the state.
    async fn handle_event(&mut self, event: SupervisorEvent, state: &RunnerState) -> Vec<Input> {
        let last = match event {
            SupervisorEvent::Signal(signal) => Some(Input::Signal(signal)),
            SupervisorEvent::Task(input) => {
                self.unregistered |= matches!(input, Some(Input::Deregistered(DeregisterResult::Removed)));
                input
            }
            SupervisorEvent::Process(ProcessEvent::Line(line)) => self.read_line(line),
            SupervisorEvent::Process(ProcessEvent::Exited(code)) => {
                Some(Input::Exited(self.handle_exit(code, state).await))
            }
            SupervisorEvent::Time => None,
        };
        // Hooks report the running job: their inputs come before its end, and after its start.
        let starts = matches!(last, Some(Input::Event(Event::Started(_))));
        let mut inputs = if starts { Vec::new() } else { self.hooks() };
        inputs.push(last.unwrap_or(Input::Tick));
        inputs
    }

    fn read_line(&mut self, line: String) -> Option<Input> {
        self.supervised.app.log.debug(&format!("runner: {line}"));
        let event = self.runner.as_ref().and_then(|runner| (runner.parse_line)(&line));
        if self.tail.len() == SHOWN_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
        if event == Some(Event::Ready) {
            self.remove_secret_files();
        }
        event.map(Input::Event)
    }

    /// Removes the files that the program has read, so that jobs cannot; hooks are read for each job.
    fn remove_secret_files(&self) {
        for (path, _) in
            self.runner.iter().filter(|runner| runner.parse_hook_line.is_none()).flat_map(|runner| &runner.files)
        {
            let _ = self.supervised.app.host.remove(path);
        }
    }

    fn hooks(&mut self) -> Vec<Input> {
        let Some(hook) = self.runner.as_ref().and_then(|runner| runner.parse_hook_line) else { return Vec::new() };
        let lines = self.hook_log.read_lines(&*self.supervised.app.host);
        let job = |line: &String| match hook(line) {
            Some(Event::Started(job)) => Some(Input::Hook(job)),
            _ => None,
        };
        lines.iter().filter_map(job).collect()
    }

    async fn handle_exit(&mut self, code: Option<i32>, state: &RunnerState) -> ExitDisposition {
        let Some(runner) = &self.runner else { return ExitDisposition::Completed };
        let ending = (runner.interpret_exit)(code, state.last_result());
        self.supervised.app.log.debug(&format!(
            "the runner program ended ({})",
            code.map_or("signal".to_owned(), |code| code.to_string())
        ));
        // A Docker client that was killed leaves its container running.
        if let (None, Some(stop)) = (code, &runner.stop) {
            let words: Vec<&str> = stop.iter().map(String::as_str).collect();
            let _ = self.supervised.app.host.run(&words, &[]).await;
        }
        // An update may still be running, in a process that the program started.
        if !matches!(ending, ExitDisposition::Restart(_)) || state.is_busy() {
            self.end_process().await;
        }
        ending
    }

    async fn end_process(&mut self) {
        if let Some(process) = self.process.take()
            && let Err(error) = process.end().await
        {
            self.supervised.app.log.warn(&format!("cannot end all processes of the runner ({error})"));
        }
        let filter = self.runner.as_ref().and_then(|runner| runner.containers.as_deref());
        if std::mem::take(&mut self.is_unclean)
            && let Some(filter) = filter
        {
            cleanup::remove_containers(self.supervised.app, filter).await;
        }
    }

    async fn action(&mut self, action: Action) -> Result<()> {
        let (app, runners) = (self.supervised.app, self.supervised.runners);
        match action {
            Action::Announce(status) => {
                match &status {
                    LifecycleEvent::Started(_) => self.is_unclean = true,
                    LifecycleEvent::Ended(_, Some(true)) => self.is_unclean = false,
                    LifecycleEvent::Ended(..) | LifecycleEvent::Ready => {}
                }
                if let Some(on_status) = self.supervised.on_status {
                    on_status(&status);
                }
                status::announce(app, &self.supervised.repo, &self.supervised.registration.name, &status);
            }
            Action::Warn(text) => app.log.warn(&text),
            Action::Inform(text) => app.log.info(&text),
            Action::Start => self.start().await?,
            Action::Send(signal, whom) => {
                if let Some(process) = &mut self.process {
                    process.signal(signal, whom);
                }
            }
            Action::Stop => {
                if let Some(command) = self.runner.as_ref().and_then(|runner| runner.stop.clone()) {
                    self.tasks.push(Box::pin(async move {
                        let words: Vec<&str> = command.iter().map(String::as_str).collect();
                        if let Err(error) = app.host.run(&words, &[]).await {
                            app.log.warn(&format!("cannot run {} ({error})", words.join(" ")));
                        }
                        None
                    }));
                }
            }
            Action::Deregister => {
                let Some(runners) = runners else { return Ok(()) };
                let id = self.supervised.registration.id.clone();
                app.http.restart_budget();
                self.tasks.push(Box::pin(async move {
                    Some(Input::Deregistered(cleanup::deregister_idle(app, runners, &id).await))
                }));
            }
            Action::Check => {
                let Some(runners) = runners else { return Ok(()) };
                let registration = self.supervised.registration.clone();
                app.http.restart_budget();
                let check =
                    async move { Some(Input::Checked(cleanup::check_registration(runners, &registration).await)) };
                self.tasks.push(Box::pin(check));
            }
            Action::Unregister => cleanup::unregister(&self.supervised).await,
            Action::Rerun(jobs) => cleanup::rerun(&self.supervised, jobs).await,
            Action::Renew | Action::Finish(_) => {}
        }
        Ok(())
    }

    /// Returns where the program's own logs are and go.
    fn logs(&self, runner: &RunnerProcess) -> Option<Logs> {
        let to = self.supervised.keep_logs.as_ref().map(|folder| folder.join(&self.supervised.registration.name));
        Some(Logs { folder: runner.logs.clone()?, old: self.old_logs.clone(), to })
    }

    /// Moves the program's own logs out of their folder, and logs where they are kept.
    fn collect_logs(&self) {
        let app = self.supervised.app;
        let Some(logs) = self.runner.as_ref().and_then(|runner| self.logs(runner)) else { return };
        match (logs.collect(&*app.host), &logs.to) {
            (_, None) => {}
            (Ok(true), Some(to)) => app.log.info(&format!("the runner program's logs are in {}", to.display())),
            (Ok(false), Some(_)) => app.log.warn("the runner program left no logs to keep"),
            (Err(error), Some(to)) => {
                app.log.warn(&format!("cannot keep the runner program's logs in {} ({error})", to.display()));
            }
        }
    }

    /// Removes everything: processes, private files and the registration.
    async fn clean_up(&mut self) {
        self.end_process().await;
        self.collect_logs();
        for path in start::private_paths(&self.supervised, self.runner.as_ref()) {
            let host = &self.supervised.app.host;
            // The attempt tells whether it is a folder.
            if host.remove(&path).is_err() {
                let _ = host.remove_folder(&path);
            }
        }
        if !self.unregistered {
            cleanup::unregister(&self.supervised).await;
        }
    }
}
