// Package deployment runs attacks that are data against a deployment: a node with its own configuration, or a user's. An
// attack is judged by harm, what happened and should not have, never by a status; and an honest flow beside it has to go on
// working. See docs/attacks.md for the format.
package deployment
