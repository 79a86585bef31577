//go:build !wasip1

package web

import "net/http"

// Client gives a client that goes the usual way.
func Client() *http.Client { return &http.Client{} }
