'use strict';

const { randomUUID } = require('node:crypto');

// An HTTP API event (payload version 2.0) in, a response out, as on AWS Lambda.
exports.handler = async (event, context) => {
  const text = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString('utf8') : event.body;
  const order = JSON.parse(text);
  const pieces = order.items.reduce((sum, item) => sum + item.quantity, 0);
  const id = randomUUID();
  console.log(`order ${id}: ${order.items.length} lines, ${pieces} pieces, ${context.getRemainingTimeInMillis()} ms left`);
  return {
    statusCode: 201,
    headers: { 'content-type': 'application/json', location: `/orders/${id}` },
    body: JSON.stringify({
      id,
      customer: order.customer,
      lines: order.items.length,
      pieces,
      currency: process.env.CURRENCY,
      placed: new Date().toISOString(),
    }),
  };
};
