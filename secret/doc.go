// Package secret keeps secrets and parameters: named things with versions whose values, names, tags and stages are sealed
// before they reach the store. It knows nothing of AWS; service/secrets and service/ssm speak for it.
//
// A value is sealed with its account's data key; the data keys of an account are a Tink keyset, itself sealed ("wrapped")
// with the node's key-encryption key, which never lies in the store. What a ciphertext is (account, kind, name, version)
// is bound into it: one that was moved to another place does not open. Both keys rotate while reading and writing go on.
package secret
