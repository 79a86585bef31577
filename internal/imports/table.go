// Package imports holds the architecture as data and checks it: which room may import which, who owns which dependency,
// how large a room and a function may grow, and what no room does at all. Its test runs over this repository.
package imports

// Module is the path that rooms live under.
const Module = "casemate"

// Room is one package of the design.
type Room struct {
	Path    string   // below the module; "" is the root
	Tier    int      // imports point to lower tiers only
	Ceiling int      // non-test lines of code, comments and blank lines not counted; 0: no ceiling
	Pure    bool     // no clock, no I/O
	Only    []string // when set: the only rooms it may import
	Never   []string // rooms it may not import although the tiers would allow it
	May     []string // rooms of its own tier that it may import
	Exempt  bool     // measuring and example code: the tier rules and dependency owners do not bind it
}

// Rooms is the table. A package that is not in it is a violation.
var Rooms = []Room{
	{Path: "cmd/casemate", Tier: 5, Ceiling: 6720},
	{Path: "dev", Tier: 4, Ceiling: 550, Only: []string{""}},
	{Path: "node", Tier: 4, Ceiling: 5000},
	{Path: "front/http", Tier: 3, Ceiling: 1850, Only: []string{"", "lambda", "front/conn", "front/certificate", "browser"}},
	{Path: "browser", Tier: 0, Ceiling: 950, Pure: true, Only: []string{""}},
	{Path: "front/admin", Tier: 3, Ceiling: 950, Only: []string{"", "front/conn"}},
	{Path: "front/aws", Tier: 3, Ceiling: 560, Only: []string{"", "service/wire", "front/conn"}},
	{Path: "front/queue", Tier: 3, Ceiling: 600, Only: []string{"", "lambda", "pattern", "internal/pause"}},
	{Path: "front/debugger", Tier: 3, Ceiling: 200, Only: []string{"", "internal/pause"}},
	{Path: "front/redirect", Tier: 3, Ceiling: 200, Only: []string{"", "front/conn"}},
	{Path: "front/certificate", Tier: 2, Ceiling: 250, Only: []string{""}},
	{Path: "front/conn", Tier: 2, Ceiling: 1050, Only: []string{"", "internal/work"}},
	{Path: "gate", Tier: 2, Ceiling: 1800, Only: []string{"", "outflow", "internal/pause"}},
	{Path: "outflow", Tier: 1, Ceiling: 300, Pure: true, Only: []string{""}},
	{Path: "deploy", Tier: 2, Ceiling: 2450, May: []string{"deploy/bundle", "deploy/diff", "deploy/manifest"}, Never: []string{"audit", "sandbox", "authn"}},
	{Path: "deploy/bundle", Tier: 2, Ceiling: 950, Only: []string{"", "catalog", "catalog/code", "deploy/manifest", "sam", "sam/template"}, May: []string{"deploy/manifest"}},
	{Path: "deploy/diff", Tier: 2, Ceiling: 900, Pure: true, Only: []string{"", "catalog", "deploy/manifest"}, May: []string{"deploy/manifest"}},
	{Path: "deploy/manifest", Tier: 2, Ceiling: 2300, Only: []string{"", "pattern", "schedule", "policy", "quota", "shield", "catalog/route", "browser", "internal/spelling"}},
	{Path: "policy", Tier: 1, Ceiling: 2000, Pure: true},
	{Path: "policy/analysis", Tier: 1, Ceiling: 900, Pure: true, Only: []string{"", "policy"}, May: []string{"policy"}},
	{Path: "policy/condition", Tier: 0, Ceiling: 1150, Pure: true, Only: []string{""}},
	{Path: "quota", Tier: 1, Ceiling: 1100, Pure: true},
	{Path: "quota/share", Tier: 1, Ceiling: 200, Only: []string{"", "quota", "store"}, May: []string{"quota"}},
	{Path: "shield/expand", Tier: 0, Ceiling: 1300, Pure: true, Only: []string{"", "shield/text"}, May: []string{"shield/text"}},
	{Path: "shield/detect", Tier: 0, Ceiling: 1700, Pure: true, Only: []string{"", "shield/expand"}, May: []string{"shield/expand"}},
	{Path: "shield/leak", Tier: 0, Ceiling: 1000, Pure: true, Only: []string{""}},
	{Path: "shield", Tier: 1, Ceiling: 2500, Pure: true},
	{Path: "shield/text", Tier: 0, Ceiling: 800, Pure: true, Only: []string{""}},
	{Path: "shield/schema", Tier: 0, Ceiling: 2400, Pure: true, Only: []string{"", "shield/text"}, May: []string{"shield/text"}},
	{Path: "shield/asyncapi", Tier: 0, Ceiling: 300, Pure: true, Only: []string{"", "shield/schema", "shield/openapi"}, May: []string{"shield/schema", "shield/openapi"}},
	{Path: "shield/infer", Tier: 0, Ceiling: 800, Pure: true, Only: []string{"", "shield/text"}, May: []string{"shield/text"}},
	{Path: "shield/openapi", Tier: 0, Ceiling: 1800, Pure: true, Only: []string{"", "shield/schema", "shield/text"}, May: []string{"shield/schema", "shield/text"}},
	{Path: "shield/sample", Tier: 0, Ceiling: 650, Pure: true, Only: []string{"", "shield/schema"}, May: []string{"shield/schema"}},
	{Path: "shield/screen", Tier: 0, Ceiling: 2400, Pure: true, Only: []string{"", "shield/screen/confirm", "shield/screen/seclang", "shield/screen/transform", "shield/screen/literal"}, May: []string{"shield/screen/confirm", "shield/screen/seclang", "shield/screen/transform", "shield/screen/literal"}},
	{Path: "shield/screen/confirm", Tier: 0, Ceiling: 450, Pure: true, Only: []string{}},
	{Path: "shield/screen/seclang", Tier: 0, Ceiling: 350, Pure: true, Only: []string{}},
	{Path: "shield/screen/transform", Tier: 0, Ceiling: 600, Pure: true, Only: []string{}},
	{Path: "shield/screen/literal", Tier: 0, Ceiling: 750, Pure: true, Only: []string{"shield/screen/transform"}, May: []string{"shield/screen/transform"}},
	{Path: "sam", Tier: 1, Ceiling: 3950, Pure: true, Only: []string{"", "sam/template", "catalog/route"}, May: []string{"sam/template"}},
	{Path: "sam/template", Tier: 1, Ceiling: 2700, Pure: true, Only: []string{"", "internal/spelling", "shield/text"}},
	{Path: "lambda", Tier: 1, Ceiling: 1800, Pure: true},
	{Path: "authn/access", Tier: 1, Ceiling: 1150, Only: []string{"", "store", "authn/sigv4", "authn/lastuse", "internal/keeper"}},
	{Path: "authn/lastuse", Tier: 0, Ceiling: 80, Only: []string{"", "store"}, May: []string{"store"}},
	{Path: "authn/sigv4", Tier: 0, Ceiling: 650, Pure: true, Only: []string{""}},
	{Path: "authn", Tier: 1, Ceiling: 1850},
	{Path: "acme", Tier: 1, Ceiling: 950, Only: []string{"", "store"}},
	{Path: "schedule", Tier: 1, Ceiling: 450, Pure: true, Only: []string{""}},
	{Path: "front/schedule", Tier: 3, Ceiling: 400, Only: []string{"", "schedule", "lambda", "internal/pause"}},
	{Path: "flow", Tier: 1, Ceiling: 300, Only: []string{"", "store", "internal/keeper"}},
	{Path: "idempotency", Tier: 1, Ceiling: 300, Only: []string{"", "store"}},
	{Path: "cache", Tier: 1, Ceiling: 300, Pure: true, Only: []string{""}},
	{Path: "authn/certificate", Tier: 1, Ceiling: 350, Only: []string{""}},
	{Path: "service/signin", Tier: 1, Ceiling: 500, Only: []string{"", "authn/operator", "authn/passkey", "authn/device"}, May: []string{"authn/operator", "authn/passkey", "authn/device"}},
	{Path: "front/signin", Tier: 3, Ceiling: 450, Only: []string{""}},
	{Path: "authn/device", Tier: 1, Ceiling: 250, Pure: true, Only: []string{""}},
	{Path: "authn/passkey", Tier: 1, Ceiling: 700, Only: []string{"", "store"}},
	{Path: "authn/operator", Tier: 1, Ceiling: 2200, Only: []string{"", "store", "internal/keeper"}},
	{Path: "service/operator", Tier: 1, Ceiling: 700, Only: []string{"", "authn/operator"}, May: []string{"authn/operator"}},
	{Path: "authn/webhook", Tier: 1, Ceiling: 600, Only: []string{"", "store", "internal/keeper"}},
	{Path: "authn/authorizer", Tier: 1, Ceiling: 550, Only: []string{""}},
	{Path: "catalog", Tier: 1, Ceiling: 1800, Only: []string{"", "store", "catalog/route", "browser"}},
	{Path: "catalog/route", Tier: 0, Ceiling: 500, Pure: true, Only: []string{""}},
	{Path: "catalog/code", Tier: 1, Ceiling: 620, Only: []string{"", "internal/walls"}},
	{Path: "sandbox", Tier: 1, Ceiling: 3700, May: []string{"lambda", "sandbox/api", "sandbox/wasm"}, Never: forSandbox},
	{Path: "sandbox/api", Tier: 1, Ceiling: 2150, Only: []string{"", "lambda", "internal/walls"}, May: []string{"lambda"}},
	{Path: "sandbox/first", Tier: 0, Ceiling: 220, Only: []string{}},
	{Path: "sandbox/wasm", Tier: 1, Ceiling: 1900, May: []string{"lambda"}, Never: forSandbox},
	{Path: "sandbox/wasm/worker", Tier: 0, Ceiling: 1200, Only: []string{"sandbox/wasm/memory", "sandbox/wasm/module", "sandbox/wasm/wire"}, May: []string{"sandbox/wasm/memory", "sandbox/wasm/module", "sandbox/wasm/wire"}},
	{Path: "sandbox/wasm/memory", Tier: 0, Ceiling: 450, Only: []string{}},
	{Path: "sandbox/wasm/wire", Tier: 0, Ceiling: 400, Pure: true, Only: []string{}},
	{Path: "sandbox/wasm/module", Tier: 0, Ceiling: 1450, Pure: true, Only: []string{""}},
	{Path: "egress/service", Tier: 1, Ceiling: 900, Only: []string{"", "service/wire", "internal/work"}},
	{Path: "service/eventstream", Tier: 0, Ceiling: 60, Pure: true, Only: []string{}},
	{Path: "service/wire", Tier: 0, Ceiling: 990, Pure: true, Only: []string{""}},
	{Path: "service/sts", Tier: 1, Ceiling: 400, Pure: true, Only: []string{""}},
	{Path: "service/lambda", Tier: 1, Ceiling: 1200, Pure: true, Only: []string{"", "service/eventstream"}},
	{Path: "service/lambda/layer", Tier: 1, Ceiling: 350, Only: []string{"", "store"}},
	{Path: "service/lambda/control", Tier: 1, Ceiling: 3000, Only: []string{"", "catalog", "lambda", "service/lambda/layer"}, May: []string{"catalog", "lambda", "service/lambda/layer"}},
	{Path: "secret", Tier: 1, Ceiling: 1000, Only: []string{"", "store", "secret/kek", "secret/plain"}},
	{Path: "secret/kek", Tier: 0, Ceiling: 400, Only: []string{""}},
	{Path: "secret/plain", Tier: 0, Ceiling: 100, Pure: true, Only: []string{}},
	{Path: "service/shape", Tier: 0, Ceiling: 120, Pure: true, Only: []string{""}},
	{Path: "service/secrets", Tier: 1, Ceiling: 1200, Only: []string{"", "secret", "secret/plain", "service/shape"}, May: []string{"secret"}},
	{Path: "service/ssm", Tier: 1, Ceiling: 1200, Only: []string{"", "secret", "secret/plain", "service/shape"}, May: []string{"secret"}},
	{Path: "service/declared", Tier: 1, Ceiling: 200, Only: []string{"", "secret"}, May: []string{"secret"}},
	{Path: "service/lambda/mapping", Tier: 1, Ceiling: 400, Only: []string{"", "catalog", "pattern", "service/shape"}, May: []string{"catalog"}},
	{Path: "service/sqs", Tier: 1, Ceiling: 1130, Only: []string{"", "queue", "service/shape"}, May: []string{"queue"}},
	{Path: "egress/extension", Tier: 1, Ceiling: 300, Only: []string{"", "internal/work"}},
	{Path: "egress", Tier: 1, Ceiling: 1700},
	{Path: "egress/peek", Tier: 0, Ceiling: 600, Pure: true, Only: []string{}},
	{Path: "audit", Tier: 1, Ceiling: 1500},
	{Path: "audit/entry", Tier: 0, Ceiling: 500, Pure: true, Only: []string{""}},
	{Path: "audit/proof", Tier: 0, Ceiling: 600, Pure: true, Only: []string{}},
	{Path: "meter", Tier: 1, Ceiling: 850},
	{Path: "budget", Tier: 1, Ceiling: 1500, Only: []string{"", "store", "meter/price"}},
	{Path: "meter/price", Tier: 0, Ceiling: 750, Pure: true, Only: []string{""}},
	{Path: "journal", Tier: 1, Ceiling: 450, Only: []string{""}},
	{Path: "telemetry", Tier: 1, Ceiling: 1050},
	{Path: "sandbox/jail", Tier: 0, Ceiling: 2000, Only: []string{"sandbox/jail/stage", "sandbox/jail/cgroup", "sandbox/jail/calls", "sandbox/jail/program", "sandbox/jail/opened", "internal/walls"}},
	{Path: "sandbox/jail/opened", Tier: -1, Ceiling: 300, Only: []string{}},
	{Path: "sandbox/jail/program", Tier: -1, Ceiling: 400, Only: []string{}},
	{Path: "sandbox/jail/calls", Tier: -1, Ceiling: 450, Only: []string{"internal/walls"}},
	{Path: "sandbox/jail/stage", Tier: -1, Ceiling: 1600, Only: []string{"internal/walls"}},
	{Path: "sandbox/jail/cgroup", Tier: -1, Ceiling: 530, Only: []string{"internal/walls"}},
	{Path: "internal/keeper", Tier: -2, Ceiling: 60, Only: []string{}},
	{Path: "internal/pause", Tier: -2, Ceiling: 20, Only: []string{}},
	{Path: "internal/spelling", Tier: -2, Ceiling: 50, Pure: true, Only: []string{}},
	{Path: "internal/work", Tier: -2, Ceiling: 40, Pure: true, Only: []string{}},
	{Path: "internal/walls", Tier: -2, Ceiling: 10, Pure: true, Only: []string{}},
	{Path: "pattern", Tier: 0, Ceiling: 650, Pure: true, Only: []string{""}},
	{Path: "queue", Tier: 1, Ceiling: 2150, Only: []string{"", "store", "internal/keeper"}},
	{Path: "store", Tier: 0, Ceiling: 1900, Only: []string{"", "store/commit"}, May: []string{"store/commit"}},
	{Path: "store/commit", Tier: 0, Ceiling: 1860, Only: []string{""}},
	{Path: "", Tier: -1, Ceiling: 1650, Only: []string{}},
	{Path: "internal/imports", Tier: 6, Only: []string{}},
}

