//! A machine on which nothing is real: its clock moves when everybody waits, its network is the servers of this process, and it has no
//! files. A launch of minutes takes some milliseconds on it, and goes the same way each time.

use super::rng::Rng;
use crate::support::fake::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;
use cml::env::{Env, Secret};
use cml::host::native::Native;
use cml::host::{Command, Host, OpenFile, Output, Platform, SendError, SendPhase, Signal, Stat, Stream};
use futures_util::future::BoxFuture;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// No command may take longer.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered so, and not carried out.
    Answered(Response),
    /// The connection breaks before it is carried out.
    LostBefore,
    /// The connection breaks after it was carried out.
    LostAfter,
    /// It is carried out, and its answer takes so long.
    Slow(Duration),
    /// A signal comes before or after it is carried out.
    Signal(Signal, bool),
    /// The process is killed before or after it is carried out.
    Kill(bool),
}

/// What ends a command where it waits.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// The process is killed: nothing of it goes on.
    Kill,
    /// A signal comes.
    Signal(Signal),
}

/// What is around the machine.
pub trait World {
    /// What happens to the next request.
    fn fault(&self, request: &Request) -> Option<Fault>;
    /// Carries a request out; `None` when its answer is lost.
    fn carry_out(&self, request: &Request) -> Option<Response>;
    /// Time passes.
    fn pass(&self, time: Duration);
}

