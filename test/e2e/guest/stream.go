package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// streamed are the answers that the guest makes piece by piece. Each says something, and goes on when the parameter
// /release is there.
func streamed(ctx context.Context, what string) any {
	from, to := io.Pipe()
	go func() { to.CloseWithError(write(ctx, to, what)) }()
	if what == "raw" {
		return from
	}
	return &events.LambdaFunctionURLStreamingResponse{StatusCode: 201, Headers: map[string]string{"content-type": "text/plain", "x-made-by": "guest"}, Cookies: []string{"a=b"}, Body: from}
}

func write(ctx context.Context, to io.Writer, what string) error {
	if _, err := io.WriteString(to, "first\n"); err != nil {
		return err
	}
	switch what {
	case "endless":
		for block := bytes.Repeat([]byte("0123456789abcde\n"), 4096); ; {
			if _, err := to.Write(block); err != nil {
				return err
			}
		}
	case "leak":
		for _, part := range []string{"key: c", "k_" + strings.Repeat("a1", 10), strings.Repeat("b2", 10) + "\n"} {
			if _, err := io.WriteString(to, part); err != nil {
				return err
			}
		}
	}
	if err := released(ctx); err != nil {
		return err
	}
	switch what {
	case "broken":
		return errors.New("the password is in line 42 of secret.go")
	case "crash":
		os.Exit(3)
	}
	_, err := io.WriteString(to, "last\n")
	return err
}

// released waits until somebody put the parameter there.
func released(ctx context.Context) error {
	for {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://localhost:2773/systemsmanager/parameters/get?name=/release", nil)
		if err != nil {
			return err
		}
		r.Header.Set("X-Aws-Parameters-Secrets-Token", os.Getenv("AWS_SESSION_TOKEN"))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		switch {
		case err != nil:
			return err
		case res.StatusCode == 200:
			return nil
		case !strings.Contains(string(text), "NotFound"):
			return fmt.Errorf("asking for the parameter: %s", text)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
