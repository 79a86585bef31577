package template

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/netip"
	"strconv"
)

// cidr evaluates Fn::Cidr: [block, count, bits], count blocks of the given host bits, one after the other.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-cidr.html
func (r *resolver) cidr(arg Value) Value {
	args, ok := r.args(arg, 3, 3)
	if !ok {
		return Value{At: arg.At, Unknown: invalid}
	}
	block, count, bits := r.scalar(args[0]), r.scalar(args[1]), r.scalar(args[2])
	if block.Unknown != "" || count.Unknown != "" || bits.Unknown != "" {
		return made(arg.At, block.Text, block, count, bits)
	}
	prefix, err := netip.ParsePrefix(block.Text)
	n, bad := strconv.Atoi(count.Text)
	host, wrong := strconv.Atoi(bits.Text)
	width := prefix.Addr().BitLen()
	switch {
	case err != nil:
		return r.fail(args[0].At, "", "%s is no block such as 10.0.0.0/16", block.Quoted())
	case bad != nil || n < 1 || n > 256:
		return r.fail(args[1].At, "", "the count %s is not from 1 to 256", count.Quoted())
	case wrong != nil || host < 1 || host > width-prefix.Bits():
		return r.fail(args[2].At, "", "%s host bits do not fit into %s", bits.Quoted(), block.Quoted())
	}
	if room := width - prefix.Bits() - host; room < 9 && n > 1<<room {
		return r.fail(args[1].At, "", "%d blocks of %d host bits do not fit into %s", n, host, block.Quoted())
	}
	out := Value{Kind: List, At: arg.At}
	next := new(big.Int).SetBytes(prefix.Masked().Addr().AsSlice())
	for range n {
		addr, _ := netip.AddrFromSlice(next.FillBytes(make([]byte, width/8)))
		out.List = append(out.List, made(arg.At, netip.PrefixFrom(addr, width-host).String(), block, count, bits))
		next.Add(next, new(big.Int).Lsh(big.NewInt(1), uint(host)))
	}
	return out
}

// extension evaluates the functions of AWS::LanguageExtensions.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-aws-languageextensions.html
func (r *resolver) extension(name string, arg Value) Value {
	if !r.t.uses(LanguageExtensions) {
		return r.fail(arg.At, "add Transform: "+LanguageExtensions, "%s needs the language extensions", name)
	}
	v, ok := r.value(arg)
	switch {
	case !ok:
		return r.fail(arg.At, "", "AWS::NoValue cannot stand here")
	case v.Unknown != "" && v.Kind != List && v.Kind != Map:
		return v
	case name == "Fn::Length" && v.Kind == List:
		return Value{Kind: Number, Text: strconv.Itoa(len(v.List)), At: arg.At}
	case name == "Fn::Length", v.Kind != List && v.Kind != Map:
		return r.fail(arg.At, "", "%s cannot take %s", name, v.Kind)
	}
	w := &jsonWriter{room: r.room}
	w.value(v)
	return made(arg.At, w.String(), w.of...)
}

// jsonWriter writes a resolved value as JSON, members in their order.
type jsonWriter struct {
	bytes.Buffer
	room func(Position, int) bool // nil: no bound
	of   []Value                  // what is unknown or secret in it
}

func (w *jsonWriter) value(v Value) {
	if v.Unknown != "" || v.Secret {
		w.of = append(w.of, v)
	}
	if w.room != nil && !w.room(v.At, len(v.Text)+8) {
		return
	}
	switch {
	case v.Kind == List:
		w.WriteByte('[')
		for i, x := range v.List {
			w.comma(i)
			w.value(x)
		}
		w.WriteByte(']')
	case v.Kind == Map:
		w.WriteByte('{')
		for i, m := range v.Members {
			w.comma(i)
			w.text(m.Key)
			w.WriteByte(':')
			w.value(m.Value)
		}
		w.WriteByte('}')
	case v.Kind == Null && v.Text == "":
		w.WriteString("null")
	case v.Kind != String && json.Valid([]byte(v.Text)):
		w.WriteString(v.Text)
	default:
		w.text(v.Text)
	}
}

func (w *jsonWriter) comma(i int) {
	if i > 0 {
		w.WriteByte(',')
	}
}

func (w *jsonWriter) text(s string) {
	enc := json.NewEncoder(&w.Buffer)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) == nil {
		w.Truncate(w.Len() - 1) // the encoder ends each value with a line feed
	}
}

// JSON writes a resolved value as JSON, members in their order. What is not known stands there by its name, such as
// "${Table.Arn}", and what is secret in clear: the caller looks at Unknown and Secret first.
func (v Value) JSON() []byte {
	var w jsonWriter
	w.value(v)
	return w.Bytes()
}
