package node

import (
	"context"

	"casemate"
	"casemate/sam"
	"casemate/service/declared"
)

func (n *node) declared() *declared.Desk {
	return &declared.Desk{Room: n.secrets, Place: n.cfg.Place, Operations: n.secretOperations()}
}

// declaring keeps what a template declares, in the name of l's caller.
type declaring struct {
	*declared.Desk
	l *casemate.Launch
}

func thing(app string, s *sam.Stored) *declared.Thing {
	t := &declared.Thing{App: app, Secret: s.Secret, Name: s.Name, Type: s.Type, Description: s.Description, Value: s.Value}
	if g := s.Generate; g != nil {
		t.Password, t.Template, t.Key = g.Password, g.Template, g.Key
	}
	return t
}

// Look says what Keep would do.
func (d *declaring) Look(ctx context.Context, app string, s *sam.Stored) (string, error) {
	return d.Desk.Look(ctx, thing(app, s))
}

// Keep makes or changes it.
func (d *declaring) Keep(ctx context.Context, app string, s *sam.Stored) error {
	return d.Declare(ctx, d.l, thing(app, s))
}
