// One request over node:http and node:https, through a proxy where one is given. Redirects are answers, and
// nothing is repeated: that is decided in Rust.
'use strict';

const http = require('node:http');
const https = require('node:https');

const CONNECT = 10_000; // milliseconds

// A connection through a proxy's CONNECT, which the agent then keeps for further requests.
class Tunnel extends https.Agent {
  constructor(proxy, authorization, trust, options) {
    super(options);
    Object.assign(this, { proxy, authorization, trust });
  }

  createConnection(options, done) {
    const host = options.host.includes(':') ? `[${options.host}]` : options.host;
    const target = `${host}:${options.port}`;
    const headers = { host: target, ...this.authorization };
    const how = { method: 'CONNECT', path: target, headers, agent: false, ...this.trust };
    const request = client(this.proxy).request(this.proxy, how);
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

// Connections are shared by requests that go the same way with the same trust. `tls` has options of node:tls for the server.
function agentFor(url, proxy, authorization, roots, tls) {
  const key = `${url.protocol} ${proxy ?? ''} ${authorization ?? ''} ${roots.length} ${JSON.stringify(tls) ?? ''}`;
  if (!agents.has(key)) {
    const trust = roots.length > 0 && { ca: roots };
    const options = { keepAlive: true, ...trust, ...tls };
    const header = authorization && { 'proxy-authorization': authorization };
    const tunnel = proxy && url.protocol === 'https:';
    agents.set(key, tunnel ? new Tunnel(new URL(proxy), header, trust, options) : new (client(url).Agent)(options));
  }
  return agents.get(key);
}

exports.send = ({ method, address, headers, body, timeout, limit, proxy, authorization, roots, tls }) =>
  new Promise((done, failed) => {
    const url = new URL(address);
    const agent = agentFor(url, proxy, authorization, roots, tls);
    const options = { method, headers: Object.fromEntries(headers), agent };
    // Node tells the length of a body by itself only where the method usually has one: not for DELETE.
    if (body.length > 0) options.headers['content-length'] = body.length;
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
    const tooSlow = () => connected || abandon('ETIMEDOUT');
    const timers = [setTimeout(abandon, timeout, 'TIMEOUT'), setTimeout(tooSlow, CONNECT)];
    const end = (how, value) => (timers.forEach(clearTimeout), how(value));
    const lost = (error) => end(failed, Object.assign(error.errors?.[0] ?? error, { connected }));
    request.once('socket', (socket) => {
      connected = request.reusedSocket;
      socket.once(client(to) === https ? 'secureConnect' : 'connect', () => (connected = true));
    });
    request.once('error', lost);
    request.once('response', (answer) => {
      const chunks = [];
      let left = limit;
      const take = (bytes) => {
        left -= bytes.length;
        if (left >= 0) chunks.push(bytes);
        else answer.destroy(problem('TOO_LARGE', 'the answer is too large'));
      };
      answer.on('data', take);
      answer.once('error', lost);
      answer.once('end', () =>
        end(done, { status: answer.statusCode, headers: answer.rawHeaders, body: Buffer.concat(chunks) }));
    });
    request.end(body.length > 0 ? body : undefined);
  });
