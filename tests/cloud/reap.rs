//! What is left behind is found and removed, and nothing else.

use super::fixture::CloudFixture;
use crate::support::ec2::answered;
use crate::support::fake::{Doing, Kind, Vendor};
use crate::support::recorder::Wrong;

/// Without waiting for what may be on its way.
const AT_ONCE: [&str; 5] = ["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"];

#[test]
fn machines_are_listed_and_stopped() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "eu-west-1") else { return };
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let (machine, runner) = (fixture.machine(), fixture.runners().remove(0));
    let list = fixture.run(&["list"]).ok();
    assert!(list.contains(&format!("\n{}  {}  ", machine.id, runner.name)), "{list}");
    let ran = fixture.run(&["stop", &runner.name]);
    assert!(
        ran.stderr.ends_with(&format!("removed runner {}\nterminated instance {}\n", runner.name, machine.id)),
        "{ran:#?}"
    );
    fixture.is_clean();
    fixture.run(&["stop", &runner.name]).fails(5, &format!("no runner {} in *", runner.name), "list the runners*");
}

#[test]
fn what_runs_well_or_belongs_to_others_is_left_alone() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "eu-north-1") else { return };
    fixture.cloud.ask("Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1");
    fixture.cloud.ask("Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1\
        &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=cml-managed&TagSpecification.1.Tag.1.Value=true\
        &TagSpecification.1.Tag.2.Key=cml-repo&TagSpecification.1.Tag.2.Value=https%3A%2F%2Fgithub.com%2Fother%2Frepo\
        &TagSpecification.1.Tag.3.Key=cml-deadline&TagSpecification.1.Tag.3.Value=1000");
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let runner = fixture.runners().remove(0);
    for doing in [Doing::Idle, Doing::Busy] {
        fixture.forge.set_runner(&runner.name, doing);
        let ran = fixture.run(&AT_ONCE);
        assert_eq!((ran.stdout.as_str(), ran.code), ("", Some(0)), "{ran:#?}");
    }
    assert_eq!((fixture.cloud.alive().len(), fixture.runners().len()), (3, 1));

    // Its runner is offline: told, then done.
    fixture.forge.set_runner(&runner.name, Doing::Offline);
    let plan = fixture.run(&[&AT_ONCE[..], &["--dry-run"]].concat()).ok();
    assert!(plan.contains("its runner is offline") && plan.lines().count() == 2, "{plan}");
    assert_eq!(fixture.cloud.alive().len(), 3);
    fixture.run(&AT_ONCE).ok();
    assert_eq!((fixture.cloud.alive().len(), fixture.runners().len()), (2, 0));

    // Of another repository, overdue, and asked for.
    let told = fixture.run(&[&AT_ONCE[..], &["--all"]].concat()).ok();
    assert!(told.contains("its deadline has passed") && told.lines().count() == 2, "{told}");
    assert_eq!(fixture.cloud.alive().len(), 1, "the one without our tags");
}

#[test]
fn a_machine_that_boots_and_a_runner_that_is_being_launched_are_left_alone() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "eu-south-2") else { return };
    let launch = fixture.start(&[]);
    fixture.until("a machine", || !fixture.cloud.of("DescribeInstances").is_empty());
    let ran = fixture.run(&["reap", "--recheck-after", "0"]);
    assert_eq!((ran.stdout.as_str(), ran.code), ("", Some(0)), "{ran:#?}");
    launch.signal("TERM");
    launch.end();
    fixture.is_clean();
}

