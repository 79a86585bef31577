// Package policy is the AWS IAM evaluator: statements and a request in, a decision with its reason out. It is pure: no
// clock, no I/O, no goroutine.
//
// The language is AWS IAM JSON (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html) and so
// is the order of evaluation. Where AWS leaves room, or fails open, this package refuses:
//
//   - An Allow with a variable that cannot be resolved never applies; a Deny with one applies wherever some value of the
//     variable could make it apply. An empty value counts as unresolved, and so does a key with several values.
//   - A value of the wrong type, or several values where the operator takes one, is an evaluation error: the Allow does
//     not apply, the Deny does.
//   - Wildcards inside the value of a variable are plain characters.
//   - A permission that names an account as principal hands the choice to that account; it is no grant by itself.
//   - An unknown element, operator or malformed value is an error when the policy is read, never a statement skipped.
package policy
