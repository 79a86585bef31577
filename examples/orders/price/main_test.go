package main

import (
	"encoding/json"
	"testing"
)

func TestAnswer(t *testing.T) {
	for in, want := range map[string]string{
		`{"items":[{"sku":"tea","quantity":2}]}`:  `{"currency":"EUR","lines":[{"sku":"tea","quantity":2,"each":450,"net":900}],"net":900,"tax":171,"total":1071}`,
		`{"items":[{"sku":"gold","quantity":2}]}`: `{"message":"\"gold\" is not sold here"}`,
		`{"version":"2.0","body":"{\"items\":[{\"sku\":\"cup\",\"quantity\":1}]}"}`: `{"statusCode":200,"headers":{"content-type":"application/json"},` +
			`"body":"{\"currency\":\"EUR\",\"lines\":[{\"sku\":\"cup\",\"quantity\":1,\"each\":1190,\"net\":1190}],\"net\":1190,\"tax\":226,\"total\":1416}"}`,
		`{"version":"2.0","body":"eyJpdGVtcyI6W119","isBase64Encoded":true}`: `{"statusCode":200,"headers":{"content-type":"application/json"},` +
			`"body":"{\"currency\":\"EUR\",\"lines\":[],\"net\":0,\"tax\":0,\"total\":0}"}`,
		`{"version":"2.0","pathParameters":{"sku":"gold"}}`: `{"statusCode":404,"headers":{"content-type":"application/json"},"body":"{\"message\":\"not sold here\"}"}`,
		`{"version":"2.0","body":"nothing"}`:                `{"statusCode":400,"headers":{"content-type":"application/json"},"body":"{\"message\":\"the body is not a basket\"}"}`,
		`nothing`:                                           `{"statusCode":400,"headers":{"content-type":"application/json"},"body":"{\"message\":\"the event is not JSON\"}"}`,
	} {
		got, err := json.Marshal(answer([]byte(in)))
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s %v\nwant %s", in, got, err, want)
		}
	}
}
