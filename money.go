package casemate

import "time"

// Money is an amount in billionths of the price book's currency: 200 is the price of one request where a million cost 0.20.
type Money int64

// Spend is what one event is about to spend, and in whose name. Budgets hold back the most that it can cost before it
// starts.
type Spend struct {
	Event     string    // its id; of one attempt, Record.ID
	Opened    time.Time // Record.Opened: the day and month that it counts in
	Chain     string    // of the first event of the causal chain
	Root      bool      // it is that first event, at its first attempt
	Depth     int       // Event.Depth
	Source    Source
	Account   string
	App       string
	Function  string   // name; empty for operations of the platform itself
	Principal string   // Principal.Name
	Role      string   // of the principal
	Key       string   // id of the API key, when one was used
	Operation string   // "secretsmanager.GetSecretValue": of a service, else empty
	Version   *Version // whose limits bound the cost; nil where nothing runs
	Answer    int64    // bytes that its answer may have where that is more than the version's limits say: it may be streamed
	Before    Money    // Event.Spent
	Queue     bool     // it is accepted now and run later: the run is a spending of its own
}

// Hold is money that was held back for one event, to be settled exactly once. The zero Hold holds nothing.
type Hold struct {
	Event  string
	Amount Money
	Book   string   // digest of the price book that it was reckoned by
	Tags   []string // "team=web": cost allocation tags of the spending, sorted
	Chain  Money    // what the causal chain had spent before it, and may spend by what still runs of it
	Keep   bool     // the opened record has to tell of it, so that it is known after a kill -9 as well
	Done   bool     // set by the gate: the event came to a good end, and will not be tried again
	Of     any      // the purse's own
}
