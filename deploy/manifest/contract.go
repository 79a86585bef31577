package manifest

// Where is what the contract names in its document: "POST /orders", "/$defs/order", "message orderPlaced"; "" is the whole
// document.
func (c *Contract) Where() string {
	if c.Message != "" {
		return "message " + c.Message
	}
	return c.Operation + c.Pointer
}

// contract checks a contract of a route, or of a function.
func (c *checker) contract(ptr string, x *Contract, routed bool) {
	if x == nil {
		return
	}
	c.file(ptr+"/file", x.File)
	given := 0
	for _, s := range [...]string{x.Operation, x.Pointer, x.Message} {
		if s != "" {
			given++
		}
	}
	switch {
	case given > 1:
		c.bad(ptr, "", "give one of operation, pointer and message, not both")
	case !routed && x.Operation != "":
		c.bad(ptr+"/operation", "give a message or a pointer; operations belong to routes", "events that come by no route are no requests")
	case x.Answers != "" && (!routed || x.Operation == ""):
		c.bad(ptr+"/answers", "name the operation of an OpenAPI document", "answers are checked by an operation")
	}
}
