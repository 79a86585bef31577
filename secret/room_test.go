package secret

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
	"casemate/secret/kek"
	"casemate/secret/plain"
	"casemate/store"
)

const account = "000000000000"

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newClock() *clock { return &clock{at: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)} }

func open(t testing.TB, s store.Store, dir string, keys ...string) *Room {
	t.Helper()
	r, err := Open(t.Context(), Config{Store: s, Dir: dir, Keys: given(t, keys...), Clock: newClock().now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// given reads keys as the command line does.
func given(t testing.TB, handles ...string) (keys []*kek.Key) {
	t.Helper()
	for _, h := range handles {
		k, err := kek.Read(h)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

func id(name string) ID { return ID{Account: account, Kind: KindSecret, Name: name} }

func put(t testing.TB, r *Room, name, version, value string) *Item {
	t.Helper()
	it, err := r.Change(context.Background(), id(name), func(it *Item) error {
		it.Add(Version{ID: version}, plain.Take([]byte(value)))
		it.Move("AWSCURRENT", version)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func read(t testing.TB, r *Room, name, version string) string {
	t.Helper()
	it, err := r.Get(context.Background(), id(name))
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Reveal(context.Background(), it, version)
	if err != nil {
		t.Fatal(err)
	}
	return string(v.Expose())
}

// everything is all that the store holds of the room.
func everything(t testing.TB, s store.Store) map[string][]store.Entry {
	t.Helper()
	all := map[string][]store.Entry{}
	for _, name := range []string{"secret.keys", "secret.items", "secret.values", "secret.used"} {
		kv, err := s.KV(name)
		if err != nil {
			t.Fatal(err)
		}
		if all[name], err = kv.List(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestNothingLegibleIsStored(t *testing.T) {
	s, dir := store.Memory(time.Now), t.TempDir()
	r := open(t, s, dir)
	put(t, r, "legible-name", "v1", "canary-value")
	if _, err := r.Change(t.Context(), id("legible-name"), func(it *Item) error {
		it.About, it.Tags = map[string]string{"description": "legible-words"}, map[string]string{"legible-tag": "legible-too"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, r, "legible-name", "v1"); got != "canary-value" {
		t.Fatalf("read %q", got)
	}
	for bucket, entries := range everything(t, s) {
		for _, e := range entries {
			for _, word := range []string{"canary", "legible"} {
				if bytes.Contains(e.Value, []byte(word)) || strings.Contains(e.Key, word) || bytes.Contains(e.Value, []byte(hex.EncodeToString([]byte(word)))) {
					t.Errorf("%s holds %q in clear", bucket, word)
				}
			}
		}
	}
}

// TestMovedOrDamagedDoesNotOpen: sealed content that was swapped, replayed under another name or changed by a bit is an
// error that says so, and never a value.
func TestMovedOrDamagedDoesNotOpen(t *testing.T) {
	s, dir := store.Memory(time.Now), t.TempDir()
	r := open(t, s, dir)
	put(t, r, "a", "v1", "value of a")
	b := put(t, r, "b", "v1", "value of b")
	a := put(t, r, "a", "v2", "second of a")
	values, _ := s.KV("secret.values")
	items, _ := s.KV("secret.items")
	get := func(kv store.KV, key string) []byte {
		e, err := kv.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return e.Value
	}
	set := func(kv store.KV, key string, value []byte) {
		if _, err := kv.Put(t.Context(), key, value, store.AnyRevision); err != nil {
			t.Fatal(err)
		}
	}
	original := get(values, a.Versions[0].At)
	bad := map[string][]byte{"another secret's": get(values, b.Versions[0].At), "another version's": get(values, a.Versions[1].At),
		"an item": get(items, a.ID.key()), "empty": {}, "short": original[:4], "cut": original[:len(original)-1]}
	for i := range original {
		flipped := bytes.Clone(original)
		flipped[i] ^= 1 << (i % 8)
		bad[fmt.Sprintf("bit of byte %d", i)] = flipped
	}
	for what, value := range bad {
		set(values, a.Versions[0].At, value)
		v, err := r.Reveal(t.Context(), a, "v1")
		if !Sealed(err) || v.Len() != 0 || strings.Contains(err.Error(), "value of") {
			t.Errorf("%s: %q, %v", what, v.Expose(), err)
		}
	}
	set(values, a.Versions[0].At, original)
	if got := read(t, r, "a", "v1"); got != "value of a" {
		t.Fatalf("the original does not open: %q", got)
	}
	set(items, a.ID.key(), get(items, b.ID.key()))
	if _, err := r.Get(t.Context(), id("a")); !Sealed(err) {
		t.Errorf("b's item under a's key: %v", err)
	}
	if _, err := r.List(t.Context(), account, KindSecret); !Sealed(err) {
		t.Errorf("the list is silently shorter: %v", err)
	}
	if err := values.Delete(t.Context(), b.Versions[0].At, store.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reveal(t.Context(), b, "v1"); !Sealed(err) {
		t.Errorf("a value that is missing: %v", err)
	}
}

// model is what the room must do, in the simplest way.
func TestRoomIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := store.Memory(time.Now)
		dir, err := os.MkdirTemp("", "casemate-secret-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		c := newClock()
		open := func() *Room {
			r, err := Open(context.Background(), Config{Store: s, Dir: dir, Clock: c.now})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := open()
		defer func() { _ = r.Close() }()
		want := map[string]map[string]string{}
		n := 0
		names := rapid.SampledFrom([]string{"a", "a/b", "a-b", "ü"})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				name, value := names.Draw(t, "name"), rapid.String().Draw(t, "value")
				n++
				version := fmt.Sprint(n)
				if _, err := r.Change(context.Background(), id(name), func(it *Item) error {
					it.Add(Version{ID: version}, plain.Take([]byte(value)))
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if want[name] == nil {
					want[name] = map[string]string{}
				}
				want[name][version] = value
			},
			"erase": func(t *rapid.T) {
				name := names.Draw(t, "name")
				_, err := r.Change(context.Background(), id(name), func(it *Item) error {
					if !it.Exists() {
						return casemate.Errorf(casemate.NotFound, "", "no")
					}
					it.Erase()
					return nil
				})
				if (err == nil) != (want[name] != nil) {
					t.Fatal(err)
				}
				delete(want, name)
			},
			"refused": func(t *rapid.T) {
				no := errors.New("no")
				if _, err := r.Change(context.Background(), id("a"), func(it *Item) error {
					it.Add(Version{ID: "x"}, plain.Take([]byte("x")))
					it.Erase()
					return no
				}); err != no {
					t.Fatal(err)
				}
			},
			"rotate data": func(t *rapid.T) {
				if _, err := r.RotateData(context.Background(), account); err != nil {
					t.Fatal(err)
				}
			},
			"rotate master": func(t *rapid.T) {
				if _, err := r.RotateMaster(context.Background(), ""); err != nil {
					t.Fatal(err)
				}
			},
			"tidy": func(t *rapid.T) {
				if err := r.tidy(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				_ = r.Close()
				r = open()
			},
			"": func(t *rapid.T) {
				list, err := r.List(context.Background(), account, KindSecret)
				if err != nil || len(list) != len(want) {
					t.Fatalf("%d items, want %d: %v", len(list), len(want), err)
				}
				for _, it := range list {
					if len(it.Versions) != len(want[it.ID.Name]) {
						t.Fatalf("%q has %d versions", it.ID.Name, len(it.Versions))
					}
					for _, v := range it.Versions {
						if x, err := r.Reveal(context.Background(), it, v.ID); err != nil || string(x.Expose()) != want[it.ID.Name][v.ID] {
							t.Fatalf("%q version %s: %v", it.ID.Name, v.ID, err)
						}
					}
				}
			},
		})
	})
}

func TestDeletionHasItsTime(t *testing.T) {
	s, c := store.Memory(time.Now), newClock()
	r, err := Open(t.Context(), Config{Store: s, Dir: t.TempDir(), Clock: c.now})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, r, "a", "v1", "first")
	if _, err := r.Change(t.Context(), id("a"), func(it *Item) error { it.Purge = c.now().Add(time.Hour); return nil }); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour - time.Second)
	if got := read(t, r, "a", "v1"); got != "first" {
		t.Fatal(got)
	}
	c.pass(time.Second)
	if _, err := r.Get(t.Context(), id("a")); casemate.CodeOf(err) != casemate.NotFound {
		t.Errorf("after its time: %v", err)
	}
	if l, err := r.List(t.Context(), account, KindSecret); err != nil || len(l) != 0 {
		t.Errorf("listed: %v %v", l, err)
	}
	put(t, r, "a", "v2", "second") // the name is free, and nothing of the old one is left
	if it, _ := r.Get(t.Context(), id("a")); len(it.Versions) != 1 || len(everything(t, s)["secret.values"]) != 1 {
		t.Errorf("what was there before shows: %+v", it)
	}
	if _, err := r.Change(t.Context(), id("a"), func(it *Item) error { it.Purge = c.now(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := everything(t, s); len(all["secret.items"])+len(all["secret.values"]) != 0 {
		t.Errorf("purged, and still there: %v", all)
	}
}

func TestThereIsABound(t *testing.T) {
	r, err := Open(t.Context(), Config{Store: store.Memory(time.Now), Dir: t.TempDir(), Clock: time.Now, Most: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, r, "a", "v1", "x")
	put(t, r, "b", "v1", "x")
	put(t, r, "b", "v2", "x") // it is there already
	add := func(it *Item) error { it.Add(Version{ID: "v"}, plain.Take([]byte("x"))); return nil }
	if _, err := r.Change(t.Context(), id("c"), add); casemate.CodeOf(err) != casemate.Exhausted {
		t.Errorf("the third: %v", err)
	}
	if _, err := r.Change(t.Context(), ID{account, KindParameter, "c"}, add); err != nil {
		t.Errorf("of another kind: %v", err)
	}
}

func TestOrphansGo(t *testing.T) {
	s := store.Memory(time.Now)
	r := open(t, s, t.TempDir())
	put(t, r, "a", "v1", "kept")
	values, _ := s.KV("secret.values")
	if _, err := values.Put(t.Context(), account+"/left", []byte("sealed"), store.NewKey); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RotateData(t.Context(), account); err != nil { // finds it in its way
		t.Fatal(err)
	}
	if err := r.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := everything(t, s); len(all["secret.values"]) != 1 || read(t, r, "a", "v1") != "kept" {
		t.Errorf("values: %v", all["secret.values"])
	}
}

func TestTouchTellsTheDay(t *testing.T) {
	c := newClock()
	r, err := Open(t.Context(), Config{Store: store.Memory(time.Now), Dir: t.TempDir(), Clock: c.now})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	it := put(t, r, "a", "v1", "x")
	if at := r.Touched(t.Context(), it); !at.IsZero() {
		t.Errorf("never read, and %v", at)
	}
	r.Touch(t.Context(), it)
	c.pass(25 * time.Hour)
	r.Touch(t.Context(), it)
	if at := r.Touched(t.Context(), it); at.Format(time.DateOnly) != "2026-07-02" {
		t.Errorf("touched %v", at)
	}
	if _, err := r.Change(t.Context(), id("a"), func(it *Item) error { it.Erase(); return nil }); err != nil {
		t.Fatal(err)
	}
	if at := r.Touched(t.Context(), put(t, r, "a", "v2", "x")); !at.IsZero() {
		t.Errorf("another secret of its name was read at %v", at)
	}
}

func keyPath(t *testing.T) string { return filepath.Join(t.TempDir(), "kek.json") }
