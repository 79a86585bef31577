// The function of ../go with the AWS SDK for JavaScript, version 3.
const names = { secretsmanager: 'secrets-manager' }

// As most functions do: a client, with its connections, lives as long as the sandbox.
const clients = {}

async function make ({ service, operation, input, payload }) {
  const sdk = require('@aws-sdk/client-' + (names[service] ?? service))
  const Client = sdk[Object.keys(sdk).find((name) => /^[A-Za-z0-9]+Client$/.test(name))]
  const Command = sdk[operation + 'Command']
  if (!Client || !Command) throw new Error(`${service} has no ${operation}`)
  try {
    const out = await (clients[service] ??= new Client({})).send(new Command({ ...input, ...(payload === undefined ? {} : { Payload: JSON.stringify(payload) }) }))
    const result = { output: out }
    if (out.Payload?.length) result.payload = JSON.parse(Buffer.from(out.Payload).toString())
    return result
  } catch (e) {
    if (!e.$metadata?.httpStatusCode) throw e
    return { code: e.name, message: e.message, status: e.$metadata.httpStatusCode, attempts: e.$metadata.attempts }
  }
}

exports.handler = async (event) => {
  const results = []
  for (const call of event.calls) results.push(await make(call))
  return results
}
