//! One launch with its faults, and what must hold after it.

use super::clouds::{Fake, Kind, Refusal};
use super::host::{Fault, SimHost, World};
use super::rng::Rng;
use crate::cloud::fixture::launcher;
use crate::support::fake::http::{Request, Response};
use crate::support::fake::{Clock, Doing, Forge, Runner, Vendor};
use cml::host::Signal;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// How long instances may live, and a moment after that.
pub const LIFETIME: &str = "1 hour";
pub const LATER: Duration = Duration::from_secs(3 * 60 * 60);

/// What happened when an instance ended by itself.
const ENDS: &str = "the instance ends";

/// When something happens: at so many requests, or at so many that change something in the cloud; from 1.
#[derive(Clone, Copy, Debug)]
enum At {
    Request(u64),
    Effect(u64),
}

/// What is planned to go wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Refused(Refusal),
    Broken(u16),
    LostBefore,
    LostAfter,
    Slow(Duration),
    Signal(Signal, bool),
    Kill(bool),
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    at: At,
    /// For so many requests.
    times: u64,
    trouble: Trouble,
}

/// A forge and a cloud, with what is going to go wrong.
pub struct Scene {
    vendor: Vendor,
    pub forge: Forge,
    pub fake: Fake,
    planned: RefCell<Vec<Planned>>,
    /// After its boot, when the runner is online, and when its instance powers off.
    online: Option<Duration>,
    ends: Option<Duration>,
    booted: Cell<Option<Duration>>,
    clock: Cell<Duration>,
    requests: Cell<u64>,
    effects: Cell<u64>,
    /// The exit codes that what has happened may lead to.
    codes: RefCell<BTreeSet<u8>>,
    /// What has happened.
    happened: RefCell<Vec<String>>,
    most: Cell<usize>,
    pub asked: RefCell<Vec<Asked>>,
}

/// A request, and when it was sent.
pub struct Asked {
    pub at: Duration,
    pub is_cloud: bool,
    pub makes_instance: bool,
}

impl World for Scene {
    fn fault(&self, request: &Request) -> Option<Fault> {
        let (is_cloud, has_effect) = (!self.is_forges(request), self.fake.has_effect(request));
        self.requests.set(self.requests.get() + 1);
        if is_cloud && has_effect {
            self.effects.set(self.effects.get() + 1);
        }
        let makes = is_cloud && self.fake.makes_instance(request);
        self.asked.borrow_mut().push(Asked { at: self.clock.get(), is_cloud, makes_instance: makes });
        let (number, effect) = (self.requests.get(), self.effects.get());
        let planned = self.planned.borrow();
        let found = planned.iter().find(|one| match one.at {
            At::Request(at) => (at..at + one.times).contains(&number),
            At::Effect(at) => is_cloud && has_effect && (at..at + one.times).contains(&effect),
        })?;
        let trouble = found.trouble;
        let (fault, codes): (Fault, &[u8]) = match trouble {
            // Only what makes an instance lacks capacity, and the forge has its own words.
            Trouble::Refused(Refusal::Capacity | Refusal::Quota) if !makes => return None,
            Trouble::Refused(_) if !is_cloud => return None,
            Trouble::Refused(why) => (
                Fault::Answered(self.fake.refusal(why)),
                match why {
                    Refusal::Capacity | Refusal::Quota => &[11],
                    Refusal::Throttled => &[8, 9, 12],
                    Refusal::Denied => &[4],
                },
            ),
            Trouble::Broken(status) => (Fault::Answered(Response::empty(status)), &[9, 12]),
            Trouble::LostBefore => (Fault::LostBefore, &[9, 12]),
            Trouble::LostAfter => (Fault::LostAfter, &[9, 12]),
            Trouble::Slow(time) => (Fault::Slow(time), &[9, 12]),
            Trouble::Signal(signal, after) => {
                (Fault::Signal(signal, after), if signal == Signal::Terminate { &[143] } else { &[130] })
            }
            Trouble::Kill(after) => (Fault::Kill(after), &[]),
        };
        self.codes.borrow_mut().extend(codes);
        self.happened.borrow_mut().push(format!("{trouble:?} at {} {}", request.method, request.path()));
        Some(fault)
    }

    fn carry_out(&self, request: &Request) -> Option<Response> {
        let answer = if self.is_forges(request) { self.forge.exchange(request) } else { self.fake.exchange(request) };
        self.most.set(self.most.get().max(self.fake.good_instances()));
        answer
    }

