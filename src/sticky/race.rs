//! Jobs that update one comment at the same moment, in every order that a random scheduler finds: each request takes effect at once, at
//! some time between its start and its answer.

#![allow(clippy::unwrap_used)]

use super::Sticky;
use crate::error::{Error, Result};
use crate::forge::Target;
use crate::forge::comments::{Comment, Comments, Keep};
use crate::host::Host;
use crate::host::native::Native;
use crate::http::{Http, RetryPolicy};
use crate::log::{Level, Log};
use crate::report::watermark::Watermark;
use async_trait::async_trait;
use futures_util::future::{LocalBoxFuture, poll_fn};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// The comments of a forge, oldest first.
#[derive(Default)]
struct Memory {
    comments: RefCell<BTreeMap<u64, Comment>>,
    next: Cell<u64>,
}

/// Gives the others a turn.
async fn turn() {
    let mut given = false;
    poll_fn(|_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Memory {
    async fn request<T>(&self, effect: impl FnOnce(&mut BTreeMap<u64, Comment>) -> T) -> T {
        turn().await;
        let answer = effect(&mut self.comments.borrow_mut());
        turn().await;
        answer
    }

    fn add(&self, body: &str) -> Comment {
        let order = self.next.replace(self.next.get() + 1);
        let id = order.to_string();
        let comment = Comment { id, body: body.to_owned(), url: String::new(), created: 0, order, author: None };
        self.comments.borrow_mut().insert(order, comment.clone());
        comment
    }
}

fn missing() -> Error {
    Error::not_found("404")
}

#[async_trait(?Send)]
impl Comments for Memory {
    fn max_length(&self) -> usize {
        65_536
    }
    async fn list(&self, _: &Target, keep: Keep<'_>) -> Result<Vec<Comment>> {
        Ok(self.request(|all| all.values().filter(|comment| keep(comment)).cloned().collect()).await)
    }
    async fn get(&self, _: &Target, id: &str) -> Result<Comment> {
        self.request(|all| all.values().find(|comment| comment.id == id).cloned()).await.ok_or_else(missing)
    }
    async fn create(&self, _: &Target, body: &str) -> Result<Comment> {
        turn().await;
        let made = self.add(body);
        turn().await;
        Ok(made)
    }
    async fn update(&self, _: &Target, id: &str, body: &str, _: RetryPolicy) -> Result<Comment> {
        let change = |all: &mut BTreeMap<u64, Comment>| {
            let comment = all.values_mut().find(|comment| comment.id == id)?;
            comment.body = body.to_owned();
            Some(comment.clone())
        };
        self.request(change).await.ok_or_else(missing)
    }
    async fn delete(&self, _: &Target, id: &str) -> Result<()> {
        self.request(|all| all.retain(|_, comment| comment.id != id)).await;
        Ok(())
    }
}

/// What happens in one run of all jobs.
#[derive(Debug, Clone)]
struct Plan {
    jobs: usize,
    /// How many comments each report takes.
    parts: usize,
    /// Whether the jobs differ in their first comments only.
    is_alike: bool,
    /// Whether there is a comment already.
    has_one: bool,
    /// Which of the jobs that are left goes on, step by step.
    order: Vec<usize>,
}

fn any_plan(parts: std::ops::Range<usize>) -> impl Strategy<Value = Plan> {
    // A job that is preferred for a while is far ahead of the others.
    let stretch = (0usize..12, 1usize..12).prop_map(|(job, length)| vec![job; length]);
    let order = proptest::collection::vec(stretch, 1..60).prop_map(|stretches| stretches.concat());
    let flags = (any::<bool>(), any::<bool>());
    (1usize..5, parts, flags, order).prop_map(|(jobs, parts, (is_alike, has_one), order)| Plan {
        jobs,
        parts,
        is_alike,
        has_one,
        order,
    })
}

/// Runs the jobs; returns the texts of the comments that are left, in order of their parts.
fn run(plan: &Plan) -> Vec<String> {
    let host: Rc<dyn Host> = Rc::new(Native::default());
    let log = Log::new(host.clone(), Level::Error);
    let http = Http::new(host, log.clone(), Duration::from_secs(60));
    let (memory, target, mark) = (Memory::default(), Target::PullRequest(7), Watermark::new("", None, None));
    let sticky =
        Sticky { comments: &memory, http: &http, log: &log, target: &target, watermark: Some(&mark), commit: None };
    if plan.has_one {
        memory.add(&sticky.body("short", 1));
    }
    let mut jobs: Vec<LocalBoxFuture<'_, Result<Comment>>> = Vec::new();
    for job in 0..plan.jobs {
        let rest = if plan.is_alike { "the same".to_owned() } else { format!("job {job}") };
        let parts: Vec<String> =
            (0..plan.parts).map(|n| if n == 0 { format!("job {job}") } else { rest.clone() }).collect();
        let sticky = &sticky;
        // The list of a report in several comments is read before any job writes.
        let early = (plan.parts > 1).then(|| memory.comments.borrow().values().cloned().collect());
        jobs.push(Box::pin(async move {
            let existing: Vec<Comment> = match early {
                Some(early) => early,
                None => sticky.find().await?,
            };
            sticky.update(&existing, sticky.http.mark(), &parts).await
        }));
    }
    let mut order = plan.order.iter().copied().cycle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        while !jobs.is_empty() {
            let job = order.next().unwrap_or_default() % jobs.len();
            if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(jobs[job].as_mut().poll(context))).await {
                done.unwrap();
                drop(jobs.remove(job));
            }
            tokio::task::yield_now().await;
        }
    });
    drop(jobs);
    let left = memory.comments.borrow();
    let mut left: Vec<(usize, String)> = left
        .values()
        .map(|comment| (mark.part_of(&comment.body).unwrap(), mark.strip(&comment.body).trim().to_owned()))
        .collect();
    left.sort();
    left.into_iter().map(|(_, text)| text).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order, the report of one job is left.
    #[test]
    fn one_report_is_left(plan in any_plan(1..2)) {
        let left = run(&plan);
        prop_assert!((0..plan.jobs).any(|job| left == [format!("job {job}")]), "{left:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of reports in several comments, the whole report of one job is left, where the jobs began together.
    #[test]
    fn one_comment_is_left_for_each_part(plan in any_plan(2..4)) {
        let left = run(&plan);
        prop_assert_eq!(left.len(), plan.parts, "{:?}", left);
        let words = |text: &String| text.split("\n\n").next().unwrap_or_default().to_owned();
        let is_mixed = !plan.is_alike && left.iter().any(|text| words(text) != words(&left[0]));
        prop_assert!(!is_mixed, "{left:?}");
        let is_numbered = |(n, text): (usize, &String)| text.ends_with(&format!("({}/{})", n + 1, plan.parts));
        prop_assert!(left.iter().enumerate().all(is_numbered), "{left:?}");
    }
}
