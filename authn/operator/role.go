package operator

import (
	"fmt"
	"slices"
	"strings"

	"casemate"
)

// The roles. An operator holds any set of them; none contains another.
const (
	RoleView    = "view"    // reads state, records without bodies, policies
	RoleDeploy  = "deploy"  // changes what runs
	RoleSecrets = "secrets" // writes and rotates secrets; reading one is in no role
	RoleAudit   = "audit"   // reads, verifies and exports the record; changes nothing
	RoleRespond = "respond" // stops and revokes
	RoleAdmin   = "admin"   // keeps operators, keys, budgets and guardrails
)

// Roles of who has not signed in all the way. They are no operator's to hold.
const (
	roleSignIn = "operator/sign-in"
	roleEnrol  = "operator/enrol"
	roleGlass  = "operator/break-glass"
	prefix     = "operator/"
)

// RoleNames are the roles that an operator can hold.
func RoleNames() []string {
	return []string{RoleAdmin, RoleAudit, RoleDeploy, RoleRespond, RoleSecrets, RoleView}
}

// RoleOf is the policy's name for a set of roles: "operator/audit+view"; "operator/none" for the empty one.
func RoleOf(roles []string) string {
	if len(roles) == 0 {
		return prefix + "none"
	}
	sorted := slices.Sorted(slices.Values(roles))
	return prefix + strings.Join(slices.Compact(sorted), "+")
}

// Broken reports whether role, of a principal or a record, is that of somebody who broke the glass.
func Broken(role string) bool { return role == roleGlass || role == roleGlass+"+"+RoleAdmin }

// Policies are the statements of every role, by its name for the policy, for casemate.Policies.Identity.
func Policies() map[string][]casemate.Statement {
	all := map[string][]casemate.Statement{
		roleSignIn: {allow("sign-in", "casemate:OpenSession"), only("sign-in", "casemate:OpenSession")},
		roleEnrol:  {allow("enrol", own()...), only("enrol", own()...)},
	}
	names := RoleNames()
	for set := range 1 << len(names) {
		held := []string{}
		for i, name := range names {
			if set&(1<<i) != 0 {
				held = append(held, name)
			}
		}
		all[RoleOf(held)] = statements(held)
	}
	all[roleGlass] = all[RoleOf(withoutAdmin(names))]
	all[roleGlass+"+"+RoleAdmin] = all[RoleOf(names)]
	return all
}

func withoutAdmin(roles []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == RoleAdmin })
}

// own is what everybody who signed in may do about the own sign-in.
func own() []string {
	return []string{"casemate:ReadCaller", "casemate:ManageOwnSignIn", "casemate:CloseSession"}
}

func statements(held []string) []casemate.Statement {
	out := []casemate.Statement{allow("own", append(own(), "casemate:ApproveSignIn")...)}
	if len(held) > 0 { // who was stripped of all roles breaks no glass
		out = append(out, allow("glass", "casemate:BreakGlass"))
	}
	for _, role := range held {
		out = append(out, allow(role, actions(role)...))
		if role == RoleAdmin { // a key of the operator's role would hold every role there is
			out = append(out, casemate.Statement{Sid: "operator-no-escalation", Effect: casemate.Deny, Origin: "built in",
				Action: []string{"casemate:CreateKey", "casemate:CreateAccessKey"}, Resource: []string{"arn:aws:casemate:*:*:key/operator", "arn:aws:casemate:*:*:access/operator"}})
		}
	}
	return out
}

func allow(sid string, actions ...string) casemate.Statement {
	return casemate.Statement{Sid: "operator-" + sid, Effect: casemate.Allow, Action: actions, Resource: []string{"*"}, Origin: "built in"}
}

// only denies all else, whatever a resource's own policy or an operation that is open to everybody says.
func only(sid string, actions ...string) casemate.Statement {
	return casemate.Statement{Sid: "operator-" + sid + "-only", Effect: casemate.Deny, NotAction: actions, Resource: []string{"*"}, Origin: "built in"}
}

