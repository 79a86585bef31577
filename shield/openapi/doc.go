// Package openapi turns an operation of an OpenAPI document (3.0, 3.1) into a contract: its parameters, its body by media
// type, and what it answers. Each part is held to its schema; what the document does not name is refused. What is not
// supported is an error when the document is read, never left out. It is pure: no clock, no I/O.
//
// The specification: https://spec.openapis.org/oas/v3.0.4.html and https://spec.openapis.org/oas/v3.1.1.html.
package openapi
