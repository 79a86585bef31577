package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

func TestWrite(t *testing.T) {
	var o order
	o.Customer, o.Note = "Ada", "by noon"
	o.Items = append(o.Items, struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}{"tea", 12})
	got := write(o, "7", time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC))
	want := `            RECEIPT
--------------------------------
2027-01-02 03:04:05
--------------------------------
tea                           12
--------------------------------
pieces                        12
for Ada
note: by noon
no. 7
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestHandle(t *testing.T) {
	for body, want := range map[string]int{`{"customer":"Ada","items":[]}`: 200, `nothing`: 400} {
		r, err := handle(context.Background(), events.APIGatewayV2HTTPRequest{Body: body})
		if err != nil || r.StatusCode != want {
			t.Errorf("%s: %d %v", body, r.StatusCode, err)
		}
	}
	r, err := handle(context.Background(), events.APIGatewayV2HTTPRequest{Body: "eyJjdXN0b21lciI6IkFkYSJ9", IsBase64Encoded: true})
	if err != nil || !strings.Contains(r.Body, "for Ada") {
		t.Errorf("%s %v", r.Body, err)
	}
}
