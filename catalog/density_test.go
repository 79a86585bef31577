package catalog

import (
	"fmt"
	"runtime"
	"testing"

	"casemate"
	"casemate/store"
)

// The promise is 2 KiB a function with 100,000 of them. A tenth of that has the same share, and one route for each.
func TestMemoryOfOneFunction(t *testing.T) {
	const apps, functions = 50, 200
	s := store.Memory(clock)
	c := open(t, config(s))
	for i := range apps {
		a := app(fmt.Sprintf("app%d", i), functions)
		for name := range a.Functions {
			a.Functions[name].Versions[0].Env = map[string]string{"TABLE": name}
			a.Roles[ExecutionRole(name)] = Role{}
			path := "/" + a.Name + "/" + name
			a.Routes = append(a.Routes, casemate.Route{ID: "POST " + path, App: a.Name, Method: "POST", Path: path, Function: name,
				Auth: casemate.Auth{Kinds: []casemate.CredentialKind{casemate.CredentialKey}}})
		}
		swap(t, c, a)
	}
	before := heap()
	fresh := open(t, config(s))
	used := heap() - before
	if n := used / (apps * functions); n > 2<<10 {
		t.Errorf("%d bytes a function", n)
	} else {
		t.Logf("%d bytes a function", n)
	}
	runtime.KeepAlive(fresh)
	runtime.KeepAlive(c)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// One deploy among many functions copies what it touches.
func BenchmarkSwapAmong20000(b *testing.B) {
	c := open(b, config(store.Memory(clock)))
	for i := range 200 {
		swap(b, c, app(fmt.Sprintf("app%d", i), 100, fmt.Sprintf("GET /app%d/x", i)))
	}
	a := app("app7", 100, "GET /app7/x")
	b.ReportAllocs()
	for b.Loop() {
		swap(b, c, a)
	}
}
