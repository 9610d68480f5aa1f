//! What is left behind is found and removed, and nothing else.

use super::scene::Scene;
use crate::support::ec2::Wrong;
use crate::support::fake::{Doing, Kind, Vendor};

/// Without waiting for what may be on its way.
const AT_ONCE: [&str; 5] = ["reap", "--cloud-boot-timeout", "0", "--recheck-after", "0"];

#[test]
fn machines_are_listed_and_stopped() {
    let Some(scene) = Scene::new(Vendor::GitHub, "eu-west-1") else { return };
    assert_eq!(scene.launch(&[]).code, Some(0));
    let (machine, runner) = (scene.machine(), scene.runners().remove(0));
    let list = scene.run(&["list"]).ok();
    assert!(list.contains(&format!("\n{}  {}  ", machine.id, runner.name)), "{list}");
    let ran = scene.run(&["stop", &runner.name]);
    assert!(
        ran.stderr.ends_with(&format!("removed runner {}\nterminated instance {}\n", runner.name, machine.id)),
        "{ran:#?}"
    );
    scene.is_clean();
    scene.run(&["stop", &runner.name]).fails(5, &format!("no runner {} in *", runner.name), "cml runner list*");
}

#[test]
fn what_runs_well_or_belongs_to_others_is_left_alone() {
    let Some(scene) = Scene::new(Vendor::GitHub, "eu-north-1") else { return };
    scene.ec2.ask("Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1");
    scene.ec2.ask("Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1\
        &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=cml-managed&TagSpecification.1.Tag.1.Value=true\
        &TagSpecification.1.Tag.2.Key=cml-repo&TagSpecification.1.Tag.2.Value=https%3A%2F%2Fgithub.com%2Fother%2Frepo\
        &TagSpecification.1.Tag.3.Key=cml-deadline&TagSpecification.1.Tag.3.Value=1000");
    assert_eq!(scene.launch(&[]).code, Some(0));
    let runner = scene.runners().remove(0);
    for doing in [Doing::Idle, Doing::Busy] {
        scene.forge.set_runner(&runner.name, doing);
        let ran = scene.run(&AT_ONCE);
        assert_eq!((ran.stdout.as_str(), ran.code), ("", Some(0)), "{ran:#?}");
    }
    assert_eq!((scene.ec2.alive().len(), scene.runners().len()), (3, 1));

    // Its runner is offline: told, then done.
    scene.forge.set_runner(&runner.name, Doing::Offline);
    let plan = scene.run(&[&AT_ONCE[..], &["--dry-run"]].concat()).ok();
    assert!(plan.contains("its runner is offline") && plan.lines().count() == 2, "{plan}");
    assert_eq!(scene.ec2.alive().len(), 3);
    scene.run(&AT_ONCE).ok();
    assert_eq!((scene.ec2.alive().len(), scene.runners().len()), (2, 0));

    // Of another repository, overdue, and asked for.
    let told = scene.run(&[&AT_ONCE[..], &["--all"]].concat()).ok();
    assert!(told.contains("its deadline has passed") && told.lines().count() == 2, "{told}");
    assert_eq!(scene.ec2.alive().len(), 1, "the one without our tags");
}

#[test]
fn a_machine_that_boots_and_a_runner_that_is_being_launched_are_left_alone() {
    let Some(scene) = Scene::new(Vendor::GitHub, "eu-south-2") else { return };
    let launch = scene.start(&[]);
    scene.until("a machine", || !scene.ec2.of("DescribeInstances").is_empty());
    let ran = scene.run(&["reap", "--recheck-after", "0"]);
    assert_eq!((ran.stdout.as_str(), ran.code), ("", Some(0)), "{ran:#?}");
    launch.signal("TERM");
    launch.end();
    scene.is_clean();
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
        let Some(mut scene) = Scene::new(vendor, "me-south-1") else { return };
        let repository = scene.forge.repo_url(vendor).replace(':', "%3A").replace('/', "%2F");
        scene.ec2.ask(&format!(
            "Action=RunInstances&ImageId=ami-0a000000000000002&InstanceType=t3.small&MinCount=1&MaxCount=1\
            &TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=cml-managed&TagSpecification.1.Tag.1.Value=true\
            &TagSpecification.1.Tag.2.Key=cml-repo&TagSpecification.1.Tag.2.Value={repository}\
            &TagSpecification.1.Tag.3.Key=cml-deadline&TagSpecification.1.Tag.3.Value=1000\
            &TagSpecification.1.Tag.4.Key=cml-runner-id&TagSpecification.1.Tag.4.Value=77"
        ));
        match answer {
            Some(status) => scene.forge.fault("GET *runners*", 99, Kind::answer(status, &[], "{}")),
            None => drop(scene.cml.unset("REPO_TOKEN")),
        }
        let args = [&AT_ONCE[..], &["--timeout", "20"]].concat();
        let plan = scene.run(&[&args[..], &["--dry-run"]].concat());
        assert!(plan.code == Some(code) && plan.stdout.contains("its deadline has passed"), "{answer:?}: {plan:#?}");
        assert_eq!(scene.ec2.alive().len(), 1, "{plan:#?}");
        let ran = scene.run(&args);
        assert_eq!(ran.code, Some(code), "{answer:?} {ran:#?}");
        assert!(ran.stderr.contains("terminated instance i-") && ran.stderr.contains("\nerror: "), "{ran:#?}");
        assert_eq!(scene.ec2.alive(), [], "{ran:#?}");
    }
}

