package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"casemate"
	"casemate/secret/plain"
	"casemate/store"
)

var errDisk = errors.New("the disk is gone")

// failing is a store whose writes fail from one on. late: the first that fails is written all the same, as when a node dies
// between the disk and the answer.
type failing struct {
	store.Store
	left *atomic.Int64
	late bool
	once bool // only that one fails
}

func (f failing) KV(bucket string) (store.KV, error) {
	kv, err := f.Store.KV(bucket)
	return failingKV{kv, f}, err
}

type failingKV struct {
	store.KV
	f failing
}

// write reports whether the write is done, and whether its writer hears so.
func (k failingKV) write() (done, heard bool) {
	left := k.f.left.Add(-1)
	fine := left >= 0 || left < -1 && k.f.once
	return fine || left == -1 && k.f.late, fine
}

func (k failingKV) Put(ctx context.Context, key string, value []byte, expect uint64) (rev uint64, err error) {
	done, heard := k.write()
	if done {
		if rev, err = k.KV.Put(ctx, key, value, expect); err != nil {
			return rev, err
		}
	}
	if !heard {
		return 0, errDisk
	}
	return rev, nil
}

func (k failingKV) Delete(ctx context.Context, key string, expect uint64) error {
	done, heard := k.write()
	if done {
		if err := k.KV.Delete(ctx, key, expect); err != nil {
			return err
		}
	}
	if !heard {
		return errDisk
	}
	return nil
}

// TestEveryWriteMayBeTheLast stops a node at each of its writes, starts it again and finds every value that was
// acknowledged, whatever was going on: changes, both rotations, deletion.
func TestEveryWriteMayBeTheLast(t *testing.T) {
	for mode := range 4 {
		late, once := mode&1 != 0, mode&2 != 0
		stride := int64(3)
		if os.Getenv("CASEMATE_FULL") != "" {
			stride = 1
		}
		for n := int64(mode) % stride; n < 80; n += stride {
			s, dir, left := store.Memory(time.Now), t.TempDir(), &atomic.Int64{}
			left.Store(n)
			want, unsure, whole := scenario(t, failing{s, left, late, once}, dir)
			r := open(t, s, dir)
			for range 3 {
				if err := r.tidy(t.Context()); err != nil {
					t.Fatalf("write %d, late %t: %v", n, late, err)
				}
			}
			list, err := r.List(t.Context(), account, KindSecret)
			if err != nil {
				t.Fatalf("write %d, late %t: %v", n, late, err)
			}
			for _, it := range list {
				for _, v := range it.Versions {
					if text, err := r.Reveal(t.Context(), it, v.ID); err != nil || string(text.Expose()) != it.ID.Name+v.ID {
						t.Fatalf("write %d, late %t: %s version %s: %v", n, late, it.ID.Name, v.ID, err)
					}
					delete(want, it.ID.Name+v.ID)
				}
			}
			for name := range want {
				if !unsure[name] {
					t.Fatalf("write %d, late %t: %s was acknowledged and is lost", n, late, name)
				}
			}
			if st := r.Status(account); st.Retiring != 0 {
				t.Fatalf("write %d, late %t: the rotation did not go on: %+v", n, late, st)
			}
			if values, items := everything(t, s)["secret.values"], list; len(values) != versions(items) {
				t.Fatalf("write %d, late %t: %d values for %d versions", n, late, len(values), versions(items))
			}
			_ = r.Close()
			if whole {
				if n < 20 {
					t.Fatalf("there were %d writes alone", n)
				}
				break
			}
		}
	}
}

func versions(items []*Item) (n int) {
	for _, it := range items {
		n += len(it.Versions)
	}
	return n
}

// scenario does a bit of everything until a write fails. It gives what was acknowledged, what may be there or not, and
// whether everything was done.
func scenario(t *testing.T, s store.Store, dir string) (want, unsure map[string]bool, whole bool) {
	t.Helper()
	ctx := context.Background()
	want, unsure = map[string]bool{}, map[string]bool{}
	r, err := Open(ctx, Config{Store: s, Dir: dir, Clock: newClock().now})
	if err != nil {
		return want, unsure, false
	}
	_ = r.Close() // its keeper would write at times of its own
	add := func(name, version string) error {
		_, err := r.Change(ctx, id(name), func(it *Item) error {
			it.Add(Version{ID: version}, plain.Take([]byte(name+version)))
			return nil
		})
		if err == nil {
			want[name+version] = true
		}
		return err
	}
	steps := []func() error{
		func() error { return add("a", "1") }, func() error { return add("a", "2") }, func() error { return add("b", "1") },
		func() error { _, err := r.RotateData(ctx, account); return err }, func() error { return add("c", "1") },
		func() error { _, err := r.RotateMaster(ctx, ""); return err }, func() error { return r.tidy(ctx) }, func() error { return add("b", "2") },
		func() error { _, err := r.RotateData(ctx, account); return err },
		func() error {
			unsure["a1"], unsure["a2"] = true, true
			_, err := r.Change(ctx, id("a"), func(it *Item) error { it.Erase(); return nil })
			return err
		},
		func() error { return r.tidy(ctx) }, func() error { return add("d", "1") },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			if !errors.Is(err, errDisk) && casemate.CodeOf(err) != casemate.Unavailable {
				t.Errorf("step %d: %v", i, err)
			}
			return want, unsure, false
		}
	}
	return want, unsure, true
}

func BenchmarkReveal(b *testing.B) {
	r, err := Open(b.Context(), Config{Store: store.Memory(time.Now), Dir: b.TempDir(), Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for i := range 1000 {
		put(b, r, fmt.Sprint("name", i), "1", "a value of thirty-two characters")
	}
	for b.Loop() {
		it, err := r.Get(b.Context(), id("name500"))
		if err != nil {
			b.Fatal(err)
		}
		v, err := r.Reveal(b.Context(), it, "1")
		if err != nil {
			b.Fatal(err)
		}
		v.Wipe()
	}
}

func BenchmarkList(b *testing.B) {
	r, err := Open(b.Context(), Config{Store: store.Memory(time.Now), Dir: b.TempDir(), Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for i := range 1000 {
		put(b, r, fmt.Sprint("name", i), "1", "a value of thirty-two characters")
	}
	for b.Loop() {
		if all, err := r.List(b.Context(), account, KindSecret); err != nil || len(all) != 1000 {
			b.Fatal(len(all), err)
		}
	}
}
