//! The native host in a folder of its own and with an environment of its own, for tests inside the process.

use async_trait::async_trait;
use bytes::Bytes;
use cml::env::Env;
use cml::host::native::Native;
use cml::host::{Command, Host, OpenFile, Output, Platform, ProxyOverride, SendError, Stat};
use futures_util::future::BoxFuture;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// That host.
pub struct TestHost {
    pub native: Native,
    pub env: Env,
    pub folder: PathBuf,
}

#[async_trait(?Send)]
impl Host for TestHost {
    fn env(&self) -> &Env {
        &self.env
    }
    fn current_dir(&self) -> io::Result<PathBuf> {
        Ok(self.folder.clone())
    }
    // Shown when a test fails.
    #[allow(clippy::disallowed_macros)]
    fn log(&self, line: &str) {
        println!("{line}");
    }
    fn progress(&self, _: &str) {}
    fn is_terminal(&self, _: cml::host::Stream) -> bool {
        false
    }
    #[allow(clippy::disallowed_macros)]
    fn out(&self, bytes: &[u8]) -> io::Result<()> {
        println!("{}", String::from_utf8_lossy(bytes));
        Ok(())
    }

    fn platform(&self) -> Platform {
        self.native.platform()
    }
    /// The action's, in that folder, with what it has beside it.
    fn current_exe_argv(&self) -> Vec<String> {
        vec![self.folder.join("dist/index.js").display().to_string()]
    }
    fn now(&self) -> Duration {
        self.native.now()
    }
    fn elapsed(&self) -> Duration {
        self.native.elapsed()
    }
    fn random(&self) -> u64 {
        self.native.random()
    }
    fn sign_rs256(&self, key: &cml::env::Secret, message: &[u8]) -> Option<Vec<u8>> {
        self.native.sign_rs256(key, message)
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.native.spawn(task);
    }
    async fn sleep(&self, duration: Duration) {
        self.native.sleep(duration).await;
    }
    async fn interrupted(&self) -> cml::host::Signal {
        self.native.interrupted().await
    }
    fn trust(&self, pem: &[u8]) -> Result<(), String> {
        self.native.trust(pem)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.native.read(path)
    }
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.native.write(path, bytes)
    }
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.native.read_at(path, offset, length)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.native.open(path)
    }
    fn open_stdin(&self) -> io::Result<Box<dyn OpenFile>> {
        self.native.open_stdin()
    }
    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.native.read_link(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.native.list(folder)
    }
    fn write_private(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.native.write_private(path, bytes)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.native.remove_folder(path)
    }
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.native.append(path, bytes)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.native.remove(path)
    }
    fn make_executable(&self, path: &Path) -> io::Result<()> {
        self.native.make_executable(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.native.stat(path)
    }
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.native.canonicalize(path)
    }
    async fn execute(&self, command: &Command) -> io::Result<Output> {
        self.native.execute(command).await
    }
    fn process_id(&self) -> u32 {
        self.native.process_id()
    }
    fn is_running(&self, process: u32) -> bool {
        self.native.is_running(process)
    }
    fn is_foreign(&self, path: &Path) -> bool {
        self.native.is_foreign(path)
    }
    async fn hand_over(&self, command: &Command) -> io::Result<Option<i32>> {
        self.native.hand_over(command).await
    }
    /// Through the proxy of its own environment.
    async fn send(
        &self,
        mut request: http::Request<Bytes>,
        timeout: Duration,
    ) -> Result<http::Response<Bytes>, SendError> {
        let proxy = self.env.named("https_proxy").filter(|_| request.uri().scheme_str() == Some("https"));
        if let Some(proxy) = proxy {
            request.extensions_mut().insert(ProxyOverride(proxy.to_owned()));
        }
        self.native.send(request, timeout).await
    }
}
