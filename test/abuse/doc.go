// Package abuse attacks the fronts on the wire: floods and stalls of HTTP/2 and HTTP/1, connections that say nothing, and requests
// that two readers could read in two ways. Each attack is run against ours, and where Go's server does not bound it by itself,
// against the same front with that bound taken away.
package abuse
