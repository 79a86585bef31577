package expand

// Trait is a set of classes of bytes.
type Trait uint32

// The classes. A value that has none of them is letters, digits, "-" and "_" alone.
const (
	Percent   Trait = 1 << iota // %
	Ampersand                   // &
	Backslash                   // \
	Open                        // { [
	Quote                       // ' " `
	Angle                       // < >
	Dollar                      // $ #
	Slash                       // /
	Dot                         // .
	Colon                       // :
	Equals                      // =
	Shell                       // ; |
	Line                        // CR LF
	Control                     // other control characters, NUL among them
	High                        // bytes of 0x80 and more
	Space                       // space, tab
	Paren                       // ( )
	Star                        // * + ~
	At                          // @
	Minus                       // -
	Under                       // _
	Other                       // ! , ? ^
	Close                       // } ]
)

func classes() *[256]Trait {
	t := new([256]Trait)
	for c := range 32 {
		t[c] = Control
	}
	t[127] = Control
	for c := 128; c < 256; c++ {
		t[c] = High
	}
	for has, bytes := range map[Trait]string{Percent: "%", Ampersand: "&", Backslash: `\`, Open: "{[", Close: "}]", Quote: "'\"`", Angle: "<>",
		Dollar: "$#", Slash: "/", Dot: ".", Colon: ":", Equals: "=", Shell: ";|", Line: "\r\n", Space: " \t", Paren: "()", Star: "*+~",
		At: "@", Minus: "-", Under: "_", Other: "!,?^"} {
		for i := range len(bytes) {
			t[bytes[i]] = has
		}
	}
	return t
}

// class is data: it is never written after it was made.
var class = classes()

// Traits says which classes of bytes v holds. It costs about a nanosecond a byte.
func Traits(v []byte) Trait {
	var has Trait
	for _, c := range v {
		has |= class[c]
	}
	return has
}
