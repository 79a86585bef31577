package attacks

import (
	"testing"

	"casemate"
	"casemate/shield"
)

// What one event costs, as the product looks at it: a plain one, and one with a body that no contract closes.
func BenchmarkProduct(b *testing.B) {
	product := shield.Cleaner{Judge: judges(b)[2].judge}
	headers := func(yield func(string, string) bool) {
		_ = yield("User-Agent", "curl/8.1.2") && yield("Accept", "*/*") && yield("Content-Type", "application/json")
	}
	for _, c := range [...]struct{ name, body string }{{"plain", ""}, {"json 90 B", `{"name":"Jane Doe","quantity":3,"price":12.5,"note":"please ring twice","id":"a1b2c3d4e5f6"}`}} {
		b.Run(c.name, func(b *testing.B) {
			m, e := route(nil), &casemate.Event{Source: casemate.SourceHTTP, Headers: headers, ContentType: "application/json", Target: casemate.Target{Path: "/x"}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := product.Clean(m, e, []byte(c.body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
