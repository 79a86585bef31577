'use strict';
// console.* writes one line per entry: ISO time, request id, level, text, separated by tabs; newlines within an entry
// become carriage returns. With AWS_LAMBDA_LOG_FORMAT=JSON it writes one object per entry instead.
const fs = require('fs');
const { format } = require('util');

const order = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
let requestID;

function write(line) {
  let data = Buffer.from(line + '\n');
  while (data.length > 0) {
    try {
      data = data.subarray(fs.writeSync(1, data));
    } catch (e) {
      if (e.code !== 'EAGAIN') return; // nobody reads the log: the function goes on
    }
  }
}

function text(level, args) {
  const message = format(...args);
  write(`${new Date().toISOString()}\t${requestID}\t${level}\t${message}`.replace(/\n/g, '\r'));
}

function json(level, args) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: requestID };
  try {
    entry.message = args.length === 1 && typeof args[0] === 'object' ? args[0] : format(...args);
    write(JSON.stringify(entry));
  } catch {
    entry.message = format(...args);
    write(JSON.stringify(entry));
  }
}

function patch() {
  const isJSON = process.env.AWS_LAMBDA_LOG_FORMAT === 'JSON';
  const least = Math.max(0, order.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  const entry = isJSON ? json : text;
  const at = (level) => (...args) => {
    if (order.indexOf(level) >= least) entry(level, args);
  };
  console.log = at('INFO');
  console.info = at('INFO');
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.debug = at('DEBUG');
  console.trace = (...args) => {
    const holder = {};
    Error.captureStackTrace(holder, console.trace);
    at('TRACE')(format(...args) + '\n' + String(holder.stack).split('\n').slice(1).join('\n'));
  };
  console.fatal = at('FATAL');
}

// The standard streams queue what their pipe does not take at once. Loading them costs milliseconds, so whether they
// were ever asked for is watched.
const touched = [];

function watchStreams() {
  for (const name of ['stdout', 'stderr']) {
    const was = Object.getOwnPropertyDescriptor(process, name);
    if (!was || !was.get || !was.configurable) continue;
    Object.defineProperty(process, name, {
      ...was,
      get() {
        const stream = was.get.call(process);
        if (!touched.includes(stream)) touched.push(stream);
        return stream;
      },
    });
  }
}

// flushed gives null when nothing is queued, else a promise that ends when everything was written: what a run wrote
// must be out before its answer is.
function flushed() {
  const queued = touched.filter((s) => s.writableLength > 0 && !s.destroyed);
  if (queued.length === 0) return null;
  return Promise.all(queued.map((s) => new Promise((done) => { s.write('', () => done()); })));
}

module.exports = { patch, watchStreams, flushed, setRequestID(id) { requestID = id; }, error(...args) { console.error(...args); } };
