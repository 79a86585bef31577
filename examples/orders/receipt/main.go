// Command receipt prints an order as a receipt. It is an ordinary AWS Lambda function on aws-lambda-go, built as
// "bootstrap" for a provided runtime.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// order is the body of a request, as the contract has it.
type order struct {
	Customer string `json:"customer"`
	Note     string `json:"note"`
	Items    []struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	} `json:"items"`
}

const width = 32

func main() { lambda.Start(handle) }

func handle(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return reply(400, "the body is not base64\n"), nil
		}
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		return reply(400, "the body is not an order\n"), nil
	}
	id := "-"
	if c, ok := lambdacontext.FromContext(ctx); ok {
		id = c.AwsRequestID
	}
	log.Printf("receipt of %d lines for request %s", len(o.Items), id)
	return reply(200, write(o, id, time.Now().UTC())), nil
}

// write sets the receipt in a fixed width.
func write(o order, id string, at time.Time) string {
	var b strings.Builder
	rule := strings.Repeat("-", width) + "\n"
	fmt.Fprintf(&b, "%s\n%s%s\n%s", center("RECEIPT"), rule, at.Format(time.DateTime), rule)
	pieces := 0
	for _, i := range o.Items {
		fmt.Fprintf(&b, "%-*s%*d\n", width-4, i.SKU, 4, i.Quantity)
		pieces += i.Quantity
	}
	fmt.Fprintf(&b, "%s%-*s%*d\n", rule, width-6, "pieces", 6, pieces)
	fmt.Fprintf(&b, "for %s\n", o.Customer)
	if o.Note != "" {
		fmt.Fprintf(&b, "note: %s\n", o.Note)
	}
	fmt.Fprintf(&b, "no. %s\n", id)
	return b.String()
}

func center(s string) string { return strings.Repeat(" ", (width-len(s))/2) + s }

func reply(status int, text string) events.APIGatewayV2HTTPResponse {
	return events.APIGatewayV2HTTPResponse{StatusCode: status, Body: text,
		Headers: map[string]string{"content-type": "text/plain; charset=utf-8"}}
}
