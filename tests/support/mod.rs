//! Runs the built program in a folder of its own, with the environment of a CI and nothing else.

pub mod act;
#[cfg(feature = "kubernetes")]
pub mod api_server;
#[cfg(feature = "azure")]
pub mod azure;
pub mod clearml;
pub mod clone;
pub mod clouds;
pub mod docker;
pub mod ec2;
#[cfg(feature = "gcp")]
pub mod gce;
pub mod gitlab_ci;

pub mod host;
pub mod ignored;
pub mod kubernetes;
pub mod library;
pub mod moto;
pub mod net;
pub mod node;
pub mod openapi;
pub mod pipelines;
pub mod prism;
pub mod reader;
pub mod recorder;
pub mod zip;

pub use fake_forge as fake;

use fake::{Forge, HEAD, Vendor};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen; long enough for a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until something holds. Fails after [`TIMEOUT`] with what `state` returns.
#[track_caller]
pub fn eventually(what: impl std::fmt::Display, holds: impl Fn() -> bool, state: impl Fn() -> String) {
    eventually_within(TIMEOUT, what, holds, state);
}

/// The same with another patience.
#[track_caller]
pub fn eventually_within(
    time: Duration,
    what: impl std::fmt::Display,
    holds: impl Fn() -> bool,
    state: impl Fn() -> String,
) {
    let end = Instant::now() + time;
    while !holds() {
        assert!(Instant::now() < end, "{what}: {}", state());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The build under test: the native program, or with `CML_TEST_BUILD=wasm` the WebAssembly of `dist/` in the Node
/// that `CML_TEST_NODE` names.
pub fn is_wasm() -> bool {
    std::env::var_os("CML_TEST_BUILD").is_some_and(|build| build == "wasm")
}

/// The native program: the one that `CML_TEST_PROGRAM` names, which `cargo xtask test` does with the one as it is released,
/// else the one that Cargo built with the tests.
pub fn native() -> PathBuf {
    std::env::var_os("CML_TEST_PROGRAM").map_or(env!("CARGO_BIN_EXE_cml").into(), PathBuf::from)
}

/// That build, without arguments.
pub fn program() -> Command {
    if !is_wasm() {
        return Command::new(native());
    }
    let mut command = Command::new(node_program());
    // A test is over before code that is made with more care would pay, and there are thousands of starts. `action::` starts it as users do.
    command.args(["--liftoff-only", "--single-threaded", "--no-opt", "--require"]).arg(unpacked());
    command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/dist/index.js"), "cml"]);
    command
}

fn node_program() -> OsString {
    std::env::var_os("CML_TEST_NODE").unwrap_or("node".into())
}

/// A script that lets Node take the module of `dist/` unpacked, which is a third of the processor time of a start.
fn unpacked() -> &'static Path {
    static SCRIPT: OnceLock<PathBuf> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unpacked");
        let (module, script) = (folder.join("cml_bg.wasm"), folder.join("unpacked.js"));
        let packed = concat!(env!("CARGO_MANIFEST_DIR"), "/dist/cml_bg.wasm.br");
        std::fs::create_dir_all(&folder).unwrap();
        let unpack = format!(
            "fs.writeFileSync({module:?} + process.pid, zlib.brotliDecompressSync(fs.readFileSync({packed:?})));\
             fs.renameSync({module:?} + process.pid, {module:?})"
        );
        Ran::of(Command::new(node_program()).args(["-e", &unpack])).ok();
        let text = format!("require('zlib').brotliDecompressSync = () => require('fs').readFileSync({module:?});\n");
        std::fs::write(&script, text).unwrap();
        script
    })
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Standard output of a run that succeeded.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// A run that failed with an exit code, and said so in its last lines: the error, and the hint if it has one. `*`
    /// stands for any text. There is nothing on standard output.
    pub fn fails(&self, code: i32, error: &str, hint: &str) {
        let expected: String = [("error", error), ("hint", hint)]
            .iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(kind, text)| format!("{kind}: {text}\n"))
            .collect();
        let lines: Vec<&str> = self.stderr.split_inclusive('\n').collect();
        let end: String = lines[lines.len().saturating_sub(expected.lines().count())..].concat();
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:#?}");
        assert!(fits(&expected, &end), "{self:#?}\nshould end with\n{expected}");
    }
}

/// Whether a text is what a pattern says, in which `*` stands for any text.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(first) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
}

