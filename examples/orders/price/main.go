// Command price says what a basket costs. It is an ordinary program: an event comes on standard input, the answer goes to
// standard output. Built for wasip1 it runs in Casemate's WebAssembly sandbox; built natively it runs in a shell:
//
//	echo '{"items":[{"sku":"tea","quantity":2}]}' | go run ./examples/orders/price
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// cents are the net prices of what the shop sells.
var cents = map[string]int{"tea": 450, "coffee": 620, "cup": 1190, "biscuit": 275}

const taxPercent = 19

// event is an HTTP API event of payload version 2.0, or a basket by itself.
type event struct {
	Version    string            `json:"version"`
	RouteKey   string            `json:"routeKey"`
	Body       string            `json:"body"`
	Base64     bool              `json:"isBase64Encoded"`
	Parameters map[string]string `json:"pathParameters"`
	Basket
}

// Basket is what is priced.
type Basket struct {
	Items []struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	} `json:"items"`
}

// Line is one item with its price, in cents.
type Line struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
	Each     int    `json:"each"`
	Net      int    `json:"net"`
}

// Quote is a priced basket, in cents.
type Quote struct {
	Currency string `json:"currency"`
	Lines    []Line `json:"lines"`
	Net      int    `json:"net"`
	Tax      int    `json:"tax"`
	Total    int    `json:"total"`
}

// response is the answer to an HTTP API event.
type response struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

func main() {
	in, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer(in))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "price:", err)
		os.Exit(1)
	}
}

// answer gives a response to an HTTP API event, and the bare quote to a bare basket.
func answer(in []byte) any {
	var e event
	if err := json.Unmarshal(in, &e); err != nil {
		return reply(400, map[string]string{"message": "the event is not JSON"})
	}
	if e.Version == "" {
		quote, problem := price(e.Basket)
		if problem != "" {
			return map[string]string{"message": problem}
		}
		return quote
	}
	if sku, ok := e.Parameters["sku"]; ok {
		each, sold := cents[sku]
		if !sold {
			return reply(404, map[string]string{"message": "not sold here"})
		}
		return reply(200, map[string]any{"sku": sku, "currency": "EUR", "net": each, "total": each + tax(each)})
	}
	return fromBody(e)
}

func fromBody(e event) response {
	body := []byte(e.Body)
	if e.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return reply(400, map[string]string{"message": "the body is not base64"})
		}
	}
	var b Basket
	if err := json.Unmarshal(body, &b); err != nil {
		return reply(400, map[string]string{"message": "the body is not a basket"})
	}
	quote, problem := price(b)
	if problem != "" {
		return reply(422, map[string]string{"message": problem})
	}
	return reply(200, quote)
}

// price adds a basket up, or says what is wrong with it.
func price(b Basket) (Quote, string) {
	q := Quote{Currency: "EUR", Lines: make([]Line, 0, len(b.Items))}
	for _, i := range b.Items {
		each, sold := cents[i.SKU]
		if !sold {
			return Quote{}, fmt.Sprintf("%q is not sold here", i.SKU)
		}
		if i.Quantity < 1 || i.Quantity > 999 {
			return Quote{}, fmt.Sprintf("%d of %q cannot be ordered", i.Quantity, i.SKU)
		}
		q.Lines = append(q.Lines, Line{i.SKU, i.Quantity, each, each * i.Quantity})
		q.Net += each * i.Quantity
	}
	q.Tax = tax(q.Net)
	q.Total = q.Net + q.Tax
	return q, ""
}

// tax rounds half a cent up.
func tax(net int) int { return (net*taxPercent + 50) / 100 }

func reply(status int, body any) response {
	b, err := json.Marshal(body)
	if err != nil {
		return response{Status: 500, Body: `{"message":"cannot be written"}`}
	}
	return response{Status: status, Headers: map[string]string{"content-type": "application/json"}, Body: string(b)}
}
