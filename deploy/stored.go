package deploy

import (
	"context"
	"strings"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/diff"
	"casemate/sam"
)

// Keeper keeps the secrets and parameters that a template declares, in the name of whoever deploys.
type Keeper interface {
	// Look says what Keep would do: "make", "change", "theirs" (somebody else made it, and it stays), or "" for nothing.
	Look(ctx context.Context, app string, s *sam.Stored) (string, error)
	Keep(ctx context.Context, app string, s *sam.Stored) error
}

// keeping lists what is to be done about what a template declares, in its order, and says so in the plan. Values are nowhere in it.
func (d *Deployer) keeping(ctx context.Context, c *change, list []sam.Stored) (todo []string, err error) {
	for i := range list {
		s := &list[i]
		subject := map[bool]string{true: "secret ", false: "parameter "}[s.Secret] + s.Name
		if d.guard.Keeper == nil {
			return nil, &casemate.Error{Code: casemate.Unavailable, Field: s.Path, Message: "there is no secret store here to keep " + subject}
		}
		what, err := d.guard.Keeper.Look(ctx, c.next.Name, s)
		if err != nil {
			e := *casemate.AsError(err)
			e.Field = s.Path
			return nil, &e
		}
		todo = append(todo, what)
		x := diff.Change{Kind: diff.KindLimit, Subject: subject}
		switch what {
		case "make":
			x.Op, x.Text = "add", "is made, with the value that the template gives it"
			if s.Generate != nil {
				x.Text = "is made, with a value that is drawn for it"
			}
		case "change":
			x.Op, x.Text = "change", "gets another value: the template's changed"
		default:
			continue
		}
		service, arn := d.storedARN(s)
		if d.guard.Beyond != nil && !d.named(c.next, service, arn) {
			if err := d.guard.Beyond(c.next.Name, []string{subject}); err != nil {
				return nil, err
			}
		}
		c.plan.Changes = append(c.plan.Changes, x)
	}
	return todo, nil
}

// storedARN is the service that keeps a value, and the value's ARN there.
func (d *Deployer) storedARN(s *sam.Stored) (service, arn string) {
	here := ":" + d.cfg.Place.Region + ":" + d.cfg.Place.Account + ":"
	if s.Secret {
		return "secretsmanager", "arn:aws:secretsmanager" + here + "secret:" + s.Name
	}
	return "ssm", "arn:aws:ssm" + here + "parameter/" + strings.TrimLeft(s.Name, "/")
}

// keep does one kind of what keeping found: what is missing is made before the app is in force, what changes changes after that, so that
// a deploy that fails leaves the old values to the old stack.
func (d *Deployer) keep(ctx context.Context, next *catalog.App, p *prepared, kind string) error {
	for i := range p.stored {
		if p.todo[i] != kind {
			continue
		}
		if err := d.guard.Keeper.Keep(ctx, next.Name, &p.stored[i]); err != nil {
			e := *casemate.AsError(err)
			e.Field = p.stored[i].Path
			return &e
		}
	}
	return nil
}
