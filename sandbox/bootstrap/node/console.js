'use strict';
// console.* writes one entry a call: ISO time, request id, level, text, separated by tabs, or an object where
// AWS_LAMBDA_LOG_FORMAT is JSON. Entries go out as frames on the descriptor that _LAMBDA_TELEMETRY_LOG_FD names; without
// one they are lines of standard output, where newlines within an entry become carriage returns.
const fs = require('fs');
const { format } = require('util');
const { RuntimeError, forLog, intoError } = require('./errors.js');

const order = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const requestKey = Symbol.for('aws.lambda.runtime.requestId'); // where log libraries look for it
const tenantKey = Symbol.for('aws.lambda.runtime.tenantId');
const frameText = 0xa55a0003;
const frameJSON = 0xa55a0002;

let descriptor = 1;
let framed = false;
let isJSON = false;

function writeAll(data) {
  while (data.length > 0) {
    try {
      data = data.subarray(fs.writeSync(descriptor, data));
    } catch (e) {
      if (e.code !== 'EAGAIN') return; // nobody reads the log: the function goes on
    }
  }
}

function write(level, entry) {
  if (!framed) {
    writeAll(Buffer.from(entry.replace(/\n/g, '\r') + '\n'));
    return;
  }
  if (!isJSON) entry += '\n';
  const length = Buffer.byteLength(entry);
  const data = Buffer.allocUnsafe(16 + length);
  data.writeUInt32BE(((isJSON ? frameJSON : frameText) | (level + 1) * 4) >>> 0, 0);
  data.writeUInt32BE(length, 4);
  data.writeBigInt64BE(BigInt(Date.now()) * 1000n, 8);
  data.write(entry, 16);
  writeAll(data);
}

function text(level, args) {
  write(level, `${new Date().toISOString()}\t${globalThis[requestKey]}\t${order[level]}\t${format(...args)}`);
}

const stackOf = (e) => (typeof e.stack === 'string' ? e.stack.split('\n') : e.stack);
// The runtime's own errors are of classes that are called as their type is, on Lambda.
const typeOf = (e) => (e instanceof RuntimeError ? e.name.replace('Runtime.', '') : (e.constructor && e.constructor.name) || 'UnknownError');
const errors = (_key, value) => (value instanceof Error
  ? { errorType: typeOf(value), errorMessage: value.message, stackTrace: stackOf(value), ...value } : value);

function json(level, args) {
  const entry = { timestamp: new Date().toISOString(), level: order[level], requestId: globalThis[requestKey] };
  const tenant = globalThis[tenantKey];
  if (tenant !== undefined && tenant !== null) entry.tenantId = tenant;
  if (args.length === 1) {
    entry.message = args[0];
    try {
      write(level, JSON.stringify(entry, errors));
      return;
    } catch {
      entry.message = format(args[0]);
    }
  } else {
    entry.message = format(...args);
    const e = args.find((a) => a instanceof Error);
    if (e) Object.assign(entry, { errorType: typeOf(e), errorMessage: e.message, stackTrace: stackOf(e) || [] });
  }
  write(level, JSON.stringify(entry));
}

function patch() {
  const told = process.env._LAMBDA_TELEMETRY_LOG_FD;
  if (told !== undefined) {
    delete process.env._LAMBDA_TELEMETRY_LOG_FD;
    descriptor = Number(told);
    framed = true;
  }
  isJSON = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const least = Math.max(0, order.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  const entry = isJSON ? json : text;
  const at = (name) => {
    const level = order.indexOf(name);
    return level >= least ? (message, ...more) => entry(level, [message, ...more]) : () => {};
  };
  console.trace = at('TRACE');
  console.debug = at('DEBUG');
  console.info = at('INFO');
  console.log = console.info;
  console.warn = at('WARN');
  console.error = at('ERROR');
  console.fatal = at('FATAL');
}

// logError tells of an error that ended a run or the runtime.
function logError(label, err) {
  if (isJSON) console.error(intoError(err));
  else console.error(label, '\t' + forLog(err));
}

function setRequest(id, tenant) {
  globalThis[requestKey] = id;
  globalThis[tenantKey] = tenant;
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

module.exports = { patch, watchStreams, flushed, setRequest, logError };
