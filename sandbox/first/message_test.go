package first

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMessagesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Message{Kind(rapid.Byte().Draw(t, "kind")), rapid.Byte().Draw(t, "number"), rapid.Uint32().Draw(t, "value")}
		if got, err := Decode(m.Encode()); err != nil || got != m {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Message{Ended, Runtime, 256}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if (err == nil) != (len(b) == Size) || err == nil && !slices.Equal(m.Encode(), b) {
			t.Fatalf("%q: %+v, %v", b, m, err)
		}
	})
}

func TestEnvironmentOfExtensions(t *testing.T) {
	got := Environment([]string{"AWS_LAMBDA_RUNTIME_API=a", "_HANDLER=h", "_X_AMZN_TRACE_ID=t", "AWS_EXECUTION_ENV=e", "AWS_LAMBDA_LOG_GROUP_NAME=g", "AWS_LAMBDA_LOG_STREAM_NAME=s",
		"LAMBDA_TASK_ROOT=/", "LAMBDA_RUNTIME_DIR=/", "AWS_SESSION_TOKEN=x", "MINE=1", "_MINE=2", "PATH=/bin", "AWS_LAMBDA_FUNCTION_NAME=f"})
	if want := []string{"AWS_LAMBDA_RUNTIME_API=a", "AWS_SESSION_TOKEN=x", "MINE=1", "PATH=/bin", "AWS_LAMBDA_FUNCTION_NAME=f"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
