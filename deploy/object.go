package deploy

import "casemate"

// object says what the callers of a route must be allowed beside the route, or need not be any more: a permission.
func (c *comparer) object(k string, was, is *casemate.Object) {
	switch {
	case is != nil && (was == nil || *was != *is):
		c.say(KindPermission, "add", k, was != nil, "its callers must be allowed to read or write %s as well", is.Resource)
	case is == nil && was != nil:
		c.say(KindPermission, "remove", k, true, "whose object a request is about is decided no more")
	}
}
