package price

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"casemate"
)

func book(t interface{ Fatal(...any) }, text string) *Book {
	b, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	may  = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	june = may.AddDate(0, 1, 0)
)

func run(wall, cpu time.Duration, mb int, sent, received, out int64) *casemate.Record {
	return &casemate.Record{ID: "r", App: "shop", Function: "price", Source: casemate.SourceHTTP, Opened: may, Outcome: casemate.Outcome{OK: true, Status: "answered"},
		Usage: casemate.Usage{Wall: wall, CPU: cpu, MemoryMB: mb, Sent: sent, Received: received, Out: out}}
}

func TestWhatARunCosts(t *testing.T) {
	b := book(t, `
currency: USD
requests: {price: "0.20", per: 1000000}
gb_seconds: {price: "0.0000166667"}
cpu_seconds: {price: "0.00001"}
egress_gb: {price: "0.09"}
ingress_gb: {price: "0.01"}
answers_gb: {price: "1"}
operations: {default: {price: "0.000001"}, secretsmanager.GetSecretValue: {price: "0.05", per: 10000}}
provisioned_gb_seconds: {price: "0.000004"}
storage_gb_months: {price: "0.10"}
`)
	service := run(time.Millisecond, 0, 0, 0, 0, 10)
	service.App, service.Function, service.Source = "casemate", "secretsmanager.GetSecretValue", casemate.SourceRun
	other, admin, refused, queued, kept := *service, *service, *run(0, 0, 0, 0, 0, 0), *run(0, 0, 0, 0, 0, 0), *run(0, 0, 0, 0, 0, 900)
	other.Function, admin.Source = "sts.GetCallerIdentity", casemate.SourceAdmin
	refused.Outcome, queued.Outcome = casemate.Outcome{Status: "refused"}, casemate.Outcome{OK: true, Status: "queued"}
	cut := run(0, 0, 0, 0, 0, 0)
	cut.Held, cut.Outcome = 77, casemate.Outcome{Status: "interrupted"}
	capped := run(time.Second, 0, 1024, 0, 0, 0)
	capped.Held = 10
	standing := &casemate.Record{Source: SourceNode, Action: StandingAction, Usage: casemate.Usage{Wall: time.Minute, MemoryMB: 1024, In: 3 << 30}}
	sealed := &casemate.Record{Source: SourceNode, Action: "casemate:Seal", Usage: casemate.Usage{Wall: time.Minute, MemoryMB: 1024, In: 3 << 30}}
	for name, c := range map[string]struct {
		r    *casemate.Record
		want casemate.Money
	}{
		"a second of a gigabyte":            {run(time.Second, 0, 1024, 0, 0, 0), 200 + 16667},
		"a nanosecond counts as a milli":    {run(1, 0, 1024, 0, 0, 0), 200 + 17},
		"CPU":                               {run(1, 1500*time.Millisecond, 0, 0, 0, 0), 200 + 15000},
		"bytes both ways and of the answer": {run(1, 0, 0, 1<<30, 1<<29, 1), 200 + 90_000_000 + 5_000_000 + 1},
		"an operation":                      {service, 5000},
		"another operation":                 {&other, 1000},
		"an operator's":                     {&admin, 0},
		"refused":                           {&refused, 0},
		"queued":                            {&queued, 0},
		"answered from what was kept":       {&kept, 0},
		"cut off by the node's end":         {cut, 77},
		"never more than was held":          {capped, 10},
		"what stands ready, and is stored":  {standing, 240_000 + 6850}, // 3 GB x 1 min of 43,800
		"the log's own records":             {sealed, 0},
	} {
		if got, err := b.Cost(c.r); err != nil || got != c.want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, c.want)
		}
	}
}

