//! `native: true`: the native program is downloaded, checked against the digest in `dist/`, and kept in the tool cache.
//! What is wrong is neither run nor kept.

use super::{VERSION, refused, vega};
use crate::support::fake::{Forge, Kind, Proxy};
use crate::support::host::TestHost;
use crate::support::ignored::skipped;
use crate::support::net::send;
use crate::support::node::Runner;
use crate::support::{Ran, fits, native};
use cml::app::App;
use cml::env::Env;
use cml::host::native::Native;
use cml::http::Http;
use cml::log::{Level, Log};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

/// What stands in for the program where its size would only cost time.
const PROGRAM: &[u8] = b"#!/bin/sh\necho \"native $*\"\n";

/// A runner and a mirror with the program; the action has its digest on record.
struct Mirror {
    forge: Forge,
    runner: Runner,
    /// The name of the file in the mirror.
    name: String,
    sha256: String,
}

impl Mirror {
    fn with(program: &[u8]) -> Option<Mirror> {
        let (forge, runner) = (Forge::start(), Runner::new()?);
        let url = send("POST", &forge.store_url(), &[], program).unwrap().text();
        forge.clear_requests();
        let name = url.rsplit('/').next().unwrap().to_owned();
        let sha256 = Sha256::digest(program).iter().map(|byte| format!("{byte:02x}")).collect();
        let mirror = Mirror { forge, runner, name, sha256 };
        mirror.record(&mirror.name, &mirror.sha256);
        Some(mirror)
    }

    /// What the action knows about the release.
    fn record(&self, name: &str, sha256: &str) {
        let key = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let record = json!({ "files": { key: { "name": name, "sha256": sha256 } } });
        std::fs::write(self.runner.action.join("dist/native.json"), record.to_string()).unwrap();
    }

    /// The step with `native: …`.
    fn uses(&self, native: &str) -> Ran {
        self.runner.uses(&[("native", native), ("native-url", &self.forge.store_url())])
    }

    /// The paths that were asked for.
    fn asked(&self) -> Vec<String> {
        self.forge.requests().into_iter().map(|request| request.path).collect()
    }

    /// Where the tool cache has the program.
    fn cached(&self) -> PathBuf {
        let arch = match std::env::consts::ARCH {
            "x86_64" => "x64",
            "aarch64" => "arm64",
            other => other,
        };
        self.runner.path("cache/setup-cml-rs").join(VERSION).join(arch).join("cml")
    }

    /// Nothing was kept, and PATH is as it was.
    #[track_caller]
    fn nothing_happened(&self) {
        let cache = self.runner.path("cache").read_dir().unwrap().count();
        assert_eq!((cache, self.runner.read("GITHUB_PATH")), (0, String::new()), "the tool cache and PATH");
        assert_eq!(self.runner.temp.read_dir().unwrap().count(), 0, "the temporary folder");
    }
}

#[test]
fn the_native_program_is_what_the_later_steps_run() {
    // As a release's, without symbols: with them, that of the tests is larger than the action downloads.
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("cml");
    Ran::of(Command::new("strip").arg("-o").arg(&stripped).arg(native())).ok();
    let program = std::fs::read(stripped).unwrap();
    if program.len() > 64 << 20 {
        return skipped("program as small as a released one", "set CML_TEST_PROGRAM");
    }
    let Some(mirror) = Mirror::with(&program) else { return };
    mirror.uses("true").ok();
    assert_eq!(mirror.asked(), [format!("/store/{}", mirror.name)]);
    let cached = mirror.cached();
    assert_eq!(std::fs::read(&cached).unwrap(), program);
    assert!(cached.parent().unwrap().with_extension("complete").is_file());
    // PATH has a shell for the launcher, and no Node.
    let runner = &mirror.runner;
    let only = runner.read("GITHUB_PATH").trim().to_owned();
    let ran = runner.run(&format!("PATH='{only}' cml --version"));
    let version = ran.ok();
    assert!(crate::terminal::is_version(&version), "{version}");
    let help = runner.run(&format!("PATH='{only}' cml-send-comment --help")).ok();
    assert!(help.contains("Usage: cml comment create "), "{help}");
    let launcher = std::fs::read_to_string(format!("{only}/cml")).unwrap();
    assert_eq!(launcher, format!("#!/bin/sh\nexec '{}' \"$@\"\n", cached.display()));
}

