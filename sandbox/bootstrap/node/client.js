'use strict';
// The Runtime API over one keep-alive connection. node:http costs more to load than the rest of this bootstrap
// together, and the server on the other side is Casemate's own: every answer has a Content-Length.
const net = require('net');

const prefix = '/2018-06-01/runtime/';
const endOfHead = Buffer.from('\r\n\r\n');

class Client {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address;
    this.waiting = null; // one request at a time
    this.received = [];
    this.size = 0;
    this.head = null;
    this.socket = net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)), noDelay: true });
    this.socket.on('data', (chunk) => this.take(chunk));
    this.socket.on('error', () => process.exit(1));
    this.socket.on('close', () => process.exit(1));
  }

  // The connection keeps the event loop alive only while an answer is awaited: an idle loop must be visible.
  await() {
    this.socket.ref();
    return new Promise((resolve) => { this.waiting = resolve; });
  }

  take(chunk) {
    this.received.push(chunk);
    this.size += chunk.length;
    if (this.head === null) {
      const all = this.received.length === 1 ? chunk : Buffer.concat(this.received);
      this.received = [all];
      const end = all.indexOf(endOfHead);
      if (end < 0) return;
      this.head = parseHead(all.latin1Slice(0, end));
      this.head.total = end + 4 + Number(this.head.headers['content-length'] || 0);
      this.head.start = end + 4;
    }
    if (this.size < this.head.total) return;
    const all = this.received.length === 1 ? this.received[0] : Buffer.concat(this.received);
    const answer = { status: this.head.status, headers: this.head.headers, body: all.subarray(this.head.start, this.head.total) };
    this.received = [];
    this.size = 0;
    this.head = null;
    this.socket.unref();
    const waiting = this.waiting;
    this.waiting = null;
    if (waiting) waiting(answer);
  }

  async next() {
    this.socket.write(`GET ${prefix}invocation/next HTTP/1.1\r\nHost: ${this.host}\r\nUser-Agent: casemate-node\r\n\r\n`);
    const answer = await this.await();
    if (answer.status !== 200) process.exit(1);
    return answer;
  }

  ping() {
    this.socket.write(`GET ${prefix.slice(0, -8)}ping HTTP/1.1\r\nHost: ${this.host}\r\nUser-Agent: casemate-node\r\n\r\n`);
    return this.await();
  }

  post(path, body, extra) {
    this.socket.write(this.postHead(path, `Content-Length: ${Buffer.byteLength(body)}\r\n${extra || ''}`) + body);
    return this.await();
  }

  postHead(path, extra) {
    return `POST ${prefix}${path} HTTP/1.1\r\nHost: ${this.host}\r\nUser-Agent: casemate-node\r\n${extra}\r\n`;
  }

  response(id, json) {
    return this.post(`invocation/${id}/response`, json, 'Content-Type: application/json\r\n');
  }

  error(id, err) {
    return this.post(`invocation/${id}/error`, JSON.stringify(err), errorHeaders(err));
  }

  initError(err) {
    return this.post('init/error', JSON.stringify(err), errorHeaders(err));
  }
}

function errorHeaders(err) {
  const type = String(err.errorType).replace(/[^A-Za-z0-9._-]/g, '').slice(0, 128);
  return `Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: ${type}\r\n`;
}

function parseHead(text) {
  const lines = text.split('\r\n');
  const headers = {};
  for (let i = 1; i < lines.length; i++) {
    const colon = lines[i].indexOf(':');
    headers[lines[i].slice(0, colon).toLowerCase()] = Buffer.from(lines[i].slice(colon + 1).trim(), 'latin1').toString();
  }
  return { status: Number(lines[0].split(' ')[1]), headers };
}

module.exports = { Client, errorHeaders };
