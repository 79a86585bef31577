// Package catalog knows what exists: functions and their immutable versions, routes, roles, policies, issuers and
// contracts, as one snapshot behind one atomic pointer. A change is built completely beside the snapshot in force and
// swapped in, or it does not happen; boot takes the same path.
package catalog
