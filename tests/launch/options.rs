//! The command line of CML, and what is refused before anything is done.

use crate::support::fake::{Forge, Vendor};
use crate::support::{Cml, is_wasm};

/// CML's options with a value, and whether they are hidden.
const OPTIONS: &[(&str, &str)] = &[
    ("labels", "gpu,big"),
    ("idle-timeout", "1h30m"),
    ("idle-timeout", "-1"),
    ("idle-timeout", "never"),
    ("name", "mine"),
    ("no-retry", "true"),
    ("single", "true"),
    ("reuse", "true"),
    ("reuse-idle", "true"),
    ("workdir", "/tmp/x"),
    ("path", "/tmp/x"),
    ("docker-volumes", "/data:/data"),
    ("cloud", "azure"),
    ("cloud", "gcp"),
    ("cloud", "kubernetes"),
    ("cloud-region", "us-east"),
    ("cloud-type", "m"),
    ("cloud-permission-set", "arn:aws:iam::1:instance-profile/x"),
    ("cloud-metadata", "key=value=more"),
    ("cloud-metadata", "key"),
    ("cloud-gpu", "nogpu"),
    ("cloud-hdd-size", "50"),
    ("cloud-ssh-private", "-----BEGIN RSA PRIVATE KEY-----"),
    ("cloud-spot", "true"),
    ("cloud-spot-price", "-1"),
    ("cloud-spot-price", "0.25"),
    ("cloud-startup-script", "ZWNobyBoaQo="),
    ("cloud-aws-security-group", "sg-1"),
    ("cloud-aws-subnet", "subnet-1"),
    ("cloud-aws-subnet-id", "subnet-1"),
    ("cloud-kubernetes-node-selector", "accelerator=infer"),
    ("cloud-image", "ami-1"),
    ("tpi-version", ">= 0.9.10"),
    ("cml-version", "0.20.6"),
    ("tf-resource", "e30="),
    ("gcp-access-token", "secret-token"),
    ("destroy-delay", "10"),
    ("driver", "github"),
    ("driver-token", "good"),
    ("token", "good"),
    ("repo", "octo/model"),
    ("log", "debug"),
];
const CLOUD: &str = "this build of cml does not support --cloud *";
const CLOUD_HINT: &str = "use --cloud *, or run this without --cloud on the machine that should be the runner";
/// What `--cloud azure` ends with: there is no subscription.
const AZURE: (i32, &str, &str) = if cfg!(feature = "azure") {
    (3, "AZURE_SUBSCRIPTION_ID is not set", "set it to the id *")
} else {
    (7, CLOUD, CLOUD_HINT)
};
/// What `--cloud gcp` ends with: there is no account.
const GCP: (i32, &str, &str) = if cfg!(feature = "gcp") {
    (4, "no Google Cloud credentials found", "set GOOGLE_APPLICATION_CREDENTIALS_DATA *")
} else {
    (7, CLOUD, CLOUD_HINT)
};

fn start() -> (Forge, Cml) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    (forge, cml)
}

#[test]
fn every_option_of_cml_is_taken_in_every_spelling() {
    let (forge, cml) = start();
    for (name, value) in OPTIONS {
        let flag = format!("--{name}={value}");
        let mut lines = vec![vec!["runner", "launch", &flag], vec!["runner", &flag]];
        let (apart, upper) = (format!("--{name}"), name.replace('-', "_").to_uppercase());
        lines.push(vec!["runner", "launch", &apart, value]);
        if *value == "true" {
            lines.push(vec!["runner", "launch", &apart]);
        }
        for mut line in lines {
            if *name != "cloud" {
                line.push("--cloud=azure");
            }
            // There is a driver, and no account or cluster.
            let (code, error, hint) = match *value {
                "kubernetes" if cfg!(feature = "kubernetes") => {
                    (4, "no Kubernetes configuration found", "set KUBERNETES_CONFIGURATION *")
                }
                "kubernetes" => (7, CLOUD, CLOUD_HINT),
                "gcp" => GCP,
                _ => AZURE,
            };
            cml.run(&line).fails(code, error, hint);
        }
        let mut cml = cml.clone();
        let ran =
            cml.set(&format!("CML_RUNNER_{upper}"), value).set("CML_RUNNER_CLOUD", "azure").run(&["runner", "launch"]);
        ran.fails(AZURE.0, AZURE.1, AZURE.2);
        assert!(!ran.stderr.contains("no option"), "{ran:#?}");
    }
    assert!(forge.requests().is_empty(), "{}", forge.transcript());
}

