'use strict';

// Stands in for your login service:
//   node token.js new FILE                     makes a key, writes its private half to FILE, prints the public one
//   node token.js sign FILE CUSTOMER [SCOPE]   prints a token that is good for an hour
const { createPrivateKey, generateKeyPairSync, sign } = require('node:crypto');
const { readFileSync, writeFileSync } = require('node:fs');

const [what, file, customer, scope = ''] = process.argv.slice(2);
if (what === 'new' && file) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  console.log(publicKey.export({ format: 'der', type: 'spki' }).toString('base64'));
} else if (what === 'sign' && customer) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { sub: customer, aud: 'parcels', scope, exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part(claims)}`;
  console.log(`${signed}.${sign(null, Buffer.from(signed), createPrivateKey(readFileSync(file))).toString('base64url')}`);
} else {
  console.error('usage: node token.js new FILE | sign FILE CUSTOMER [SCOPE]');
  process.exit(64);
}
