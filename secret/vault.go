package secret

import (
	"bytes"
	"context"
	"slices"

	"casemate"
	"casemate/secret/plain"
)

// KindAccess is what the platform keeps for itself: what access keys and sessions are checked with. No service lists it.
const KindAccess Kind = "access"

// Vault keeps small values of the platform itself, sealed as secrets are, and sealed anew as they are when keys change.
type Vault struct {
	room    *Room
	account string
}

// Vault gives the vault of an account.
func (r *Room) Vault(account string) *Vault { return &Vault{r, account} }

// only is the one version of a value.
const only = "1"

func (v *Vault) id(name string) ID { return ID{Account: v.account, Kind: KindAccess, Name: name} }

// Put seals a value under a name. One that is there already is a Conflict.
func (v *Vault) Put(ctx context.Context, name string, value []byte) error {
	_, err := v.room.Change(ctx, v.id(name), func(it *Item) error {
		if it.Exists() {
			return casemate.Errorf(casemate.Conflict, "choose another name", "the vault has %s already", name)
		}
		it.Created = v.room.now()
		it.Changed = it.Created
		it.Add(Version{ID: only, Created: it.Created}, plain.Take(bytes.Clone(value)))
		return nil
	})
	return err
}

// Get opens a value; the caller wipes it. One that is not there is an *casemate.Error of code NotFound.
func (v *Vault) Get(ctx context.Context, name string) ([]byte, error) {
	it, err := v.room.Get(ctx, v.id(name))
	if err != nil {
		return nil, err
	}
	text, err := v.room.Reveal(ctx, it, only)
	if err != nil {
		return nil, err
	}
	defer text.Wipe()
	return slices.Clone(text.Expose()), nil
}

// Drop removes a value for good. One that is not there is no error.
func (v *Vault) Drop(ctx context.Context, name string) error {
	_, err := v.room.Change(ctx, v.id(name), func(it *Item) error {
		if !it.Exists() {
			return casemate.Errorf(casemate.NotFound, "nothing is left to do", "the vault has no %s", name)
		}
		it.Erase()
		return nil
	})
	if err != nil && casemate.CodeOf(err) == casemate.NotFound {
		return nil
	}
	return err
}