/// The machine.
pub struct SimHost {
    env: Env,
    world: Rc<dyn World>,
    native: Native,
    clock: Cell<Duration>,
    random: RefCell<Rng>,
    sleepers: RefCell<Vec<(Duration, Waker)>>,
    tasks: RefCell<Vec<BoxFuture<'static, ()>>>,
    signal: Cell<Option<Signal>>,
    listener: RefCell<Option<Waker>>,
    killed: Cell<bool>,
    polls: Cell<u64>,
    cut: Cell<Option<(u64, Cut)>>,
    way: Cell<Option<Duration>>,
    log: RefCell<String>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl SimHost {
    pub fn new(env: Env, world: Rc<dyn World>, random: Rng) -> SimHost {
        SimHost {
            env,
            world,
            native: Native::default(),
            clock: Cell::default(),
            random: RefCell::new(random),
            sleepers: RefCell::default(),
            tasks: RefCell::default(),
            signal: Cell::default(),
            listener: RefCell::default(),
            killed: Cell::default(),
            polls: Cell::default(),
            cut: Cell::default(),
            way: Cell::default(),
            log: RefCell::default(),
        }
    }

    /// Runs a command to its end and returns its exit code, and what it logged and printed; without a code it was killed.
    pub fn run(self: &Rc<SimHost>, args: &[&str]) -> (Option<u8>, String) {
        self.killed.set(false);
        self.polls.set(0);
        self.signal.set(None);
        self.sleepers.borrow_mut().clear();
        self.tasks.borrow_mut().clear();
        self.log.borrow_mut().clear();
        let argv = std::iter::once("cml").chain(args.iter().copied()).map(str::to_owned).collect();
        let code = self.drive(cml::run(Rc::<SimHost>::clone(self), argv));
        self.cut.set(None);
        (code, self.log.take())
    }

    /// Ends the next command where it waits for the n-th time, counted from 1.
    pub fn cut(&self, at: u64, how: Cut) {
        self.cut.set(Some((at, how)));
    }

    /// How often the last command has waited.
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Every request takes so long to its server, and its answer so long back.
    pub fn takes(&self, way: Duration) {
        self.way.set(Some(way));
    }

    /// Lets time pass while nothing runs.
    pub fn pass(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
        self.world.pass(time);
    }

    fn drive(&self, work: impl Future<Output = u8>) -> Option<u8> {
        let mut work = pin!(work);
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        let end = self.clock.get() + LIMIT;
        loop {
            flag.0.store(false, Ordering::SeqCst);
            let polled = work.as_mut().poll(&mut context);
            if self.killed.get() {
                return None;
            }
            if let Poll::Ready(code) = polled {
                return Some(code);
            }
            self.polls.set(self.polls.get() + 1);
            if let Some((at, how)) = self.cut.get()
                && at == self.polls.get()
            {
                self.cut.set(None);
                match how {
                    Cut::Kill => return None,
                    Cut::Signal(signal) => self.raise(signal),
                }
            }
            let mut tasks = self.tasks.take();
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            self.tasks.borrow_mut().append(&mut tasks);
            if !flag.0.load(Ordering::SeqCst) {
                self.advance();
                assert!(self.clock.get() < end, "it does not end: {}", self.log.borrow());
            }
        }
    }

    /// Goes to the next moment at which somebody wakes up.
    fn advance(&self) {
        let next = self.sleepers.borrow().iter().map(|(at, _)| *at).min();
        let next = next.unwrap_or_else(|| panic!("it waits for nothing: {}", self.log.borrow()));
        self.pass(next.saturating_sub(self.clock.get()));
        let (awake, asleep) = self.sleepers.take().into_iter().partition(|(at, _)| *at <= next);
        self.sleepers.replace(asleep);
        let awake: Vec<(Duration, Waker)> = awake;
        awake.into_iter().for_each(|(_, waker)| waker.wake());
    }

    fn raise(&self, signal: Signal) {
        self.signal.set(Some(signal));
        if let Some(waker) = self.listener.take() {
            waker.wake();
        }
    }

    /// Nothing of this process goes on.
    async fn kill(&self) -> ! {
        self.killed.set(true);
        pending().await
    }
}

fn broken() -> SendError {
    SendError::new(SendPhase::Broken, "connection reset")
}

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

#[async_trait(?Send)]
impl Host for SimHost {
    fn env(&self) -> &Env {
        &self.env
    }
    fn platform(&self) -> Platform {
        Platform { os: "linux".into(), arch: "x86_64".into() }
    }
    fn current_exe_argv(&self) -> Vec<String> {
        vec!["cml".to_owned()]
    }
    /// Real time goes on, too, as it does for the servers.
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + self.clock.get()
    }
    fn elapsed(&self) -> Duration {
        self.clock.get()
    }
    fn random(&self) -> u64 {
        self.random.borrow_mut().next()
    }
    fn sign_rs256(&self, key: &Secret, message: &[u8]) -> Option<Vec<u8>> {
        self.native.sign_rs256(key, message)
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.borrow_mut().push(task);
    }
    async fn sleep(&self, duration: Duration) {
        let end = self.clock.get() + duration;
        poll_fn(|context| {
            if self.clock.get() >= end {
                return Poll::Ready(());
            }
            self.sleepers.borrow_mut().push((end, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
    async fn interrupted(&self) -> Signal {
        poll_fn(|context| match self.signal.take() {
            Some(signal) => Poll::Ready(signal),
            None => {
                self.listener.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
    fn trust(&self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
        let request = told(&request);
        let fault = self.world.fault(&request);
        // The way there and back.
        let way = self.way.get().unwrap_or_else(|| Duration::from_millis(self.random() % 40 + 1));
        self.sleep(way).await;
        match &fault {
            Some(Fault::Answered(answer)) => return Ok(received(answer.clone())),
            Some(Fault::LostBefore) => return Err(broken()),
            Some(Fault::Signal(signal, false)) => self.raise(*signal),
            Some(Fault::Kill(false)) => self.kill().await,
            _ => {}
        }
        let answer = self.world.carry_out(&request);
        match fault {
            Some(Fault::LostAfter) => return Err(broken()),
            Some(Fault::Signal(signal, true)) => self.raise(signal),
            Some(Fault::Kill(true)) => self.kill().await,
            Some(Fault::Slow(time)) if time > timeout => {
                self.sleep(timeout).await;
                return Err(SendError::new(SendPhase::Timeout, "timed out"));
            }
            Some(Fault::Slow(time)) => self.sleep(time).await,
            _ => {}
        }
        self.sleep(way).await;
        answer.map(received).ok_or_else(broken)
    }
    fn process_id(&self) -> u32 {
        1
    }
    fn is_running(&self, _: u32) -> bool {
        false
    }
    fn is_foreign(&self, _: &Path) -> bool {
        false
    }
    fn log(&self, line: &str) {
        let mut log = self.log.borrow_mut();
        log.push_str(line);
        log.push('\n');
    }
    fn progress(&self, _: &str) {}
    fn is_terminal(&self, _: Stream) -> bool {
        false
    }
    fn out(&self, bytes: &[u8]) -> io::Result<()> {
        self.log.borrow_mut().push_str(&String::from_utf8_lossy(bytes));
        Ok(())
    }

    // It has no files, and starts no programs.
    fn current_dir(&self) -> io::Result<PathBuf> {
        Ok("/".into())
    }
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        unsupported()
    }
    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        unsupported()
    }
    fn read_at(&self, _: &Path, _: u64, _: usize) -> io::Result<Vec<u8>> {
        unsupported()
    }
    fn open(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        unsupported()
    }
    fn open_stdin(&self) -> io::Result<Box<dyn OpenFile>> {
        unsupported()
    }
    fn read_link(&self, _: &Path) -> io::Result<PathBuf> {
        unsupported()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        unsupported()
    }
    fn append(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        unsupported()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn make_executable(&self, _: &Path) -> io::Result<()> {
        unsupported()
    }
    fn stat(&self, _: &Path) -> io::Result<Stat> {
        unsupported()
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }
    async fn execute(&self, _: &Command) -> io::Result<Output> {
        unsupported()
    }
    async fn hand_over(&self, _: &Command) -> io::Result<Option<i32>> {
        unsupported()
    }
}

/// A request as a server reads it.
fn told(request: &http::Request<Bytes>) -> Request {
    let uri = request.uri();
    let authority = uri.authority().map_or("", |authority| authority.as_str()).to_owned();
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    Request {
        method: request.method().to_string(),
        target: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: [("host".to_owned(), authority), ("user-agent".to_owned(), "test".to_owned())]
            .into_iter()
            .chain(headers)
            .collect(),
        body: request.body().to_vec(),
    }
}

fn received(answer: Response) -> http::Response<Bytes> {
    let mut built = http::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        built = built.header(name, value);
    }
    built.body(answer.body.into()).unwrap()
}
