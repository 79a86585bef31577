// Package conn bounds what a connection may cost before anything of it is an event: how many are open and opened, how long a
// frame may take, and how much of HTTP/2 a peer may use without asking for anything. What it cuts off is counted and told in
// the record, folded. Its rules go beyond what net/http does by itself; RATIONALE.md says where.
package conn