/// The step runs natively, in this process; what it installs starts the built program. Python is played.
#[test]
fn the_native_program_draws_pngs_of_dvcs_plots() {
    let launcher = format!("#!/bin/sh\nexec '{}' \"$@\"\n", native().display());
    let Some(mut mirror) = Mirror::with(launcher.as_bytes()) else { return };
    let url = mirror.forge.store_url();
    let runner = &mut mirror.runner;
    vega::play_python(runner);
    runner.set("INPUT_NATIVE", "true").set("INPUT_NATIVE-URL", &url);
    assert_eq!(block_on(cml::action::run(app(runner).host)), 0);
    let own = vega::PLOT.replace("\"width\": 300", "\"width\": 600");
    for (name, text) in [("plot.json", vega::PLOT), ("own.json", &own)] {
        std::fs::write(runner.path("work").join(name), text).unwrap();
    }
    runner
        .run("vl2png plot.json > one.png && vl2png -s 2 - two.png < plot.json && vl2png plot.json --ppi 144 dense.png")
        .ok();
    let [one, two, dense] = ["one.png", "two.png", "dense.png"].map(|name| vega::size(runner, name));
    assert_eq!((two, dense), ((one.0 * 2, one.1 * 2), two));
    assert!(runner.run("vl2svg plot.json").ok().starts_with("<svg "));
    runner.run("vl2png plot.json plot.json/x.png").fails(
        3,
        "cannot write plot.json/x.png (*)",
        "name a file in a folder that can be written to",
    );
    assert_eq!(vega::installed(runner), 0);
    // What is not as DVC makes it, and letters that the program cannot draw, are for vl-convert, with its arguments and its input.
    std::fs::write(runner.path("work/letters.json"), vega::PLOT.replace("logs.csv", "損失")).unwrap();
    for call in ["vl2png -s 2 own.json a.png", "vl2png letters.json", "vl2png -c x.json plot.json", "vl2png --help"] {
        assert!(runner.run(call).ok().ends_with(&format!("/vega.py {call}\n")), "{call}");
    }
    let ran = runner.run("vl2png - read < own.json");
    assert_eq!(ran.ok().split_once("vl2png - read\n").unwrap().1, own);
    assert_eq!(vega::installed(runner), 1);
}

#[test]
fn the_tool_cache_saves_the_download_and_is_checked_each_time() {
    let Some(mirror) = Mirror::with(PROGRAM) else { return };
    for _ in 0..2 {
        let ran = mirror.uses("true");
        assert_eq!(ran.code, Some(0), "{ran:#?}");
    }
    assert_eq!(mirror.asked().len(), 1, "the second run has it");
    assert_eq!(mirror.runner.run("cml a 'b c'").ok(), "native a b c\n");
    assert_eq!(mirror.runner.run("cml-send-comment r.md").ok(), "native send-comment r.md\n");
    std::fs::write(mirror.cached(), "#!/bin/sh\necho tampered\n").unwrap();
    mirror.uses("true").ok();
    assert_eq!(mirror.asked().len(), 2, "what was tampered with is downloaded anew");
    assert_eq!(mirror.runner.run("cml a").ok(), "native a\n");
}

#[test]
fn a_program_that_was_kept_by_half_is_made_whole() {
    let Some(mirror) = Mirror::with(PROGRAM) else { return };
    mirror.uses("true").ok();
    std::fs::set_permissions(mirror.cached(), std::fs::Permissions::from_mode(0o644)).unwrap();
    mirror.uses("true").ok();
    assert_eq!((mirror.asked().len(), mirror.runner.run("cml a").ok().as_str()), (1, "native a\n"));
}

/// A way in which the download goes wrong: the mirror's, and the annotation.
type Wrong = (fn(&Mirror), i32, fn(&Mirror) -> String);

