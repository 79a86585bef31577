'use strict';
// Finds the handler: "dir/module.export.nested" below the task root, in the order Lambda looks.
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { RuntimeError } = require('./errors.js');

function split(handler) {
  if (handler.includes('..')) {
    throw new RuntimeError('Runtime.MalformedHandlerName',
      `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(handler);
  const root = handler.slice(0, handler.indexOf(base));
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match || match[1] === '' || match[2] === '') throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
  return { root, module: match[1], names: match[2].split('.') };
}

// isModule reports whether the nearest package.json says that .js files are ES modules.
function isModule(dir) {
  for (let at = dir; ; at = path.dirname(at)) {
    const file = path.join(at, 'package.json');
    try {
      if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    } catch {
      return false;
    }
    if (path.basename(at) === 'node_modules' || at === path.dirname(at)) return false;
  }
}

async function loadModule(taskRoot, root, name) {
  const file = path.resolve(taskRoot, root, name);
  if (fs.existsSync(file)) return require(file);
  const esm = isModule(path.dirname(file));
  if (fs.existsSync(file + '.js')) return esm ? import(pathToFileURL(file + '.js').href) : require(file + '.js');
  if (fs.existsSync(file + '.mjs')) return import(pathToFileURL(file + '.mjs').href);
  if (fs.existsSync(file + '.cjs')) return require(file + '.cjs');
  return require(require.resolve(name, { paths: [taskRoot, path.resolve(taskRoot, root)] }));
}

async function load(taskRoot, handler) {
  const { root, module: name, names } = split(handler);
  let found;
  try {
    found = await loadModule(taskRoot, root, name);
  } catch (e) {
    if (e instanceof SyntaxError) throw new RuntimeError('Runtime.UserCodeSyntaxError', String(e));
    if (e && (e.code === 'MODULE_NOT_FOUND' || e.code === 'ERR_MODULE_NOT_FOUND')) {
      throw new RuntimeError('Runtime.ImportModuleError', String(e));
    }
    throw e;
  }
  const pick = (from) => names.reduce((at, key) => (at === undefined || at === null ? undefined : at[key]), from);
  let fn = pick(found);
  if (fn === undefined && found && found.default) fn = pick(found.default); // CommonJS seen through import()
  if (fn === undefined || fn === null) throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  if (typeof fn !== 'function') throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is not a function`);
  return fn;
}

module.exports = { load };
