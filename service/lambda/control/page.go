package control

import (
	"encoding/base64"
	"strings"
)

// maxPage is how many things one answer of a list holds at most
// (https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html).
const maxPage = 50

type listIn struct {
	Marker          string
	MaxItems        int
	FunctionVersion string
}

// A marker is where the page before ended. What it says it proves to nobody: another name lists from there on.
func marker(last string) string { return base64.RawURLEncoding.EncodeToString([]byte(last)) }

// after is the name behind which the page begins.
func (in *listIn) after() (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(in.Marker)
	if err != nil || strings.ContainsRune(string(b), 0) {
		return "", parameter("Invalid marker")
	}
	return string(b), nil
}

// most is how many a page holds.
func (in *listIn) most(bound int) int {
	if in.MaxItems > 0 && in.MaxItems < bound {
		return in.MaxItems
	}
	return bound
}

// page gathers one answer of a list.
type page[T any] struct {
	items []T // never nil: an empty list is told as one
	most  int
	last  string // key of the last item
	next  string // marker of the page that follows; "": none does
}

// begin gives an empty page, and the key behind which its list goes on.
func begin[T any](mark string, most int) (p *page[T], after string, err error) {
	in := listIn{Marker: mark, MaxItems: most}
	after, err = in.after()
	return &page[T]{items: []T{}, most: in.most(maxPage)}, after, err
}

// add takes an item with its key; false: the page is full, and another one begins with this item.
func (p *page[T]) add(key string, item T) bool {
	if len(p.items) == p.most {
		p.next = marker(p.last)
		return false
	}
	p.items, p.last = append(p.items, item), key
	return true
}
