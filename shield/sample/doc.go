// Package sample makes a request that a contract ought to take: for people who call a route for the first time. What it
// makes is a proposal. Whoever shows it has the contract check it before.
package sample
