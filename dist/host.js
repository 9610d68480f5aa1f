// What the WebAssembly asks of Node: files, processes, signals and (in http.js) HTTP. src/host/node.rs is its
// only user, decides everything (retries, redirects, which proxy), and reads the errors by their `code`.
'use strict';

// What only some commands need is loaded when they do: that is a fifth of the time to start.
const fs = require('node:fs');
const paths = require('node:path');
const tty = require('node:tty');

exports.environment = () => Object.entries(process.env).flat();
exports.platform = () => process.platform;
exports.arch = () => process.arch;
exports.program = () => [process.execPath, require.main.filename];
exports.now = () => Date.now();
exports.elapsed = () => performance.now();
exports.sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Signals that came and were not taken yet. From the first interrupted() on, none of them ends this process by itself.
const signals = [];
let told = null;
exports.interrupted = () => {
  if (told === null) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP']) {
      process.on(signal, () => {
        signals.push(signal);
        told();
      });
    }
  }
  return new Promise((done) => {
    told = done;
    if (signals.length > 0) done();
  });
};
exports.nextSignal = () => signals.shift();

exports.isTerminal = (descriptor) => tty.isatty(descriptor);

exports.currentDir = () => process.cwd();
exports.read = (file) => fs.readFileSync(file);
exports.readAt = (path, offset, length) => {
  const file = fs.openSync(path);
  try {
    const bytes = Buffer.alloc(Math.min(length, Math.max(0, fs.fstatSync(file).size - offset)));
    let done = 0;
    for (let read = -1; read !== 0 && done < bytes.length; done += read) {
      read = fs.readSync(file, bytes, done, bytes.length - done, offset + done);
    }
    return bytes.subarray(0, done);
  } finally {
    fs.closeSync(file);
  }
};
// Not fs.readFileSync(0), which gives up on a pipe whose writer pauses (EAGAIN).
exports.readStdin = () => {
  const parts = [];
  for (;;) {
    const part = Buffer.alloc(65536);
    try {
      const read = fs.readSync(0, part);
      if (read === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, read));
    } catch (error) {
      if (error.code === 'EOF') return Buffer.concat(parts); // Windows
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
};
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

// `added` has the names and values of variables in turn, as environment() gives them.
exports.run = (program, args, added) =>
  new Promise((done, failed) => {
    const env = { ...process.env };
    for (let i = 0; i < added.length; i += 2) env[added[i]] = added[i + 1];
    const options = { env, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true };
    const child = require('node:child_process').spawn(program, args, options);
    const [out, err] = [[], []];
    child.stdout.on('data', (bytes) => out.push(bytes));
    child.stderr.on('data', (bytes) => err.push(bytes));
    child.once('error', failed);
    child.once('close', (code) => done({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err) }));
  });

exports.handOver = (program, args) =>
  new Promise((done, failed) => {
    const child = require('node:child_process').spawn(program, args, { stdio: 'inherit' });
    child.once('error', failed);
    child.once('close', (code) => done(code));
  });

exports.digest = (data) => require('node:crypto').createHash('sha256').update(data).digest();
exports.hmac = (key, data) => require('node:crypto').createHmac('sha256', key).update(data).digest();

exports.certificates = (pem) => pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
exports.checkCertificate = (pem) => {
  const { X509Certificate } = require('node:crypto');
  void new X509Certificate(pem);
};

exports.defaultRoots = () => require('node:tls').getCACertificates('default');
exports.systemRoots = () => require('node:tls').getCACertificates('system');
exports.send = (request) => require('./http.js').send(request);
