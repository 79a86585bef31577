'use strict';
// A runtime that was started ahead of any function: it stands still, in a read, until descriptor 3 has told it the
// whole environment of its function, as NAME=value with a zero byte between two. The code is in its place by then.
const fs = require('fs');

// forget removes what the module loader knows of a file.
function forget(name) {
  const Module = require('module');
  for (const cache of [Module._cache, Module._pathCache]) {
    for (const key of Object.keys(cache)) if (key.includes(name)) delete cache[key];
  }
  const { children } = process.mainModule;
  children.splice(0, children.length, ...children.filter((child) => !child.filename.endsWith(name)));
}

function wait() {
  take(Object.entries(process.env).map(([name, value]) => `${name}=${value}`).join('\0') + '\0_REHEARSAL=');
  fs.writeSync(3, '.'); // it is up
  const parts = [];
  for (;;) {
    const part = Buffer.allocUnsafe(16384);
    const n = fs.readSync(3, part);
    if (n === 0) break;
    parts.push(part.subarray(0, n));
  }
  fs.closeSync(3);
  if (parts.length === 0) process.exit(0); // nobody needs this sandbox
  take(Buffer.concat(parts).toString());
  process.chdir(process.env.LAMBDA_TASK_ROOT);
}

// take makes the environment what it says. What is equal stays: setting TZ, for one, throws away what is known of time.
function take(block) {
  const told = new Map(block.split('\0').map((entry) => {
    const end = entry.indexOf('=');
    return [entry.slice(0, end), entry.slice(end + 1)];
  }));
  for (const name of Object.keys(process.env)) {
    if (!told.has(name)) delete process.env[name];
    else if (process.env[name] === told.get(name)) told.delete(name);
  }
  for (const [name, value] of told) process.env[name] = value;
}

module.exports = { wait, forget };
