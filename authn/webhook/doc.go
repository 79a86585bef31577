// Package webhook says which sender signed a request. A sender is somebody who holds a secret and nothing else: there is
// no token to show, the signature is over the body itself. So its headers are looked at first, which costs nothing, and the
// body once it was read; until then nobody is the sender. What was taken once is not taken again.
package webhook