/// Real: the program. Scripted: the forge, whose answers are those of an outage, a revoked token and a deleted repository;
/// EC2 is moto.
#[test]
fn machines_past_their_deadline_end_whatever_the_forge_says() {
    for (vendor, answer, code) in [
        (Vendor::GitHub, Some(503), 9),
        (Vendor::GitHub, Some(401), 4),
        // GitHub says so of a token that may not see it, too.
        (Vendor::GitHub, Some(404), 4),
        (Vendor::GitHub, None, 4),
        (Vendor::GitLab, Some(503), 9),
        (Vendor::Bitbucket, Some(401), 4),
    ] {
        let Some(mut fixture) = CloudFixture::new(vendor, "me-south-1") else { return };
        let repository = fixture.forge.repo_url(vendor).replace(':', "%3A").replace('/', "%2F");
        fixture.cloud.ask(&format!(
            "Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1\
            &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=cml-managed&TagSpecification.1.Tag.1.Value=true\
            &TagSpecification.1.Tag.2.Key=cml-repo&TagSpecification.1.Tag.2.Value={repository}\
            &TagSpecification.1.Tag.3.Key=cml-deadline&TagSpecification.1.Tag.3.Value=1000\
            &TagSpecification.1.Tag.4.Key=cml-runner-id&TagSpecification.1.Tag.4.Value=77"
        ));
        match answer {
            Some(status) => fixture.forge.fault("GET *runners*", 99, Kind::answer(status, &[], "{}")),
            None => drop(fixture.cml.unset("REPO_TOKEN")),
        }
        let args = [&AT_ONCE[..], &["--timeout", "20"]].concat();
        let plan = fixture.run(&[&args[..], &["--dry-run"]].concat());
        assert!(plan.code == Some(code) && plan.stdout.contains("its deadline has passed"), "{answer:?}: {plan:#?}");
        assert_eq!(fixture.cloud.alive().len(), 1, "{plan:#?}");
        let ran = fixture.run(&args);
        assert_eq!(ran.code, Some(code), "{answer:?} {ran:#?}");
        assert!(ran.stderr.contains("terminated instance i-") && ran.stderr.contains("\nerror: "), "{ran:#?}");
        assert_eq!(fixture.cloud.alive(), [], "{ran:#?}");
    }
}

/// Real: the program. EC2 is moto.
#[test]
fn templates_that_another_version_made_are_deleted() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "us-west-1") else { return };
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let runner = fixture.runners().remove(0);
    fixture.forge.set_runner(&runner.name, Doing::Idle);
    let template = |name: &str, tags: &[(&str, &str)]| {
        let tags: String = (1..)
            .zip(tags)
            .map(|(n, (key, value))| {
                format!("&TagSpecification.1.Tag.{n}.Key={key}&TagSpecification.1.Tag.{n}.Value={value}")
            })
            .collect();
        fixture.cloud.ask(&format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName={name}&LaunchTemplateData.ImageId=ami-0a000000000000002\
            &TagSpecification.1.ResourceType=launch-template{tags}"
        ));
    };
    template("older", &[("cml-managed", "shared")]);
    template("old", &[("cml-managed", "shared"), ("cml-version", "0.0.1")]);
    template("somebodys", &[("team", "ml")]);
    let plan = fixture.run(&[&AT_ONCE[..], &["--dry-run"]].concat()).ok();
    assert!(
        plan.contains("  old    it was created by another version of cml\n") && plan.lines().count() == 3,
        "{plan}"
    );
    let ran = fixture.run(&AT_ONCE);
    for says in ["deleted template old\n", "deleted template older\n"] {
        assert!(ran.stderr.contains(says) && ran.stderr.matches("deleted").count() == 2, "{ran:#?}");
    }
    let left = fixture.cloud.ask("Action=DescribeLaunchTemplates");
    assert!(left.contains(">somebodys<") && left.matches("<launchTemplateName>").count() >= 2, "{left}");
    assert!(!left.contains(">old<") && !left.contains(">older<"), "{left}");

    // Without the permission, which older policies lack, the rest is done all the same.
    let says = "You are not authorized to perform this operation.";
    fixture.cloud.fails("DescribeLaunchTemplates", 1, Wrong::Refused(403, "UnauthorizedOperation", says));
    fixture.forge.set_runner(&runner.name, Doing::Offline);
    let ran = fixture.run(&AT_ONCE);
    assert!(ran.stderr.contains("warning: cannot look for leftovers: AWS does not allow ec2:Desc"), "{ran:#?}");
    assert_eq!((ran.code, fixture.cloud.alive().len()), (Some(0), 0));
}

/// Whenever the launcher is killed: what exists carries its tags and a deadline, and reap removes all of it.
#[test]
fn whatever_a_killed_launcher_leaves_is_reaped() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "us-east-1") else { return };
    let mut seen = std::collections::BTreeSet::new();
    // After each request to the cloud, before its answer.
    for kill_after in 1.. {
        fixture.cloud.forget();
        let launch = fixture.start(&["--cloud-spot"]);
        let pid = launch.id();
        fixture.cloud.after_each(move |number| {
            if number == kill_after {
                super::fixture::kill(pid);
            }
        });
        fixture.until("an end", || launch.is_over() || fixture.cloud.of("DescribeInstances").len() > 1);
        launch.kill_now();
        let is_last = fixture.cloud.actions().len() < kill_after;
        seen.insert(left(&fixture));
        if is_last {
            break;
        }
    }
    // At some moment after each request to the forge has come.
    for kill_after in 1..=4 {
        fixture.forge.clear_requests();
        let launch = fixture.start(&["--reuse"]);
        fixture.until("a request", || fixture.forge.requests().len() >= kill_after || launch.is_over());
        launch.kill_now();
        seen.insert(left(&fixture));
    }
    assert_eq!(seen, [(0, 0), (0, 1), (1, 1)].into(), "nothing; a registration; a machine too");
}

