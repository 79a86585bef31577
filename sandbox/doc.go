// Package sandbox runs functions: native ones through the Lambda Runtime API, each in a jail of its own, WebAssembly
// through a jailed worker. It takes a resolved Launch and gives a Result; who may run what was decided before.
package sandbox
