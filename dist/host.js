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
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 };
const signals = [];
let told = null;
exports.interrupted = () => {
  if (told === null) {
    for (const signal of Object.keys(SIGNALS)) {
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

// The commands that run. A signal that nobody waits for ends them before this process: they are groups of their own.
const children = new Set();
let ending = false;
let ended = null;
const terminated = new Promise((done) => {
  ended = done;
});
exports.terminated = () => terminated;
const endAll = () => children.forEach((child) => endGroup(child, 'SIGKILL'));
const terminate = (signal) => {
  if (told !== null) return;
  ending = true;
  endAll();
  ended(signal);
  setTimeout(() => process.exit(128 + SIGNALS[signal]), 1000).unref();
};
const catchSignals = () => {
  for (const signal of Object.keys(SIGNALS)) process.on(signal, terminate);
  process.on('exit', endAll);
};
// Without commands signals do what they do by default, also while standard input is read.
const leaveSignals = () => {
  for (const signal of Object.keys(SIGNALS)) process.off(signal, terminate);
  process.off('exit', endAll);
};
// Signals are caught before the first command starts: who sees it run may send one.
const watch = (start) => {
  if (children.size === 0) catchSignals();
  try {
    const child = start();
    children.add(child);
    return child;
  } finally {
    if (children.size === 0) leaveSignals();
  }
};
const unwatch = (child) => {
  if (children.delete(child) && children.size === 0) leaveSignals();
};
const endGroup = (child, signal) => {
  if (child.pid === undefined) return;
  try {
    if (process.platform !== 'win32') process.kill(-child.pid, signal);
    else if (signal === 'SIGKILL' && child.exitCode === null) {
      require('node:child_process').spawnSync('taskkill', ['/T', '/F', '/PID', `${child.pid}`], { windowsHide: true });
    }
  } catch {
    // Nothing of it is left.
  }
};

exports.processId = () => process.pid;
exports.isRunning = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== 'ESRCH';
  }
};
exports.isForeign = (path) => {
  if (process.geteuid === undefined) return false;
  const own = process.geteuid();
  const owner = fs.lstatSync(path, { throwIfNoEntry: false })?.uid ?? own;
  // As git does: what belongs to the user behind sudo is the user's own.
  return owner !== own && !(own === 0 && `${owner}` === process.env.SUDO_UID);
};

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
exports.readLink = (path) => fs.readlinkSync(path);

// An open file, for files that are posted: what it is, the descriptor says. Opening waits for nobody.
const LOOKING = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0) | (fs.constants.O_NOCTTY ?? 0);
const SYNTHETIC = [0x9fa0, 0x62656572]; // proc and sysfs, as in src/host/native/open.rs
const byDescriptor = (file) => `/proc/self/fd/${file}`;

exports.openFile = (path) => {
  const file = fs.openSync(path, LOOKING);
  try {
    return described(file, path);
  } catch (error) {
    fs.closeSync(file);
    throw error;
  }
};
exports.openStdin = () => described(0, undefined);
exports.closeFile = (file) => {
  if (file !== 0) fs.closeSync(file);
};

