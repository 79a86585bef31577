// Package authn says who is calling: it turns a credential into a principal, or refuses. API keys, JSON Web Tokens and
// the peers of the node's own socket are known; nothing else is. A refusal tells the caller nothing about why.
package authn