const WRONG: &[Wrong] = &[
    // Another file than the recorded one: an attack, or a mirror of another version.
    (
        |mirror| mirror.record(&mirror.name, &"0".repeat(64)),
        6,
        |mirror| wrong_digest(mirror, &mirror.sha256, &"0".repeat(64)),
    ),
    // Cut short without a sign.
    (
        |mirror| mirror.forge.fault("GET /store", 1, Kind::CutUnframed(10)),
        6,
        |mirror| {
            let found: String = Sha256::digest(&PROGRAM[..10]).iter().map(|byte| format!("{byte:02x}")).collect();
            wrong_digest(mirror, &found, &mirror.sha256)
        },
    ),
    // Not there.
    (
        |mirror| mirror.record("nothing", &mirror.sha256),
        5,
        |mirror| format!("cannot download {}/nothing: ", mirror.forge.store_url()),
    ),
    // A release without this platform.
    (
        |mirror| std::fs::write(mirror.runner.action.join("dist/native.json"), r#"{"files": {}}"#).unwrap(),
        7,
        |_| {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            format!("version {VERSION} has no native build for {os}-{arch}")
        },
    ),
];

fn wrong_digest(mirror: &Mirror, found: &str, recorded: &str) -> String {
    let url = format!("{}/{}", mirror.forge.store_url(), mirror.name);
    format!("SHA-256 mismatch for {url}: got {found}, expected {recorded}")
}

#[test]
fn a_download_that_is_not_the_recorded_program_is_an_error_and_nothing_is_kept() {
    for (spoil, code, text) in WRONG {
        let Some(mirror) = Mirror::with(PROGRAM) else { return };
        spoil(&mirror);
        let ran = mirror.uses("true");
        assert!(ran.stdout.starts_with(&format!("::error::{}", text(&mirror))), "{ran:#?}");
        assert!(ran.stdout.contains("%0Ahint: ") && ran.stdout.lines().count() == 1, "{ran:#?}");
        assert_eq!(ran.code, Some(*code), "{ran:#?}");
        mirror.nothing_happened();
    }
}

#[test]
fn auto_warns_and_goes_on_with_the_web_assembly() {
    for (spoil, _, text) in WRONG {
        let Some(mirror) = Mirror::with(PROGRAM) else { return };
        spoil(&mirror);
        let ran = mirror.uses("auto");
        assert!(ran.stdout.starts_with(&format!("::warning::{}", text(&mirror))), "{ran:#?}");
        assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 1), "{ran:#?}");
        assert_eq!(mirror.runner.run("cml --version").ok(), format!("cml {VERSION}\n"));
        assert!(!mirror.cached().exists());
    }
    let Some(mirror) = Mirror::with(PROGRAM) else { return };
    assert_eq!(mirror.uses("auto").ok(), "", "no warning");
    assert_eq!(mirror.runner.run("cml a").ok(), "native a\n");
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    let Some(mirror) = Mirror::with(PROGRAM) else { return };
    mirror.forge.fault("GET /store", 1, Kind::Truncate(10));
    mirror.forge.fault("GET /store", 1, Kind::answer(503, &[], "busy"));
    mirror.uses("true").ok();
    assert_eq!((mirror.asked().len(), mirror.forge.unused_faults()), (3, vec![]));
    assert_eq!(mirror.runner.run("cml a").ok(), "native a\n");
}

#[test]
fn without_a_mirror_it_comes_from_the_release_of_the_actions_repository() {
    let Some(mut mirror) = Mirror::with(PROGRAM) else { return };
    let url = mirror.forge.url().to_owned();
    mirror.runner.set("GITHUB_SERVER_URL", &url);
    let hint = "hint: set native-url to the folder with the files";
    let text = "GITHUB_ACTION_REPOSITORY is not set; cannot determine which release to download";
    refused(&mirror.runner.uses(&[("native", "true")]), 3, &format!("{text}%0A{hint}"));
    mirror.runner.set("GITHUB_ACTION_REPOSITORY", "org/setup-cml-rs");
    let path = format!("/org/setup-cml-rs/releases/download/v{VERSION}/{}", mirror.name);
    // As GitHub does, to where the files are.
    let to = format!("{}/{}", mirror.forge.store_url(), mirror.name);
    mirror.forge.fault(&format!("GET {path}$"), 1, Kind::answer(302, &[("Location", &to)], ""));
    mirror.runner.uses(&[("native", "true")]).ok();
    assert_eq!(mirror.asked(), [path, format!("/store/{}", mirror.name)]);
    assert_eq!(mirror.runner.run("cml a").ok(), "native a\n");
    for wrong in ["ftp://host/folder", "folder"] {
        let ran = mirror.runner.uses(&[("native", "true"), ("native-url", wrong)]);
        assert_eq!(ran.code, Some(0), "it is in the tool cache: {ran:#?}");
        std::fs::remove_file(mirror.cached()).unwrap();
        let text = format!("invalid native-url '{wrong}/{}'%0Ahint: use https://host/folder", mirror.name);
        refused(&mirror.runner.uses(&[("native", "true"), ("native-url", wrong)]), 2, &text);
        mirror.uses("true").ok();
    }
}

/// A server with its own name, github.com as seen through a proxy, and the path of the release there.
struct Enterprise {
    server: Forge,
    github: Forge,
    proxy: Proxy,
    path: String,
}

impl Enterprise {
    fn around(runner: &mut Runner, name: &str) -> Enterprise {
        let it = Enterprise {
            server: Forge::start(),
            github: Forge::start_tls_for(&["github.com"], 1975, 4096),
            proxy: Proxy::start(),
            path: format!("/org/setup-cml-rs/releases/download/v{VERSION}/{name}"),
        };
        it.proxy.route("github.com:443", &it.github.address());
        let ca = runner.path("ca.pem");
        std::fs::write(&ca, it.github.ca_pem()).unwrap();
        runner.set("SSL_CERT_FILE", &ca.display().to_string()).set("https_proxy", &it.proxy.url());
        runner.set("GITHUB_SERVER_URL", it.server.url()).set("GITHUB_ACTION_REPOSITORY", "org/setup-cml-rs");
        it
    }

