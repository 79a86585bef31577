package stage

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func drawOrder(t *rapid.T) Order {
	text := rapid.String()
	texts := rapid.SliceOfN(text, 0, 4)
	number := rapid.Int64()
	o := Order{Argv: texts.Draw(t, "argv"), Env: texts.Draw(t, "env"), Dir: text.Draw(t, "dir"), Hostname: text.Draw(t, "host"),
		Symlinks: rapid.MapOfN(text, text, 0, 3).Draw(t, "links"),
		Etc:      rapid.MapOfN(text, rapid.SliceOfN(rapid.Byte(), 0, 9), 0, 3).Draw(t, "etc"),
		Limits: Limits{Pids: rapid.Int().Draw(t, "pids"), Files: rapid.Int().Draw(t, "files"), TmpBytes: number.Draw(t, "tmp"),
			FileBytes: number.Draw(t, "file"), DataBytes: number.Draw(t, "data")},
		UID: rapid.Int().Draw(t, "uid"), Root: rapid.Bool().Draw(t, "root"), Files: rapid.Int().Draw(t, "passed"),
		Filter: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "filter"), Notify: rapid.Bool().Draw(t, "notify"),
		AllowWeak: rapid.Bool().Draw(t, "weak"), Broken: texts.Draw(t, "broken"),
		Wait: rapid.Bool().Draw(t, "wait"), Places: texts.Draw(t, "places")}
	for range rapid.IntRange(0, 3).Draw(t, "mounts") {
		o.Mounts = append(o.Mounts, Mount{text.Draw(t, "source"), text.Draw(t, "target"), rapid.Bool().Draw(t, "w"), rapid.Bool().Draw(t, "x")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "listen") {
		o.Listen = append(o.Listen, Socket{rapid.Bool().Draw(t, "dgram"), rapid.SliceOfN(rapid.Byte(), 4, 16).Draw(t, "ip"), rapid.Uint16().Draw(t, "port")})
	}
	return o
}

// plain makes what is empty nil: the wire does not tell them apart.
func plain(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		plain(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			plain(v.Field(i))
		}
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			v.SetZero()
		}
		if v.Kind() == reflect.Map {
			for _, k := range v.MapKeys() {
				if e := v.MapIndex(k); e.Kind() == reflect.Slice && e.Len() == 0 {
					v.SetMapIndex(k, reflect.Zero(e.Type()))
				}
			}
		}
	}
}

func TestWireKeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawOrder(t)
		data := o.Encode()
		var back Order
		if err := back.Decode(data); err != nil {
			t.Fatal(err)
		}
		plain(reflect.ValueOf(&o))
		plain(reflect.ValueOf(&back))
		if !reflect.DeepEqual(o, back) {
			t.Fatalf("%+v\nbecame\n%+v", o, back)
		}
		if len(data) > 0 && new(Order).Decode(data[:rapid.IntRange(0, len(data)-1).Draw(t, "cut")]) == nil {
			t.Fatal("a cut order was taken")
		}
		if new(Order).Decode(append(data, 0)) == nil {
			t.Fatal("an order with more behind it was taken")
		}
	})
	want := Outcome{Held: []string{"a", "b"}, Missing: []Missing{{"c", "d"}}, Fatal: "e", Wall: "f"}
	var got Outcome
	if err := got.Decode(want.Encode()); err != nil || !reflect.DeepEqual(want, got) {
		t.Fatalf("%+v %v", got, err)
	}
}

func FuzzWire(f *testing.F) {
	f.Add((&Order{Argv: []string{"/x"}, Etc: map[string][]byte{"/etc/x": []byte("y")}}).Encode())
	f.Add((&Outcome{Held: []string{"uid"}}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Order
		if o.Decode(data) == nil && o.Decode(o.Encode()) != nil {
			t.Fatal("an order that was read cannot be read again")
		}
		var out Outcome
		if out.Decode(data) == nil && out.Decode(out.Encode()) != nil {
			t.Fatal("an outcome that was read cannot be read again")
		}
	})
}