const described = (file, path) => {
  const stat = fs.fstatSync(file, { bigint: true });
  const kind = kindOf(stat, file);
  let real;
  try {
    real = realPath(file, stat, path);
  } catch (error) {
    if (kind !== 'pipe') throw error;
  }
  const synthetic = process.platform === 'linux' && SYNTHETIC.includes(typeOfSystem(file));
  return { file, kind, size: stat.size, real, synthetic };
};
const kindOf = (stat, file) => {
  if (stat.isFIFO() || stat.isSocket()) return 'pipe';
  if (stat.isFile()) return 'regular';
  if (stat.isDirectory()) return 'directory';
  return tty.isatty(file) ? 'terminal' : 'device';
};
const typeOfSystem = (file) => {
  try {
    return fs.statfsSync(byDescriptor(file)).type;
  } catch {
    return undefined;
  }
};
// Linux says it of the descriptor. Elsewhere it is the name's path, if the same file lies there.
const realPath = (file, stat, path) => {
  if (process.platform === 'linux') {
    try {
      const link = fs.readlinkSync(byDescriptor(file));
      const real = stat.nlink === 0n ? link.replace(/ \(deleted\)$/, '') : link;
      return real.startsWith('/') ? real : undefined;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  if (path === undefined) return undefined;
  const real = fs.realpathSync.native(path);
  const other = fs.openSync(real, LOOKING);
  try {
    const there = fs.fstatSync(other, { bigint: true });
    if (there.dev === stat.dev && there.ino === stat.ino) return real;
  } finally {
    fs.closeSync(other);
  }
  throw new Error('it changed while it was being opened');
};

// Reads up to so many bytes; what has no size is read from where it stands. A pipe that has nothing is opened once more, which
// waits for whoever writes to it. Not fs.readFileSync, which gives up on a pipe whose writer pauses (EAGAIN).
exports.readFile = (file, path, isPipe, offset, length) => {
  const bytes = readUpTo(file, offset, length);
  if (!isPipe || path === undefined || bytes.length > 0) return bytes;
  const again = fs.openSync(process.platform === 'linux' ? byDescriptor(file) : path);
  try {
    return readUpTo(again, offset, length);
  } finally {
    fs.closeSync(again);
  }
};
const readUpTo = (file, offset, length) => {
  const parts = [];
  let done = 0;
  while (done < length) {
    const part = Buffer.alloc(Math.min(65536, length - done));
    try {
      const read = fs.readSync(file, part, 0, part.length, offset < 0 ? null : offset + done);
      if (read === 0) break;
      parts.push(part.subarray(0, read));
      done += read;
    } catch (error) {
      if (error.code === 'EOF') break; // Windows
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  return Buffer.concat(parts);
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
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
};

// `added` has the names and values of variables in turn, as environment() gives them; `removed` has names.
const changed = (added, removed) => {
  const env = { ...process.env };
  for (const name of removed) delete env[name];
  for (let i = 0; i < added.length; i += 2) env[added[i]] = added[i + 1];
  return env;
};

exports.run = ([program, ...args], added, removed, { limit, lingers, input, output, errors }) => {
  const env = changed(added, removed);
  const stdio = lingers ? 'ignore' : [input.length > 0 ? 'pipe' : 'ignore', 'pipe', 'pipe'];
  const detached = process.platform !== 'win32';
  const options = { env, stdio, detached, windowsHide: true };
  const start = () => require('node:child_process').spawn(program, args, options);
  const child = lingers ? start() : watch(start);
  const timers = [];
  const later = (action, milliseconds) => timers.push(setTimeout(action, milliseconds));
  const end = () => {
    timers.forEach(clearTimeout);
    if (!lingers && children.has(child)) endGroup(child, 'SIGKILL');
    unwatch(child);
    child.stdin?.destroy();
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
  };
  const keep = (pipe, most) => {
    const kept = { parts: [], length: 0 };
    pipe?.on('data', (bytes) => {
      const part = bytes.subarray(0, most - kept.length);
      kept.length += part.length;
      if (part.length > 0) kept.parts.push(part);
    });
    return kept;
  };
  // It may end without reading all.
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  const [out, err] = [keep(child.stdout, output), keep(child.stderr, errors)];
  const done = new Promise((done, failed) => {
    const finish = (code, late) => {
      end();
      // Otherwise how it ended is not its own doing: this process ends, too.
      if (!ending) done({ code, late, stdout: Buffer.concat(out.parts), stderr: Buffer.concat(err.parts) });
    };
    child.once('error', (error) => {
      end();
      failed(error);
    });
    // What it left behind may keep its pipes open.
    child.once('exit', (code) => later(() => finish(code, false), 500));
    child.once('close', (code) => finish(code, false));
    if (limit === undefined) return;
    later(() => {
      // It may tidy up.
      if (!lingers) endGroup(child, 'SIGTERM');
      child.removeAllListeners('exit').removeAllListeners('close');
      if (lingers) return finish(null, true);
      child.once('exit', () => finish(null, true));
      later(() => finish(null, true), 1000);
      return undefined;
    }, limit);
  });
  return { done, end };
};

exports.handOver = ([program, ...args], added, removed, input) =>
  new Promise((done, failed) => {
    const stdio = [input.length > 0 ? 'pipe' : 'inherit', 'inherit', 'inherit'];
    const child = require('node:child_process').spawn(program, args, { env: changed(added, removed), stdio });
    // It may end without reading all.
    child.stdin?.on('error', () => {});
    // The memory of the WebAssembly may move.
    child.stdin?.end(Buffer.from(input));
    child.once('error', failed);
    child.once('close', (code) => done(code));
  });

exports.digest = (data) => require('node:crypto').createHash('sha256').update(data).digest();
exports.hmac = (key, data) => require('node:crypto').createHmac('sha256', key).update(data).digest();

exports.signRs256 = (pem, data) => {
  const { createPrivateKey, sign } = require('node:crypto');
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'rsa') throw new TypeError('not an RSA key');
  return sign('RSA-SHA256', data, key);
};

exports.certificates = (pem) => pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
exports.checkCertificate = (pem) => {
  const { X509Certificate } = require('node:crypto');
  void new X509Certificate(pem);
};

exports.defaultRoots = () => require('node:tls').getCACertificates('default');
exports.systemRoots = () => require('node:tls').getCACertificates('system');
exports.send = (request) => require('./http.js').send(request);
