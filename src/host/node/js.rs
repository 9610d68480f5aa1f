//! The functions of `action/host.js`.

use crate::host::TlsOptions;
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use std::time::Duration;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen(raw_module = "./host.js")]
extern "C" {
    pub fn environment() -> Vec<String>;
    pub fn platform() -> String;
    pub fn arch() -> String;
    pub fn program() -> Vec<String>;
    pub fn now() -> f64;
    pub fn elapsed() -> f64;
    /// A signal that came, by its name; each is given once.
    #[wasm_bindgen(js_name = nextSignal)]
    pub fn next_signal() -> Option<String>;
    #[wasm_bindgen(js_name = isTerminal)]
    pub fn is_terminal(descriptor: u32) -> bool;
    #[wasm_bindgen(catch)]
    pub fn print(descriptor: u32, bytes: &[u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = currentDir)]
    pub fn current_dir() -> Result<String, JsValue>;
    #[wasm_bindgen(catch)]
    pub fn read(path: &str) -> Result<Vec<u8>, JsValue>;
    #[wasm_bindgen(catch, js_name = readAt)]
    pub fn read_at(path: &str, offset: f64, length: f64) -> Result<Vec<u8>, JsValue>;
    #[wasm_bindgen(catch, js_name = readLink)]
    pub fn read_link(path: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(catch, js_name = openFile)]
    pub fn open_file(path: &str) -> Result<Opened, JsValue>;
    #[wasm_bindgen(catch, js_name = openStdin)]
    pub fn open_stdin() -> Result<Opened, JsValue>;
    #[wasm_bindgen(catch, js_name = readFile)]
    pub fn read_file(
        file: u32,
        path: Option<&str>,
        is_pipe: bool,
        offset: f64,
        length: f64,
    ) -> Result<Vec<u8>, JsValue>;
    #[wasm_bindgen(js_name = closeFile)]
    pub fn close_file(file: u32);
    #[wasm_bindgen(catch)]
    pub fn write(path: &str, bytes: &[u8]) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub fn append(path: &str, bytes: &[u8]) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub fn rename(from: &str, to: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub fn remove(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub fn list(folder: &str) -> Result<Vec<String>, JsValue>;
    #[wasm_bindgen(catch, js_name = makeFolder)]
    pub fn make_folder(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch, js_name = makeExecutable)]
    pub fn make_executable(path: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub fn canonicalize(path: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(catch)]
    pub fn stat(path: &str) -> Result<Stat, JsValue>;

    pub fn certificates(pem: &str) -> Vec<String>;
    #[wasm_bindgen(catch, js_name = checkCertificate)]
    pub fn check_certificate(pem: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(js_name = defaultRoots)]
    pub fn default_roots() -> Vec<String>;
    #[wasm_bindgen(js_name = systemRoots)]
    pub fn system_roots() -> Vec<String>;

    pub fn digest(data: &[u8]) -> Vec<u8>;
    pub fn hmac(key: &[u8], data: &[u8]) -> Vec<u8>;
    #[wasm_bindgen(catch, js_name = signRs256)]
    pub fn sign_rs256(key: &str, data: &[u8]) -> Result<Vec<u8>, JsValue>;

    #[wasm_bindgen(js_name = sleep)]
    fn sleep_(milliseconds: f64) -> Promise;
    #[wasm_bindgen(js_name = interrupted)]
    fn interrupted_() -> Promise;
    #[wasm_bindgen(js_name = terminated)]
    fn terminated_() -> Promise;
    #[wasm_bindgen(js_name = run)]
    fn run_(argv: Vec<String>, added: Vec<String>, removed: Vec<String>, options: &Object) -> Running;
    #[wasm_bindgen(js_name = processId)]
    pub fn process_id() -> u32;
    #[wasm_bindgen(js_name = isRunning)]
    pub fn is_running(process: u32) -> bool;
    #[wasm_bindgen(js_name = isForeign)]
    pub fn is_foreign(path: &str) -> bool;
    #[wasm_bindgen(js_name = handOver)]
    fn hand_over_(argv: Vec<String>, added: Vec<String>, removed: Vec<String>, input: &[u8]) -> Promise;
    #[wasm_bindgen(js_name = send)]
    fn send_(request: &Object) -> Promise;

    /// What `stat` tells.
    pub type Stat;
    #[wasm_bindgen(method, getter, js_name = isFile)]
    pub fn is_file(this: &Stat) -> bool;
    #[wasm_bindgen(method, getter)]
    pub fn size(this: &Stat) -> u64;
    #[wasm_bindgen(method, getter)]
    pub fn modified(this: &Stat) -> u64;

    /// A command that runs.
    type Running;
    #[wasm_bindgen(method, getter)]
    fn done(this: &Running) -> Promise;
    /// Kills it and all that it started.
    #[wasm_bindgen(method)]
    fn end(this: &Running);

    /// An open file, and what its descriptor says of it.
    pub type Opened;
    #[wasm_bindgen(method, getter)]
    pub fn file(this: &Opened) -> u32;
    #[wasm_bindgen(method, getter)]
    pub fn kind(this: &Opened) -> String;
    #[wasm_bindgen(method, getter)]
    pub fn size(this: &Opened) -> u64;
    #[wasm_bindgen(method, getter)]
    pub fn real(this: &Opened) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    pub fn synthetic(this: &Opened) -> bool;

    /// How a command ended.
    pub type Output;
    #[wasm_bindgen(method, getter)]
    pub fn late(this: &Output) -> bool;
    #[wasm_bindgen(method, getter)]
    pub fn code(this: &Output) -> Option<i32>;
    #[wasm_bindgen(method, getter)]
    pub fn stdout(this: &Output) -> Vec<u8>;
    #[wasm_bindgen(method, getter)]
    pub fn stderr(this: &Output) -> Vec<u8>;

    /// The answer to a request.
    pub type Answer;
    #[wasm_bindgen(method, getter)]
    pub fn status(this: &Answer) -> u16;
    #[wasm_bindgen(method, getter)]
    pub fn headers(this: &Answer) -> Vec<String>;
    #[wasm_bindgen(method, getter)]
    pub fn body(this: &Answer) -> Vec<u8>;

    /// An error of Node.
    pub type Error;
    #[wasm_bindgen(method, getter)]
    pub fn code(this: &Error) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    pub fn errno(this: &Error) -> Option<f64>;
    #[wasm_bindgen(method, getter)]
    pub fn message(this: &Error) -> Option<String>;
    /// Whether the connection to the server stood.
    #[wasm_bindgen(method, getter)]
    pub fn connected(this: &Error) -> bool;
}

pub async fn sleep(milliseconds: f64) {
    let _ = JsFuture::from(sleep_(milliseconds)).await;
}

/// Waits until there is a [`next_signal`].
pub async fn interrupted() {
    let _ = JsFuture::from(interrupted_()).await;
}

/// Waits until a signal has ended the commands that ran. Returns its name.
pub async fn terminated() -> String {
    JsFuture::from(terminated_()).await.ok().and_then(|name| name.as_string()).unwrap_or_default()
}

/// A command to run.
pub struct Child {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Names and values of variables in turn.
    pub added: Vec<String>,
    /// Names of variables.
    pub removed: Vec<String>,
    /// Milliseconds after which it is killed.
    pub limit: Option<f64>,
    /// Whether it may go on after that.
    pub lingers: bool,
    /// What it reads on standard input.
    pub input: Vec<u8>,
    /// How many bytes of its output and of its errors are kept.
    pub most: (usize, usize),
}

/// A command that runs; dropped, it is killed.
pub struct Run(Running);

impl Run {
    pub async fn output(&self) -> Result<Output, JsValue> {
        JsFuture::from(self.0.done()).await.map(JsCast::unchecked_into)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.0.end();
    }
}

pub fn run(child: Child) -> Run {
    let options = Object::new();
    let (output, errors) = child.most;
    let all: [(&str, JsValue); 5] = [
        ("limit", child.limit.into()),
        ("lingers", child.lingers.into()),
        ("input", Uint8Array::from(&child.input[..]).into()),
        ("output", (output as f64).into()),
        ("errors", (errors as f64).into()),
    ];
    for (name, value) in &all {
        let _ = Reflect::set(&options, &(*name).into(), value);
    }
    Run(run_(child.argv, child.added, child.removed, &options))
}

pub async fn hand_over(
    argv: Vec<String>,
    added: Vec<String>,
    removed: Vec<String>,
    input: &[u8],
) -> Result<Option<i32>, JsValue> {
    Ok(JsFuture::from(hand_over_(argv, added, removed, input)).await?.as_f64().map(|code| code as i32))
}

/// A proxy for a request.
pub struct Proxy {
    /// Its address, without credentials.
    pub address: String,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// What to send.
pub struct Request<'a> {
    pub method: &'a str,
    pub address: &'a str,
    pub headers: &'a [(String, Vec<String>)],
    pub body: &'a [u8],
    pub timeout: Duration,
    /// The most bytes that the answer may have.
    pub limit: u64,
    pub proxy: Option<&'a Proxy>,
    pub roots: &'a [String],
    /// What secures the connection to the server instead.
    pub tls: Option<&'a TlsOptions>,
}

/// Returns the options of `tls.connect`: <https://nodejs.org/api/tls.html#tlsconnectoptions-callback>.
fn tls_options(tls: &TlsOptions) -> Result<Object, JsValue> {
    let options = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&options, &name.into(), &value).map(drop);
    if let Some(ca) = &tls.ca {
        set("ca", ca.as_str().into())?;
    }
    if let Some(identity) = &tls.identity {
        set("cert", identity.certificate.as_str().into())?;
        set("key", identity.key.expose().into())?;
    }
    if let Some(name) = &tls.server_name {
        set("servername", name.as_str().into())?;
    }
    if tls.insecure {
        set("rejectUnauthorized", false.into())?;
    }
    Ok(options)
}

pub async fn send(request: Request<'_>) -> Result<Answer, JsValue> {
    let list = |texts: &[String]| texts.iter().map(|text| JsValue::from(text.as_str())).collect::<Array>();
    let headers: Array =
        request.headers.iter().map(|(name, values)| Array::of2(&name.as_str().into(), &list(values))).collect();
    let object = Object::new();
    let set = |name: &str, value: &JsValue| Reflect::set(&object, &name.into(), value).map(drop);
    set("method", &request.method.into())?;
    set("address", &request.address.into())?;
    set("headers", &headers)?;
    set("body", &Uint8Array::from(request.body))?;
    set("timeout", &(request.timeout.as_secs_f64() * 1000.0).into())?;
    set("limit", &(request.limit as f64).into())?;
    set("roots", &list(request.roots))?;
    if let Some(tls) = request.tls {
        let options = tls_options(tls)?;
        set("tls", &options)?;
    }
    if let Some(proxy) = request.proxy {
        set("proxy", &proxy.address.as_str().into())?;
        set("authorization", &proxy.authorization.as_deref().into())?;
    }
    JsFuture::from(send_(&object)).await.map(JsCast::unchecked_into)
}
