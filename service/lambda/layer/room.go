// Package layer keeps published layers: archives that functions have unpacked at /opt, by name and version
// (https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html). A version never changes and its number is never given again.
package layer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"casemate"
	"casemate/store"
)

const bucket = "layers"

// Bounds of what is kept; more is refused.
const (
	maxLayers   = 1000
	maxVersions = 500 // of one layer, deleted ones not counted
	tries       = 8   // of a write that somebody else was faster with
	findTime    = 10 * time.Second
)

// Version is one published version of a layer.
type Version struct {
	casemate.Layer
	Number        int       `json:"number"`
	Description   string    `json:"description,omitempty"`
	License       string    `json:"license,omitempty"`
	Runtimes      []string  `json:"runtimes,omitempty"`      // that it is said to be for; none: nothing is said
	Architectures []string  `json:"architectures,omitempty"` // likewise
	Created       time.Time `json:"created"`
}

// kept is all that is known of one layer.
type kept struct {
	Last     int       `json:"last"` // highest number that was given
	Versions []Version `json:"versions"`
}

// Config is what the room needs; all of it.
type Config struct {
	Store store.Store
	Place casemate.Place
	Clock func() time.Time
	// Inspect looks at an archive before it is kept, as at every code: how much it unpacks to, and which extensions it brings.
	Inspect func(r io.ReaderAt, size int64) (unpacked int64, extensions []string, err error)
}

// Room is the published layers. Its methods may be called concurrently.
type Room struct {
	cfg Config
	kv  store.KV
}

// Open takes up what was published before.
func Open(cfg Config) (*Room, error) {
	if cfg.Store == nil || cfg.Clock == nil || cfg.Inspect == nil {
		return nil, errors.New("opening the layers: something is missing from the configuration")
	}
	kv, err := cfg.Store.KV(bucket)
	if err != nil {
		return nil, fmt.Errorf("opening the layers: %w", err)
	}
	return &Room{cfg: cfg, kv: kv}, nil
}

// get reads a layer; the zero kept is one that is not there.
func (r *Room) get(ctx context.Context, name string) (k kept, revision uint64, err error) {
	e, err := r.kv.Get(ctx, name)
	if casemate.CodeOf(err) == casemate.NotFound {
		return k, store.NewKey, nil
	}
	if err == nil {
		err = json.Unmarshal(e.Value, &k)
	}
	if err != nil {
		return k, 0, fmt.Errorf("reading layer %s: %w", name, err)
	}
	return k, e.Revision, nil
}

// change edits a layer on what is there now.
func (r *Room) change(ctx context.Context, name string, do func(k *kept) error) error {
	for n := 1; ; n++ {
		k, revision, err := r.get(ctx, name)
		if err != nil {
			return err
		}
		if err := do(&k); err != nil {
			return err
		}
		value, err := json.Marshal(&k)
		if err != nil {
			return fmt.Errorf("writing layer %s: %w", name, err)
		}
		if _, err = r.kv.Put(ctx, name, value, revision); err == nil || casemate.CodeOf(err) != casemate.Conflict || n == tries {
			return err
		}
	}
}

// Publish keeps an archive as the next version of a layer. v says what is told of it; the rest is filled in.
func (r *Room) Publish(ctx context.Context, name string, v Version, zip []byte) (Version, error) {
	var err error
	if v.Unpacked, v.Extensions, err = r.cfg.Inspect(bytes.NewReader(zip), int64(len(zip))); err != nil {
		return Version{}, err
	}
	if all, err := r.kv.List(ctx, ""); err != nil {
		return Version{}, fmt.Errorf("listing the layers: %w", err)
	} else if len(all) >= maxLayers && !slices.ContainsFunc(all, func(e store.Entry) bool { return e.Key == name }) {
		return Version{}, full("there are %d layers, which is the bound", maxLayers)
	}
	if v.Code, v.Size, err = r.cfg.Store.Blobs().Put(ctx, bytes.NewReader(zip)); err != nil {
		return Version{}, fmt.Errorf("keeping layer %s: %w", name, err)
	}
	v.Created = r.cfg.Clock()
	err = r.change(ctx, name, func(k *kept) error {
		if len(k.Versions) >= maxVersions {
			return full("the layer has %d versions, which is the bound", maxVersions)
		}
		k.Last++
		v.Number, v.ARN = k.Last, r.cfg.Place.LayerARN(name, k.Last)
		k.Versions = append(k.Versions, v)
		return nil
	})
	return v, err
}

