package code

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"casemate"
)

func (s *shelf) layer(data []byte) casemate.Layer {
	d := fmt.Sprintf("%x", sha256.Sum256(data))
	s.blobs[d] = data
	return casemate.Layer{Code: d, Size: int64(len(data))}
}

func TestLayersLieOverEachOther(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	c, s, dir := cache(t, 5)
	v := s.put(pack(t, file{"a", "1", 0}))
	v.Layers = []casemate.Layer{
		s.layer(pack(t, file{"lib/x", "1", 0}, file{"lib/y", "1", 0}, file{"turns/in", "1", 0}, file{"was", "file", 0})),
		s.layer(pack(t, file{"lib/x", "2", 0o755}, file{"turns", "a file", 0}, file{"was/in", "2", 0})),
		s.layer(pack(t, file{"extensions/probe", "3", 0o755})),
	}
	opt, release, err := c.Layers(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"lib/x": "2", "lib/y": "1", "turns": "a file", "was/in": "2", "extensions/probe": "3"} {
		if b, err := os.ReadFile(filepath.Join(opt, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for name, want := range map[string]os.FileMode{"lib": 0o755, "was": 0o755, "lib/x": 0o555, "extensions/probe": 0o555} {
		if st, err := os.Stat(filepath.Join(opt, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	asked := s.asked
	if again, r, err := c.Layers(t.Context(), v); err != nil || again != opt || s.asked != asked {
		t.Errorf("unpacked again: %s, %v", again, err)
	} else {
		r()
	}
	// The other order is another folder.
	turned := *v
	turned.Layers = slices.Clone(v.Layers)
	slices.Reverse(turned.Layers)
	other, r, err := c.Layers(t.Context(), &turned)
	if err != nil {
		t.Fatal(err)
	}
	defer r()
	if b, _ := os.ReadFile(filepath.Join(other, "lib/x")); string(b) != "1" || other == opt {
		t.Errorf("turned round: %q", b)
	}
	release()
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left %v", left)
	}
}

func TestLayersAreBoundedTogether(t *testing.T) {
	c, s, dir := cache(t, 5)
	c.bounds = Bounds{Total: 10}
	v := s.put(pack(t, file{"a", "1", 0}))
	v.Layers = []casemate.Layer{s.layer(pack(t, file{"a", "123456", 0})), s.layer(pack(t, file{"b", "12345", 0}))}
	if _, _, err := c.Layers(t.Context(), v); casemate.CodeOf(err) != casemate.TooLarge {
		t.Errorf("11 of 10 bytes: %v", err)
	}
	v.Layers = append(v.Layers[:1], s.layer(pack(t, file{"../b", "1", 0})))
	if _, _, err := c.Layers(t.Context(), v); casemate.CodeOf(err) != casemate.Invalid {
		t.Errorf("a layer that climbs: %v", err)
	}
	v.Layers[1].Code = strings.Repeat("0", 64)
	if _, _, err := c.Layers(t.Context(), v); casemate.CodeOf(err) != casemate.Fault {
		t.Errorf("a layer that is gone: %v", err)
	}
	v.Layers = slices.Repeat(v.Layers[:1], 6)
	if _, _, err := c.Layers(t.Context(), v); err == nil {
		t.Error("six layers")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestInspectLayerFindsExtensions(t *testing.T) {
	data := pack(t, file{"extensions/b", "12", 0o755}, file{"extensions/a", "1", 0o555}, file{"extensions/notes.txt", "x", 0o644},
		file{"extensions/lib/deep", "x", 0o755}, file{"bin/tool", "x", 0o755})
	c, err := InspectLayer(bytes.NewReader(data), int64(len(data)), Bounds{})
	if err != nil || strings.Join(c.Extensions, " ") != "a b" || c.Bytes != 6 {
		t.Errorf("%+v, %v", c, err)
	}
}