func TestBadBooks(t *testing.T) {
	for name, text := range map[string]string{
		"no currency": `requests: {price: "1"}`, "unknown item": "currency: USD\nmoons: {price: \"1\"}", "unknown key": "currency: USD\nrequests: {prize: \"1\"}",
		"negative": "currency: USD\nrequests: {price: \"-1\"}", "exponent": "currency: USD\nrequests: {price: \"1e3\"}", "NaN": "currency: USD\nrequests: {price: NaN}",
		"negative per": "currency: USD\nrequests: {price: \"1\", per: -5}", "per overflows": "currency: USD\negress_gb: {price: \"1\", per: 9223372036854775807}",
		"free overflows": "currency: USD\negress_gb: {price: \"1\", free: 9223372036854775807}", "negative free": "currency: USD\nrequests: {price: \"1\", free: -1}",
		"too dear": "currency: USD\nrequests: {price: \"100001\"}", "price and tiers": "currency: USD\nrequests: {price: \"1\", tiers: [{price: \"1\"}]}",
		"tiers that fall": "currency: USD\nrequests: {tiers: [{upto: 10, price: \"1\"}, {upto: 5, price: \"1\"}, {price: \"1\"}]}",
		"no last tier":    "currency: USD\nrequests: {tiers: [{upto: 10, price: \"1\"}]}", "below free": "currency: USD\nrequests: {free: 10, tiers: [{upto: 10, price: \"1\"}, {price: \"2\"}]}",
		"tier of operation": "currency: USD\noperations: {default: {price: \"1\", free: 5}}", "euro sign": "currency: €\n", "small letters": "currency: usd\n", "digits": "currency: USD\nrequests: {price: \"0.0000000000000000001\"}",
		"a list": "[1]", "nothing in it": "currency: USD\nrequests: {}",
	} {
		if b, err := Parse([]byte(text)); err == nil || casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%s: taken as %+v, %v", name, b, err)
		}
	}
}

func TestOverflowIsAnError(t *testing.T) {
	b := book(t, "currency: USD\ngb_seconds: {price: \"100000\"}\nrequests: {price: \"100000\"}")
	for _, r := range []*casemate.Record{run(math.MaxInt64, 0, math.MaxInt32, 0, 0, 0), run(math.MaxInt64, 0, 1024, 0, 0, 0)} {
		if got, err := b.Cost(r); err == nil {
			t.Errorf("%d", got)
		}
	}
	if got, err := b.Worst(casemate.Limits{Timeout: 900 * time.Second, MemoryMB: 10240}, 64, true); err != nil || got < 9_000*100_000 {
		t.Errorf("the dearest run there is: %d, %v", got, err)
	}
}