/// The program in a folder, with an environment.
#[derive(Clone)]
pub struct Cml {
    folder: std::rc::Rc<tempfile::TempDir>,
    pub env: BTreeMap<String, String>,
}

/// All forges, for tests that every one must pass.
pub const VENDORS: [Vendor; 3] = [Vendor::GitHub, Vendor::GitLab, Vendor::Bitbucket];

impl Cml {
    /// Outside of any CI.
    pub fn alone() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut env = BTreeMap::new();
        env.insert("PATH".into(), std::env::var("PATH").unwrap_or_default());
        env.insert("HOME".into(), folder.path().display().to_string());
        // Folders above may be a git repository.
        env.insert("GIT_CEILING_DIRECTORIES".into(), std::env::temp_dir().display().to_string());
        let cml = Cml { folder: folder.into(), env };
        cml.file("report.md", "# Report\n\nAccuracy: **0.99**\n");
        cml
    }

    /// In the pipeline of pull request 7, with the token that may do everything.
    pub fn on(forge: &Forge, vendor: Vendor) -> Self {
        let mut cml = Cml::alone();
        cml.set("CI", "true").set("REPO_TOKEN", "good");
        let (url, api) = (forge.url(), forge.api(vendor));
        match vendor {
            Vendor::GitHub => {
                let event = serde_json::json!({ "pull_request": { "number": 7, "head": { "sha": HEAD, "repo": { "full_name": "octo/model" } } } });
                let path = cml.file("event.json", event.to_string());
                cml.set("GITHUB_ACTIONS", "true")
                    .set("GITHUB_REPOSITORY", "octo/model")
                    .set("GITHUB_SERVER_URL", url)
                    .set("GITHUB_API_URL", &api)
                    .set("GITHUB_GRAPHQL_URL", &format!("{api}/graphql"))
                    .set("GITHUB_SHA", "0123456789012345678901234567890123456789")
                    .set("GITHUB_EVENT_NAME", "pull_request")
                    .set("GITHUB_EVENT_PATH", &path.display().to_string())
                    .set("GITHUB_WORKFLOW", "train")
                    .set("GITHUB_RUN_ID", "99");
            }
            Vendor::GitLab => {
                cml.set("GITLAB_CI", "true")
                    .set("CI_PROJECT_URL", &format!("{url}/group/model"))
                    .set("CI_API_V4_URL", &api)
                    .set("CI_COMMIT_SHA", HEAD)
                    .set("CI_MERGE_REQUEST_IID", "7")
                    .set("GITLAB_USER_NAME", "Octo Cat")
                    .set("GITLAB_USER_EMAIL", "octocat@example.org")
                    .set("CI_PIPELINE_ID", "train")
                    .set("CI_JOB_ID", "99");
            }
            Vendor::Bitbucket => {
                cml.set("BITBUCKET_REPO_UUID", "{1}")
                    .set("BITBUCKET_REPO_FULL_NAME", "team/model")
                    .set("BITBUCKET_API_URL", &api)
                    .set("BITBUCKET_COMMIT", HEAD)
                    .set("BITBUCKET_PR_ID", "7")
                    .set("BITBUCKET_PIPELINE_UUID", "train")
                    .set("BITBUCKET_BUILD_NUMBER", "99")
                    .set("CML_REPO", &format!("{url}/team/model"))
                    .set("CML_DRIVER", "bitbucket");
            }
        }
        cml
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.env.remove(name);
        self
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// The command, ready to start.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command.args(args).current_dir(self.path()).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// Runs to the end. The token never appears, whatever happens.
    pub fn run(&self, args: &[&str]) -> Ran {
        let ran = Ran::of(&mut self.command(args));
        for (name, secret) in self.env.iter().filter(|(name, value)| name.contains("TOKEN") && value.len() > 6) {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{name} is shown: {ran:#?}");
        }
        ran
    }

    /// Runs git in the folder.
    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"];
        command.args(identity).args(args).current_dir(self.path()).env_clear().envs(&self.env);
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// Writes a script that is going to be run. A process of its own does: what this one has open for writing may for a moment be
/// open in a child that another test's thread starts, and a file that is open for writing cannot be run.
pub fn executable(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut command = Command::new("sh");
    let mut writer =
        command.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut writer.stdin.take().unwrap(), text.as_ref()).unwrap();
    assert!(writer.wait().unwrap().success(), "{}", path.display());
}

/// A small PNG whose content depends on a number.
pub fn png(seed: u8) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &[seed; 16], b"IEND"].concat()
}
