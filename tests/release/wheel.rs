//! The package for Python: packed by the release's script, served by a local index, installed by real pip and uv, and used
//! against the scripted forge. `CML_TEST_MATURIN` names a Python that has maturin, wheel and uv.

use crate::support::fake::{Forge, Target, Vendor};
use crate::support::ignored::skipped;
use crate::support::{Cml, Ran, native};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The folder of the tools' programs.
fn tools() -> Option<PathBuf> {
    let Some(python) = std::env::var_os("CML_TEST_MATURIN") else {
        skipped("maturin", "set CML_TEST_MATURIN");
        return None;
    };
    Some(Path::new(&python).parent().unwrap().to_owned())
}

/// Packs programs with the release's script.
fn pack(tools: &Path, programs: &Path, folder: &Path) -> Ran {
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let script = Path::new(ROOT).join(".github/scripts/wheels.sh");
    Ran::of(Command::new(script).args([programs, folder]).env("PATH", path))
}

/// Names of a folder's files, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A package index as PyPI is one: a page of links for each package.
struct Index {
    server: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Index {
    /// Serves a package with the program under test.
    fn start(tools: &Path) -> Index {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("programs");
        std::fs::create_dir(&programs).unwrap();
        let name = format!("cml-{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        std::fs::copy(native(), programs.join(name)).unwrap();
        let index = folder.path().join("index");
        pack(tools, &programs, &index.join("setup-cml-rs")).ok();
        let mut command = Command::new(tools.join("python"));
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(&index).arg("0");
        let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
        Index { server, url: format!("http://127.0.0.1:{port}/"), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A tool that asks this index and no other, and keeps what it has in a folder of its own.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", self.folder.path());
        command
            .env("PIP_INDEX_URL", &self.url)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env("PIP_CONFIG_FILE", "/dev/null");
        command.env("UV_DEFAULT_INDEX", &self.url).env("UV_NO_CONFIG", "1").env("UV_PYTHON_DOWNLOADS", "never");
        command.env("UV_CACHE_DIR", self.path("cache"));
        command
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Posts the report of a project with a program and its first arguments.
#[track_caller]
fn report(mut command: Command) {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    let own = cml.env.iter().filter(|(name, _)| !["PATH", "HOME"].contains(&name.as_str()));
    command.current_dir(cml.path()).envs(own).args(["comment", "create", "report.md"]);
    let printed = Ran::of(&mut command).ok();
    let comments = forge.live_comments(Vendor::GitHub, &Target::Pull(7));
    assert_eq!(comments.len(), 1, "{}", forge.transcript());
    assert!(comments[0].body.starts_with("# Report\n\nAccuracy: **0.99**\n"), "{}", comments[0].body);
    assert!(printed.ends_with(&format!("#issuecomment-{}\n", comments[0].id)), "{printed}");
}

#[test]
fn pip_installs_the_program_itself() {
    let Some(tools) = tools() else { return };
    let index = Index::start(&tools);
    let environment = index.path("environment");
    Ran::of(index.command(&tools.join("python")).args(["-m", "venv"]).arg(&environment)).ok();
    Ran::of(index.command(&environment.join("bin/pip")).args(["install", "--quiet", "setup-cml-rs"])).ok();
    let program = environment.join("bin/cml");
    assert!(std::fs::read(&program).unwrap() == std::fs::read(native()).unwrap(), "it is another program");
    let version = concat!("cml ", env!("CARGO_PKG_VERSION"));
    assert!(Ran::of(index.command(&program).arg("--version")).ok().starts_with(version));
    report(index.command(&program));
    let shown = Ran::of(index.command(&environment.join("bin/pip")).args(["show", "setup-cml-rs"])).ok();
    assert!(shown.contains(concat!("\nVersion: ", env!("CARGO_PKG_VERSION"), "\n")), "{shown}");
    assert!(shown.contains("\nRequires: \n"), "it needs nothing else: {shown}");
}

#[test]
fn the_lines_of_the_documentation_are_those() {
    for page in [include_str!("../../README.md"), include_str!("../../docs/pypi.md")] {
        assert!(page.contains("pip install setup-cml-rs") && page.contains("uvx --from setup-cml-rs cml"), "{page}");
    }
}

#[test]
fn uvx_runs_it_without_installing_it() {
    let Some(tools) = tools() else { return };
    let index = Index::start(&tools);
    let mut command = index.command(&tools.join("uvx"));
    command.args(["--from", "setup-cml-rs", "cml"]);
    report(command);
}

#[test]
fn each_program_of_a_release_has_its_package() {
    let Some(tools) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    for name in ["linux-x86_64", "linux-aarch64", "macos-x86_64", "macos-aarch64", "windows-x86_64.exe"] {
        std::fs::write(programs.join(format!("cml-{name}")), name).unwrap();
    }
    let [one, two] = ["one", "two"].map(|name| {
        let packages = folder.path().join(name);
        pack(&tools, &programs, &packages).ok();
        packages
    });
    let of = |platforms: &str| format!("setup_cml_rs-{}-py3-none-{platforms}.whl", env!("CARGO_PKG_VERSION"));
    let linux = |arch: &str| {
        of(&["manylinux2014", "manylinux_2_17", "musllinux_1_1"].map(|name| format!("{name}_{arch}")).join("."))
    };
    let packages =
        [of("macosx_10_12_x86_64"), of("macosx_11_0_arm64"), linux("aarch64"), linux("x86_64"), of("win_amd64")];
    assert_eq!(names(&one), packages);
    for name in &packages {
        assert!(std::fs::read(one.join(name)).unwrap() == std::fs::read(two.join(name)).unwrap(), "{name} differs");
    }
    let list = ["-m", "zipfile", "--list"];
    let files = Ran::of(Command::new(tools.join("python")).args(list).arg(one.join(&packages[4]))).ok();
    assert!(files.contains(".data/scripts/cml.exe "), "{files}");

    std::fs::write(programs.join("cml-plan9-x86_64"), "").unwrap();
    let error = format!("{} has cml-plan9-x86_64, which is not the name of a program in a release", programs.display());
    pack(&tools, &programs, &folder.path().join("three")).fails(1, &error, "");
}
