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
  if (!match) throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
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
  const there = (extension) => fs.existsSync(file + extension) && file + extension;
  const isESM = there('.js') && isModule(path.dirname(file));
  const found = (there('') && require(file)) || (there('.js') && !isESM && require(file + '.js'))
    || (isESM && await import(pathToFileURL(file + '.js').href))
    || (there('.mjs') && await import(pathToFileURL(file + '.mjs').href)) || (there('.cjs') && require(file + '.cjs'));
  return found || require(require.resolve(name, { paths: [taskRoot, path.resolve(taskRoot, root)] }));
}

// explain says where the SDK comes from that Lambda has and this machine's folder of it has not.
function explain(e) {
  const missing = e && /NOT_FOUND$/.test(e.code) && /'((?:@aws-sdk|@smithy|aws-sdk)(?:\/[^']*)?)'/.exec(e.message);
  if (!missing) return;
  e.message += fs.existsSync('/var/node_modules')
    ? `\nThe AWS SDK that this node offers has no ${missing[1]}: install it in the folder of casemate up --node-sdk, or bring it along with the function.`
    : '\nThis node offers no AWS SDK for JavaScript: start it with casemate up --node-sdk DIR, or bring the SDK along with the function.';
}

async function load(taskRoot, handler) {
  const { root, module: name, names } = split(handler);
  let found;
  try {
    found = await loadModule(taskRoot, root, name);
  } catch (e) {
    if (e instanceof SyntaxError) throw new RuntimeError('Runtime.UserCodeSyntaxError', String(e));
    explain(e);
    if (e && e.code === 'MODULE_NOT_FOUND') throw new RuntimeError('Runtime.ImportModuleError', String(e));
    throw e; // one that import() did not find among them, as on Lambda
  }
  const pick = (from) => names.reduce((at, key) => at && at[key], from);
  let fn = pick(found);
  if (!fn && found && found.default) fn = pick(found.default); // CommonJS seen through import()
  if (!fn) throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  if (typeof fn !== 'function') throw new RuntimeError('Runtime.HandlerNotFound', `${handler} is not a function`);
  return fn;
}

module.exports = { load };
