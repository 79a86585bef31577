package stage

import "errors"

// Encode is the order as a stage takes it.
func (o *Order) Encode() []byte {
	w := &wire{writes: true}
	o.pass(w)
	return w.data
}

// Decode is the reverse of Encode. Bytes that are not an encoding are an error.
func (o *Order) Decode(data []byte) error {
	*o = Order{}
	w := &wire{data: data}
	o.pass(w)
	return w.end()
}

// Encode is the outcome as the node takes it.
func (o *Outcome) Encode() []byte {
	w := &wire{writes: true}
	o.pass(w)
	return w.data
}

// Decode is the reverse of Encode. Bytes that are not an encoding are an error.
func (o *Outcome) Decode(data []byte) error {
	*o = Outcome{}
	w := &wire{data: data}
	o.pass(w)
	return w.end()
}

// wire writes values one after the other, or reads them back in the same order: what passes through is said once, for
// both directions. Numbers are 8 bytes, texts have their length in front.
type wire struct {
	data   []byte
	writes bool
	bad    bool
}

var errWire = errors.New("a message that is not one")

func (w *wire) end() error {
	if w.bad || len(w.data) > 0 {
		return errWire
	}
	return nil
}

func (w *wire) number(n *int64) {
	if w.writes {
		u := uint64(*n)
		w.data = append(w.data, byte(u), byte(u>>8), byte(u>>16), byte(u>>24), byte(u>>32), byte(u>>40), byte(u>>48), byte(u>>56))
		return
	}
	if len(w.data) < 8 {
		w.bad, w.data, *n = true, nil, 0
		return
	}
	var u uint64
	for i := range 8 {
		u |= uint64(w.data[i]) << (8 * i)
	}
	*n, w.data = int64(u), w.data[8:]
}

func (w *wire) int(n *int) {
	wide := int64(*n)
	w.number(&wide)
	*n = int(wide)
}

func (w *wire) bool(b *bool) {
	n := int64(0)
	if *b {
		n = 1
	}
	w.number(&n)
	*b = n != 0
}

func (w *wire) bytes(b *[]byte) {
	n := int64(len(*b))
	w.number(&n)
	switch {
	case w.writes:
		w.data = append(w.data, *b...)
	case n < 0 || n > int64(len(w.data)):
		w.bad, w.data = true, nil
	case n > 0:
		*b, w.data = w.data[:n:n], w.data[n:]
	}
}

func (w *wire) text(s *string) {
	b := []byte(*s)
	w.bytes(&b)
	if !w.writes {
		*s = string(b)
	}
}

// list passes the elements of a list. Each takes 8 bytes at least, so a length that cannot be is seen before it is
// believed.
func list[T any](w *wire, xs *[]T, pass func(x *T)) {
	n := int64(len(*xs))
	w.number(&n)
	if !w.writes {
		if n < 0 || n > int64(len(w.data)/8) {
			w.bad, w.data = true, nil
			return
		}
		if n > 0 {
			*xs = make([]T, n)
		}
	}
	for i := range *xs {
		pass(&(*xs)[i])
	}
}

// pair is an entry of a map on its way.
type pair struct {
	key   string
	value []byte
}

// table passes a map.
func table[V string | []byte](w *wire, m *map[string]V) {
	pairs := make([]pair, 0, len(*m))
	for k, v := range *m {
		pairs = append(pairs, pair{k, []byte(v)})
	}
	list(w, &pairs, func(p *pair) { w.text(&p.key); w.bytes(&p.value) })
	if w.writes || len(pairs) == 0 {
		return
	}
	*m = make(map[string]V, len(pairs))
	for _, p := range pairs {
		(*m)[p.key] = V(p.value)
	}
}

func (o *Order) pass(w *wire) {
	list(w, &o.Argv, w.text)
	list(w, &o.Env, w.text)
	w.text(&o.Dir)
	w.text(&o.Hostname)
	list(w, &o.Mounts, func(m *Mount) { w.text(&m.Source); w.text(&m.Target); w.bool(&m.Writable); w.bool(&m.Exec) })
	table(w, &o.Symlinks)
	table(w, &o.Etc)
	w.int(&o.Limits.Pids)
	w.int(&o.Limits.Files)
	w.number(&o.Limits.TmpBytes)
	w.number(&o.Limits.FileBytes)
	w.number(&o.Limits.DataBytes)
	w.int(&o.UID)
	w.bool(&o.Root)
	w.int(&o.Files)
	list(w, &o.Listen, func(s *Socket) {
		w.bool(&s.Datagram)
		w.bytes(&s.IP)
		port := int64(s.Port)
		w.number(&port)
		s.Port = uint16(port)
	})
	list(w, &o.Programs, func(p *Program) {
		w.text(&p.Path)
		w.bool(&p.Pinned)
		for _, n := range []*int64{&p.Device, &p.Inode, &p.Size, &p.Changed} {
			w.number(n)
		}
	})
	w.bool(&o.Mute)
	w.bytes(&o.Filter)
	w.bool(&o.Notify)
	w.bool(&o.AllowWeak)
	list(w, &o.Broken, w.text)
	w.bool(&o.Wait)
	list(w, &o.Places, w.text)
}

func (o *Outcome) pass(w *wire) {
	list(w, &o.Held, w.text)
	list(w, &o.Missing, func(m *Missing) { w.text(&m.Name); w.text(&m.Why) })
	w.text(&o.Fatal)
	w.text(&o.Wall)
}