    fn has(forge: &Forge, path: &str) {
        forge.fault(&format!("GET {path}$"), 1, Kind::answer(200, &[], std::str::from_utf8(PROGRAM).unwrap()));
    }

    /// How often each was asked for the program.
    fn asked(&self) -> [usize; 2] {
        [&self.server, &self.github]
            .map(|forge| forge.requests().iter().filter(|request| request.path == self.path).count())
    }
}

/// Real: the action's own code, in this process. Scripted: the servers. An action of a server of one's own may be a copy there,
/// or come from github.com through GitHub Connect; a server that wants a login answers with a page.
#[test]
fn on_a_server_of_ones_own_the_release_is_there_or_on_github() {
    type Answer = Option<(u16, &'static [(&'static str, &'static str)])>;
    let page: Answer = Some((302, &[("Location", "/login")]));
    for (own, there, connect, asked) in [
        (true, None, false, [1, 0]),
        (false, None, true, [1, 1]),
        (false, page, true, [1, 1]),
        (false, None, false, [1, 1]),
    ] {
        let Some(mut mirror) = Mirror::with(PROGRAM) else { return };
        let it = Enterprise::around(&mut mirror.runner, &mirror.name);
        if own {
            Enterprise::has(&it.server, &it.path);
        }
        if let Some((status, headers)) = there {
            it.server.fault(&format!("GET {}$", it.path), 1, Kind::answer(status, headers, ""));
            it.server.fault("GET /login", 1, Kind::answer(200, &[("Content-Type", "text/html")], "<h1>Sign in</h1>"));
        }
        if connect {
            Enterprise::has(&it.github, &it.path);
        }
        let installed = install(&mirror.runner);
        assert_eq!(
            (installed.is_ok(), it.asked()),
            (own || connect, asked),
            "{own} {there:?} {connect}: {installed:?}"
        );
        assert_eq!(mirror.cached().exists(), own || connect);
        assert!(it.proxy.targets().iter().all(|target| target == "CONNECT github.com:443"));
        if let Err(error) = installed {
            let text = format!(
                "cannot download {}{path}: *404*; cannot download https://github.com{path}: *404*",
                it.server.url(),
                path = it.path
            );
            assert!(fits(&text, &error.to_string()), "{error}");
            assert_eq!((error.kind(), error.hint_text().is_some()), (cml::error::Kind::NotFound, true));
        }
    }
}

/// As above: a machine of a later step gets the program from where it is, and a page is no program.
#[test]
fn a_machine_gets_the_program_from_the_server_that_has_it() {
    let Some(mut mirror) = Mirror::with(PROGRAM) else { return };
    let it = Enterprise::around(&mut mirror.runner, &mirror.name);
    let head = format!("HEAD {}$", it.path);
    it.server.fault(&head, 9, Kind::answer(200, &[("Content-Type", "text/html; charset=utf-8")], ""));
    it.github.fault(&head, 1, Kind::answer(200, &[], ""));
    let app = app(&mirror.runner);
    cml::release::remember(&app).unwrap();
    mirror.runner.env.remove("GITHUB_ACTION_REPOSITORY");
    let app = self::app(&mirror.runner);
    let (urls, digest) = cml::release::released(&app, &app.host.platform()).unwrap();
    assert_eq!(digest, mirror.sha256);
    let url = block_on(cml::command::runner::bootstrap_binary::first_available(&app, urls.clone())).unwrap();
    assert_eq!(url.as_str(), format!("https://github.com{}", it.path));
    let error = block_on(cml::command::runner::bootstrap_binary::first_available(&app, urls)).unwrap_err();
    let text = format!(
        "cannot download the instance's cml from {}{path}: the server answered with a web page, probably a login page; \
         cannot download the instance's cml from https://github.com{path}: *404*",
        it.server.url(),
        path = it.path
    );
    assert!(fits(&text, &error.to_string()), "{error}");
}

/// What the step with `native: true` does with the environment of a job.
fn install(runner: &Runner) -> cml::error::Result<PathBuf> {
    block_on(cml::release::install(&app(runner)))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn app(runner: &Runner) -> App {
    let env: Env = runner.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let native = Native::default().in_env(env.clone());
    let host = Rc::new(TestHost { native, env, folder: runner.action.clone() });
    let log = Log::new(host.clone(), Level::Error);
    let http = Http::new(host.clone(), log.clone(), Duration::from_secs(60));
    App { host, log, http }
}
