// Command guest reads a secret at localhost:2773 and does with it what its event says.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct{ Path, Do string }

func main() { lambda.Start(handle) }

func handle(ctx context.Context, e event) (any, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", "http://localhost:2773"+e.Path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Aws-Parameters-Secrets-Token", os.Getenv("AWS_SESSION_TOKEN"))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		SecretString string
		Parameter    struct{ Value string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	value := answer.SecretString + answer.Parameter.Value
	switch e.Do {
	case "print":
		fmt.Println("the value is", value)
	case "exit":
		os.Exit(3)
	case "fail":
		return nil, errors.New("it failed for another reason")
	case "hang":
		<-ctx.Done()
		select {}
	}
	sum := sha256.Sum256([]byte(value))
	return map[string]any{"status": resp.StatusCode, "sum": hex.EncodeToString(sum[:])}, nil
}
