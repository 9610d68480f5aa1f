//! `cml clearml` and comments: commands that end where they wait, at each such place, as in [`super::killed`]. ClearML's server and the
//! forges are the scripted ones of the other tests.

use super::host::{Cut, Fault, SimHost, World};
use super::killed::places;
use super::launch::LATER;
use super::rng::Rng;
use crate::clearml::{scalar, with_keys};
use crate::support::clearml::{ClearMl, Wrong};
use crate::support::fake::http::{Request, Response};
use crate::support::fake::{Clock, Forge, HEAD, Target, Vendor};
use crate::support::{Cml, VENDORS};
use cml::host::Signal;
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// So many of its places are tried for each command in every run of the tests, and each comment on one forge.
const FEW: u64 = 8;
const CHECK: [&str; 9] =
    ["clearml", "check", "--queue", "default", "--project", "Lab/CI", "--publish", "--arg", "lr=0.1"];
const PROMOTE: [&str; 10] = [
    "clearml",
    "promote",
    "--project",
    "Lab/CI",
    "--metric",
    "acc/val",
    "--baseline",
    "tag:best",
    "--publish-task",
    "--publish",
];

/// ClearML's server and a forge.
struct Lab {
    server: ClearMl,
    forge: Forge,
    vendor: Vendor,
    clock: Cell<Duration>,
}

impl World for Lab {
    fn fault(&self, _: &Request) -> Option<Fault> {
        None
    }

    fn carry_out(&self, request: &Request) -> Option<Response> {
        if request.header("host").is_some_and(|host| self.forge.address() == host) {
            self.forge.exchange(request)
        } else {
            self.server.exchange(request)
        }
    }

    fn pass(&self, time: Duration) {
        self.clock.set(self.clock.get() + time);
        self.forge.clock(Clock::Real(self.clock.get().as_secs() as i64));
    }
}

impl Lab {
    fn new(vendor: Vendor) -> Rc<Lab> {
        Rc::new(Lab { server: ClearMl::start(), forge: Forge::start(), vendor, clock: Cell::default() })
    }

    /// A job's machine. It has no files, so that the variables say all.
    fn host(self: &Rc<Lab>, prepare: impl FnOnce(&mut Cml)) -> Rc<SimHost> {
        let mut cml = with_keys(Cml::on(&self.forge, self.vendor), &self.server);
        cml.unset("GITHUB_EVENT_PATH");
        prepare(&mut cml);
        let world: Rc<dyn World> = Rc::<Lab>::clone(self);
        Rc::new(SimHost::new(cml.env.into_iter().collect(), world, Rng(7)))
    }

    /// The comments of the pull request, without what differs between two forges.
    fn comments(&self) -> Vec<String> {
        let comments = self.forge.live_comments(self.vendor, &Target::Pull(7)).into_iter();
        comments.map(|comment| comment.body.replace(&self.forge.address(), "forge")).collect()
    }

