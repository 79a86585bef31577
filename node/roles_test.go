package node

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"casemate"
	"casemate/authn"
	"casemate/authn/operator"
	"casemate/catalog"
	"casemate/policy"
	"casemate/service/signin"
	"casemate/store"
)

var updateRoles = flag.Bool("update-roles", false, "write testdata/roles.md anew")

// everyOperation is the table of the platform's own operations, of a node that was not opened, and those of its services.
func everyOperation(t *testing.T) map[string][]string {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := &node{cfg: Config{Place: casemate.DefaultPlace}, catalog: &catalog.Catalog{}, store: s, desk: &signin.Desk{}}
	n.services.Operations = n.operations()
	all, err := n.builtins(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{"invoke": {"lambda:InvokeFunction", casemate.DefaultPlace.FunctionARN("orders")}}
	for name, b := range all {
		out[name] = []string{b.action, casemate.DefaultPlace.PlatformARN(b.kind, "x")}
	}
	for name, o := range n.services.Operations {
		if o.Service == "sts" || o.Service == "lambda" || o.Service == "sqs" { // trust and resource policies say who; no operator's role does
			continue
		}
		out[name] = []string{o.Action, "arn:aws:" + o.Service + ":us-east-1:000000000000:thing/x"}
	}
	return out
}

// TestRolesTruthTable: every role by every operation, checked in, so that a change of any answer shows in review. An
// operation that no role mentions fails. Regenerate it with go test ./node -run RolesTruth -update-roles.
func TestRolesTruthTable(t *testing.T) {
	p := basePolicies()
	p.Revision = "roles"
	set, err := policy.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	columns := slices.Concat(operator.RoleNames(), []string{"break-glass", "enrol", "sign-in", "none"})
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Who may what\n\nMade by go test ./node -run RolesTruth -update-roles. Reading a secret is in no role; the socket's operator may all else.\n\n| operation | action | %s |\n|%s\n",
		strings.Join(columns, " | "), strings.Repeat("---|", len(columns)+2))
	operations := everyOperation(t)
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		action, resource := operations[name][0], operations[name][1]
		cells, somebody := []string{}, false
		for _, column := range columns {
			d := set.Decide(&casemate.AccessRequest{Principal: &casemate.Principal{Kind: casemate.KindOperator, ID: "operator/x", Account: casemate.DefaultPlace.Account, Role: "operator/" + column},
				Action: action, Resource: resource, Account: casemate.DefaultPlace.Account, Now: time.Unix(0, 0)})
			cell := "-"
			if d.Verdict == casemate.Allowed {
				cell, somebody = "yes", true
			}
			cells = append(cells, cell)
		}
		if reads := strings.Contains(action, ":GetSecretValue") || strings.Contains(action, ":GetParameter") || strings.Contains(action, "BatchGet") || strings.Contains(action, "Policy") || strings.Contains(action, "Validate"); !somebody && !reads {
			t.Errorf("%s (%s) is in no role: say whose it is in authn/operator/role.go", name, action)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, action, strings.Join(cells, " | "))
	}
	path := filepath.Join("testdata", "roles.md")
	if *updateRoles {
		if err := cmp.Or(os.MkdirAll("testdata", 0o755), os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Error("testdata/roles.md is out of date: look at what changed, then go test ./node -run RolesTruth -update-roles")
	}
}

// TestRolesAreSeparate: what one role may, the union of the others may not; and sets may what their members may.
func TestRolesAreSeparate(t *testing.T) {
	set, err := policy.Compile(basePolicies())
	if err != nil {
		t.Fatal(err)
	}
	may := func(roles []string, action, resource string) bool {
		return set.Decide(&casemate.AccessRequest{Principal: &casemate.Principal{Kind: casemate.KindOperator, ID: "operator/x", Account: casemate.DefaultPlace.Account, Role: operator.RoleOf(roles)},
			Action: action, Resource: resource, Account: casemate.DefaultPlace.Account, Now: time.Unix(0, 0)}).Verdict == casemate.Allowed
	}
	all, operations := operator.RoleNames(), everyOperation(t)
	for _, role := range all {
		others, own := slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == role }), 0
		for name, o := range operations {
			alone := may([]string{role}, o[0], o[1])
			if alone && !may(all, o[0], o[1]) {
				t.Errorf("%s: %s may, all roles together may not", name, role)
			}
			if alone && !may(others, o[0], o[1]) {
				own++
			}
		}
		if own == 0 {
			t.Errorf("%s is contained in the others", role)
		}
	}
	key, access := casemate.DefaultPlace.PlatformARN("key", authn.RoleOperator), casemate.DefaultPlace.PlatformARN("access", authn.RoleOperator)
	if may(all, "casemate:CreateKey", key) || may(all, "casemate:CreateAccessKey", access) { // all roles there are, by a key
		t.Error("a signed-in operator makes keys of the socket's role")
	}
	if !may([]string{operator.RoleAdmin}, "casemate:CreateKey", casemate.DefaultPlace.PlatformARN("key", "clerk")) {
		t.Error("admin makes no keys")
	}
}
