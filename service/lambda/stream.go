package lambda

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"casemate"
	"casemate/service/eventstream"
)

// Where InvokeWithResponseStream is (https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html).
const (
	streamPrefix = "/2021-11-15/functions/"
	streamSuffix = "/response-streaming-invocations"
)

// Streams reports whether a request is an InvokeWithResponseStream: its answer comes in frames, while the function makes it.
func Streams(s *casemate.Signed) bool {
	_, ok := between(s.Path, streamPrefix, streamSuffix)
	return ok && header(s, "x-amz-invocation-type") != typeDryRun
}

// Head is the header of the answer of such a request, of which r is all that is known when it begins.
func Head(s *casemate.Signed, r *casemate.Result) map[string]string {
	raw, _ := between(s.Path, streamPrefix, streamSuffix)
	return map[string]string{"Content-Type": eventstream.ContentType, "X-Amz-Executed-Version": executed(raw, s.Query, r)}
}

// Frame is a part of the payload as a frame.
func Frame(p []byte) []byte {
	return eventstream.Append(make([]byte, 0, len(p)+128), eventstream.Event("PayloadChunk", "application/octet-stream"), p)
}

// Last is the frame that ends an answer: what failed, and the log where it was asked for.
func Last(s *casemate.Signed, res *casemate.Result) []byte {
	var end struct {
		ErrorCode    string `json:",omitempty"`
		ErrorDetails string `json:",omitempty"`
		LogResult    string `json:",omitempty"`
	}
	if res.Failure != casemate.FailureNone {
		end.ErrorCode, end.ErrorDetails = string(casemate.FailureHandled), string(res.Payload)
	}
	if header(s, "x-amz-log-type") == "Tail" {
		end.LogResult = base64.StdEncoding.EncodeToString(res.Tail[max(0, len(res.Tail)-maxTail):])
	}
	text, err := json.Marshal(end)
	if err != nil { // three strings always encode
		text = []byte("{}")
	}
	return eventstream.Append(nil, eventstream.Event("InvokeComplete", "application/json"), text)
}

// framed is the whole answer of a run whose answer came whole.
func framed(s *casemate.Signed, res *casemate.Result) (status int, head map[string]string, body []byte) {
	if res.Failure == casemate.FailureNone {
		for part := range slices.Chunk(res.Payload, 64<<10) {
			body = append(body, Frame(part)...)
		}
	}
	return 200, Head(s, res), append(body, Last(s, res)...)
}
