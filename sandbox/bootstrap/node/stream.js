'use strict';
// Streamed answers: awslambda.streamifyResponse marks a handler, which then writes its answer to a stream. The body
// goes out chunked; an error after the first byte travels in the trailers.
const { document, RuntimeError } = require('./errors.js');

const mark = Symbol.for('aws.lambda.runtime.handler.streaming');
const preludeType = 'application/vnd.awslambda.http-integration-response';

function install() {
  globalThis.awslambda = {
    streamifyResponse(handler, options) {
      handler[mark] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark')] = options.highWaterMark;
      return handler;
    },
    HttpResponseStream: {
      from(stream, prelude) {
        stream.setContentType(preludeType);
        stream._prelude = Buffer.concat([Buffer.from(JSON.stringify(prelude)), Buffer.alloc(8)]);
        return stream;
      },
    },
  };
}

function open(client, id, highWaterMark) {
  const { Writable } = require('stream');
  let started = false;
  let contentType = 'application/octet-stream';
  const start = () => {
    if (started) return;
    started = true;
    client.socket.ref();
    client.socket.write(client.postHead(`invocation/${id}/response`,
      `Content-Type: ${contentType}\r\nTransfer-Encoding: chunked\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n`
      + 'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n'));
    if (stream._prelude) send(stream._prelude);
  };
  const send = (data, done) => {
    if (data.length === 0) return done && done();
    client.socket.cork();
    client.socket.write(data.length.toString(16) + '\r\n');
    client.socket.write(data);
    client.socket.write('\r\n', done);
    client.socket.uncork();
  };
  const stream = new Writable({
    highWaterMark,
    decodeStrings: true,
    write(chunk, _encoding, done) { start(); send(chunk, done); },
    final(done) { start(); done(); },
  });
  stream.setContentType = (type) => {
    if (started) throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    contentType = String(type).replace(/[\r\n]/g, '');
  };
  stream._started = () => started;
  // Both end the exchange and give the Runtime API's answer.
  stream._finish = () => { start(); client.socket.write('0\r\n\r\n'); return client.await(); };
  stream._break = (error) => {
    const doc = document(error);
    const type = doc.errorType.replace(/[^A-Za-z0-9._-]/g, '').slice(0, 128);
    client.socket.write(`0\r\nLambda-Runtime-Function-Error-Type: ${type}\r\n`
      + `Lambda-Runtime-Function-Error-Body: ${Buffer.from(JSON.stringify(doc)).toString('base64')}\r\n\r\n`);
    return client.await();
  };
  return stream;
}

module.exports = { install, open, isStreaming: (handler) => handler[mark] === 'response' };
