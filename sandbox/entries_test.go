package sandbox

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"casemate"
)

// entry finds the one log line that holds text.
func (b *bench) entry(text string) casemate.LogLine {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []casemate.LogLine
	for _, l := range b.lines {
		if strings.Contains(l.Text, text) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		b.t.Fatalf("%d lines hold %q: %+v", len(found), text, b.lines)
	}
	return found[0]
}

// Lambda checklist: 30
func TestEntriesOfManyLinesStayOne(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Spares = 0 }) // of waiting interpreters as well
	node := b.node("index.handler", `exports.handler = async () => { console.warn('of node\n  and more\n'); return process.env._LAMBDA_TELEMETRY_LOG_FD === undefined }`)
	python := b.python("import logging, os\ndef handler(e, c):\n  logging.getLogger().warning('of python\\n  and more\\n')\n  return '_LAMBDA_TELEMETRY_LOG_FD' not in os.environ")
	for range 2 {
		for _, v := range []*casemate.Version{node, python} {
			b.want(v, `{}`, `true`)
			l := b.entry("of " + v.Runtime.Family()[:4])
			if !strings.HasSuffix(l.Text, "\n  and more\n") || !strings.HasPrefix(l.Level, "WARN") || l.Request == "" || l.Stream != "stdout" {
				t.Errorf("%+v", l)
			}
			b.pool.Prepare(v)
			b.mu.Lock()
			b.lines = nil
			b.mu.Unlock()
		}
		waitFor(t, "full", b.pool.Full)
	}
}

// Lambda checklist: 30
func TestFramedLogOfAnyProgram(t *testing.T) {
	b := newBench(t)
	v := b.goFunction(framedWriter)
	b.want(v, `{}`, `1`)
	l := b.entry("first")
	if l.Text != "first\nsecond" || l.Level != "ERROR" {
		t.Errorf("%+v", l)
	}
	if l = b.entry("no frame"); l.Text != "no frame" { // what breaks the framing is shown as it is
		t.Errorf("%+v", l)
	}
}

const framedWriter = `package main
import ("encoding/binary"; "os"; "strconv"; "context"; "github.com/aws/aws-lambda-go/lambda")
func main() {
	lambda.Start(func(context.Context, any) (int, error) {
		fd, err := strconv.Atoi(os.Getenv("_LAMBDA_TELEMETRY_LOG_FD"))
		if err != nil { return 0, err }
		text := "first\nsecond\n"
		b := binary.BigEndian.AppendUint32(nil, 0xa55a0003 | 0x14)
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(binary.BigEndian.AppendUint64(b, 1), text...)
		_, err = os.NewFile(uintptr(fd), "log").Write(append(b, "no frame\n"...))
		return 1, err
	})
}`

// The JSON entries that AWS documents: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
//
// Lambda checklist: 30
func TestNodeJSONEntries(t *testing.T) {
	b := newBench(t)
	v := b.node("index.handler", `exports.handler = async () => { console.debug('low'); console.log('a %s', 1); console.info({ k: 1 });
		console.error('went wrong', new TypeError('bad')); console.warn(new RangeError('far')); const c = {}; c.c = c; console.log(c); throw new Error('end') }`)
	v.Env = map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}
	b.fails(v, `{}`, casemate.FailureHandled)
	entries := b.jsonEntries()
	want := []map[string]any{
		{"level": "INFO", "message": "a 1"}, {"level": "INFO", "message": map[string]any{"k": 1.}},
		{"level": "ERROR", "errorType": "TypeError", "errorMessage": "bad"}, {"level": "WARN"}, {"level": "INFO"}, {"level": "ERROR"},
	}
	if len(entries) != len(want) {
		t.Fatalf("%d entries: %v", len(entries), entries)
	}
	for i, w := range want {
		for key, value := range w {
			got, _ := json.Marshal(entries[i][key])
			expected, _ := json.Marshal(value)
			if string(got) != string(expected) {
				t.Errorf("entry %d: %s is %s, want %s", i, key, got, expected)
			}
		}
		if id, _ := entries[i]["requestId"].(string); len(id) != 36 {
			t.Errorf("entry %d: %v", i, entries[i])
		}
	}
	far, _ := entries[3]["message"].(map[string]any)
	last, _ := entries[5]["message"].(map[string]any)
	if far["errorType"] != "RangeError" || last["errorMessage"] != "end" || len(last["stackTrace"].([]any)) < 2 || len(entries[2]["stackTrace"].([]any)) < 2 {
		t.Errorf("%v\n%v", far, last)
	}
}

// jsonEntries are the log lines that are objects and not the platform's.
func (b *bench) jsonEntries() (entries []map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.lines {
		var entry map[string]any
		if l.Stream != "platform" && json.Unmarshal([]byte(l.Text), &entry) == nil {
			entries = append(entries, entry)
		}
	}
	return entries
}

// Lambda checklist: 30
func TestPythonJSONEntries(t *testing.T) {
	b := newBench(t)
	v := b.python(`
import logging
log = logging.getLogger("shop")
def handler(e, c):
    log.info("low")
    log.warning("about %s", "orders", extra={"order": 7})
    try:
        raise KeyError("gone")
    except KeyError:
        log.exception("went wrong")
    raise ValueError("end")`)
	v.Env = map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"}
	b.fails(v, `{}`, casemate.FailureHandled)
	entries := b.jsonEntries()
	if len(entries) != 3 {
		t.Fatalf("%v", entries)
	}
	keys := func(m map[string]any) (list []string) {
		for k := range m {
			list = append(list, k)
		}
		slices.Sort(list)
		return list
	}
	for i, want := range []string{"level logger message order requestId timestamp",
		"errorMessage errorType level location logger message requestId stackTrace timestamp",
		"errorMessage errorType log_level requestId stackTrace timestamp"} {
		if got := strings.Join(keys(entries[i]), " "); got != want {
			t.Errorf("entry %d: %s, want %s", i, got, want)
		}
	}
	if e := entries[1]; e["errorType"] != "KeyError" || e["errorMessage"] != "'gone'" || e["location"] != "/var/task/app.py:handler:10" || e["level"] != "ERROR" {
		t.Errorf("%v", e)
	}
	if e := entries[2]; e["log_level"] != "ERROR" || e["errorType"] != "ValueError" || e["errorMessage"] != "end" {
		t.Errorf("%v", e)
	}
}
