// Command webhook takes GitHub's webhooks and says which commit is to be built. It is an ordinary AWS Lambda function on
// aws-lambda-go. Who sent the event and that it came once was checked before: there is no secret in here.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// push is what is read of a push event
// (https://docs.github.com/en/webhooks/webhook-events-and-payloads#push).
type push struct {
	Ref        string `json:"ref"`
	After      string `json:"after"`
	Deleted    bool   `json:"deleted"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

type answer struct {
	Message string `json:"message"`
	Commit  string `json:"commit,omitempty"`
}

func main() { lambda.Start(handle) }

func handle(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("reading the body: %w", err)
		}
	}
	if e.Headers["x-github-event"] != "push" {
		return reply(200, answer{Message: "hello"})
	}
	var p push
	if err := json.Unmarshal(body, &p); err != nil {
		return events.APIGatewayV2HTTPResponse{}, fmt.Errorf("reading a push: %w", err) // 502: GitHub shows it, and can send it again
	}
	branch, ok := strings.CutPrefix(p.Ref, "refs/heads/")
	if !ok || branch != "main" || p.Deleted {
		return reply(200, answer{Message: "only pushes to main are built"})
	}
	log.Printf("delivery %s: build %s of %s", e.Headers["x-github-delivery"], p.After, p.Repository.FullName)
	return reply(202, answer{Message: "building " + p.Repository.FullName, Commit: p.After})
}

func reply(status int, a answer) (events.APIGatewayV2HTTPResponse, error) {
	body, err := json.Marshal(a)
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers:    map[string]string{"content-type": "application/json"},
		Body:       string(body),
	}, err
}
