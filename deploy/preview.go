package deploy

import (
	"context"

	"casemate"
)

// Preview says what a bundle of Pack would change, and gives the policies that would be in force then. It passes every check
// of Apply and changes nothing.
func (d *Deployer) Preview(ctx context.Context, data []byte) (*Plan, casemate.Decider, error) {
	c, err := d.prepare(ctx, data)
	if err != nil {
		return nil, nil, err
	}
	next, err := d.cfg.Catalog.Preview(ctx, c.next, c.docs)
	if err != nil {
		return nil, nil, err
	}
	return c.plan, next, nil
}
