// Package condition holds the terms that IAM statements are made of: patterns with wildcards and variables, ARNs, condition
// keys, and the Condition element with all its operators. It evaluates; what an outcome means for an Allow or a Deny is for
// package policy to say.
package condition