func TestTiersAndWhatIsFreeComeOffTheBill(t *testing.T) {
	b := book(t, "currency: USD\nrequests: {free: 10, tiers: [{upto: 100, price: \"0.5\"}, {upto: 1000, price: \"1\"}, {price: \"0.25\"}]}")
	for used, want := range map[int64]string{0: "0.00", 10: "10.00", 11: "10.50", 100: "55.00", 1000: "55.00", 1004: "58.00"} {
		if got := b.Saved(Requests, 0, used); got.String() != want {
			t.Errorf("%d requests save %s, want %s", used, got, want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		x, y := rapid.Int64Range(0, 3000).Draw(rt, "from"), rapid.Int64Range(0, 3000).Draw(rt, "more")
		if whole := b.Saved(Requests, 0, x+y); b.Saved(Requests, 0, x)+b.Saved(Requests, x, x+y) != whole || whole > casemate.Money(x+y)*casemate.Unit {
			rt.Fatal(x, y, whole)
		}
	})
}

// TestNoRunCostsMoreThanItsWorst: whatever a run within its limits does.
func TestNoRunCostsMoreThanItsWorst(t *testing.T) {
	b := book(t, "currency: USD\nrequests: {price: \"0.3\", per: 7}\ngb_seconds: {price: \"0.0000166667\"}\ncpu_seconds: {price: \"0.01\", per: 3}\negress_gb: {price: \"0.09\"}\ningress_gb: {price: \"0.2\"}\nanswers_gb: {price: \"0.5\"}")
	rapid.Check(t, func(rt *rapid.T) {
		l := casemate.Limits{Timeout: time.Duration(rapid.Int64Range(1e7, 9e11).Draw(rt, "timeout")), MemoryMB: rapid.IntRange(16, 10240).Draw(rt, "memory"),
			CPU: rapid.IntRange(0, 4000).Draw(rt, "cpu"), Response: rapid.Int64Range(1, 6<<20).Draw(rt, "response"), Traffic: rapid.Int64Range(1, 1<<40).Draw(rt, "traffic")}
		outside := rapid.Bool().Draw(rt, "outside")
		worst, err := b.Worst(l, 2, outside)
		if err != nil {
			rt.Fatal(err)
		}
		wall := rapid.Int64Range(0, int64(l.Timeout)).Draw(rt, "wall")
		cores := 2000
		if l.CPU > 0 {
			cores = min(l.CPU, 2000)
		}
		sent := int64(0)
		if outside {
			sent = rapid.Int64Range(0, l.Traffic).Draw(rt, "sent")
		}
		r := run(time.Duration(wall), time.Duration(wall/1000*int64(cores)), l.MemoryMB, sent, 0, rapid.Int64Range(0, l.Response).Draw(rt, "answer"))
		if outside {
			r.Usage.Received = l.Traffic - sent
		}
		if got, err := b.Cost(r); err != nil || got > worst {
			rt.Fatalf("%d, worst %d, %v", got, worst, err)
		}
	})
}

func anyRecord(rt *rapid.T, i int, digests []string) casemate.Record {
	n := func(what string, most int64) int64 {
		return rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, most)).Draw(rt, what)
	}
	r := casemate.Record{ID: "r" + strconv.Itoa(i), Opened: may.Add(time.Duration(n("at", 40*24)) * time.Hour), Book: rapid.SampledFrom(digests).Draw(rt, "book"),
		App: rapid.SampledFrom([]string{"shop", "casemate"}).Draw(rt, "app"), Function: rapid.SampledFrom([]string{"price", "secretsmanager.GetSecretValue", "ssm.GetParameter"}).Draw(rt, "function"),
		Source: rapid.SampledFrom([]casemate.Source{casemate.SourceHTTP, casemate.SourceAdmin, casemate.SourceRun, casemate.SourceAsync, SourceNode}).Draw(rt, "source"),
		Action: rapid.SampledFrom([]string{StandingAction, "lambda:InvokeFunction"}).Draw(rt, "action"), Held: casemate.Money(n("held", 1e9)),
		Usage:   casemate.Usage{Wall: time.Duration(n("wall", 9e11)), CPU: time.Duration(n("cpu", 9e11)), MemoryMB: int(n("memory", 10240)), Out: n("out", 6<<20), In: n("in", 1<<40), Sent: n("sent", 1<<40), Received: n("received", 1<<40)},
		Outcome: casemate.Outcome{Status: rapid.SampledFrom([]string{"answered", "failed", "refused", "queued", "interrupted"}).Draw(rt, "status")},
		Tags:    rapid.SampledFrom([][]string{nil, {"team=web"}, {"team=web", "env=prod"}}).Draw(rt, "tags"), Principal: "key/a", Resource: "arn:aws:lambda:us-east-1:000000000000:function:price"}
	return r
}

