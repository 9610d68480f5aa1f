//! What a launch asks for and says.

use super::fixture::{CloudFixture, last_line, user_data};
use crate::support::ec2::{Ec2, answered};
use crate::support::fake::Vendor;
use crate::support::moto::Moto;
use crate::support::recorder::Wrong;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

#[test]
fn a_machine_is_made_and_becomes_a_runner() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "us-west-1") else { return };
    let ran = fixture.launch(&["--labels", "gpu,big", "--cloud-metadata", "team=ml"]);
    assert_eq!(ran.code, Some(0), "{ran:#?} {:?}", fixture.cloud.calls());
    let (machine, runner) = (fixture.machine(), &fixture.runners()[0]);
    // The tag of moto's account and this region.
    assert!(runner.name.starts_with("cml-aws-") && runner.name.len() == "cml-aws--".len() + 8 + 12, "{}", runner.name);

    let line = last_line(&ran);
    let deadline = line["deadline"].as_i64().unwrap();
    for (name, value) in [
        ("cloud", json!("aws")),
        ("driver", json!("github")),
        ("id", json!(runner.name)),
        ("runnerId", json!(runner.id.to_string())),
        ("instanceId", json!(machine.id)),
        ("labels", json!("gpu,big")),
        ("metadata", json!({ "team": "ml" })),
        ("repo", json!(fixture.forge.repo_url(Vendor::GitHub))),
        ("region", json!("us-west-1")),
        ("single", json!(true)),
        ("spot", json!(false)),
        ("idleTimeout", json!(300)),
        ("instanceHddSize", json!(35)),
        ("instanceType", json!(machine.kind)),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert!(line["instanceIp"].as_str().unwrap().split('.').count() == 4, "{line}");
    assert!(ran.stderr.contains(&format!("instance {} ({}", machine.id, machine.kind)), "{ran:#?}");
    assert!(ran.stderr.contains(&format!("runner {} online after ", runner.name)), "{ran:#?}");

    for (name, value) in [
        ("Name", runner.name.clone()),
        ("cml-managed", "true".into()),
        ("cml-name", runner.name.clone()),
        ("cml-repo", fixture.forge.repo_url(Vendor::GitHub)),
        ("cml-forge", "github".into()),
        ("cml-deadline", deadline.to_string()),
        ("cml-runner-id", runner.id.to_string()),
        ("team", "ml".into()),
    ] {
        assert_eq!(machine.tags.get(name), Some(&value), "{name}: {:?}", machine.tags);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let days = now + 35 * 24 * 60 * 60;
    assert!((days - 600..=days).contains(&deadline), "35 days: {deadline}");

    let group = fixture.cloud.of("CreateSecurityGroup");
    assert_eq!(group[0].fields["GroupName"], "cml-no-inbound");
    assert!(fixture.cloud.actions().iter().all(|action| !action.contains("Ingress") && !action.contains("KeyPair")));
    let template = &fixture.cloud.of("CreateLaunchTemplate")[0].fields;
    for (name, value) in [
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "1"),
        ("InstanceInitiatedShutdownBehavior", "terminate"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "35"),
        ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
        ("ImageId", "ami-0a000000000000002"),
    ] {
        assert_eq!(
            template.get(&format!("LaunchTemplateData.{name}")).map(String::as_str),
            Some(value),
            "{template:#?}"
        );
    }
    assert!(template.keys().all(|name| !name.contains("UserData")), "what stays has no secret");
}

#[test]
fn the_machine_gets_one_runners_credential_and_no_other_secret() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "us-west-2") else { return };
    let ran = fixture.launch(&["--cloud-startup-script", &STANDARD.encode("echo hello")]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let fleet = &fixture.cloud.of("CreateFleet")[0].fields;
    let script = user_data(&fixture);
    for secret in [super::fixture::SECRET, "\"good\"", "AKIA"] {
        assert!(!script.contains(secret), "{secret}: {script}");
    }
    assert!(script.contains("https://mirror.example/cml-linux-x86_64") && script.contains(&"5e".repeat(32)));
    assert!(!ran.stderr.contains(&fixture.runners()[0].credential), "{ran:#?}");
    assert!(fleet["ClientToken"].len() == 64 && fleet["Type"] == "instant");
}

