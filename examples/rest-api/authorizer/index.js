'use strict';

const { createPublicKey, verify } = require('node:crypto');

const key = createPublicKey({ key: Buffer.from(process.env.PUBLIC_KEY, 'base64'), format: 'der', type: 'spki' });

// A Lambda authorizer of type TOKEN: a JWT signed with EdDSA in, who it is and what they may call out.
exports.handler = async (event) => {
  const claims = read(event.authorizationToken);
  if (!claims) throw new Error('Unauthorized'); // API Gateway answers 401
  const may = ['GET/rates/*'];
  if (claims.scope?.split(' ').includes('order')) may.push('POST/parcels');
  const stage = event.methodArn.split('/').slice(0, 2).join('/');
  return {
    principalId: claims.sub,
    policyDocument: {
      Version: '2012-10-17',
      // Everything that this caller may do, not only what was asked for: the answer is remembered for all routes.
      Statement: [{ Effect: 'Allow', Action: 'execute-api:Invoke', Resource: may.map((what) => `${stage}/${what}`) }],
    },
    context: { customer: claims.sub },
  };
};

function read(header) {
  try {
    const [head, body, signature] = header.replace(/^Bearer /, '').split('.');
    if (JSON.parse(Buffer.from(head, 'base64url')).alg !== 'EdDSA') return null;
    if (!verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) return null;
    const claims = JSON.parse(Buffer.from(body, 'base64url'));
    const good = claims.aud === process.env.AUDIENCE && claims.exp > Date.now() / 1000 && /^[a-z0-9-]{1,60}$/.test(claims.sub);
    return good ? claims : null;
  } catch {
    return null;
  }
}
