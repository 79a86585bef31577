// Package signin is the page that operators sign in at, on the TLS address of the admin API: with a passkey, or with a
// password and a second factor. Whoever is signed in makes passkeys there, and approves the sign-ins of command lines.
//
// The page is three static files. What it asks for are operations of the admin API, each an event through the corridor; this
// front adds what a script must not have, the token of the session, from a cookie that no script and no other site can read,
// and takes it out of answers.
package signin