#[test]
fn jobs_may_act_as_a_machine_that_has_an_identity() {
    let Some(moto) = Moto::with_machines("ca-central-1") else { return };
    moto.instance_profile("trainer");
    let fixture = CloudFixture::of(Vendor::GitLab, Ec2::over(moto, "ca-central-1").unwrap());
    for (set, field) in [("trainer", "Name"), ("arn:aws:iam::123456789012:instance-profile/trainer", "Arn")] {
        fixture.cloud.forget();
        let ran = fixture.launch(&["--name", field, "--cloud-permission-set", set]);
        assert_eq!(ran.code, Some(0), "{ran:#?} {:?}", fixture.cloud.calls());
        assert_eq!(last_line(&ran)["instancePermissionSet"], set);
        let template = &fixture.cloud.of("CreateLaunchTemplate")[0].fields;
        assert_eq!(template[&format!("LaunchTemplateData.IamInstanceProfile.{field}")], set, "{template:#?}");
        // A container is one hop away from its machine.
        assert_eq!(template["LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit"], "2");
        assert!(user_data(&fixture).contains("\"identity\":true"));
    }
}

/// Real: the program. Scripted: the image, with a data disk that outlives its machine; EC2 is moto.
#[test]
fn all_disks_of_an_image_go_with_the_machine() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "us-east-1") else { return };
    fixture.cloud.fails("DescribeImages", 1, Wrong::Answered(answered("DescribeImages", "<imagesSet><item><imageId>ami-0a000000000000002</imageId><name>mine</name><architecture>x86_64</architecture>\
        <rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping>\
        <item><deviceName>/dev/sda1</deviceName><ebs><volumeSize>50</volumeSize></ebs></item>\
        <item><deviceName>/dev/sdb</deviceName><ebs><volumeSize>500</volumeSize><deleteOnTermination>false</deleteOnTermination></ebs></item>\
        <item><deviceName>/dev/sdc</deviceName><virtualName>ephemeral0</virtualName></item>\
        </blockDeviceMapping></item></imagesSet>",
    )));
    let ran = fixture.launch(&["--cloud-image", "ami-0a000000000000002"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let template = &fixture.cloud.of("CreateLaunchTemplate")[0].fields;
    let trial = &fixture.cloud.of("RunInstances")[0].fields;
    for (fields, start) in [(template, "LaunchTemplateData."), (trial, "")] {
        for (name, value) in [
            ("1.DeviceName", Some("/dev/sda1")),
            ("1.Ebs.VolumeSize", Some("50")),
            ("1.Ebs.DeleteOnTermination", Some("true")),
            ("2.DeviceName", Some("/dev/sdb")),
            ("2.Ebs.DeleteOnTermination", Some("true")),
            ("2.Ebs.VolumeSize", Some("500")),
            ("3.DeviceName", None),
        ] {
            let found = fields.get(&format!("{start}BlockDeviceMapping.{name}")).map(String::as_str);
            assert_eq!(found, value, "{name}: {fields:#?}");
        }
    }
}

#[test]
fn every_forge_gets_its_runner() {
    for (vendor, region) in [(Vendor::GitLab, "eu-west-2"), (Vendor::Bitbucket, "eu-west-3")] {
        let Some(fixture) = CloudFixture::new(vendor, region) else { return };
        let ran = fixture.launch(&["--cloud-spot"]);
        assert_eq!(ran.code, Some(0), "{ran:#?} {:?}", fixture.cloud.calls());
        let line = last_line(&ran);
        assert_eq!((&line["single"], &line["spot"]), (&json!(false), &json!(true)), "{line}");
        assert_eq!(line["instanceId"], fixture.machine().id);
    }
}

#[test]
fn a_plan_is_printed_and_nothing_made() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "eu-central-1") else { return };
    let ran = fixture.run(&["launch", "--dry-run", "--cloud-type", "m", "--cloud-arch", "arm64", "--cloud-spot"]);
    let plan = ran.ok();
    for words in [
        "region",
        "eu-central-1",
        "m7g.2xlarge",
        "spot, with fallback to on demand",
        "ami-0a000000000000004",
        "35 GB, encrypted",
    ] {
        assert!(plan.contains(words), "{words}: {plan}");
    }
    let has_no_effect =
        |action: &String| action.starts_with("Describe") || ["RunInstances", "GetCallerIdentity"].contains(&&**action);
    assert!(fixture.cloud.actions().iter().all(has_no_effect), "{:?}", fixture.cloud.actions());
    fixture.is_clean();
}