// Confined are rooms that only these may import: what a plaintext secret travels in is nobody else's business.
var Confined = map[string][]string{"secret/plain": {"secret", "service/secrets", "service/ssm"}}

var forSandbox = []string{"policy", "authn", "store", "audit", "gate"}

// Exempt are the trees that hold no room: suites, measurements, examples.
var Exempt = []string{"internal/casetest", "bench", "examples", "sdk", "test"}

// Owners says which rooms may import a dependency, by path prefix. The last column of the design's rule 9.
var Owners = map[string][]string{
	"github.com/nats-io/":                      {"store/commit"},
	"github.com/tetratelabs/wazero":            {"sandbox/wasm/worker"},
	"golang.org/x/sys":                         {"sandbox/jail", "sandbox/jail/stage", "sandbox/jail/cgroup", "sandbox/jail/calls", "sandbox/jail/opened", "sandbox/wasm", "sandbox/wasm/worker", "sandbox/wasm/memory", "store"},
	"golang.org/x/net/bpf":                     {"sandbox/jail/calls"},
	"github.com/landlock-lsm/":                 {"sandbox/jail"},
	"golang.org/x/net/dns":                     {"egress"},
	"golang.org/x/net/netutil":                 {"egress/extension"},
	"github.com/corazawaf/coraza/":             {}, // the reference that tests and benches ask
	"github.com/corazawaf/coraza-coreruleset/": {"shield/screen"},
	"github.com/corazawaf/libinjection-go":     {"shield/screen"},
	"golang.org/x/net/http2":                   {"front/conn"},
	"golang.org/x/net/html":                    {"shield/screen/transform"},
	"github.com/santhosh-tekuri/":              {"shield/schema"},
	"github.com/mholt/acmez/":                  {"acme"},
	"github.com/letsencrypt/pebble/":           {}, // the authority that tests ask; under the MPL, and no part of the program
	"github.com/go-jose/":                      {"authn"},
	"github.com/go-webauthn/":                  {"authn/passkey"},
	"golang.org/x/crypto/argon2":               {"authn/operator"},
	"golang.org/x/text/unicode/norm":           {"authn/operator"},
	"go.yaml.in/":                              {"meter/price", "deploy/manifest", "sam/template", "shield", "shield/schema", "shield/text"},
	"github.com/fsnotify/fsnotify":             {"dev"},
	"github.com/rogpeppe/":                     {"cmd/casemate"},
	"github.com/spf13/":                        {"cmd/casemate"},
	"golang.org/x/term":                        {"cmd/casemate"},
	"golang.org/x/mod/":                        {"audit", "audit/proof"},
	"github.com/tink-crypto/":                  {"secret", "secret/kek"},
	"github.com/aws/":                          {},
	"os/exec":                                  {"sandbox", "cmd/casemate"},
	"unsafe":                                   {"sandbox/jail", "sandbox/jail/stage", "sandbox/wasm/memory", "sandbox/wasm/worker"},
	"net/http":                                 {"front/http", "front/conn", "front/admin", "front/signin", "front/redirect", "front/debugger", "front/aws", "sandbox/api", "authn", "acme", "telemetry", "egress/service", "egress/extension", "cmd/casemate", "node", "egress"},
}

