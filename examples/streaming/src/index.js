'use strict';

const { setTimeout: sleep } = require('node:timers/promises');

// GET /?from=5 counts down in server-sent events, one every 100 ms: the first is there long before the last is made.
exports.handler = awslambda.streamifyResponse(async (event, responseStream, context) => {
  const from = Number(event.queryStringParameters?.from ?? 5);
  if (!Number.isInteger(from) || from < 1 || from > 10_000) {
    head(responseStream, 400, 'application/json').end('{"message":"from is a number from 1 to 10000"}');
    return;
  }
  const stream = head(responseStream, 200, 'text/event-stream');
  for (let left = from; left > 0; left--) {
    stream.write(`event: count\ndata: {"left":${left}}\n\n`);
    await sleep(100);
  }
  stream.write('event: end\ndata: {}\n\n');
  stream.end();
});

const head = (stream, statusCode, type) =>
  awslambda.HttpResponseStream.from(stream, { statusCode, headers: { 'Content-Type': type, 'Cache-Control': 'no-store' } });
