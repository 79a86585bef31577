'use strict';
// Casemate's Node runtime: loads a Lambda handler and runs it for one event after the other. Core modules only.
const { Client } = require('./client.js');
const { document, RuntimeError } = require('./errors.js');
const log = require('./console.js');
const streaming = require('./stream.js');
const { load } = require('./load.js');
const os = require('os');

// Node reads the machine's /proc/stat for os.cpus(), which a sandbox does not show. Programs ask how long the list is, to
// know how much to do at once: they get what they may use, and no news of the machine.
const cpus = os.cpus;
os.cpus = () => {
  const list = cpus();
  if (list.length > 0 || !os.availableParallelism) return list;
  const idle = { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 };
  return Array.from({ length: os.availableParallelism() }, () => ({ model: 'unknown', speed: 0, times: { ...idle } }));
};

// It asks the kernel by a socket (netlink) that a sandbox may not open. Programs look for a name or an address of their own in the
// list: they get the one interface that every sandbox has.
const interfaces = os.networkInterfaces;
os.networkInterfaces = () => {
  try {
    return interfaces();
  } catch (e) {
    if (e.code !== 'ERR_SYSTEM_ERROR') throw e;
    return { lo: [{ address: '127.0.0.1', netmask: '255.0.0.0', family: 'IPv4', mac: '00:00:00:00:00:00', internal: true, cidr: '127.0.0.1/8' }] };
  }
};

const client = new Client(process.env.AWS_LAMBDA_RUNTIME_API);
let handler;
let current = null; // the run in progress
let onEmptyLoop = null;

process.on('beforeExit', () => {
  const then = onEmptyLoop;
  onEmptyLoop = null;
  if (then) then();
});

// die reports an error that nobody caught, then ends the process: its state is not to be trusted with another event.
function die(err, label, code) {
  onEmptyLoop = null;
  log.logError(label, err);
  const run = current;
  const answered = run === null ? handler !== undefined : run.done;
  if (answered) process.exit(code); // between two events: nobody waits for this error
  let posted;
  if (run === null) posted = client.initError(document(err));
  else if (run.stream && run.stream._started()) posted = run.stream._break(err);
  else posted = client.error(run.id, document(err));
  if (run !== null) run.done = true;
  posted.then(() => process.exit(code), () => process.exit(code));
}

process.on('uncaughtException', (err) => die(err, 'Uncaught Exception', 129));
process.on('unhandledRejection', (reason, promise) => {
  const err = new RuntimeError('Runtime.UnhandledPromiseRejection', String(reason));
  err.reason = reason;
  err.promise = promise;
  die(err, 'Unhandled Promise Rejection', 128);
});

// modern reports whether the runtime that was asked for is one without callbacks, as Lambda's is from Node 24 on.
const modern = () => Number(/nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV || '')?.[1]) >= 24;

function serialise(result) {
  try {
    const json = JSON.stringify(result === undefined ? null : result);
    return json === undefined ? 'null' : json;
  } catch {
    throw new RuntimeError(modern() ? 'Runtime.JSONStringifyError' : 'Error', 'Unable to stringify response body');
  }
}

function parsed(header, name) {
  if (!header) return undefined;
  try {
    return JSON.parse(header);
  } catch (e) {
    throw new Error(`Cannot parse ${name} as json: ${e}`);
  }
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const env = process.env;
  const context = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed(headers['lambda-runtime-client-context'], 'ClientContext'),
    identity: parsed(headers['lambda-runtime-cognito-identity'], 'CognitoIdentity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis() { return deadline - Date.now(); },
  };
  return context;
}

function begin(answer) {
  const headers = answer.headers;
  const run = { id: headers['lambda-runtime-aws-request-id'], done: false, stream: null };
  current = run;
  log.setRequest(run.id, headers['lambda-runtime-aws-tenant-id']);
  const trace = headers['lambda-runtime-trace-id'];
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else delete process.env._X_AMZN_TRACE_ID;
  return run;
}

// report posts an outcome once; later completions of the same run are ignored, as on Lambda.
function report(run, post) {
  if (run.done) return;
  run.done = true;
  onEmptyLoop = null;
  const queued = log.flushed();
  (queued ? queued.then(post) : post()).then(loop, () => process.exit(1));
}

function succeed(run, result) {
  if (run.done) return;
  let json;
  try {
    json = serialise(result);
  } catch (e) {
    fail(run, e);
    return;
  }
  report(run, () => client.response(run.id, json));
}