// actions are what a role may, on everything.
func actions(role string) []string {
	switch role {
	case RoleView:
		return []string{"casemate:ReadState", "casemate:ReadPosture", "casemate:ReadHistory", "casemate:ReadUsage", "casemate:ReadBill", "casemate:ReadPrices",
			"casemate:ListBudgets", "casemate:ListQueue", "casemate:ListQueues", "casemate:ListSchedules", "casemate:ReadLogs", "casemate:ReadContract", "casemate:ReadGuardrails", "casemate:ExplainPolicy", "casemate:ListCertificates",
			"casemate:ListRecords", "casemate:ReadRecord"}
	case RoleDeploy:
		return []string{"casemate:PlanDeploy", "casemate:Deploy", "casemate:Rollback", "casemate:DeleteApp", "casemate:ReadHistory", "casemate:ReadState", "casemate:ReadLogs",
			"casemate:LearnContract", "casemate:ReadContract", "casemate:ListQueue", "casemate:ReplayEvent", "casemate:ListQueues", "casemate:PeekQueue", "casemate:SendToQueue", "casemate:RedriveQueue", "casemate:ListSchedules", "casemate:RunSchedule", "casemate:ListCertificates", "casemate:RenewCertificates", "lambda:InvokeFunction"}
	case RoleSecrets:
		return append([]string{"casemate:ReadSecretKeys", "casemate:RotateSecretKeys"}, KeepSecrets()...)
	case RoleAudit:
		return []string{"casemate:ListRecords", "casemate:ReadRecord", "casemate:VerifyRecords", "casemate:ExportRecords", "casemate:ListOperators", "casemate:ListSessions",
			"casemate:ListKeys", "casemate:ListAccessKeys", "casemate:ReadGuardrails", "casemate:ExplainPolicy"}
	case RoleRespond:
		return []string{"casemate:ListKeys", "casemate:RevokeKey", "casemate:ListAccessKeys", "casemate:RevokeAccessKey", "casemate:ListSessions", "casemate:RevokeSession",
			"casemate:ListQueue", "casemate:DropEvent", "casemate:ListQueues", "casemate:PurgeQueue", "casemate:DeleteQueue", "casemate:ReadState"}
	case RoleAdmin:
		return []string{"casemate:ListOperators", "casemate:CreateOperator", "casemate:SetOperator", "casemate:ResetOperator", "casemate:RemoveOperator",
			"casemate:ListSessions", "casemate:RevokeSession", "casemate:CreateKey", "casemate:ListKeys", "casemate:RevokeKey",
			"casemate:CreateAccessKey", "casemate:ListAccessKeys", "casemate:RevokeAccessKey", "casemate:ListBudgets", "casemate:SetBudget", "casemate:RemoveBudget",
			"casemate:ReadGuardrails", "casemate:PutGuardrails", "casemate:DeployBeyond"}
	}
	return nil
}

// KeepSecrets are the actions of who keeps secrets and parameters without reading one.
func KeepSecrets() (actions []string) {
	for _, verb := range []string{"Create*", "Put*", "Update*", "List*", "Describe*", "Delete*", "Restore*", "TagResource", "UntagResource", "RotateSecret", "GetRandomPassword"} {
		actions = append(actions, "secretsmanager:"+verb)
	}
	for _, verb := range []string{"Put*", "Describe*", "Delete*", "LabelParameterVersion", "UnlabelParameterVersion", "AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource"} {
		actions = append(actions, "ssm:"+verb)
	}
	return actions
}

// checkRoles gives the roles sorted, each once.
func checkRoles(roles []string) ([]string, error) {
	for _, r := range roles {
		if !slices.Contains(RoleNames(), r) {
			return nil, &casemate.Error{Code: casemate.Invalid, Field: "roles", Message: fmt.Sprintf("there is no role %q", r), Hint: strings.Join(RoleNames(), ", ")}
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(roles))), nil
}

// both are the roles that are in a and in b.
func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(r string) bool { return !slices.Contains(b, r) })
}

// held are the roles that a principal's role stands for; none where it is no operator's.
func held(role string) []string {
	if Broken(role) {
		return RoleNames()
	}
	list, ok := strings.CutPrefix(role, prefix)
	if !ok {
		return nil
	}
	return both(strings.Split(list, "+"), RoleNames())
}
