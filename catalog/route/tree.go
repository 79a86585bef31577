package route

import (
	"casemate"
)

// Bucket is every route of one host that starts with one literal segment, or with none.
type Bucket struct {
	List []*casemate.Route
	root *node
	last []*casemate.Route // $default
}

// key names the bucket of a route or request; wild is where routes stand that start with no literal segment.
func key(host, first string) string { return host + "/" + first }

const wild = "\x00"

// KeyOf is the key of the bucket that a route belongs to.
func KeyOf(r *casemate.Route) string {
	segs := segments(r.Path)
	if r.Path == "$default" || len(segs) == 0 || segs[0][0] == '{' {
		return key(r.Host, wild)
	}
	return key(r.Host, segs[0])
}

// NewBucket builds the tree of routes, which all have one key. Two that match the same request are refused when they are of different apps, or
// when no order says which comes first.
func NewBucket(list []*casemate.Route) (*Bucket, error) {
	b := &Bucket{List: list, root: &node{}}
	for i, r := range list {
		for _, o := range list[:i] {
			if o.App != r.App && overlap(o, r) || o.Method == r.Method && Shape(o.Path) == Shape(r.Path) {
				return nil, casemate.Errorf(casemate.Conflict, "choose another path or host",
					"route %s of app %s overlaps route %s of app %s", r.ID, r.App, o.ID, o.App)
			}
		}
		segs := segments(r.Path)
		switch {
		case r.Path == "$default":
			b.last = append(b.last, r)
		case KeyOf(r) != key(r.Host, wild):
			b.root.add(segs[1:], r)
		default:
			b.root.add(segs, r)
		}
	}
	return b, nil
}

// Overlap reports whether some request could match both routes: of one host, or of any. A $default takes what nobody
// else wants, so it overlaps with another one only.
func Overlap(a, b *casemate.Route) bool {
	return (a.Host == b.Host || a.Host == "" || b.Host == "") && overlap(a, b)
}

// overlap reports whether some request of one host matches both.
func overlap(a, b *casemate.Route) bool {
	if a.Method != b.Method && a.Method != "ANY" && b.Method != "ANY" {
		return false
	}
	if a.Path == "$default" || b.Path == "$default" {
		return a.Path == b.Path
	}
	p, q := segments(a.Path), segments(b.Path)
	for len(p) > 0 && len(q) > 0 {
		_, pGreedy, pIs := param(p[0])
		_, qGreedy, qIs := param(q[0])
		if pGreedy || qGreedy {
			return true
		}
		if !pIs && !qIs && p[0] != q[0] {
			return false
		}
		p, q = p[1:], q[1:]
	}
	return len(p) == len(q)
}

// Find gives the most specific route for a request of one host, nil when there is none. path is canonical, get finds a
// bucket by its key.
func Find(get func(key string) (*Bucket, bool), host, path, method string) *casemate.Route {
	segs := segments(path)
	if len(segs) > 0 {
		if b, ok := get(key(host, segs[0])); ok {
			if r := b.root.find(segs[1:], method); r != nil {
				return r
			}
		}
	}
	b, ok := get(key(host, wild))
	if !ok {
		return nil
	}
	if r := b.root.find(segs, method); r != nil {
		return r
	}
	return pick(b.last, method)
}

// node is one segment of the routes of a Bucket. Nodes are never changed once a snapshot holds them.
type node struct {
	literal map[string]*node
	param   *node
	routes  []*casemate.Route // that end here
	greedy  []*casemate.Route // that take one or more segments from here on
}

func (n *node) add(segs []string, r *casemate.Route) {
	if len(segs) == 0 {
		n.routes = append(n.routes, r)
		return
	}
	_, greedy, is := param(segs[0])
	switch {
	case greedy:
		n.greedy = append(n.greedy, r)
	case is:
		if n.param == nil {
			n.param = &node{}
		}
		n.param.add(segs[1:], r)
	default:
		if n.literal == nil {
			n.literal = map[string]*node{}
		}
		if n.literal[segs[0]] == nil {
			n.literal[segs[0]] = &node{}
		}
		n.literal[segs[0]].add(segs[1:], r)
	}
}

// find is API Gateway's order: a literal segment before a parameter, both before a greedy one; at the same place the
// method itself before ANY (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html).
func (n *node) find(segs []string, method string) *casemate.Route {
	if n == nil {
		return nil
	}
	if len(segs) == 0 {
		return pick(n.routes, method)
	}
	if r := n.literal[segs[0]].find(segs[1:], method); r != nil {
		return r
	}
	if segs[0] != "" {
		if r := n.param.find(segs[1:], method); r != nil {
			return r
		}
		return pick(n.greedy, method)
	}
	return nil
}

func pick(routes []*casemate.Route, method string) (any *casemate.Route) {
	for _, r := range routes {
		switch r.Method {
		case method:
			return r
		case "ANY":
			any = r
		}
	}
	return any
}