// TestBillIsTheRecount holds the bill against the other reckoning, over records of every kind and three books.
func TestBillIsTheRecount(t *testing.T) {
	texts := []string{string(defaultBook), "currency: USD\nrequests: {price: \"0.3\", per: 7, free: 3}\ngb_seconds: {price: \"0.0000166667\"}\noperations: {default: {price: \"1\", per: 3}}\nstorage_gb_months: {price: \"3\"}\nprovisioned_gb_seconds: {price: \"0.1\", per: 9}",
		"currency: USD\ngb_seconds: {tiers: [{upto: 5, price: \"0.000000000000000003\"}, {price: \"0.000000000000000007\"}]}\ncpu_seconds: {price: \"11\", per: 13}\nanswers_gb: {price: \"17\", per: 19}\ningress_gb: {price: \"1\", per: 1023}\negress_gb: {price: \"1\", per: 1023}"}
	books, byDigest, digests := map[string]*Book{}, map[string]string{}, []string{}
	for _, x := range texts {
		b := book(t, x)
		books[b.Digest], byDigest[b.Digest] = b, x
		digests = append(digests, b.Digest)
	}
	seen := 0
	rapid.Check(t, func(rt *rapid.T) {
		bill, err := NewBill(may, june, rapid.SampledFrom(Bys()).Draw(rt, "by"), func(d string) *Book { return books[d] })
		if err != nil {
			rt.Fatal(err)
		}
		var lines bytes.Buffer
		fmt.Fprintln(&lines, `{"format":"casemate-audit-export/1","key":"k","checkpoint":"c"}`)
		n := rapid.IntRange(0, 200).Draw(rt, "records")
		for i := range n {
			r := anyRecord(rt, i, digests)
			if r.Cost, err = books[r.Book].Cost(&r); err != nil {
				rt.Fatal(err)
			}
			if err := bill.Add(&r); err != nil {
				rt.Fatal(err)
			}
			data, err := json.Marshal(r)
			if err != nil {
				rt.Fatal(err)
			}
			fmt.Fprintf(&lines, `{"seq":%d,"leaf":"00","record":%s}`+"\n", i+1, data)
		}
		seen += n
		again, err := Again(&lines, byDigest, may, june)
		if err != nil {
			rt.Fatal(err)
		}
		bill.Close()
		if again.Charged != strconv.FormatInt(int64(bill.Charged), 10) || again.Records != bill.Records || len(again.Wrong)+len(bill.Wrong) > 0 {
			rt.Fatalf("%+v\n%+v", again, bill)
		}
		if bill.Total < 0 || bill.Total != bill.Charged-bill.Saved {
			rt.Fatalf("%+v", bill)
		}
	})
	if seen < 2000 {
		t.Errorf("only %d records", seen)
	}
}

func TestRecountFindsALyingRecord(t *testing.T) {
	b, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	r := run(time.Second, 0, 1024, 0, 0, 0)
	r.Book = b.Digest
	if r.Cost, err = b.Cost(r); err != nil {
		t.Fatal(err)
	}
	for cheat, wrong := range map[casemate.Money]int{0: 0, -1: 1, 1: 1} {
		x := *r
		x.Cost += cheat
		bill, _ := NewBill(may, june, "function", func(string) *Book { return b })
		if err := bill.Add(&x); err != nil {
			t.Fatal(err)
		}
		data, _ := json.Marshal(x)
		again, err := Again(strings.NewReader(`{"seq":1,"record":`+string(data)+"}\n"), map[string]string{b.Digest: b.Text}, may, june)
		if err != nil || len(again.Wrong) != wrong || len(bill.Wrong) != wrong {
			t.Errorf("cost off by %d: %+v, %v, %v", cheat, again, bill.Wrong, err)
		}
	}
}

func FuzzBook(f *testing.F) {
	f.Add(defaultBook)
	f.Add([]byte("currency: USD\nrequests: {free: 10, tiers: [{upto: 100, price: \"0.5\"}, {price: \"0.25\"}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse(text)
		if err != nil {
			return
		}
		for i := range Items {
			if m, ok := b.items[i].charge(i.Scale()); !ok || m < 0 || m > maxPrice*casemate.Unit {
				t.Fatalf("%s costs %d, %v", i, m, ok)
			}
		}
		b.Lines()
	})
}

func BenchmarkCost(bm *testing.B) {
	b := book(bm, string(defaultBook))
	r := run(3*time.Millisecond, time.Millisecond, 128, 0, 0, 200)
	bm.ReportAllocs()
	for bm.Loop() {
		if _, err := b.Cost(r); err != nil {
			bm.Fatal(err)
		}
	}
}
