// Command guest asks outside for what its event says, and answers what came of it.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	function "casemate/sdk/go"
	"casemate/sdk/go/web"
)

type question struct {
	URL    string `json:"url"`
	Method string `json:"method"`
	Body   string `json:"body"`
	Header string `json:"header"` // of X-Asked
	Stay   bool   `json:"stay"`   // follow no redirect
}

type answer struct {
	Status  int    `json:"status"`
	Type    string `json:"type,omitempty"`
	Text    string `json:"text,omitempty"`
	Where   string `json:"where,omitempty"` // a redirect
	Error   string `json:"error,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// early is what came of asking while the module initialised.
var early = ask(question{URL: "http://example.com/"})

func init() { function.Handle(handle) }
func main() { function.Run() }

func handle(_ context.Context, qs []question) ([]answer, error) {
	as := []answer{early}
	for _, q := range qs {
		as = append(as, ask(q))
	}
	return as, nil
}

func ask(q question) answer {
	r, err := http.NewRequest(q.Method, q.URL, strings.NewReader(q.Body))
	if err != nil {
		return answer{Error: err.Error()}
	}
	if q.Header != "" {
		r.Header.Set("X-Asked", q.Header)
	}
	c := web.Client()
	if q.Stay {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	res, err := c.Do(r)
	if err != nil {
		return answer{Error: err.Error(), Refused: errors.Is(err, web.ErrRefused)}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	a := answer{Status: res.StatusCode, Type: res.Header.Get("Content-Type"), Text: string(text), Where: res.Header.Get("Location")}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}
