// Package passkey is what operators sign in with instead of a password, or after one: WebAuthn credentials
// (https://www.w3.org/TR/webauthn-3/), each made on an authenticator that verifies its user, each for one operator.
//
// A ceremony is a challenge and what answers it. Nothing is kept of a challenge before it is answered: it is random, and
// carries its own end and a code over whom and what it is for, so a flood of them fills nothing and shuts nobody out. One
// that was answered is remembered until it would have ended, and is not taken again.
package passkey
