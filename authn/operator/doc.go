// Package operator keeps the people who run a node from elsewhere: their passwords and second factors, the sessions that they
// open, the roles that they hold.
//
// # Signing in
//
// One call, SignIn, takes name, password and code. Where the second factor needs a challenge, Begin takes name and password
// and gives a Pending, whoever asks and whatever the password was; Complete takes the answer to the challenge and opens the
// session. Every refusal is the same error to the caller; its cause is in the record. An operator who has no second factor
// yet gets a session of LevelEnrol, which can do nothing but enrol one.
//
// # How a further factor is added
//
// Implement Factor and name it in Config.Factors. The room keeps one opaque JSON document per operator and factor, its state,
// and writes it conditionally: a Factor is pure, and gets the state instead of a store. Enrolment is the factor's own
// operation: it reads the state by Room.FactorState and changes it by Room.SetFactor, for an operator who is signed in (an
// enrolling session will do). Room.Challenge and Room.Answer keep what has to be remembered between the two halves of a
// ceremony, for enrolment as for signing in.
//
// # In the store
//
//	operators           <name>        who it is, its password's hash, its roles, the state of its factors
//	operators.sessions  <session id>  hash of the token, whose it is, until when
//	operators.guesses   <name>        failed guesses of names that exist
//
// TOTP secrets are sealed: whoever opens the room lends it a Vault.
package operator
