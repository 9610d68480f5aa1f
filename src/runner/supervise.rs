//! Watches over a runner program from its start until nothing is left of it: joins processes, signals and time with
//! the state machine, and the forge for unregistering and for starting lost jobs again.

use super::journal::Journal;
use super::machine::{Act, Deletion, Input, Machine, Outcome, Rules, Status};
use super::{closing, start, status};
use crate::app::App;
use crate::error::{Error, Kind, Result};
use crate::forge::runner::{Agent, Ending, Event, Place, Registration};
use crate::forge::{Driver, Forge};
use crate::host::logs::Logs;
use crate::host::{Process, ProcessEvent, Signal};
use futures_util::StreamExt;
use futures_util::future::{Either, LocalBoxFuture, select};
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

/// How often hooks are looked for while a job runs of which little is known.
const LOOK: Duration = Duration::from_secs(1);
/// So many of the program's last lines are shown when it fails.
const TAIL: usize = 20;
/// Makes another registration for the same machine.
pub type Next<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Result<Registration>>;

/// A registered runner, to be run.
pub struct Supervised<'a> {
    /// The surroundings.
    pub app: &'a App,
    /// The forge that knows it, where it can be spoken to; a machine in a cloud has no token.
    pub forge: Option<&'a dyn Forge>,
    /// The forge's row.
    pub driver: &'static Driver,
    /// The repository's address, for those who watch.
    pub repo: String,
    /// The registration.
    pub registration: Registration,
    /// Makes another one, where each is good for one job only and more are wanted.
    pub next: Option<Next<'a>>,
    /// Where it runs.
    pub place: Place,
    /// Names of variables that are passed on besides the usual ones.
    pub pass_env: Vec<String>,
    /// How often at most a job may have been started in all for it to be started again; `None` for never.
    pub retry: Option<u32>,
    /// The folder that gets the program's own logs when it has ended; they are removed without.
    pub keep_logs: Option<PathBuf>,
    /// Folders of this runner alone, which are removed with it.
    pub remove: Vec<PathBuf>,
    /// The user that the program runs as, where that is another one.
    pub user: Option<String>,
    /// What else may end it, as a signal would.
    pub beside: Vec<LocalBoxFuture<'a, Signal>>,
    /// Told when it is ready and when jobs begin and end.
    pub told: Option<&'a dyn Fn(&Status)>,
}

/// Runs a registered runner until it ends or is told to. Whatever happens, it is unregistered then, its processes are
/// gone and its private files removed.
///
/// # Errors
///
/// [`Kind::Interrupted`] when a signal ended it while a job was running; what kept it from running otherwise.
pub async fn supervise(it: Supervised<'_>) -> Result<()> {
    for secret in it.registration.credential.values() {
        it.app.log.hide("the credential of the runner", secret);
    }
    let mut supervisor = Supervisor {
        journal: Journal::new(it.place.journal()),
        it,
        agent: None,
        process: None,
        tasks: FuturesUnordered::new(),
        tail: VecDeque::new(),
        old_logs: None,
        unregistered: false,
        is_unclean: false,
    };
    let outcome =
        supervisor.run().await.unwrap_or_else(|error| Outcome { reason: error.to_string(), error: Some(error) });
    if outcome.error.as_ref().is_some_and(|error| error.kind() != Kind::Interrupted) {
        for line in &supervisor.tail {
            supervisor.it.app.log.quote(&format!("runner: {line}"));
        }
    }
    supervisor.leave().await;
    let Supervised { app, repo, registration, .. } = &supervisor.it;
    status::terminated(app, repo, &registration.name, &outcome.reason);
    outcome.error.map_or(Ok(()), Err)
}

