package api

import (
	"io"
	"net/http"

	"casemate"
	"casemate/lambda"
)

// relayed is how much of a streamed answer is read at once, and all that is held of it here.
const relayed = 32 << 10

// streamTo is where an answer goes while the runtime makes it; nil where it is wanted whole.
func (inv *Invocation) streamTo(r *http.Request) io.Writer {
	if inv.stream == nil {
		return nil
	}
	return inv.stream(casemate.Opening{ContentType: r.Header.Get("Content-Type"), Declared: r.Header.Get(lambda.HeaderResponseMode) != ""})
}

// relay hands an answer on as it comes, until it ends or nobody wants more of it.
func (a *Server) relay(w http.ResponseWriter, r *http.Request, inv *Invocation, to io.Writer) {
	buf := make([]byte, relayed)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			if _, lost := to.Write(buf[:n]); lost != nil {
				a.refuseRest(w, inv, lost)
				return
			}
		}
		switch err {
		case nil:
		case io.EOF:
			a.finish(inv, readAnswer("response", r.Header.Get("Content-Type"), "", r.Trailer, nil))
			accepted(w)
			return
		default: // what was sent of it cannot be taken back, so there is no other answer to this event
			body := lambda.ErrorBody{Type: "Runtime.TruncatedResponse", Message: "the runtime broke its answer off"}
			a.finish(inv, answer{payload: body.JSON(), failure: casemate.FailureHandled, detail: "the answer broke off", truncated: true})
			return
		}
	}
}

// refuseRest tells the runtime that nothing more of its answer is taken, and why where that is its own doing.
func (a *Server) refuseRest(w http.ResponseWriter, inv *Invocation, why error) {
	w.Header().Set("Connection", "close") // nobody reads the rest
	body := lambda.ErrorBody{Type: "Runtime.TruncatedResponse", Message: "the rest of the answer was not wanted"}
	ans := answer{failure: casemate.FailureHandled, detail: body.Message, refused: true}
	if e := casemate.AsError(why); e.Code == casemate.TooLarge {
		body = lambda.ErrorBody{Type: "Function.ResponseSizeTooLarge", Message: e.Message}
		ans.failure, ans.detail = casemate.FailureResponse, e.Message
	}
	ans.payload = body.JSON()
	a.finish(inv, ans)
	if ans.failure == casemate.FailureResponse {
		writeError(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Exceeded maximum allowed payload size.")
		return
	}
	writeError(w, http.StatusForbidden, "InvalidStateTransition", "The response is not wanted any more")
}