    fn tagged(&self, tag: &str) -> Vec<String> {
        let has = |task: &Value| task["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)));
        let name = |task: &Value| task["name"].as_str().unwrap().to_owned();
        self.server.tasks().iter().filter(|task| has(task)).map(name).collect()
    }
}

/// Runs a command with all its places, or a few. `prepare` makes its surroundings, and `judge` sees how it ended. Returns how often.
fn at_every_place(
    few: Option<u64>,
    args: &[&str],
    how: Cut,
    prepare: impl Fn() -> (Rc<Lab>, Rc<SimHost>),
    judge: impl Fn(&Lab, &Rc<SimHost>, &str),
) -> usize {
    // Once the task that it has launched is completed, `find` leaves nothing, and ends by itself.
    let ends_by_itself = |code: Option<u8>, log: &str| {
        args[1] == "find" && code == Some(0) && log.contains("the task completed") && matches!(how, Cut::Signal(_))
    };
    let (_lab, host) = prepare();
    let (code, log) = host.run(args);
    assert!(code == Some(0) && host.polls() > 3, "{code:?} {} {log}", host.polls());
    let places = places(host.polls(), few);
    for &at in &places {
        let (lab, host) = prepare();
        host.cut(at, how);
        let (code, log) = host.run(args);
        let log = format!("{:?} {how:?} at {at}: {code:?}\n{log}", &args[..2]);
        let expected = if matches!(how, Cut::Kill) { None } else { Some(143) };
        assert!(code == expected || ends_by_itself(code, &log), "{log}");
        host.pass(LATER);
        judge(&lab, &host, &log);
    }
    places.len()
}

/// A queue with a worker, a task to clone, and one of somebody else.
fn with_worker() -> (Rc<Lab>, Rc<SimHost>) {
    let lab = Lab::new(Vendor::GitLab);
    lab.server.queue("default", true);
    lab.server.task(json!({ "name": "template", "hyperparams": { "Args": {} } }));
    lab.server.task(json!({ "name": "other", "status": "in_progress", "tags": ["mine"] }));
    lab.server.project("Lab/CI");
    lab.server.before_each(|tasks, endpoint| {
        for task in tasks.iter_mut().filter(|task| is_launched(task) && endpoint == "tasks.get_all") {
            match task["status"].as_str() {
                Some("queued") => task["status"] = json!("in_progress"),
                // A check stops it.
                Some("in_progress") if task["last_iteration"] == 3 => task["status"] = json!("completed"),
                Some("in_progress") => task["last_iteration"] = json!(3),
                _ => {}
            }
        }
    });
    let host = lab.host(|_| {});
    (lab, host)
}

fn is_launched(task: &Value) -> bool {
    task["name"].as_str().is_some_and(|name| name.starts_with("cml "))
}

fn is_under_way(task: &Value) -> bool {
    task["status"] == "queued" || task["status"] == "in_progress"
}

fn is_of_check(task: &Value) -> bool {
    task["tags"] == json!(["cml-check"])
}

/// The tasks that checks have made, and those of them that are left.
fn of_checks(lab: &Lab) -> (Vec<Value>, Vec<Value>) {
    let all = lab.server.tasks();
    let untouched = all.iter().filter(|task| task["name"] == "other" && task["status"] == "in_progress");
    assert_eq!((untouched.count(), lab.tagged("mine").len()), (1, 1), "{all:?}");
    let (mine, others): (Vec<Value>, Vec<Value>) = all.into_iter().partition(is_of_check);
    assert_eq!(others.len(), 2, "a task without the tag: {others:?}");
    let left = mine.iter().filter(|task| task["system_tags"] != json!(["archived"])).cloned().collect();
    (mine, left)
}

/// Returns how often a check was ended.
fn checks(few: Option<u64>) -> usize {
    let template = format!("{:032x}", 0xa000);
    let [script, template] = [["--script", "train.py"], ["--template", &template]];
    let mut count = 0;
    for args in [[&CHECK[..], &script].concat(), [&CHECK[..], &template].concat()] {
        count += at_every_place(few, &args, Cut::Kill, with_worker, |lab, host, log| {
            let (mine, left) = of_checks(lab);
            assert!(mine.len() <= 1 && lab.comments().len() <= 1, "{mine:?} {log}");
            let named = |told: &str| {
                assert_eq!(told.matches("left by a check").count(), left.len(), "{told}\n{log}");
                for task in &left {
                    let (id, comment) = (task["id"].as_str().unwrap(), task["comment"].as_str().unwrap());
                    assert!(told.contains(id) && comment.contains("stop and archive it"), "{told}\n{log}");
                }
            };
            named(&host.run(&["doctor"]).1);
            let (code, again) = host.run(&args);
            let (all, still_left) = of_checks(lab);
            let is_same = still_left.len() == left.len() && all.len() == mine.len() + 1;
            assert!(code == Some(0) && is_same, "{all:?} {log}\n{again}");
            assert!(matches!(&lab.comments()[..], [one] if one.contains('✔')), "{:?} {log}", lab.comments());
            named(&host.run(&["doctor"]).1);
        });
        count += at_every_place(few, &args, Cut::Signal(Signal::Terminate), with_worker, |lab, _, log| {
            let (mine, left) = of_checks(lab);
            let is_over = !mine.iter().any(is_under_way);
            assert!(is_over && left.is_empty() && mine.len() <= 1 && lab.comments().len() <= 1, "{mine:?} {log}");
        });
    }
    count
}

/// Returns how often a command that launches a task, and waits for its end, was ended.
fn launches(few: Option<u64>) -> usize {
    let launched = |lab: &Lab| -> Vec<Value> { lab.server.tasks().into_iter().filter(is_launched).collect() };
    let launch = ["--queue", "default", "--script", "train.py", "--project", "Lab/CI"];
    let mut count = 0;
    for args in [&["clearml", "run", "--wait"][..], &["clearml", "find", "--missing", "launch"]] {
        let args = [args, &launch].concat();
        count += at_every_place(few, &args, Cut::Signal(Signal::Terminate), with_worker, |lab, _, log| {
            let tasks = launched(lab);
            let is_draft = |task: &Value| task["status"] == "created" && task["system_tags"] != json!(["archived"]);
            let is_left = tasks.iter().any(|task| is_under_way(task) || is_draft(task));
            assert!(tasks.len() <= 1 && !is_left, "{tasks:?} {log}");
        });
        if args[1] == "run" {
            continue;
        }
        count += at_every_place(few, &args, Cut::Kill, with_worker, |lab, host, log| {
            // A draft, which was not put into the queue, is none that somebody waits for.
            let drafts = launched(lab).iter().filter(|task| task["status"] == "created").count();
            let (code, again) = host.run(&args);
            let tasks = launched(lab);
            assert!(code == Some(0) && tasks.len() == 1 + drafts, "{tasks:?} {log}\n{again}");
        });
    }
    count
}

/// On the default branch, a task that is better than the one with the tag, whose models have a tag of their own.
fn with_better(is_old: bool) -> (Rc<Lab>, Rc<SimHost>) {
    let lab = Lab::new(Vendor::GitLab);
    let project = lab.server.project("Lab/CI");
    for (name, tags, acc) in [("old", ["best", "kept"], 0.9), ("new", ["ci", "mine"], 0.95)] {
        let script = json!({ "version_num": if name == "new" { HEAD } else { "0" } });
        let id = lab.server.task(json!({ "project": project, "name": name, "tags": tags, "script": script }));
        lab.server.event(scalar(&id, ("acc", "val"), 1, acc));
        lab.server.model(name, &id, if name == "old" { &["live"] } else { &[] });
    }
    if is_old {
        lab.server.fails("tasks.update_tags", usize::MAX, Wrong::Refused(404, 0));
    }
    let host = lab.host(|cml| {
        cml.unset("CI_MERGE_REQUEST_IID").set("CI_COMMIT_REF_NAME", "main").set("CI_DEFAULT_BRANCH", "main");
    });
    (lab, host)
}

/// Returns how often a promotion was ended.
fn promotions(few: Option<u64>) -> usize {
    let mut count = 0;
    for is_old in [false, true] {
        let args = [&PROMOTE[..], if is_old { &[] } else { &["--model-tag", "live"] }].concat();
        let prepare = || with_better(is_old);
        count += at_every_place(few, &args, Cut::Kill, prepare, |lab, host, log| {
            let holders = lab.tagged("best");
            // ClearML cannot move a tag in one step: the task gets it before the other one loses it.
            assert!((1..=2).contains(&holders.len()), "{holders:?} {log}");
            let others = || [lab.tagged("kept"), lab.tagged("mine"), lab.tagged("ci")];
            assert_eq!(others(), [["old"], ["new"], ["new"]], "{log}");
            // The job runs once more.
            let (code, again) = host.run(&args);
            assert_eq!((code, lab.tagged("best")), (Some(0), vec!["new".to_owned()]), "{log}\n{again}");
            assert_eq!(others(), [["old"], ["new"], ["new"]], "{log}\n{again}");
            let live = ["old", "new"].map(|name| lab.server.read_model(name)["tags"] == json!(["live"]));
            assert!(is_old || live == [false, true], "{log}\n{again}");
            assert_eq!(lab.server.read(&format!("{:032x}", 0xa001))["status"], "published", "{log}\n{again}");
        });
        // In its place, a better one is promoted.
        count += at_every_place(few, &args, Cut::Kill, prepare, |lab, host, log| {
            let project = lab.server.project("Lab/CI");
            let id = lab.server.task(json!({ "project": project, "name": "next" }));
            lab.server.event(scalar(&id, ("acc", "val"), 1, 0.97));
            let (code, again) =
                host.run(&["clearml", "promote", "--task", &id, "--metric", "acc/val", "--baseline", "tag:best"]);
            assert_eq!((code, lab.tagged("best")), (Some(0), vec!["next".to_owned()]), "{log}\n{again}");
        });
    }
    count
}

/// Returns how often the publication of a comment was ended. Done once more, it leaves the comments that it leaves undisturbed.
fn comments(few: Option<u64>) -> usize {
    let (long, short) = ("word ".repeat(14_000), "short".to_owned());
    let (gate, section) = (format!("{:032x}", 0xa001), ["--section", "gpu"]);
    let gate = ["clearml", "compare", "--task", &gate, "--metric", "acc/val", "--publish", "--target", "pr/7"];
    let update = |text: &'static str| ["comment", "update", "--target", "pr/7", "--message", text];
    let [long, short] = [long, short].map(|text| update(text.leak()));
    let jobs: [(&[&str], Vec<&str>); 6] = [
        (&[], gate.to_vec()),
        (&short, [&gate[..], &section].concat()),
        (&[], short.to_vec()),
        (&[], long.to_vec()),
        (&short, long.to_vec()),
        (&long, short.to_vec()),
    ];
    let mut count = 0;
    for (at, (before, args)) in jobs.iter().enumerate() {
        for vendor in VENDORS.into_iter().cycle().skip(at).take(if few.is_some() { 1 } else { VENDORS.len() }) {
            let prepare = || {
                let lab = Lab::new(vendor);
                let project = lab.server.project("Lab/CI");
                for (name, acc) in [("old", 0.9), ("new", 0.95)] {
                    let id = lab.server.task(json!({ "project": project, "name": name }));
                    lab.server.event(scalar(&id, ("acc", "val"), 1, acc));
                }
                let host = lab.host(|_| {});
                if !before.is_empty() {
                    let (code, log) = host.run(before);
                    assert_eq!(code, Some(0), "{log}");
                }
                (lab, host)
            };
            let (lab, host) = prepare();
            let most = lab.comments().len();
            assert_eq!(host.run(args).0, Some(0));
            let whole = lab.comments();
            let most = most.max(whole.len());
            count += at_every_place(few, args, Cut::Kill, prepare, |lab, host, log| {
                assert!(lab.comments().len() <= most, "{:?} {log}", lab.comments());
                let (code, again) = host.run(args);
                assert!(code == Some(0) && lab.comments() == whole, "{:?}\n{log}\n{again}", lab.comments());
            });
        }
    }
    count
}

#[test]
fn a_check_that_ends_at_some_places_leaves_nothing_unknown() {
    assert!(checks(Some(FEW)) > 0);
}

#[test]
fn a_launch_that_ends_at_some_places_leaves_no_task_that_runs() {
    assert!(launches(Some(FEW)) > 0);
}

#[test]
fn a_promotion_that_ends_at_some_places_leaves_the_tag_on_a_task() {
    assert!(promotions(Some(FEW)) > 0);
}

#[test]
fn a_comment_whose_job_ends_at_some_places_is_there_once() {
    assert!(comments(Some(FEW)) > 0);
}

#[test]
#[ignore = "takes a minute"]
#[allow(clippy::disallowed_macros)] // for whoever runs it
fn commands_that_end_at_any_place_leave_nothing_unknown() {
    println!(
        "ended at so many places: checks {}, launches {}, promotions {}, comments {}",
        checks(None),
        launches(None),
        promotions(None),
        comments(None)
    );
}