// inits are the rooms with an init: the early dispatches of re-executed children, before heavy packages wake up.
var inits = map[string]bool{"sandbox/jail/stage": true, "sandbox/first": true, "sandbox/wasm/worker": true}

// calls that only some rooms may make, by "package.Function".
var calls = map[string][]string{
	"net.Listen":          {"front/http", "front/admin", "telemetry"},
	"net.ListenPacket":    {},
	"net.ListenTCP":       {"front/http"},
	"net.ListenUnix":      {"front/admin"},
	"net.Dial":            {},
	"net.DialTimeout":     {},
	"net.DialUnix":        {},
	"tls.Dial":            {},
	"http.Get":            {},
	"http.Post":           {},
	"http.ListenAndServe": {},
	"context.WithValue":   {},
}

// values that only some rooms may make: an outbound door or a listener.
var literals = map[string][]string{
	"net.Dialer":       {"front/admin", "telemetry", "authn", "acme", "egress"}, // admin: the command line's way to the node's own socket
	"http.Client":      {"front/admin", "telemetry", "authn", "acme"},
	"http.Transport":   {"front/admin", "telemetry", "authn", "acme", "egress"},
	"net.ListenConfig": {"front/http", "front/redirect", "front/debugger", "front/admin", "front/aws", "telemetry"},
}

// impure are the imports that make a room impure.
var impure = []string{"os", "os/exec", "os/user", "os/signal", "net", "net/http", "syscall", "io/ioutil"}

// Bounds on functions and fans.
const (
	functionP90  = 40 // lines, at the 90th percentile of a package
	functionMax  = 80
	maxImporters = 8 // of any room but root, store and the one constant of internal/walls
	maxMethods   = 4 // of an interface
)

var badNames = map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "manager": true, "misc": true}
