package main

import "testing"

func TestMeantNames(t *testing.T) {
	all := []string{"guest", "orders", "POST /orders"}
	for got, want := range map[string]string{
		"gest": "did you mean guest? ", "shop/orders": "did you mean orders? ", "gest:live": "did you mean guest? ",
		"POST /order": "did you mean POST /orders? ", "payments": "", "": "", "/": "", ":": "",
	} {
		if said := meant(got, all); said != want {
			t.Errorf("%q: %q, expected %q", got, said, want)
		}
	}
}