func full(format string, args ...any) error {
	e := casemate.Errorf(casemate.Exhausted, "delete versions that no function has", format, args...)
	e.AWS = "CodeStorageExceededException"
	return e
}

// Get gives one version; false: there is none.
func (r *Room) Get(ctx context.Context, name string, number int) (Version, bool, error) {
	k, _, err := r.get(ctx, name)
	if err != nil {
		return Version{}, false, err
	}
	i := slices.IndexFunc(k.Versions, func(v Version) bool { return v.Number == number })
	if i < 0 {
		return Version{}, false, nil
	}
	return k.Versions[i], true, nil
}

// Versions lists those of one layer, the newest first; none of a layer that is not there.
func (r *Room) Versions(ctx context.Context, name string) ([]Version, error) {
	k, _, err := r.get(ctx, name)
	slices.Reverse(k.Versions)
	return k.Versions, err
}

// Named is a layer with its versions, the newest first.
type Named struct {
	Name     string
	Versions []Version
}

// All lists the layers that have a version, by name.
func (r *Room) All(ctx context.Context) ([]Named, error) {
	entries, err := r.kv.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("listing the layers: %w", err)
	}
	var all []Named
	for _, e := range entries {
		var k kept
		if err := json.Unmarshal(e.Value, &k); err != nil {
			return nil, fmt.Errorf("reading layer %s: %w", e.Key, err)
		}
		if slices.Reverse(k.Versions); len(k.Versions) > 0 {
			all = append(all, Named{e.Key, k.Versions})
		}
	}
	return all, nil
}

// Delete takes one version away: functions that have it keep it, and no other gets it. One that is not there is no error.
func (r *Room) Delete(ctx context.Context, name string, number int) error {
	if _, there, err := r.Get(ctx, name, number); err != nil || !there {
		return err
	}
	return r.change(ctx, name, func(k *kept) error {
		k.Versions = slices.DeleteFunc(k.Versions, func(v Version) bool { return v.Number == number })
		return nil
	})
}

// Find is the layer that a function gets by the ARN of its version.
func (r *Room) Find(arn string) (casemate.Layer, error) {
	name, number, ok := Parse(r.cfg.Place, arn)
	if !ok || number == 0 {
		return casemate.Layer{}, missing(arn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), findTime)
	defer cancel()
	v, there, err := r.Get(ctx, name, number)
	if err == nil && !there {
		err = missing(arn)
	}
	return v.Layer, err
}

func missing(arn string) error {
	return casemate.Errorf(casemate.NotFound, "publish it first: aws lambda publish-layer-version", "there is no layer %s on this node", arn)
}

// Parse reads a layer's name, its ARN or that of one of its versions; number is 0 where none is named. false: it is none of here.
func Parse(place casemate.Place, text string) (name string, number int, ok bool) {
	name = text
	if strings.HasPrefix(text, "arn:") {
		stem, _ := strings.CutSuffix(place.LayerARN("", 0), ":0")
		if name, ok = strings.CutPrefix(text, stem); !ok {
			return "", 0, false
		}
		if left, digits, versioned := strings.Cut(name, ":"); versioned {
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 || strconv.Itoa(n) != digits {
				return "", 0, false
			}
			name, number = left, n
		}
	}
	const of = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return name, number, name != "" && len(name) <= 140 && strings.Trim(name, of) == ""
}
