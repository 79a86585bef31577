// Package attacks holds attacks and harmless look-alikes as data, with generators that put them where a sender can: into
// every source of events, inside every encoding. Its tests hold the shield against them; the data can be sent at any
// deployment.
package attacks
