package guests

// Where Fetcher and FetchReactor put things.
const (
	FetchEvent  = 1024            // the event
	FetchText   = FetchEvent + 16 // what stands in it behind the four numbers
	FetchAnswer = 16              // the answer
	FetchRoom   = FetchAnswer + 12
	FetchPages  = 32
)

// host is a function of Casemate's own.
func host(f string, result byte) Func {
	return Func{From: "casemate", Imported: f, Params: []byte{I32, I32}, Results: []byte{result}}
}

// fetch gives http_send the first two of the numbers that the event begins with (32 bits, little-endian), unless the first
// is 0, and http_read the other two, and puts what they gave at FetchAnswer. It leaves the answer's length: 12, and what
// was read when that is not negative. send and read are indices of functions.
func fetch(send, read byte) []byte {
	const opStore64, opGreater, opElse = 0x37, 0x4a, 0x05
	word := func(at int32) []byte { return Code(Const(at), opLoad, 2, 0) }
	return Code(word(FetchEvent), opIf, void,
		Const(FetchAnswer), word(FetchEvent), word(FetchEvent+4), opCall, send, opStore64, 3, 0, opEnd,
		Const(FetchAnswer+8), word(FetchEvent+8), word(FetchEvent+12), opCall, read, opStore, 2, 0,
		word(FetchAnswer+8), Const(0), opGreater, opIf, I32, Const(12), word(FetchAnswer+8), opAdd, opElse, Const(12), opEnd)
}

// Fetcher is a command that makes one HTTP exchange: fetch.
func Fetcher() []byte {
	body := Code(iovec(Const(FetchEvent), Const(FetchPages<<16-FetchEvent)), io4(0, 1), opDrop, fetch(2, 3), opSet, 0,
		iovec(Const(FetchAnswer), Code(opGet, 0)), io4(1, 0), opDrop)
	return Module{Funcs: []Func{fdWrite, fdRead, host("http_send", I64), host("http_read", I32), Start(body, 1)}, Min: FetchPages}.Bytes()
}

// FetchReactor is Fetcher as a reactor. With early its casemate_alloc makes the exchange, too, of what stands in memory then.
func FetchReactor(early []byte) []byte {
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Code(early, Const(FetchEvent))}
	result := Code(fetch(0, 1), opExtendU, opConst64, sleb(FetchAnswer<<32), opOr64)
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64}, Code: result}
	return Module{Funcs: []Func{host("http_send", I64), host("http_read", I32), alloc, handle}, Min: FetchPages, Data: "GET http://early.example/\r\n\r\n"}.Bytes()
}

// FetchEarly, for FetchReactor, asks for http://early.example/.
func FetchEarly() []byte { return Code(Const(16), Const(29), opCall, 0, opDrop) }

// Courier is a reactor whose event is a JSON string, "METHOD URL" (nothing in it may be escaped). It makes that request,
// and answers the response as a JSON string, with spaces for what has no place in one; or, when there is none, the number
// of the reason, as in "-1".
func Courier() []byte {
	const load8, store8, less, or, wrap = 0x2d, 0x3a, 0x49, 0x72, 0xa7
	const event, answer = 1024, 1 << 16
	const size, sent, at, char = 1, 2, 3, 4 // locals, behind the two parameters less one
	get, set := func(local byte) []byte { return Code(opGet, local) }, func(local byte) []byte { return Code(opSet, local) }
	plus := func(local byte, n int32) []byte { return Code(get(local), Const(n), opAdd) }
	body := Code(
		get(size), Const(event-1), opAdd, Const(0x0a0d0a0d), opStore, 0, 0, // "\r\n\r\n" for the closing quote
		Const(event+1), plus(size, 2), opCall, 0, byte(wrap), set(sent),
		Const(answer), Const('"'), byte(store8), 0, 0,
		get(sent), Const(0), 0x48, opIf, void, // "-N"
		Const(answer+1), Const('-'), byte(store8), 0, 0,
		Const(answer+2), Const('0'), get(sent), 0x6b, byte(store8), 0, 0,
		Const(2), set(sent),
		0x05,
		Const(answer+1), get(sent), opCall, 1, opDrop,
		opLoop, void,
		get(at), get(sent), byte(less), opIf, void,
		plus(at, answer+1), byte(load8), 0, 0, set(char),
		get(char), Const(' '), byte(less), get(char), Const('"'), 0x46, byte(or), get(char), Const('\\'), 0x46, byte(or), opIf, void,
		plus(at, answer+1), Const(' '), byte(store8), 0, 0, opEnd,
		plus(at, 1), set(at), opBr, 1, opEnd, opEnd, opEnd,
		plus(sent, answer+1), Const('"'), byte(store8), 0, 0,
		plus(sent, 2), opExtendU, opConst64, sleb(answer<<32), opOr64)
	alloc := Func{Export: "casemate_alloc", Params: []byte{I32}, Results: []byte{I32}, Code: Const(event)}
	handle := Func{Export: "casemate_handle", Params: []byte{I32, I32}, Results: []byte{I64}, Locals: 3, Code: body}
	return Module{Funcs: []Func{host("http_send", I64), host("http_read", I32), alloc, handle}, Min: FetchPages}.Bytes()
}
