'use strict';
// The error shapes that callers and logs see (facts: Lambda's Node runtime).
const { types } = require('util');

class RuntimeError extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
    // The stack was captured with the class's name in front.
    this.stack = `${name}: ${message}\n${String(this.stack).split('\n').filter((l) => l.startsWith('    at ')).join('\n')}`;
  }
}

function isError(e) {
  return types.isNativeError(e) || e instanceof Error;
}

// document is the body posted to the Runtime API: {errorType, errorMessage, trace}.
function document(e) {
  try {
    if (isError(e)) {
      return { errorType: String(e.name), errorMessage: String(e.message), trace: String(e.stack || '').split('\n') };
    }
    return { errorType: typeof e, errorMessage: String(e), trace: [] };
  } catch {
    return { errorType: 'handled', errorMessage: 'the error could not be read: its name, message or stack throws', trace: [] };
  }
}

// forLog is the JSON that follows "Invoke Error" in the log: own properties of the error come along.
function forLog(e) {
  const d = document(e);
  try {
    return JSON.stringify(isError(e) ? { errorType: d.errorType, errorMessage: d.errorMessage, ...e, stack: d.trace } : d);
  } catch {
    return JSON.stringify(d);
  }
}

module.exports = { RuntimeError, document, forLog };
