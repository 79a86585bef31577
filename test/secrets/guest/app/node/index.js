// The guest in JavaScript.
const crypto = require('node:crypto')

exports.handler = async (event) => {
  const resp = await fetch('http://localhost:2773' + event.path, { headers: { 'X-Aws-Parameters-Secrets-Token': process.env.AWS_SESSION_TOKEN } })
  const answer = await resp.json()
  const value = (answer.SecretString ?? '') + (answer.Parameter?.Value ?? '')
  if (event.do === 'print') console.log('the value is', value)
  if (event.do === 'exit') process.exit(3)
  if (event.do === 'fail') throw new Error('it failed for another reason')
  return { status: resp.status, sum: crypto.createHash('sha256').update(value).digest('hex') }
}
