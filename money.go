package casemate

// Money is an amount in billionths of the price book's currency: 200 is the price of one request where a million cost 0.20.
type Money int64

// Spend is what one event is about to spend, and in whose name. Budgets hold back the most that it can cost before it
// starts.
type Spend struct {
	Event     string // its id; of one attempt, Record.ID
	Chain     string // of the first event of the causal chain
	Depth     int
	Account   string
	App       string
	Function  string // ARN; empty for operations of the platform itself
	Principal string // Principal.Name
	Key       string // id of the API key, when one was used
	Operation string // "secretsmanager.GetSecretValue": of a service, else empty
	Tags      map[string]string
	Version   *Version // whose limits bound the cost; nil where nothing runs
	Request   int64    // bytes of body at most
	Queue     bool     // it is accepted now and run later: the run is a spending of its own
}

// Hold is money that was held back for one event, to be settled exactly once. The zero Hold holds nothing.
type Hold struct {
	Event  string
	Amount Money
}
