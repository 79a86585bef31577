// The canaries of Node: leaves a token in every place that it can find, or looks for one.
'use strict';
const fs = require('fs'), net = require('net'), child = require('child_process');

const places = ['/tmp/canary', '/var/task/canary', './canary', '/dev/shm/canary', '/canary'];
const memory = [];
const held = [];

function plant(token) {
  memory.push(token);
  globalThis.canary = token;
  process.env.CANARY = token;
  Object.prototype.canary = token;
  for (const place of places) try { fs.writeFileSync(place, token); } catch {}
  setInterval(() => memory.push(token), 1000);
  try { held.push(child.spawn('/bin/sleep', ['60'], { env: { CANARY: token } }).on('error', () => {})); } catch {}
  return Promise.all([7777, '\0canary', '/tmp/canary.sock'].map((at) => new Promise((done) => {
    held.push(net.createServer((c) => c.end(token)).on('error', done).listen(at, done));
  })));
}

const knock = (to) => new Promise((done) => {
  net.connect(to).on('data', () => done(true)).on('error', () => done(false)).on('close', () => done(false));
});

async function look() {
  const found = [];
  if (memory.length) found.push('memory');
  if (globalThis.canary || {}.canary) found.push('globals');
  if (process.env.CANARY) found.push('environment');
  for (const place of places) if (fs.existsSync(place)) found.push(place);
  if (await knock({ port: 7777, host: '127.0.0.1' })) found.push('socket');
  if (await knock({ path: '\0canary' })) found.push('abstract socket');
  for (const pid of fs.readdirSync('/proc')) if (/^\d+$/.test(pid) && Number(pid) !== process.pid) found.push('process');
  return found.join(', ');
}

exports.handler = async (event) => {
  const order = JSON.parse(event.body);
  if (order.attack === 'plant') {
    await plant(order.head + order.tail);
    return { worked: false, detail: 'planted' };
  }
  const found = await look();
  return { worked: found !== '', detail: found };
};