/// Real: the program. EC2 is moto.
#[test]
fn templates_that_another_version_made_are_deleted() {
    let Some(scene) = Scene::new(Vendor::GitHub, "us-west-1") else { return };
    assert_eq!(scene.launch(&[]).code, Some(0));
    let runner = scene.runners().remove(0);
    scene.forge.set_runner(&runner.name, Doing::Idle);
    let template = |name: &str, tags: &[(&str, &str)]| {
        let tags: String = (1..)
            .zip(tags)
            .map(|(n, (key, value))| {
                format!("&TagSpecification.1.Tag.{n}.Key={key}&TagSpecification.1.Tag.{n}.Value={value}")
            })
            .collect();
        scene.ec2.ask(&format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName={name}&LaunchTemplateData.ImageId=ami-0a000000000000002\
            &TagSpecification.1.ResourceType=launch-template{tags}"
        ));
    };
    template("older", &[("cml-managed", "shared")]);
    template("old", &[("cml-managed", "shared"), ("cml-version", "0.0.1")]);
    template("somebodys", &[("team", "ml")]);
    let plan = scene.run(&[&AT_ONCE[..], &["--dry-run"]].concat()).ok();
    assert!(
        plan.contains("  old    it was created by another version of cml\n") && plan.lines().count() == 3,
        "{plan}"
    );
    let ran = scene.run(&AT_ONCE);
    for says in ["deleted template old\n", "deleted template older\n"] {
        assert!(ran.stderr.contains(says) && ran.stderr.matches("deleted").count() == 2, "{ran:#?}");
    }
    let left = scene.ec2.ask("Action=DescribeLaunchTemplates");
    assert!(left.contains(">somebodys<") && left.matches("<launchTemplateName>").count() >= 2, "{left}");
    assert!(!left.contains(">old<") && !left.contains(">older<"), "{left}");

    // Without the permission, which older policies lack, the rest is done all the same.
    let says = "You are not authorized to perform this operation.";
    scene.ec2.fails("DescribeLaunchTemplates", 1, Wrong::Refused(403, "UnauthorizedOperation", says));
    scene.forge.set_runner(&runner.name, Doing::Offline);
    let ran = scene.run(&AT_ONCE);
    assert!(
        ran.stderr.contains("warning: cannot look for outdated templates: AWS does not allow ec2:Desc"),
        "{ran:#?}"
    );
    assert_eq!((ran.code, scene.ec2.alive().len()), (Some(0), 0));
}

/// Whenever the launcher is killed: what exists carries its tags and a deadline, and reap removes all of it.
#[test]
fn whatever_a_killed_launcher_leaves_is_reaped() {
    let Some(scene) = Scene::new(Vendor::GitHub, "us-east-1") else { return };
    let mut seen = std::collections::BTreeSet::new();
    // After each request to the cloud, before its answer.
    for kill_after in 1.. {
        scene.ec2.forget();
        let launch = scene.start(&["--cloud-spot"]);
        let pid = launch.id();
        scene.ec2.after_each(move |number| {
            if number == kill_after {
                super::scene::kill(pid);
            }
        });
        scene.until("an end", || launch.is_over() || scene.ec2.of("DescribeInstances").len() > 1);
        launch.kill_now();
        let is_last = scene.ec2.actions().len() < kill_after;
        seen.insert(left(&scene));
        if is_last {
            break;
        }
    }
    // At some moment after each request to the forge has come.
    for kill_after in 1..=4 {
        scene.forge.clear_requests();
        let launch = scene.start(&["--reuse"]);
        scene.until("a request", || scene.forge.requests().len() >= kill_after || launch.is_over());
        launch.kill_now();
        seen.insert(left(&scene));
    }
    assert_eq!(seen, [(0, 0), (0, 1), (1, 1)].into(), "nothing; a registration; a machine too");
}

/// How many machines and runners there are; then none.
fn left(scene: &Scene) -> (usize, usize) {
    // What the killed one has sent may still be under way.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let (machines, runners) = (scene.ec2.alive(), scene.runners());
    for machine in &machines {
        let tag = |name: &str| machine.tags.get(name).cloned().unwrap_or_default();
        assert_eq!(tag("cml-repo"), scene.forge.repo_url(Vendor::GitHub), "{machine:?}");
        assert!(tag("cml-deadline").parse::<i64>().is_ok_and(|time| time > 1_700_000_000), "{machine:?}");
        assert_eq!((tag("cml-managed"), tag("cml-runner-id")), ("true".into(), runners[0].id.to_string()));
    }
    scene.ec2.forget();
    let ran = scene.run(&AT_ONCE);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    scene.is_clean();
    (machines.len(), runners.len())
}
