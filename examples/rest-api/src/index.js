'use strict';

const { randomUUID } = require('node:crypto');

const zones = { DE: 1, AT: 2, FR: 2, NL: 2, US: 4, JP: 4 };

// A REST API's event (Lambda proxy integration) in, a response out.
exports.handler = async (event) => {
  const { customer } = event.requestContext.authorizer; // what the authorizer's context said
  switch (`${event.httpMethod} ${event.resource}`) {
    case 'GET /rates/{country}': {
      const { country } = event.pathParameters;
      const grams = Number(event.queryStringParameters.grams);
      return zones[country] ? answer(200, { country, grams, cents: price(country, grams) }) : nowhere(country);
    }
    case 'POST /parcels': {
      const parcel = JSON.parse(event.body);
      if (!zones[parcel.country]) return nowhere(parcel.country);
      const id = randomUUID();
      console.log(`parcel ${id} of ${customer}: ${parcel.grams} g to ${parcel.country}`);
      return answer(201, { id, customer, cents: price(parcel.country, parcel.grams) }, { Location: `/parcels/${id}` });
    }
    default:
      return answer(404, { message: 'there is no such thing' });
  }
};

const price = (country, grams) => 300 + zones[country] * Math.ceil(grams / 500) * 90;
const nowhere = (country) => answer(404, { message: `we do not deliver to ${country}` });
const answer = (statusCode, body, headers = {}) => ({
  statusCode,
  headers: { 'Content-Type': 'application/json', ...headers },
  body: JSON.stringify(body),
});
