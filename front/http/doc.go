// Package http hears the world over HTTP: declared routes and function URLs. It bounds what a peer may send before
// anything else is spent on it, builds an Event, hands it to the one Handler and writes the answer in kind. It decides
// nothing: who may call what is the corridor's question.
//
// What a function gets is the HTTP API event of payload format 2.0, whatever its language. It never gets the caller's
// Authorization or x-api-key header: what they proved stands in the event's authorizer.
package http
