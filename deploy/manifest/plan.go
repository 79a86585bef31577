package manifest

import (
	"fmt"
	"maps"
	"slices"
)

// Plan is a usage plan: what each of its holders may ask for, for itself. Keys, roles and issuers name one.
type Plan struct {
	Rate        Rate             `key:"rate" doc:"Requests a second of one holder over everything it calls: \"10/s burst 20\"."`
	Concurrency int              `key:"concurrency" min:"1" max:"1000" doc:"Runs at once of one holder."`
	Day         int              `key:"day" min:"1" max:"1000000000000" doc:"Requests of one holder in a calendar day, in UTC."`
	Month       int              `key:"month" min:"1" max:"1000000000000" doc:"Requests of one holder in a calendar month, in UTC."`
	Routes      map[string]*Room `key:"routes" doc:"Limits of one holder on single routes of this app, by route key, on top. A rate takes the place of the route's own."`
}

// Room is what something may ask for altogether.
type Room struct {
	Rate        Rate `key:"rate" doc:"Requests a second: \"10/s burst 20\"."`
	Concurrency int  `key:"concurrency" min:"1" max:"1000" doc:"Runs at once."`
	Day         int  `key:"day" min:"1" max:"1000000000000" doc:"Requests in a calendar day, in UTC."`
	Month       int  `key:"month" min:"1" max:"1000000000000" doc:"Requests in a calendar month, in UTC."`
}

// Quota is how many runs a function gets.
type Quota struct {
	Day   int `key:"day" min:"1" max:"1000000000000" doc:"Runs in a calendar day, in UTC."`
	Month int `key:"month" min:"1" max:"1000000000000" doc:"Runs in a calendar month, in UTC."`
}

// limits checks plans, who names one, and what is set aside.
func (c *checker) limits() {
	known := slices.Sorted(maps.Keys(c.Plans))
	names := func(ptr, plan string) {
		if plan != "" && c.Plans[plan] == nil {
			c.bad(ptr, meant(plan, known), "there is no plan %q in this app", plan)
		}
	}
	for _, name := range known {
		c.plan("/plans/"+Escape(name), c.Plans[name])
	}
	for name, r := range c.Roles {
		names("/roles/"+Escape(name)+"/plan", r.Plan)
	}
	for i := range c.Auth.JWT {
		names(fmt.Sprintf("/auth/jwt/%d/plan", i), c.Auth.JWT[i].Plan)
	}
	for name, f := range c.Functions {
		ptr := "/functions/" + Escape(name)
		if f.Quota != nil {
			c.limit(ptr+"/quota", Room{Day: f.Quota.Day, Month: f.Quota.Month})
		}
		if f.Reserved == nil {
			continue
		}
		if f.Concurrency > 0 {
			c.bad(ptr+"/reserved_concurrency", "leave concurrency out", "what is reserved is also the most that the function gets")
		}
		if f.Provisioned > *f.Reserved {
			c.bad(ptr+"/provisioned", "raise reserved_concurrency, or lower this", "more than may run at once")
		}
	}
}

func (c *checker) plan(ptr string, p *Plan) {
	own := Room{p.Rate, p.Concurrency, p.Day, p.Month}
	if len(p.Routes) == 0 || own != (Room{}) {
		c.limit(ptr, own)
	}
	for key, r := range p.Routes {
		at := ptr + "/routes/" + Escape(key)
		if c.Routes[key] == nil {
			c.bad(at, meant(key, slices.Sorted(maps.Keys(c.Routes))), "there is no route %q in this app", key)
		}
		if r != nil {
			c.limit(at, *r)
		}
	}
}

func (c *checker) limit(ptr string, r Room) {
	said := slices.ContainsFunc([]string{"rate", "concurrency", "day", "month"}, func(k string) bool { _, is := c.marks[ptr+"/"+k]; return is })
	if !said {
		c.bad(ptr, "rate: 10/s burst 20, concurrency: 5, day: 1000 or month: 20000", "it limits nothing")
	}
	if r.Month > 0 && r.Day > r.Month {
		c.bad(ptr+"/day", "a month has at least 28 days", "more in a day than in a month")
	}
}
