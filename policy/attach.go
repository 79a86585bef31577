package policy

import (
	"slices"

	"casemate"
)

// Attachment is the policy of one resource, compiled, that is kept with the resource and not in the catalog: a queue's, say.
type Attachment struct {
	arn        string
	statements []statement
}

// Attach reads a resource policy in strict IAM JSON for the resource arn. Errors are ParseResource's.
func Attach(arn string, document []byte, origin string) (*Attachment, error) {
	list, err := ParseResource(document, origin)
	if err != nil {
		return nil, err
	}
	compiled, err := compileList(list, resourceKind, "Statement", "policy of "+arn)
	if err != nil {
		return nil, err
	}
	return &Attachment{arn, compiled}, nil
}

// With gives a Set that decides as s does, with one more resource's policy. s stays as it was. nil: s itself.
func (s *Set) With(a *Attachment) casemate.Decider {
	if s == nil || a == nil {
		return s
	}
	next := *s
	statements := a.statements
	if t := s.resources[a.arn]; t != nil {
		statements = slices.Concat(t.statements, statements)
	}
	next.attached, next.attachedTo, next.conditional = newTable(statements), a.arn, true
	return &next
}
