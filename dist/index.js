// The entry of both forms: `node index.js PROGRAM ARGS…` is the command line, and without arguments it is
// the action's own step. Everything else is Rust (src/), which reaches Node through host.js.
'use strict';

// Whatever ends this process without having said so is a failure.
process.exitCode = 70;

function fail(error) {
  // A panic in Rust has said what it is about; it ends as this error, which does not.
  if (!(error instanceof WebAssembly.RuntimeError)) console.error('error: a bug in cml:', error);
  process.exit(70);
}

process.on('uncaughtException', fail);
// The module is checked as its functions are used, not all of it before the first: 10 ms. Flags are of a version.
if (process.versions.node.startsWith('24.')) require('node:v8').setFlagsFromString('--wasm-lazy-validation');
require('./cml.js').start(process.argv.slice(2)).then((code) => process.exit(code), fail);
