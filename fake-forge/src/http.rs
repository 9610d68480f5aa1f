//! HTTP/1.1 on a blocking connection: read one request, write one answer, well or badly.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde_json::Value;

/// A request head may have this many bytes.
const MAX_HEAD: usize = 64 * 1024;
/// A request body may have this many bytes.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// One parsed request, its body whole and without transfer coding.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// As sent: `GET`, `POST`, …
    pub method: String,
    /// As sent: path and query, or an absolute URL (proxies).
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The method to route by: `HEAD` is a `GET` whose answer has no body.
    pub fn verb(&self) -> &str {
        if self.method == "HEAD" { "GET" } else { &self.method }
    }

    /// Whether the request changes nothing.
    pub fn is_read(&self) -> bool {
        self.verb() == "GET"
    }

    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The path without the query, still percent-encoded.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The path's segments, each decoded by itself: `group%2Fmodel` stays one segment.
    pub fn segments(&self) -> Vec<String> {
        self.path().split('/').skip(1).map(|segment| decode(segment, false)).collect()
    }

    /// The query's pairs, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        pairs(self.target.split_once('?').map_or("", |(_, query)| query))
    }

    /// One parameter of the query.
    pub fn param(&self, name: &str) -> Option<String> {
        self.query().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All values of a parameter of the query.
    pub fn params(&self, name: &str) -> Vec<String> {
        self.query().into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A text field of a JSON body, a form body or the query, as GitLab accepts them.
    pub fn field(&self, name: &str) -> Option<String> {
        let kind = self.header("content-type").unwrap_or_default();
        if kind.starts_with("application/x-www-form-urlencoded") {
            let form = pairs(&String::from_utf8_lossy(&self.body));
            return form.into_iter().find(|(key, _)| key == name).map(|(_, value)| value);
        }
        match self.json().get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Null) | None => self.param(name),
            Some(other) => Some(other.to_string()),
        }
    }

    fn keep_alive(&self) -> bool {
        !self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads the next request of a connection; `None` when the client closed it between two requests. `arrived` is called
/// at its first byte.
pub fn read_request<C: Read + Write>(reader: &mut BufReader<C>, arrived: impl FnOnce()) -> io::Result<Option<Request>> {
    if reader.fill_buf()?.is_empty() {
        return Ok(None);
    }
    arrived();
    let mut request = Request::default();
    let line = read_line(reader)?;
    let mut words = line.split_whitespace();
    request.method = words.next().ok_or_else(|| bad("no method"))?.to_owned();
    request.target = words.next().ok_or_else(|| bad("no target"))?.to_owned();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header without a colon"))?;
        request.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let expects = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    if expects {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        reader.get_mut().flush()?;
    }
    request.body = read_body(reader, &request)?;
    Ok(Some(request))
}

fn read_body<R: BufRead>(reader: &mut R, request: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let coding = request.header("transfer-encoding").unwrap_or_default();
    if !coding.eq_ignore_ascii_case("chunked") {
        let length = request.header("content-length").unwrap_or("0");
        let length: usize = length.parse().map_err(|_| bad("content-length"))?;
        if length > MAX_BODY {
            return Err(bad("the body is too large"));
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        return Ok(body);
    }
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| bad("chunk size"))?;
        if size == 0 {
            while !read_line(reader)?.is_empty() {}
            return Ok(body);
        }
        let start = body.len();
        if size > MAX_BODY - start {
            return Err(bad("the body is too large"));
        }
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        read_line(reader)?;
    }
}

fn read_line<R: BufRead>(reader: &mut R) -> io::Result<String> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_HEAD as u64).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(bad("a cut or too long line"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| bad("a head that is not UTF-8"))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// An answer, before it is framed.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Response {
        Response { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Bytes of a type.
    pub fn bytes(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Response { status, headers, body: body.into() }
    }

    /// A JSON document.
    pub fn json(status: u16, value: &Value) -> Response {
        Response::bytes(status, "application/json; charset=utf-8", value.to_string())
    }

    /// The same with one header more.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Response {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// How much of an answer's body reaches the client, and how its length is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// All of it, with `Content-Length`.
    Whole,
    /// `Content-Length` of the whole, but only this many bytes; then the connection closes.
    Short(usize),
    /// No length at all, this many bytes, and an orderly close: nothing tells the client that the rest is missing.
    Unframed(usize),
    /// Chunked, this many bytes, and a close without the last chunk.
    Chunked(usize),
}

/// Writes an answer in one piece. Says whether the connection can carry another request.
pub fn write_response<W: Write>(
    out: &mut W,
    request: &Request,
    response: &Response,
    framing: Framing,
) -> io::Result<bool> {
    let keep = framing == Framing::Whole && request.keep_alive();
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = &response.body[..];
    let bodiless = matches!(response.status, 100..200 | 204 | 304);
    let (headers, body) = match framing {
        _ if bodiless => (String::new(), Vec::new()),
        Framing::Whole => (format!("Content-Length: {}\r\n", body.len()), body.to_vec()),
        Framing::Short(n) => (format!("Content-Length: {}\r\n", body.len()), cut(body, n).to_vec()),
        Framing::Unframed(n) => (String::new(), cut(body, n).to_vec()),
        Framing::Chunked(n) => {
            let part = cut(body, n);
            let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
            ("Transfer-Encoding: chunked\r\n".to_owned(), if part.is_empty() { Vec::new() } else { chunk })
        }
    };
    head.push_str(&headers);
    if !keep {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if request.method != "HEAD" {
        bytes.extend_from_slice(&body);
    }
    out.write_all(&bytes)?;
    out.flush()?;
    Ok(keep)
}

fn cut(body: &[u8], length: usize) -> &[u8] {
    &body[..length.min(body.len())]
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// The pairs of a query or of a form.
fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    let split = parts.map(|part| part.split_once('=').unwrap_or((part, "")));
    split.map(|(key, value)| (decode(key, true), decode(value, true))).collect()
}

/// Percent-decoding; in a form a `+` is a space.
pub fn decode(text: &str, form: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], escaped) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) if form => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encoding of everything that isn't unreserved.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
