// Command reactor is the Go guest of the measurement: it initialises some 7 MB of live heap and prices an order from it.
package main

import (
	"context"
	"fmt"

	function "casemate/sdk/go"
)

// article is one of the price list.
type article struct {
	Name  string
	Cents int
}

// prices is what an initialised program holds: a map of 40,000 articles.
var prices = list(40_000)

func list(n int) map[string]*article {
	m := make(map[string]*article, n)
	for i := range n {
		sku := fmt.Sprintf("sku-%06d", i)
		m[sku] = &article{Name: "article number " + sku, Cents: 100 + i%900}
	}
	m["tea"] = &article{Name: "tea", Cents: 320}
	return m
}

type order struct {
	Items []struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	} `json:"items"`
}

type price struct {
	Cents int      `json:"cents"`
	Names []string `json:"names"`
}

func init() { function.Handle(sum) }

func main() { function.Run() }

func sum(_ context.Context, o order) (price, error) {
	var p price
	for _, i := range o.Items {
		a, ok := prices[i.SKU]
		if !ok {
			return p, fmt.Errorf("no article %q", i.SKU)
		}
		p.Cents += a.Cents * i.Quantity
		p.Names = append(p.Names, a.Name)
	}
	return p, nil
}
