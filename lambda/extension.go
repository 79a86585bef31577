package lambda

import "strings"

// RuntimePort is the port of the Runtime API inside a sandbox.
const RuntimePort = 9001

// ExtensionErrorType keeps an error type of the form Extension.Name and replaces every other one: the type is an
// extension's word and ends in records and answers.
func ExtensionErrorType(s string) string {
	name, ok := strings.CutPrefix(s, "Extension.")
	if !ok || name == "" || len(s) > maxErrorType || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return "Extension.Unknown"
	}
	return s
}

// ExtensionEnded is the body the caller gets when an extension ended before its sandbox: typ is "Extension.Crash",
// "Extension.InitError", "Extension.ExitError" or "Extension.LaunchError", how is as a shell tells it.
func ExtensionEnded(id, typ, how string) ErrorBody {
	return ErrorBody{typ, "RequestId: " + id + " Error: " + how}
}