/// How many machines and runners there are; then none.
fn left(fixture: &CloudFixture) -> (usize, usize) {
    // What the killed one has sent may still be under way.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let (machines, runners) = (fixture.cloud.alive(), fixture.runners());
    for machine in &machines {
        let tag = |name: &str| machine.tags.get(name).cloned().unwrap_or_default();
        assert_eq!(tag("cml-repo"), fixture.forge.repo_url(Vendor::GitHub), "{machine:?}");
        assert!(tag("cml-deadline").parse::<i64>().is_ok_and(|time| time > 1_700_000_000), "{machine:?}");
        assert_eq!((tag("cml-managed"), tag("cml-runner-id")), ("true".into(), runners[0].id.to_string()));
    }
    fixture.cloud.forget();
    let ran = fixture.run(&AT_ONCE);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    fixture.is_clean();
    (machines.len(), runners.len())
}

/// Another account's answers: no instances, and its own number.
fn in_another_account(fixture: &CloudFixture) {
    fixture.cloud.fails("DescribeInstances", 99, Wrong::Answered(answered("DescribeInstances", "<reservationSet/>")));
    let identity = "<GetCallerIdentityResult><Account>210987654321</Account></GetCallerIdentityResult>";
    fixture.cloud.fails("GetCallerIdentity", 99, Wrong::Answered(answered("GetCallerIdentity", identity)));
}

/// Real: the program. EC2 is moto; scripted: which account it says that it is, with none of the other's instances.
#[test]
fn a_runner_that_another_account_launched_stays() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-south-1") else { return };
    assert_eq!(fixture.launch(&[]).code, Some(0));
    let runner = fixture.runners().remove(0);
    // It boots again, or its network is away.
    fixture.forge.set_runner(&runner.name, Doing::Offline);
    in_another_account(&fixture);
    let ran = fixture.run(&AT_ONCE);
    assert_eq!((ran.stdout.as_str(), ran.code), ("", Some(0)), "{ran:#?}");
    assert_eq!(fixture.runners().len(), 1, "{ran:#?}");
}

/// The same for a launch that finds a name taken that follows from the labels.
#[test]
fn a_launch_waits_only_for_a_launch_of_the_same_account() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-northeast-2") else { return };
    assert_eq!(fixture.launch(&["--reuse"]).code, Some(0));
    let runner = fixture.runners().remove(0);
    fixture.forge.set_runner(&runner.name, Doing::Offline);
    in_another_account(&fixture);
    let ran = fixture.start(&["--reuse", "--cloud-boot-timeout", "1"]).end();
    assert!(!ran.stderr.contains("removing it"), "{ran:#?}");
    assert_eq!(fixture.runners().len(), 1, "the other's: {ran:#?}");
    assert_eq!(fixture.runners()[0].id, runner.id, "{ran:#?}");
}

/// Real: the program. EC2 is moto; scripted: a registration as older versions named them.
#[test]
fn a_runner_that_an_older_version_named_is_shown_and_stays() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-northeast-3") else { return };
    assert_eq!(fixture.launch(&["--name", "cml-ap-northeast-3-0123456789ab"]).code, Some(0));
    let machine = fixture.machine();
    fixture.cloud.ask(&format!("Action=TerminateInstances&InstanceId.1={}", machine.id));
    fixture.forge.set_runner("cml-ap-northeast-3-0123456789ab", Doing::Offline);
    let ran = fixture.run(&AT_ONCE);
    assert_eq!((ran.stdout.as_str(), ran.code), ("", Some(0)), "{ran:#?}");
    let says = "warning: runner cml-ap-northeast-3-0123456789ab is offline and has no instance in this account, but may have one in another\n\
        hint: if it has none, remove it with: cml runner stop cml-ap-northeast-3-0123456789ab\n";
    assert!(ran.stderr.contains(says), "{ran:#?}");
    assert_eq!(fixture.runners().len(), 1);
}
