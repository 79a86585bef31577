package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"casemate/secret/plain"
)

// Kind keeps things of different services apart: a secret and a parameter of one name are two things.
type Kind string

// The kinds.
const (
	KindSecret    Kind = "secret"
	KindParameter Kind = "parameter"
)

// ID names one thing.
type ID struct {
	Account string
	Kind    Kind
	Name    string
}

// key is where the thing lies in the store: names are longer than keys may be, and are nobody's business there.
func (id ID) key() string {
	sum := sha256.Sum256([]byte(id.Name))
	return id.prefix() + hex.EncodeToString(sum[:])
}

func (id ID) prefix() string { return id.Account + "/" + string(id.Kind) + "/" }

// Item is a secret or a parameter: all but its values.
type Item struct {
	ID       ID                `json:"id"`
	Created  time.Time         `json:"created"`
	Changed  time.Time         `json:"changed"`
	About    map[string]string `json:"about,omitempty"` // what a service keeps of its own: a description, say
	Tags     map[string]string `json:"tags,omitempty"`
	Marked   time.Time         `json:"marked,omitzero"` // when deletion was asked for
	Purge    time.Time         `json:"purge,omitzero"`  // when it goes for good
	Versions []Version         `json:"versions"`        // oldest first

	revision uint64
	gone     bool
	drafts   map[string]plain.Text // values of versions that were added, by version id
}

// Version is one value of an item, without it.
type Version struct {
	ID      string            `json:"id"`
	Created time.Time         `json:"created"`
	Stages  []string          `json:"stages,omitempty"`
	About   map[string]string `json:"about,omitempty"`
	Size    int               `json:"size"` // bytes of the value
	At      string            `json:"at"`   // where the sealed value lies
}

// Exists reports whether the item is in the store; one that does not is empty but for its ID.
func (it *Item) Exists() bool { return it.revision != 0 }

// Version finds a version by id; nil: there is none.
func (it *Item) Version(id string) *Version {
	for i := range it.Versions {
		if it.Versions[i].ID == id {
			return &it.Versions[i]
		}
	}
	return nil
}

// Staged finds the version that has a stage (or label); nil: none has.
func (it *Item) Staged(stage string) *Version {
	for i := range it.Versions {
		if slices.Contains(it.Versions[i].Stages, stage) {
			return &it.Versions[i]
		}
	}
	return nil
}

// Add appends a version with its value, which is sealed when the change is written. v.ID must be new.
func (it *Item) Add(v Version, value plain.Text) {
	if it.drafts == nil {
		it.drafts = map[string]plain.Text{}
	}
	v.Size, v.At = value.Len(), ""
	it.drafts[v.ID] = value
	it.Versions = append(it.Versions, v)
}

// Move gives a stage to one version and takes it from whichever had it. An empty id takes it from all.
func (it *Item) Move(stage, id string) {
	for i := range it.Versions {
		v := &it.Versions[i]
		v.Stages = slices.DeleteFunc(v.Stages, func(s string) bool { return s == stage })
		if v.ID == id {
			v.Stages = append(v.Stages, stage)
		}
	}
}

// Drop removes a version and its value.
func (it *Item) Drop(id string) {
	it.Versions = slices.DeleteFunc(it.Versions, func(v Version) bool { return v.ID == id })
	delete(it.drafts, id)
}

// Erase removes the item and all of its values, for good.
func (it *Item) Erase() { it.gone = true }
