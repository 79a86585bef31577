// Package authorizer asks Lambda authorizers who a caller is. An authorizer is a function like any other: it is asked as an
// event of its own, through the corridor, in a sandbox, with a record that names the request it was asked about. What it
// answers names a principal and can only take away from what that principal's role may. No answer, or one that is not well
// formed, lets nobody in.
package authorizer
