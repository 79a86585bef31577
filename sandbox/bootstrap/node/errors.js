'use strict';
// The error shapes that callers and logs see (facts: Lambda's Node runtime).
const { types } = require('util');

class RuntimeError extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
    Object.defineProperty(this, 'name', { enumerable: false });
    // The stack was captured with the class's name in front.
    this.stack = `${name}: ${message}\n${String(this.stack).split('\n').filter((l) => l.startsWith('    at ')).join('\n')}`;
  }
}

// isError takes what looks like one, too: errors of another realm, and those that libraries make themselves.
function isError(e) {
  return types.isNativeError(e) || Boolean(e) && ['name', 'message', 'stack'].every((key) => typeof e[key] === 'string' && e[key] !== '');
}

const clean = (text) => (text === undefined || text === null ? text : text.replace(/\x7F/g, '%7F'));

// document is the body posted to the Runtime API: {errorType, errorMessage, trace}.
function document(e) {
  try {
    if (isError(e)) return { errorType: clean(e.name), errorMessage: clean(e.message), trace: clean(e.stack).split('\n') };
    return { errorType: typeof e, errorMessage: e.toString(), trace: [] };
  } catch {
    return { errorType: 'handled', errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack' };
  }
}

const intoError = (e) => (e instanceof Error ? e : new Error(e));

function enumerable(_key, e) {
  if (!(e instanceof Error)) return e;
  const all = { errorType: e.name, errorMessage: e.message, code: e.code, ...e };
  if (typeof e.stack === 'string') all.stack = e.stack.split('\n');
  return all;
}

// forLog is the JSON that follows "Invoke Error" in the log: own properties of an error come along.
function forLog(e) {
  const error = intoError(e);
  try {
    return JSON.stringify(error, enumerable);
  } catch {
    return JSON.stringify(document(error));
  }
}

module.exports = { RuntimeError, document, forLog, intoError };
