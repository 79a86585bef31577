// Package first is the first process of a sandbox that has more than one program: extensions run beside the function's
// runtime there, and one of them ending must not end the others. It is the node's own binary, re-executed behind the same
// walls as the function, as its user and with nothing but two descriptors: a socket to the node and the write end of the
// extensions' log. It starts what its arguments name, tells the node how each of them ends, and passes on signals.
//
// Danger: everything that comes from it was written next to the function's own code. The node believes none of it further
// than it would believe the function.
package first

import "errors"

// Path is where the binary is inside a sandbox, and argv[0] of the process: the name that Lambda's own has.
const Path = "/var/rapid/init"

// Separator stands in the arguments between the extensions and the runtime's program with its own arguments.
const Separator = "--"

// Runtime is the number of the runtime's process; extensions are numbered from 0 in the order of the arguments.
const Runtime = 255

// Kind says what a message is about.
type Kind byte

// The messages from the node.
const (
	Start   Kind = 'S' // start the runtime
	Term    Kind = 'T' // send SIGTERM to Number
	Kill    Kind = 'K' // send SIGKILL to Number
	Connect Kind = 'C' // connect to port Value of the sandbox's loopback, and answer Connected with the same Number
)

// The messages to the node.
const (
	Ended     Kind = 'E' // Number has ended; Value is its wait status
	Failed    Kind = 'F' // Number could not be started; Value is the errno
	Connected Kind = 'c' // Value is 0 and the socket comes with it, or an errno
)

// Size of a message, in bytes. One message is one packet.
const Size = 6

// Message is what node and process tell each other.
type Message struct {
	Kind   Kind
	Number byte
	Value  uint32
}

// Encode gives the message's bytes.
func (m Message) Encode() []byte {
	return []byte{byte(m.Kind), m.Number, byte(m.Value), byte(m.Value >> 8), byte(m.Value >> 16), byte(m.Value >> 24)}
}

// Decode reads a message. Anything that is not one is an error.
func Decode(b []byte) (Message, error) {
	if len(b) != Size {
		return Message{}, errors.New("a message that is not one")
	}
	return Message{Kind(b[0]), b[1], uint32(b[2]) | uint32(b[3])<<8 | uint32(b[4])<<16 | uint32(b[5])<<24}, nil
}
