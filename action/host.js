// What the WebAssembly asks of Node: files, processes, signals and HTTP. src/host/node.rs is its only user,
// decides everything (retries, redirects, which proxy), and gives the errors their meaning by `code`.
'use strict';

const childProcess = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const paths = require('node:path');
const tls = require('node:tls');
const tty = require('node:tty');

const CONNECT = 10_000; // milliseconds

exports.environment = () => Object.entries(process.env).flat();
exports.platform = () => process.platform;
exports.arch = () => process.arch;
exports.program = () => [process.execPath, require.main.filename];
exports.now = () => Date.now();
exports.elapsed = () => performance.now();
exports.sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
exports.interrupted = () =>
  new Promise((done) => ['SIGINT', 'SIGTERM'].forEach((signal) => process.once(signal, () => done())));
exports.isTerminal = () => tty.isatty(2);

exports.currentDir = () => process.cwd();
exports.read = (file) => fs.readFileSync(file);
exports.write = (path, bytes) => fs.writeFileSync(path, bytes, { mode: 0o666 });
exports.append = (path, bytes) => fs.appendFileSync(path, bytes);
exports.rename = (from, to) => fs.renameSync(from, to);
exports.remove = (path) => fs.unlinkSync(path);
exports.list = (folder) => fs.readdirSync(folder).map((name) => paths.join(folder, name));
exports.makeFolder = (path) => void fs.mkdirSync(path, { recursive: true });
exports.makeExecutable = (path) => fs.chmodSync(path, 0o755);
exports.canonicalize = (path) => fs.realpathSync.native(path);
exports.stat = (path) => {
  const stat = fs.statSync(path, { bigint: true });
  return { isFile: stat.isFile(), size: stat.size, modified: stat.mtimeNs };
};

// Standard output and error: everything is written when this returns, whatever is at the other end.
exports.print = (descriptor, text) => {
  for (let bytes = Buffer.from(text); bytes.length > 0; ) {
    try {
      bytes = bytes.subarray(fs.writeSync(descriptor, bytes));
    } catch (error) {
      if (error.code !== 'EAGAIN') return; // nobody reads any more
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
};

exports.run = (program, args) =>
  new Promise((done, failed) => {
    const child = childProcess.spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
    const [out, err] = [[], []];
    child.stdout.on('data', (bytes) => out.push(bytes));
    child.stderr.on('data', (bytes) => err.push(bytes));
    child.once('error', failed);
    child.once('close', (code) => done({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err) }));
  });

exports.digest = (data) => crypto.createHash('sha256').update(data).digest();
exports.hmac = (key, data) => crypto.createHmac('sha256', key).update(data).digest();

exports.certificates = (pem) => pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
exports.checkCertificate = (pem) => void new crypto.X509Certificate(pem);

// A connection through a proxy's CONNECT, which the agent then keeps for further requests.
class Tunnel extends https.Agent {
  constructor(proxy, authorization, options) {
    super(options);
    Object.assign(this, { proxy, authorization });
  }

  createConnection(options, done) {
    const host = options.host.includes(':') ? `[${options.host}]` : options.host;
    const target = `${host}:${options.port}`;
    const headers = { host: target, ...this.authorization };
    const request = client(this.proxy).request(this.proxy, { method: 'CONNECT', path: target, headers, agent: false });
    const timer = setTimeout(() => request.destroy(problem('ETIMEDOUT', 'connection timed out')), CONNECT);
    request.once('close', () => clearTimeout(timer));
    request.once('error', done);
    request.once('connect', (answer, socket) => {
      clearTimeout(timer);
      if (answer.statusCode === 200) return done(null, super.createConnection({ ...options, socket }));
      socket.destroy();
      done(problem('PROXY', `${answer.statusCode} ${answer.statusMessage}`));
    });
    request.end();
  }
}

const problem = (code, message) => Object.assign(new Error(message), { code });
const client = (url) => (url.protocol === 'https:' ? https : http);
const agents = new Map();

// Connections are shared by requests that go the same way with the same trust.
function agentFor(url, proxy, authorization, roots) {
  const key = `${url.protocol} ${proxy ?? ''} ${authorization ?? ''} ${roots.length}`;
  if (!agents.has(key)) {
    const options = { keepAlive: true, ...(roots.length > 0 && { ca: roots }) };
    const header = authorization && { 'proxy-authorization': authorization };
    const tunnel = proxy && url.protocol === 'https:';
    agents.set(key, tunnel ? new Tunnel(new URL(proxy), header, options) : new (client(url).Agent)(options));
  }
  return agents.get(key);
}

exports.defaultRoots = () => tls.getCACertificates('default');
exports.systemRoots = () => tls.getCACertificates('system');

exports.send = ({ method, address, headers, body, timeout, proxy, authorization, roots }) =>
  new Promise((done, failed) => {
    const url = new URL(address);
    const options = { method, headers: Object.fromEntries(headers), agent: agentFor(url, proxy, authorization, roots) };
    let to = url;
    if (proxy && url.protocol === 'http:') {
      to = new URL(proxy);
      options.headers.host = url.host;
      if (authorization) options.headers['proxy-authorization'] = authorization;
      Object.assign(options, { path: address, agent: agentFor(to, undefined, undefined, roots) });
    }
    const request = client(to).request(to, options);
    let connected = false;
    const abandon = (code) => request.destroy(problem(code, 'timed out'));
    const timers = [setTimeout(abandon, timeout, 'TIMEOUT'), setTimeout(() => connected || abandon('ETIMEDOUT'), CONNECT)];
    const end = (how, value) => (timers.forEach(clearTimeout), how(value));
    const lost = (error) => end(failed, Object.assign(error.errors?.[0] ?? error, { connected }));
    request.once('socket', (socket) => {
      connected = request.reusedSocket;
      socket.once(client(to) === https ? 'secureConnect' : 'connect', () => (connected = true));
    });
    request.once('error', lost);
    request.once('response', (answer) => {
      const chunks = [];
      answer.on('data', (bytes) => chunks.push(bytes));
      answer.once('error', lost);
      answer.once('end', () =>
        end(done, { status: answer.statusCode, headers: answer.rawHeaders, body: Buffer.concat(chunks) }));
    });
    request.end(body.length > 0 ? body : undefined);
  });
