// Package web is the HTTP client of a function: in a WebAssembly module, which has no sockets, it goes out through
// Casemate; everywhere else it is net/http's.
//
//	func handle(ctx context.Context, e Event) (Answer, error) {
//		res, err := web.Client().Get("https://api.example.com/prices")
//		...
//	}
//
// The function needs a grant for each host and port, redirects included:
//
//	grants: ["connect api.example.com:443"]
//
// It is a package of its own because net/http makes a module twice as large, whether or not it is used.
package web
