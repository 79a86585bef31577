package control

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"casemate"
)

func table(t testing.TB) shapes {
	s, err := readShapes(shapeTable)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Lambda checklist: 78
// TestValidation: each kind of constraint is refused in Lambda's words, all that is wrong at once, and what is right passes.
func TestValidation(t *testing.T) {
	s := table(t)
	long := strings.Repeat("d", 257)
	const namePattern = `(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`
	for _, c := range []struct{ operation, body, want string }{
		{"GetFunction", `{"FunctionName":"f"}`, ""},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","Timeout":3,"Timeout ":9,"Environment":{"Variables":{"AB":"c"}},"Layers":[]}`, ""},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","Timeout":0}`, "1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","Timeout":901}`, "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","MemorySize":10240}`, ""},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","MemorySize":20000}`, "1 validation error detected: Value '20000' at 'memorySize' failed to satisfy constraint: Member must have value less than or equal to 10240"},
		{"CreateFunction", `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{},"MemorySize":127}`, "1 validation error detected: Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128"},
		{"UpdateEventSourceMapping", `{"UUID":"u","MaximumRetryAttempts":-1,"BatchSize":10000}`, ""},
		{"UpdateEventSourceMapping", `{"UUID":"u","MaximumRetryAttempts":-2}`, "1 validation error detected: Value '-2' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value greater than or equal to -1"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","Description":"` + long + `"}`, "1 validation error detected: Value '" + long[:170] + "' at 'description' failed to satisfy constraint: Member must have length less than or equal to 256"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","EphemeralStorage":{}}`, "1 validation error detected: Value null at 'ephemeralStorage.size' failed to satisfy constraint: Member must not be null"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","TracingConfig":{"Mode":"On"}}`, "1 validation error detected: Value 'On' at 'tracingConfig.mode' failed to satisfy constraint: Member must satisfy enum value set: [Active, PassThrough]"},
		{"UpdateFunctionConfiguration", `{"FunctionName":"f","Environment":{"Variables":{"1secret":"c"}}}`, `1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]`},
		{"UpdateFunctionCode", `{"FunctionName":"f","Architectures":["z80"]}`, "1 validation error detected: Value '[z80]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]"},
		{"UpdateFunctionCode", `{"FunctionName":"f","Architectures":[]}`, "1 validation error detected: Value '[]' at 'architectures' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"CreateAlias", `{"FunctionName":"f","Name":"12","FunctionVersion":"1"}`, `1 validation error detected: Value '12' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`},
		{"UpdateFunctionCode", `{"FunctionName":"f","S3Bucket":"abc."}`, `1 validation error detected: Value 'abc.' at 's3Bucket' failed to satisfy constraint: Member must satisfy regular expression pattern: [0-9A-Za-z\.\-_]*(?<!\.)`},
		{"GetFunction", `{"FunctionName":"f/g"}`, "1 validation error detected: Value 'f/g' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: "},
		{"UpdateFunctionCode", `{"FunctionName":"f/g"}`, "1 validation error detected: Value 'f/g' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: " + namePattern},
		{"CreateAlias", `{"FunctionName":null}`, "3 validation errors detected: Value null at 'functionName' failed to satisfy constraint: Member must not be null; Value null at 'name' failed to satisfy constraint: Member must not be null; Value null at 'functionVersion' failed to satisfy constraint: Member must not be null"},
	} {
		_, err := s.read(c.operation, []byte(c.body))
		if c.want == "" && err == nil {
			continue
		}
		if e := casemate.AsError(err); e == nil || e.AWS != codeModel || e.Code != casemate.Invalid || e.Message != c.want && (!strings.HasSuffix(c.want, ": ") || !strings.HasPrefix(e.Message, c.want)) {
			t.Errorf("%s %.60s:\n%v\nwant %s", c.operation, c.body, err, c.want)
		}
	}
	for _, body := range []string{`[]`, `{"FunctionName":1}`, `{"FunctionName":"f","Timeout":"3"}`, `{"FunctionName":"f","Timeout":1.5}`, `{"FunctionName":"f","Layers":"x"}`,
		`{"FunctionName":"f","Layers":[1]}`, `{"FunctionName":"f","Environment":{"Variables":{"AB":1}}}`, `{"FunctionName":"f","Environment":[]}`, ``} {
		if _, err := s.read("UpdateFunctionConfiguration", []byte(body)); err == nil || casemate.AsError(err).AWS != codeSerial {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestOthersAreHeld: an operation of another room hears what keeps to the model alone.
func TestOthersAreHeld(t *testing.T) {
	heard := 0
	other := casemate.Operation{Service: "lambda", Name: "CreateEventSourceMapping", Resource: func(casemate.Place, []byte) (string, error) { heard++; return "*", nil }}
	list := Operations(Config{Others: []casemate.Operation{other}})
	ask := func(body string) error {
		_, err := list[len(list)-1].Resource(casemate.DefaultPlace, []byte(body))
		return err
	}
	for body, want := range map[string]string{
		`{}`:                                 "1 validation error detected: Value null at 'functionName' failed to satisfy constraint: Member must not be null",
		`{"FunctionName":"f","BatchSize":0}`: "1 validation error detected: Value '0' at 'batchSize' failed to satisfy constraint: Member must have value greater than or equal to 1",
		`{"FunctionName":"f","ScalingConfig":{"MaximumConcurrency":1001}}`: "1 validation error detected: Value '1001' at 'scalingConfig.maximumConcurrency' failed to satisfy constraint: Member must have value less than or equal to 1000",
	} {
		if e := casemate.AsError(ask(body)); e == nil || e.AWS != codeModel || e.Message != want {
			t.Errorf("%s: %v", body, e)
		}
	}
	if err := ask(`{"FunctionName":"f","BatchSize":1}`); err != nil || heard != 1 {
		t.Errorf("%v, heard %d", err, heard)
	}
}

// TestOnlyExactMembersCount: a member in another case would be read by Go and not be looked at.
func TestOnlyExactMembersCount(t *testing.T) {
	known, err := table(t).read("UpdateFunctionConfiguration", []byte(`{"FunctionName":"f","timeout":99999,"Other":1,"Environment":{"variables":{"x":"y"}}}`))
	if err != nil || string(known) != `{"FunctionName":"f","Environment":{}}` {
		t.Errorf("%s, %v", known, err)
	}
}

// TestShapesAreThoseOfTheModel compares the table with the model of the botocore that it was made from, where that is installed:
// AWS changes the model from week to week, and what it added since is no fault of the table.
func TestShapesAreThoseOfTheModel(t *testing.T) {
	out, err := exec.Command("python3", "testdata/shapes.py").Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("python3 with botocore is missing: %v", err)
		}
		t.Skipf("SKIPPED: python3 with botocore is missing: %v", err)
	}
	made, model, _ := strings.Cut(string(out), "\n")
	if !strings.Contains(shapeTable, made) {
		t.Skipf("NOT COMPARED WITH AWS'S MODEL: shapes.txt does not say %q", made)
	}
	var have []string
	for line := range strings.Lines(shapeTable) {
		if !strings.HasPrefix(line, "#") {
			have = append(have, strings.Replace(line, ",wasm\n", "\n", 1)) // a runtime of our own
		}
	}
	// What the service holds and its model does not say: the model's memory is that of capacity providers.
	want := strings.NewReplacer(" Timeout i 1..\n", " Timeout i 1..900\n", " MemorySize i 128..32768\n", " MemorySize i 128..10240\n").Replace(model)
	if strings.Join(have, "") != want {
		t.Error("shapes.txt is not what testdata/shapes.py makes of the model that is installed here")
	}
}

func FuzzShape(f *testing.F) {
	s, err := readShapes(shapeTable)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("CreateFunction", []byte(`{"FunctionName":"f","Code":{"ZipFile":"eA=="},"Role":"r","Layers":["a"],"Tags":{"a":"b"},"FileSystemConfigs":[{"Arn":"x"}]}`))
	f.Add("CreateAlias", []byte(`{"FunctionName":"f","RoutingConfig":{"AdditionalVersionWeights":{"1":0.5}}}`))
	f.Fuzz(func(t *testing.T, operation string, body []byte) {
		known, err := s.read(operation, body)
		if err == nil && !json.Valid(known) {
			t.Fatalf("%s: %q becomes %q", operation, body, known)
		}
	})
}
