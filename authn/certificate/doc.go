// Package certificate verifies TLS client certificates. The front asks for one and has its holder prove that the key is
// his (RFC 8446 section 4.4.3); whether the certificate is worth anything is decided here, for every event anew, by the rule
// of the route that the event came by: a rule that is taken away takes along connections that are open.
//
// There is no revocation list: a certificate is taken back by its pin or its name in the rule, or lives for a short time.
package certificate