struct Supervisor<'a> {
    it: Supervised<'a>,
    agent: Option<Agent>,
    process: Option<Box<dyn Process>>,
    journal: Journal,
    /// What goes on beside.
    tasks: FuturesUnordered<LocalBoxFuture<'a, Option<Input>>>,
    tail: VecDeque<String>,
    /// The program's logs that were there before it; `None` where there was no folder of them.
    old_logs: Option<Vec<PathBuf>>,
    unregistered: bool,
    /// Whether a job began that has not ended well: it may have left containers.
    is_unclean: bool,
}

enum Happened {
    Told(ProcessEvent),
    Signal(Signal),
    Task(Option<Input>),
    Time,
}

impl<'a> Supervisor<'a> {
    async fn run(&mut self) -> Result<Outcome> {
        for end in std::mem::take(&mut self.it.beside) {
            self.tasks.push(Box::pin(async move { Some(Input::Signal(end.await)) }));
        }
        self.start().await?;
        let mut machine = Machine::new(self.rules()?, self.now());
        loop {
            let happened = self.wait(&machine).await;
            let mut inputs: VecDeque<Input> = self.understand(happened, &machine).await.into();
            while let Some(input) = inputs.pop_front() {
                for act in machine.feed(input, self.now()) {
                    match act {
                        Act::Finish(outcome) => return Ok(outcome),
                        Act::Renew => match self.renew().await? {
                            Some(signal) => inputs.push_back(Input::Signal(signal)),
                            None => machine.renewed(self.now()),
                        },
                        act => self.act(act).await?,
                    }
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.it.app.host.elapsed()
    }

    fn rules(&self) -> Result<Rules> {
        let agent = self.agent.as_ref().ok_or_else(|| Error::internal("a runner without a program"))?;
        Ok(Rules {
            name: self.it.registration.name.clone(),
            idle: self.it.place.idle,
            single: self.it.place.single || (agent.one_job_each && self.it.next.is_none()),
            drain: agent.drain,
            interrupt: agent.interrupt,
            grace: agent.grace,
            one_job_each: agent.one_job_each,
            drain_grace: agent.drain_grace,
            linger: agent.linger,
            second_interrupt: agent.second_interrupt,
            confirm_after: agent.confirm_after,
            one_at_a_time: agent.one_at_a_time,
            poll: agent.poll,
            can_check: self.it.forge.is_some(),
            delete_first: agent.delete_first && self.it.forge.is_some(),
        })
    }

    /// Starts the program with the present registration.
    async fn start(&mut self) -> Result<()> {
        self.end_process().await;
        let make = self
            .it
            .driver
            .agent
            .ok_or_else(|| Error::unsupported(format!("{} has no runner program", self.it.driver.title)))?;
        let agent = make(&self.it.registration, &self.it.place)?;
        for (_, secret) in agent.env.iter().filter(|(_, value)| !Path::new(value.expose()).is_absolute()) {
            self.it.app.log.hide("the credential of the runner", secret);
        }
        if self.agent.is_none() {
            self.old_logs = agent.logs.as_deref().and_then(|folder| self.it.app.host.list(folder).ok());
        }
        start::check(&self.it, &agent)?;
        let logs = self.logs(&agent);
        let process = start::start(&self.it, self.agent.insert(agent), logs).await?;
        self.it.app.log.debug(&format!("the runner program is process {}", process.id()));
        self.process = Some(process);
        Ok(())
    }

    /// Gets another registration and starts the program with it. A signal that comes before is for the machine: what
    /// was registered by then is unregistered at the end.
    async fn renew(&mut self) -> Result<Option<Signal>> {
        let app = self.it.app;
        let next = self.it.next.ok_or_else(|| Error::internal("a runner without another registration"))?;
        app.http.restart_budget();
        let (made, signal) = match select(pin!(next()), app.host.interrupted()).await {
            Either::Left((made, _)) => (made, None),
            Either::Right((signal, making)) => {
                app.http.shorten_deadline();
                (making.await, Some(signal))
            }
        };
        match made {
            Ok(registration) => {
                registration
                    .credential
                    .values()
                    .for_each(|secret| app.log.hide("the credential of the runner", secret));
                self.it.registration = registration;
            }
            Err(error) if signal.is_none() => return Err(error),
            Err(_) => {}
        }
        if signal.is_none() {
            self.start().await?;
        }
        Ok(signal)
    }

    async fn wait(&mut self, machine: &Machine) -> Happened {
        let host = &self.it.app.host;
        let mut pause = machine.deadline().map(|deadline| deadline.saturating_sub(host.elapsed()));
        if machine.wants_hook() && self.agent.as_ref().is_some_and(|agent| agent.hook.is_some()) {
            pause = Some(pause.map_or(LOOK, |pause| pause.min(LOOK)));
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
            Either::Left((Either::Left((signal, _)), _)) => Happened::Signal(signal),
            Either::Left((Either::Right((told, _)), _)) => Happened::Told(told),
            Either::Right((Either::Left((input, _)), _)) => Happened::Task(input),
            Either::Right((Either::Right(((), _)), _)) => Happened::Time,
        }
    }

    /// What happened, in the words of the machine.
    async fn understand(&mut self, happened: Happened, machine: &Machine) -> Vec<Input> {
        let last = match happened {
            Happened::Signal(signal) => Some(Input::Signal(signal)),
            Happened::Task(input) => {
                self.unregistered |= matches!(input, Some(Input::Deleted(Deletion::Gone)));
                input
            }
            Happened::Told(ProcessEvent::Line(line)) => self.read(line),
            Happened::Told(ProcessEvent::Exited(code)) => Some(Input::Exited(self.ended(code, machine).await)),
            Happened::Time => None,
        };
        // Hooks speak of the job that runs: what they said comes before its end, and after its start.
        let starts = matches!(last, Some(Input::Told(Event::Started(_))));
        let mut inputs = if starts { Vec::new() } else { self.hooks() };
        inputs.push(last.unwrap_or(Input::Tick));
        inputs
    }

    fn read(&mut self, line: String) -> Option<Input> {
        self.it.app.log.debug(&format!("runner: {line}"));
        let event = self.agent.as_ref().and_then(|agent| (agent.reads)(&line));
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
        if event == Some(Event::Ready) {
            self.forget_files();
        }
        event.map(Input::Told)
    }

    /// The program has read its files, and a job is not to; hooks are read for each job.
    fn forget_files(&self) {
        for (path, _) in self.agent.iter().filter(|agent| agent.hook.is_none()).flat_map(|agent| &agent.files) {
            let _ = self.it.app.host.remove(path);
        }
    }

    fn hooks(&mut self) -> Vec<Input> {
        let Some(hook) = self.agent.as_ref().and_then(|agent| agent.hook) else { return Vec::new() };
        let lines = self.journal.lines(&*self.it.app.host);
        let job = |line: &String| match hook(line) {
            Some(Event::Started(job)) => Some(Input::Hook(job)),
            _ => None,
        };
        lines.iter().filter_map(job).collect()
    }

    async fn ended(&mut self, code: Option<i32>, machine: &Machine) -> Ending {
        let Some(agent) = &self.agent else { return Ending::Done };
        let ending = (agent.ends)(code, machine.last_result());
        self.it.app.log.debug(&format!(
            "the runner program ended ({})",
            code.map_or("signal".to_owned(), |code| code.to_string())
        ));
        // A client of Docker that was killed leaves its container running.
        if let (None, Some(stop)) = (code, &agent.stop) {
            let words: Vec<&str> = stop.iter().map(String::as_str).collect();
            let _ = self.it.app.host.run(&words, &[]).await;
        }
        // An update may still be under way, in a process that the program started.
        if !matches!(ending, Ending::Again(_)) || machine.is_busy() {
            self.end_process().await;
        }
        ending
    }

    async fn end_process(&mut self) {
        if let Some(process) = self.process.take()
            && let Err(error) = process.end().await
        {
            self.it.app.log.warn(&format!("a process of the runner is left ({error})"));
        }
        let filter = self.agent.as_ref().and_then(|agent| agent.containers.as_deref());
        if std::mem::take(&mut self.is_unclean)
            && let Some(filter) = filter
        {
            closing::remove_containers(self.it.app, filter).await;
        }
    }

    async fn act(&mut self, act: Act) -> Result<()> {
        let (app, forge) = (self.it.app, self.it.forge);
        match act {
            Act::Say(status) => {
                match &status {
                    Status::Started(_) => self.is_unclean = true,
                    Status::Ended(_, Some(true)) => self.is_unclean = false,
                    Status::Ended(..) | Status::Ready => {}
                }
                if let Some(told) = self.it.told {
                    told(&status);
                }
                status::say(app, &self.it.repo, &self.it.registration.name, &status);
            }
            Act::Warn(text) => app.log.warn(&text),
            Act::Inform(text) => app.log.info(&text),
            Act::Start => self.start().await?,
            Act::Send(signal, whom) => {
                if let Some(process) = &mut self.process {
                    process.signal(signal, whom);
                }
            }
            Act::Stop => {
                if let Some(command) = self.agent.as_ref().and_then(|agent| agent.stop.clone()) {
                    self.tasks.push(Box::pin(async move {
                        let words: Vec<&str> = command.iter().map(String::as_str).collect();
                        if let Err(error) = app.host.run(&words, &[]).await {
                            app.log.warn(&format!("cannot run {} ({error})", words.join(" ")));
                        }
                        None
                    }));
                }
            }
            Act::Delete => {
                let Some(forge) = forge else { return Ok(()) };
                let id = self.it.registration.id.clone();
                app.http.restart_budget();
                self.tasks.push(Box::pin(async move { Some(Input::Deleted(closing::delete(app, forge, &id).await)) }));
            }
            Act::Check => {
                let Some(forge) = forge else { return Ok(()) };
                let registration = self.it.registration.clone();
                app.http.restart_budget();
                let check = async move { Some(Input::Checked(closing::check(forge, &registration).await)) };
                self.tasks.push(Box::pin(check));
            }
            Act::Unregister => closing::unregister(&self.it).await,
            Act::Rerun(jobs) => closing::rerun(&self.it, jobs).await,
            Act::Renew | Act::Finish(_) => {}
        }
        Ok(())
    }

    /// The logs that a program keeps of itself.
    fn logs(&self, agent: &Agent) -> Option<Logs> {
        let to = self.it.keep_logs.as_ref().map(|folder| folder.join(&self.it.registration.name));
        Some(Logs { folder: agent.logs.clone()?, old: self.old_logs.clone(), to })
    }

    /// Takes them out of their folder, and says where they are if they are kept.
    fn collect_logs(&self) {
        let app = self.it.app;
        let Some(logs) = self.agent.as_ref().and_then(|agent| self.logs(agent)) else { return };
        match (logs.collect(&*app.host), &logs.to) {
            (_, None) => {}
            (Ok(true), Some(to)) => app.log.info(&format!("the runner program's logs are in {}", to.display())),
            (Ok(false), Some(_)) => app.log.warn("the runner program left no logs to keep"),
            (Err(error), Some(to)) => {
                app.log.warn(&format!("cannot keep the runner program's logs in {} ({error})", to.display()));
            }
        }
    }

    /// Nothing is left: no process, no private file, no registration.
    async fn leave(&mut self) {
        self.end_process().await;
        self.collect_logs();
        for path in start::leftovers(&self.it, self.agent.as_ref()) {
            let host = &self.it.app.host;
            // What is a folder says the attempt.
            if host.remove(&path).is_err() {
                let _ = host.remove_folder(&path);
            }
        }
        if !self.unregistered {
            closing::unregister(&self.it).await;
        }
    }
}
