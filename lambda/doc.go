// Package lambda holds AWS Lambda's wire shapes and nothing that acts: the Runtime API's paths, headers and error
// bodies, a function's environment block, the platform's log lines, and the events and answers of the HTTP fronts.
package lambda
