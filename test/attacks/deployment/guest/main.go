// Command guest is every function of the deployment under attack: the variable DOES says which. Each run tells a
// ledger outside of the node, so that what happened is known without asking the node.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func main() { lambda.Start(handle) }

// event is a request by payload format 2.0, or an authorizer's question.
type event struct {
	Type               string
	AuthorizationToken string
	MethodArn          string
	IdentitySource     any
	RawPath            string
	RawQueryString     string
	Body               string
	IsBase64Encoded    bool
	Headers            map[string]string
}

type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body"`
}

func handle(ctx context.Context, e event) (any, error) {
	if e.Type == "TOKEN" || e.Type == "REQUEST" {
		return authorize(e)
	}
	if e.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return nil, err
		}
		e.Body = string(body)
	}
	parts := append(strings.Split(strings.Trim(e.RawPath, "/"), "/"), "", "")
	whose := parts[1]
	tell(os.Getenv("EFFECT"), whose)
	switch os.Getenv("DOES") {
	case "order":
		return said(map[string]any{"order": os.Getenv("OBJECT_" + whose)})
	case "profile":
		return profile(e, whose)
	case "fetch":
		return fetch(e)
	case "price":
		body, err := get("http://partner.test/" + whose)
		if err != nil {
			return nil, err
		}
		return answer{200, map[string]string{"content-type": "application/json"}, body}, nil
	case "boom":
		return boom(whose)
	case "who": // what a thief would find
		return answer{200, nil, strings.Join([]string{os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")}, " ")}, nil
	case "call":
		for range 2 { // two each time: what nothing ends doubles
			if err := invoke(ctx, os.Getenv("CALLS"), os.Getenv("KIND")); err != nil {
				return said(map[string]any{"error": err.Error()})
			}
		}
	case "spin":
		for n := uint64(1); n != 0; n += 2 {
		}
	case "fail":
		return nil, errors.New("it fails every time")
	case "download":
		body, err := get("http://partner.test/large")
		return answer{200, nil, body}, err
	case "again": // the public door once more, with the key that its caller sent
		req, err := http.NewRequest("POST", "http://"+os.Getenv("DOOR")+e.RawPath, strings.NewReader("{}"))
		if err != nil {
			return nil, err
		}
		req.Header.Set("x-api-key", e.Headers["x-again"])
		req.Header.Set("x-again", e.Headers["x-again"])
		depth := e.Headers["x-depth"] + "I"
		if len(depth) > 36 { // nobody ended it
			return said(map[string]any{"again": false})
		}
		req.Header.Set("x-depth", depth)
		req.Header.Set("content-type", "application/json")
		_, err = do(req)
		return said(map[string]any{"again": err == nil})
	}
	return said(map[string]any{"done": true, "headers": e.Headers, "path": e.RawPath, "query": e.RawQueryString})
}

func said(v any) (answer, error) {
	text, err := json.Marshal(v)
	return answer{200, map[string]string{"content-type": "application/json"}, string(text)}, err
}

// profile takes whatever it is given and answers all that it has, as careless code does.
func profile(e event, whose string) (any, error) {
	stored := map[string]any{"name": whose, "role": "member", "credit": 0, "password_hash": os.Getenv("HASH")}
	var given map[string]any
	if e.Body != "" {
		if err := json.Unmarshal([]byte(e.Body), &given); err != nil {
			return nil, err
		}
	}
	maps.Copy(stored, given)
	if stored["role"] != "member" || stored["credit"] != 0 {
		tell("raised", whose)
	}
	if !strings.Contains(e.RawQueryString, "view=all") {
		delete(stored, "password_hash")
	}
	return said(stored)
}

// fetch gets what its event names: a URL in the body, or the host that the request was for.
func fetch(e event) (any, error) {
	var q struct{ URL string }
	if err := json.Unmarshal([]byte(e.Body), &q); err != nil {
		return nil, err
	}
	if q.URL == "" {
		q.URL = "http://" + e.Headers["host"] + "/self"
	}
	if _, err := url.Parse(q.URL); err != nil {
		return nil, err
	}
	text, err := get(q.URL)
	if err != nil {
		return said(map[string]any{"text": "not reached"})
	}
	return said(map[string]any{"text": text})
}

const trace = `Traceback (most recent call last):
  File "/srv/app/shop/internal/db.py", line 42, in connect
    raise OperationalError("password authentication failed for user 'shop' at db-1.internal.example")
psycopg2.OperationalError: password authentication failed
`

func boom(how string) (any, error) {
	if how == "thrown" {
		return nil, fmt.Errorf("connecting: %s", trace)
	}
	return answer{500, map[string]string{"content-type": "text/plain"}, trace}, nil
}

// authorize knows who somebody is by the word they say: its first part is the answer, the second the name.
func authorize(e event) (any, error) {
	word := e.AuthorizationToken
	if list, ok := e.IdentitySource.([]any); ok && len(list) > 0 {
		word, _ = list[0].(string)
	}
	verdict, name, _ := strings.Cut(word, "-")
	policy := func(effect, resource string) any {
		return map[string]any{"principalId": name, "policyDocument": map[string]any{"Version": "2012-10-17",
			"Statement": []any{map[string]any{"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}}}}
	}
	switch verdict {
	case "allow":
		return policy("Allow", e.MethodArn), nil
	case "wide":
		return policy("Allow", "*"), nil
	case "deny":
		return policy("Deny", "*"), nil
	case "crash":
		os.Exit(2)
	case "hang":
		for n := uint64(1); n != 0; n += 2 {
		}
	case "junk":
		return map[string]any{"policy": "allow everything"}, nil
	case "truth":
		return true, nil
	case "half":
		return map[string]any{"principalId": name, "policyDocument": map[string]any{"Version": "2012-10-17", "Statement": []any{}}}, nil
	case "nobody":
		return map[string]any{"policyDocument": policy("Allow", "*").(map[string]any)["policyDocument"]}, nil
	}
	return nil, errors.New("Unauthorized")
}

func tell(effect, whose string) {
	_, _ = get("http://ledger.test/" + effect + "/" + url.PathEscape(whose))
} // no ledger, no effect

func get(where string) (string, error) {
	r, err := http.NewRequest("GET", where, nil)
	if err != nil {
		return "", err
	}
	return do(r)
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func do(r *http.Request) (string, error) {
	res, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), err
}

// invoke calls a function as an SDK does.
func invoke(ctx context.Context, function, kind string) error {
	const body = "{}"
	r, err := http.NewRequestWithContext(ctx, "POST", os.Getenv("AWS_ENDPOINT_URL")+"/2015-03-31/functions/"+function+"/invocations", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("X-Amz-Invocation-Type", kind)
	sum := sha256.Sum256([]byte(body))
	creds := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "lambda", os.Getenv("AWS_REGION"), time.Now()); err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return err
}