    fn pass(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
        self.forge.clock(Clock::Real(self.clock.get().as_secs() as i64));
        self.fake.pass(time);
        let now = self.clock.get();
        if self.booted.get().is_none() && self.fake.runs() {
            self.booted.set(Some(now));
        }
        let Some(booted) = self.booted.get() else { return };
        if self.ends.is_some_and(|after| now >= booted + after) && self.fake.runs() {
            self.codes.borrow_mut().insert(12);
            self.happened.borrow_mut().push(ENDS.to_owned());
            self.fake.power_off();
        } else if self.online.is_some_and(|after| now >= booted + after) && self.fake.runs() {
            for runner in self.runners().into_iter().filter(|runner| runner.doing == Doing::Offline) {
                self.forge.set_runner(&runner.name, Doing::Idle);
            }
        }
    }
}

impl Scene {
    fn is_forges(&self, request: &Request) -> bool {
        request.header("host").is_some_and(|host| self.forge.address() == host)
    }

    pub fn runners(&self) -> Vec<Runner> {
        self.forge.runners(self.vendor, self.vendor.slug())
    }

    /// The most instances that a job could run on which there were at a time.
    pub fn most(&self) -> usize {
        self.most.get()
    }

    /// Forgets what was asked, and the runners.
    pub fn forget(&self) {
        self.asked.borrow_mut().clear();
        self.forge.configure_runners(|runners| runners.all.clear());
    }

    /// In which nothing goes wrong.
    fn calm(kind: &Kind, vendor: Vendor) -> Scene {
        Scene {
            vendor,
            forge: Forge::start(),
            fake: kind.start(),
            planned: RefCell::default(),
            online: Some(Duration::from_secs(30)),
            ends: None,
            booted: Cell::default(),
            clock: Cell::default(),
            requests: Cell::default(),
            effects: Cell::default(),
            codes: RefCell::default(),
            happened: RefCell::default(),
            most: Cell::default(),
            asked: RefCell::default(),
        }
    }

    fn new(kind: &Kind, rng: &mut Rng) -> Scene {
        let vendors: &[Vendor] = if kind.has_docker() {
            &[Vendor::GitHub, Vendor::GitHub, Vendor::GitLab, Vendor::Bitbucket]
        } else {
            &[Vendor::GitHub, Vendor::GitLab]
        };
        let mut scene = Scene::calm(kind, rng.one_of(vendors));
        if rng.happens(30) {
            // It may be too slow as well.
            scene.codes.borrow_mut().extend([scene.fake.is_strained(rng), 9, 11]);
            scene.happened.borrow_mut().push("the cloud is strained".to_owned());
        }
        scene.online = (!rng.happens(5)).then(|| Duration::from_secs(rng.below(90)));
        if scene.online.is_none() {
            scene.codes.borrow_mut().insert(12);
        }
        scene.ends = rng.happens(8).then(|| Duration::from_secs(rng.below(60)));
        scene.planned = RefCell::new((0..rng.below(4)).map(|_| planned(rng)).collect());
        scene
    }
}

fn planned(rng: &mut Rng) -> Planned {
    let at = if rng.happens(50) { At::Request(1 + rng.below(40)) } else { At::Effect(1 + rng.below(4)) };
    let after = rng.happens(50);
    let trouble = match rng.below(12) {
        0 => Trouble::Refused(Refusal::Capacity),
        1 => Trouble::Refused(Refusal::Quota),
        2 => Trouble::Refused(Refusal::Throttled),
        3 => Trouble::Refused(Refusal::Denied),
        4 => Trouble::Broken(rng.one_of(&[500, 502, 503])),
        5 => Trouble::LostBefore,
        6 | 7 => Trouble::LostAfter,
        8 => Trouble::Slow(Duration::from_secs(rng.below(100))),
        9 => Trouble::Signal(rng.one_of(&[Signal::Terminate, Signal::Interrupt]), after),
        _ => Trouble::Kill(after),
    };
    let times = match trouble {
        Trouble::Signal(..) | Trouble::Kill(_) => 1,
        _ => rng.one_of(&[1, 1, 1, 2, 3, 9, 99]),
    };
    Planned { at, times, trouble }
}

/// What a launch in which nothing goes wrong needs.
pub fn prepared(kind: &Kind) -> (Rc<Scene>, Rc<SimHost>) {
    let scene = Rc::new(Scene::calm(kind, Vendor::GitHub));
    let host = scene.host(Rng(7));
    (scene, host)
}

