// Package admin hears the platform's own operations: what the command line and the console ask for. They come as HTTP
// requests over a unix socket, whose peer the kernel names, or over TLS with an API key or token. Each becomes an Event
// for a built-in function and goes the same way as every other; this package decides nothing.
//
// POST /v1/<operation>?resource=<name> with a JSON or binary body answers with the operation's JSON, or, asked with
// Accept: application/x-ndjson, with lines as they are made. POST /v1/invoke?resource=<function> invokes a function and
// answers with its payload as it is. Errors are casemate.ErrorBody.
package admin
