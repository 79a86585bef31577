// Command reactor is the Go guest of the measurement: it initialises some 7 MB of live heap and prices an order from it.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"runtime"

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

// init rehearses before the snapshot is taken: what the first event would set up stands in it then.
func init() {
	function.Handle(sum)
	for range 2 {
		rehearsed := make(chan struct{})
		go rehearse(rehearsed)
		<-rehearsed
		runtime.GC() // otherwise each event sweeps what building the list left
	}
	rehearsed := make(chan struct{})
	go rehearse(rehearsed)
	<-rehearsed
}

func rehearse(done chan<- struct{}) {
	defer close(done)
	var o order
	if err := json.Unmarshal([]byte(`{"items":[{"sku":"tea","quantity":1}]}`), &o); err != nil {
		panic(err)
	}
	p, err := sum(context.Background(), o)
	if err != nil {
		panic(err)
	}
	if _, err = json.Marshal(p); err != nil {
		panic(err)
	}
	var b [32]byte
	rand.Read(b[:])
}

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