#[test]
fn no_two_processes_draw_the_same_token() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "ap-southeast-3") else { return };
    for _ in 0..2 {
        fixture.run(&["launch", "--dry-run"]).ok();
    }
    // Of the trial that makes nothing, the SDK draws it; a fleet's follows from the runner's name, which we draw.
    let trials = fixture.cloud.of("RunInstances");
    let drawn: std::collections::BTreeSet<&str> =
        trials.iter().map(|call| call.fields["ClientToken"].as_str()).collect();
    assert_eq!((drawn.len(), drawn.iter().filter(|token| token.len() == 36).count()), (2, 2), "{trials:?}");
    for _ in 0..2 {
        assert_eq!(fixture.launch(&[]).code, Some(0));
    }
    let fleets = fixture.cloud.of("CreateFleet");
    assert!(fleets.len() == 2 && fleets[0].fields["ClientToken"] != fleets[1].fields["ClientToken"], "{fleets:?}");
    assert_eq!((fixture.cloud.alive().len(), fixture.runners().len()), (2, 2));
}

#[test]
fn what_means_nothing_for_a_machine_is_said() {
    let Some(fixture) = CloudFixture::new(Vendor::GitHub, "cn-north-1") else { return };
    let ran = fixture.run(&["launch", "--dry-run", "--single=false", "--pass-env", "X", "--runner-path", "/x"]);
    for says in [
        "warning: these options have no effect with --cloud: --pass-env, --runner-path",
        "warning: the instance runs one job: it has no token to register for another one",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {ran:#?}");
    }
}

#[test]
fn a_runner_that_is_there_is_reused_and_the_cloud_not_asked() {
    let Some(fixture) = CloudFixture::new(Vendor::GitLab, "ap-east-1") else { return };
    let ran = fixture.launch(&["--reuse"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    fixture.cloud.forget();
    let ran = fixture.run(&["launch", "--reuse"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("Reusing existing"), "{ran:#?}");
    assert!(fixture.cloud.calls().is_empty());
}

/// Real: the program. Standing in: EC2 (moto). Guard rails of an organisation judge the trial by every one of these.
#[test]
fn the_trial_is_the_very_machine_of_the_template() {
    let Some(moto) = Moto::with_machines("ap-northeast-1") else { return };
    moto.instance_profile("trial");
    let fixture = CloudFixture::of(Vendor::GitHub, Ec2::over(moto, "ap-northeast-1").unwrap());
    let args =
        ["--cloud-spot", "--cloud-spot-price", "0.5", "--cloud-permission-set", "trial", "--cloud-metadata", "team=ml"];
    // The second launch finds the group that the first one made.
    for name in ["one", "two"] {
        fixture.cloud.forget();
        let ran = fixture.launch(&[&args[..], &["--name", name]].concat());
        assert_eq!(ran.code, Some(0), "{ran:#?} {:?}", fixture.cloud.calls());
    }
    let (trial, fleet) = (&fixture.cloud.of("RunInstances")[0].fields, &fixture.cloud.of("CreateFleet")[0].fields);
    let template = &fixture.cloud.of("CreateLaunchTemplate")[0].fields;
    let data = template.iter().filter_map(|(name, value)| Some((name.strip_prefix("LaunchTemplateData.")?, value)));
    let data: Vec<_> = data.collect();
    assert!(data.len() > 12 && data.iter().any(|(name, _)| name.contains("SecurityGroupId")), "{data:#?}");
    for (name, value) in data {
        assert_eq!(trial.get(name), Some(value), "{name}: {trial:#?}");
    }
    let override_of = |name: &str| &fleet[&format!("LaunchTemplateConfigs.1.Overrides.1.{name}")];
    for (name, value) in [
        ("InstanceType", override_of("InstanceType")),
        ("NetworkInterface.1.SubnetId", override_of("SubnetId")),
        ("InstanceMarketOptions.SpotOptions.MaxPrice", &fleet["SpotOptions.MaxTotalPrice"]),
        ("InstanceMarketOptions.MarketType", &"spot".to_owned()),
        ("DryRun", &"true".to_owned()),
    ] {
        assert_eq!(trial.get(name), Some(value), "{name}: {trial:#?}");
    }
    let tags = |fields: &std::collections::BTreeMap<String, String>| -> std::collections::BTreeSet<String> {
        let keys = fields.iter().filter(|(name, _)| name.starts_with("TagSpecification.") && name.ends_with(".Key"));
        keys.map(|(_, key)| key.clone()).collect()
    };
    // At that time there is no runner yet.
    let mut made = tags(fleet);
    assert!(made.remove("cml-runner-id"));
    assert_eq!(tags(trial), made);
    assert!(tags(trial).contains("team") && tags(trial).contains("cml-managed"), "{trial:#?}");
}

/// What EC2 takes as a tag: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>. It takes fewer
/// where the metadata service tells them, which it is therefore not asked to.
#[test]
fn tags_have_every_key_that_ec2_takes() {
    let Some(moto) = Moto::with_machines("eu-west-3") else { return };
    let fixture = CloudFixture::of(Vendor::GitHub, Ec2::over(moto, "eu-west-3").unwrap());
    let keys = ["cost center", "acme.io/team", "a:b@c", "größe"];
    let pairs: Vec<String> = keys.iter().map(|key| format!("{key}=ml and more")).collect();
    let args: Vec<&str> = pairs.iter().flat_map(|pair| ["--cloud-metadata", pair.as_str()]).collect();
    let ran = fixture.launch(&args);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let tags = fixture.machine().tags;
    for key in keys {
        assert_eq!(tags.get(key).map(String::as_str), Some("ml and more"), "{key}: {tags:?}");
    }
    let calls = fixture.cloud.calls();
    assert!(calls.iter().all(|call| call.fields.keys().all(|name| !name.contains("InstanceMetadataTags"))));
}

/// Real: the program. Standing in: EC2 (moto), with one of its subnets changed.
#[test]
fn each_subnet_keeps_its_own_setting_of_public_addresses() {
    let Some(moto) = Moto::with_machines("sa-east-1") else { return };
    let fixture = CloudFixture::of(Vendor::GitHub, Ec2::over(moto, "sa-east-1").unwrap());
    let field = "LaunchTemplateData.NetworkInterface.1.AssociatePublicIpAddress";
    let ran = fixture.launch(&["--name", "one"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(fixture.cloud.of("CreateLaunchTemplate")[0].fields[field], "true", "all of them are public");
    let subnets = fixture.cloud.ask("Action=DescribeSubnets");
    let subnet = subnets.split("<subnetId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    fixture.cloud.ask(&format!("Action=ModifySubnetAttribute&SubnetId={subnet}&MapPublicIpOnLaunch.Value=false"));
    fixture.cloud.forget();
    let ran = fixture.launch(&["--name", "two"]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(
        fixture.cloud.of("CreateLaunchTemplate")[0].fields.get(field),
        None,
        "one is private, the others are not"
    );
    let plan = fixture.run(&["launch", "--dry-run"]).ok();
    assert!(plan.contains(&format!("through a public address, except in {subnet}, which must route")), "{plan}");
    let plan = fixture.run(&["launch", "--dry-run", "--cloud-aws-subnet", &subnet]).ok();
    assert!(plan.contains("no public address: the subnets must route to a NAT gateway"), "{plan}");
}

/// Canonical's account is another one in GovCloud and in China. moto has no machines there: only the question counts.
#[test]
fn the_usual_image_has_the_owner_of_its_part_of_the_world() {
    for (region, owner) in [("us-gov-east-1", "513442679011"), ("cn-northwest-1", "837727238323")] {
        let Some(fixture) = CloudFixture::new(Vendor::GitHub, region) else { return };
        fixture.cloud.fails("DescribeSubnets", 1, Wrong::Slow(std::time::Duration::from_millis(500)));
        fixture.run(&["launch", "--dry-run"]);
        assert_eq!(fixture.cloud.of("DescribeImages")[0].fields["Owner.1"], owner, "{region}");
    }
}