function fail(run, err) {
  if (run.done) return;
  log.logError('Invoke Error', err);
  report(run, () => client.error(run.id, document(err)));
}

// completions gives the callback and the context methods that end a run. With callbackWaitsForEmptyEventLoop, the
// default, a callback's answer is held back until nothing is left to do.
function completions(run, context) {
  let waits = true;
  Object.defineProperty(context, 'callbackWaitsForEmptyEventLoop', {
    enumerable: true, get: () => waits, set: (v) => { waits = Boolean(v); },
  });
  let finished = false;
  const once = (complete) => (...args) => {
    if (finished) return;
    complete(...args);
    finished = true;
  };
  const done = (err, result) => (err === undefined || err === null ? succeed(run, result) : fail(run, err));
  context.done = once(done);
  context.succeed = once((result) => done(null, result));
  context.fail = once((err) => done(err === undefined || err === null ? 'handled' : err));
  return once((err, result) => {
    if ((err === undefined || err === null) && waits) onEmptyLoop = () => setImmediate(() => succeed(run, result));
    else done(err, result);
  });
}

const isAsync = (fn) => Object.prototype.toString.call(fn) === '[object AsyncFunction]';
const neverSettled = () => new RuntimeError('Runtime.NodeJsExit',
  'The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled.');

function handleOnce(handler, answer) {
  const run = begin(answer);
  onEmptyLoop = () => {
    if (isAsync(handler) || modern()) {
      report(run, () => client.error(run.id, document(neverSettled())).then(() => process.exit(0)));
    } else {
      succeed(run, null);
    }
  };
  let callback = (err) => fail(run, err);
  try {
    const context = contextOf(answer.headers);
    if (modern()) {
      Promise.resolve(handler(JSON.parse(answer.body.toString()), context)).then((v) => succeed(run, v), (e) => fail(run, e));
      return;
    }
    callback = completions(run, context);
    const result = handler(JSON.parse(answer.body.toString()), context, callback);
    if (result && typeof result.then === 'function') result.then(context.succeed, context.fail);
  } catch (e) {
    callback(e);
  }
}

async function streamOnce(handler, answer) {
  const run = begin(answer);
  const stream = streaming.open(client, run.id, handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')]);
  run.stream = stream;
  const end = (err) => {
    if (err && !stream._started()) fail(run, err);
    else if (err) {
      log.logError('Invoke Error', err);
      report(run, () => stream._break(err));
    } else report(run, () => stream._finish());
  };
  onEmptyLoop = () => end(neverSettled());
  stream.on('error', end);
  stream.on('finish', () => end());
  try {
    const context = contextOf(answer.headers);
    context.callbackWaitsForEmptyEventLoop = true;
    const result = handler(JSON.parse(answer.body.toString()), stream, context);
    if (!result || typeof result.then !== 'function') {
      throw new RuntimeError('Runtime.MalformedStreamingHandler', 'Streaming does not support non-async handlers.');
    }
    await result;
  } catch (e) {
    end(e);
  }
}

function loop() {
  current = null;
  client.next().then((answer) => (streaming.isStreaming(handler) ? streamOnce : handleOnce)(handler, answer));
}

const noCallbacks = 'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this '
  + 'function to use a supported handler signature to use Node.js 24 or later. For more information see '
  + 'https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

async function main() {
  // The limits that Node itself reads here are chosen for its heap; programs are told the function's own.
  process.constrainedMemory = () => process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE * 1048576;
  log.patch();
  log.watchStreams();
  streaming.install();
  let loaded;
  try {
    loaded = await load(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
    if (loaded.length >= 3 && modern() && !streaming.isStreaming(loaded)) throw new RuntimeError('Runtime.CallbackHandlerDeprecated', noCallbacks);
  } catch (e) {
    die(e, 'Uncaught Exception', 129);
    return;
  }
  setImmediate(() => { // a promise that was rejected while the function was loaded shows before
    handler = loaded;
    loop();
  });
}

// rehearse does once what a first event will need: functions are compiled when they are called for the first time.
async function rehearse() {
  const { headers } = await client.ping();
  serialise(contextOf(headers));
  log.patch();
  const module = await load(process.env.LAMBDA_RUNTIME_DIR, 'rehearsal.handler');
  module();
}

async function ahead() {
  const wait = require('./wait.js');
  await rehearse();
  wait.forget('rehearsal.js');
  wait.wait();
  main();
}

if (process.env._CASEMATE_WAITS) client.socket.once('connect', ahead);
else main();