/// A launch in which nothing goes wrong, unless it is killed after a request is carried out, counted from 1. Returns whether it was, with its
/// cloud, and its machine.
pub fn calm(kind: &Kind, args: &[&str], killed: Option<u64>) -> (bool, Rc<Scene>, Rc<SimHost>) {
    let (scene, host) = prepared(kind);
    let kill = killed.map(|at| Planned { at: At::Request(at), times: 1, trouble: Trouble::Kill(true) });
    scene.planned.borrow_mut().extend(kill);
    let (code, log) = host.run(&[&["runner", "launch", "--cloud-max-lifetime", LIFETIME], args].concat());
    assert!(code.is_none_or(|code| code == 0), "{code:?} {log}");
    (code.is_none(), scene, host)
}

/// How a launch went.
pub struct Outcome {
    /// `None`: it was killed.
    pub code: Option<u8>,
    pub faults: usize,
    /// How many instances a killed launch left, which ended later.
    pub left: usize,
}

/// Launches with the faults that follow from a seed.
///
/// # Errors
/// What is not as it must be, and how it came.
pub fn launch(kind: &Kind, seed: u64) -> Result<Outcome, String> {
    let mut rng = Rng(seed);
    let scene = Rc::new(Scene::new(kind, &mut rng));
    let host = scene.host(rng.clone());
    let timeout = rng.one_of(&["20", "60", "120"]);
    let mut args = vec!["runner", "launch", "--cloud-max-lifetime", LIFETIME, "--timeout", timeout];
    if rng.happens(50) {
        args.push("--cloud-spot");
    }
    let (code, log) = host.run(&args);
    let outcome = Outcome { code, faults: scene.happened.borrow().len(), left: scene.fake.instances().len() };
    let mut about = format!("{} seed {seed}: {code:?}, {:?}\n", kind.name(), scene.planned.borrow());
    about += &format!("{}\n{log}", scene.happened.borrow().join("\n"));
    let wrong = scene.judge_launch(code, &log, outcome.left).or_else(|| {
        let leaves = !scene.fake.left().is_empty() || !scene.runners().is_empty();
        if !(leaves && code != Some(0) || rng.happens(25)) {
            return None;
        }
        // Nothing goes wrong any more.
        scene.planned.borrow_mut().clear();
        if rng.happens(50) {
            // What is over is kept for a while.
            host.pass(LATER);
            host.pass(LATER);
            if scene.fake.ends_by_itself() && !scene.fake.left().is_empty() {
                return Some(format!("after its time: {:?}", scene.fake.left()));
            }
        }
        // By then every cloud lists what it has.
        host.pass(Duration::from_secs(5));
        let (reaped, log) = host.run(&["runner", "reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"]);
        about += &format!("reap: {reaped:?}\n{log}");
        // What has ended is kept for a while, and goes by itself. A runner that works has its instance.
        host.pass(LATER);
        host.pass(LATER);
        let works = scene.runners().iter().any(|runner| runner.doing == Doing::Idle);
        let is_well = reaped == Some(0) && (scene.fake.left().is_empty() || works);
        (!is_well).then(|| format!("reap leaves {:?}", scene.fake.left()))
    });
    match wrong {
        Some(wrong) => Err(format!("{wrong}\n{about}")),
        None => Ok(outcome),
    }
}

impl Scene {
    /// The launcher's machine.
    fn host(self: &Rc<Scene>, random: Rng) -> Rc<SimHost> {
        let mut cml = launcher(&self.forge, self.vendor, &*self.fake);
        cml.unset("GITHUB_EVENT_PATH");
        let world: Rc<dyn World> = Rc::<Scene>::clone(self);
        Rc::new(SimHost::new(cml.env.into_iter().collect(), world, random))
    }

    /// Returns what a launch should not have done.
    fn judge_launch(&self, code: Option<u8>, log: &str, left: usize) -> Option<String> {
        if self.most.get() > 1 {
            return Some(format!("{} instances for one launch", self.most.get()));
        }
        if let Some(what) = self.fake.lacks() {
            return Some(format!("without label or end: {what}"));
        }
        let tells = |words: &[&str]| words.iter().any(|words| log.contains(words));
        let codes = self.codes.borrow();
        match code {
            None => None,
            Some(0) => {
                let is_there = left == 1 && self.runners().len() == 1;
                let ends = self.happened.borrow().iter().any(|one| one == ENDS);
                (!is_there && !ends).then(|| format!("it says that there is one: {left} {:?}", self.runners()))
            }
            Some(code) if !codes.contains(&code) => Some(format!("exit code {code}, of {codes:?}")),
            _ if !self.fake.left().is_empty()
                && !tells(&["may still be running", "an instance may have been created"]) =>
            {
                Some(format!("left behind: {:?}", self.fake.left()))
            }
            _ if !self.runners().is_empty() && !tells(&["cml runner stop", "check the list of runners"]) => {
                Some(format!("left behind: {:?}", self.runners()))
            }
            _ => None,
        }
    }
}