#[test]
fn old_names_are_deprecated_and_old_options_have_no_effect() {
    let (_forge, mut cml) = start();
    let ran = cml.run(&["runner", "--cloud=gcp"]);
    assert!(ran.stderr.contains("\"cml runner\" is deprecated, please use \"cml runner launch\""), "{ran:#?}");
    let old = [
        ("IDLE_TIMEOUT", "soon"),
        ("LABELS", ","),
        ("SINGLE", "maybe"),
        ("REUSE", "maybe"),
        ("NO_RETRY", "maybe"),
        ("DRIVER", "x"),
        ("PATH", "/tmp/x"),
        ("REPO", "octo/model"),
    ];
    for (name, value) in old {
        let mut cml = cml.clone();
        let ran = cml.set(&format!("RUNNER_{name}"), value).run(&["runner", "launch", "--cloud=gcp"]);
        let is_wrong = !["PATH", "REPO"].contains(&name);
        assert_eq!(ran.code, Some(if is_wrong { 2 } else { GCP.0 }), "{ran:#?}");
        let says = format!("RUNNER_{name} is deprecated, please use CML_RUNNER_{name}");
        assert!(is_wrong && name != "LABELS" || ran.stderr.contains(&says), "{ran:#?}");
    }
    cml.set("DOCKER_MACHINE", "x").set("RUNNER_NAME", "x").set("CML_RUNNER_DOCKER_MACHINE", "x");
    let ran = cml.run(&["runner", "launch", "--cloud=gcp", "--tpi-version=1", "--destroy-delay=1"]);
    for says in [
        "warning: CML_RUNNER_DOCKER_MACHINE is not a variable of `cml runner` and has no effect",
        "warning: ignoring RUNNER_NAME environment variable, use CML_RUNNER_NAME or --name instead",
        "warning: these options no longer have an effect, as Terraform is not used: --tpi-version, --destroy-delay",
    ] {
        assert!(ran.stderr.contains(says), "{says}: {ran:#?}");
    }
    let ran = cml.unset("CML_RUNNER_DOCKER_MACHINE").run(&["runner", "launch", "--docker-machine=x"]);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("error: unexpected argument '--docker-machine' found"),
        "{ran:#?}"
    );
}

#[test]
fn mistakes_cost_no_request() {
    let (forge, cml) = start();
    let time = "give seconds, a duration such as \"5 minutes\" or 1h30m, or never";
    let one = "a runner that stops after one job cannot be reused: leave out one of them";
    for (args, code, error, hint) in [
        (&["--idle-timeout=soon"][..], 2, "--idle-timeout soon is not a duration", time),
        (&["--idle-timeout=5 parsecs"], 2, "--idle-timeout 5 parsecs is not a duration", time),
        (&["--single", "--reuse"], 2, "--single cannot be used with --reuse", one),
        (&["--single", "--reuse-idle"], 2, "--single cannot be used with --reuse-idle", one),
        (&["--reuse", "--reuse-idle"], 2, "--reuse cannot be used with --reuse-idle", "--reuse takes any runner, *"),
        (&["--labels=, ,"], 2, "--labels is empty", "give at least one label: --labels gpu,linux"),
        (&["--name= "], 2, "--name is empty", "leave it out *"),
        (
            &["--pass-env=A=b"],
            2,
            "--pass-env A=b is not the name of a variable",
            "set the variable in the environment*",
        ),
        (&["--cloud=gcp"], GCP.0, GCP.1, GCP.2),
        (
            &["--cloud=gcp", "--cloud-startup-script=*"],
            2,
            "--cloud-startup-script is not base64",
            "encode the script with: base64 --wrap=0 script.sh",
        ),
    ] {
        cml.run(&[&["runner", "launch"], args].concat()).fails(code, error, hint);
    }
    for args in
        [&["--cloud=az"][..], &["--single=maybe"], &["--cloud-metadata==x"], &["--cloud-hdd-size=0"], &["--nope"]]
    {
        let ran = cml.run(&[&["runner", "launch"], args].concat());
        assert!(ran.code == Some(2) && ran.stderr.starts_with("error: "), "{ran:#?}");
    }
    assert_eq!(cml.run(&["runner"]).code, Some(2));
    if is_wasm() {
        let error = "the action cannot run a runner itself: it cannot start processes";
        cml.run(&["runner", "launch"]).fails(7, error, "set up cml with native: true *");
    } else {
        let hint = "give one with --workdir";
        cml.clone().unset("HOME").run(&["runner", "launch"]).fails(
            3,
            "cannot determine the runner's folder: HOME is not set",
            hint,
        );
        let error = "cannot use --runner-path nowhere (*)";
        cml.run(&["runner", "launch", "--runner-path=nowhere"]).fails(
            3,
            error,
            "it must be a folder with the forge's*",
        );
    }
    assert!(forge.requests().is_empty(), "{}", forge.transcript());
    let ran = cml.run(&["runner", "launch", "--cloud-type=m", "--cloud-spot", "--runner-path=nowhere"]);
    assert!(
        is_wasm()
            || ran.stderr.contains("warning: these options have no effect without --cloud: --cloud-type, --cloud-spot"),
        "{ran:#?}"
    );
}

#[test]
fn without_a_token_nobody_is_asked() {
    let (forge, mut cml) = start();
    cml.unset("REPO_TOKEN");
    let hint = "pass one in REPO_TOKEN that may manage runners (a job's own token cannot); see docs/runners.md";
    for line in [&["runner", "list"][..], &["runner", "stop", "x"], &["runner", "launch", "--cloud=aws"]] {
        cml.run(line).fails(4, "no token found for GitHub", hint);
    }
    cml.run(&["runner", "retry", "--run=1"]).fails(4, "no token found for GitHub", "*");
    let alone = Cml::alone();
    // On one's own machine, too.
    let git = |args: &[&str]| {
        assert!(std::process::Command::new("git").args(args).current_dir(alone.path()).status().unwrap().success())
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "https://github.com/octo/model"]);
    alone.run(&["runner", "launch", "--cloud=aws"]).fails(4, "no token found for GitHub", hint);
    if !is_wasm() {
        alone.run(&["runner", "launch"]).fails(4, "no token found for GitHub", hint);
        let mut alone = Cml::alone();
        alone.set("NO_COLOR", "1");
        alone.run(&["runner", "list"]).fails(
            7,
            "the local preview does not support runners",
            "pass a token in REPO_TOKEN*",
        );
    }
    assert!(forge.requests().is_empty());
}
