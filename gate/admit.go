package gate

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"slices"
	"strings"

	"casemate"
)

// admitted is the proof that an event passed every check. Only admit makes one, and run and enqueue take nothing else:
// skipping a check does not compile.
type admitted struct {
	event     *casemate.Event
	match     *casemate.Match
	principal *casemate.Principal
	room      casemate.Reservation
	money     casemate.Hold
	held      bool                                 // money was asked for, and has to be settled
	step      func(ctx context.Context, done bool) // of a flow, to be told what came of it; nil: none was taken
	proven    bool                                 // the principal's Body accepted it
	ran, ok   bool                                 // it was started; it answered without a failure
	again     bool                                 // it was accepted before
	clean     []byte                               // the body, after the shield
	payload   []byte                               // what the function will receive
	tenant    string                               // whose event it is, where the function keeps tenants apart
	partition string
}

// admit asks, cheapest and least trusting question first: how often from there, who, what, may they, is there room, is
// it well formed. The body is not read before all but the last said yes.
func (g *Gate) admit(ctx context.Context, e *casemate.Event, s *story) (admitted, error) {
	if err := g.knock(ctx, e); err != nil {
		return admitted{}, s.refuse(casemate.PointRoom, err)
	}
	m, p, open, err := g.who(ctx, e, s)
	if err != nil {
		return admitted{}, s.refuse(casemate.PointWho, err)
	}
	s.point(casemate.PointWho, casemate.Allowed, p.Name())
	if err := g.may(e, m, p, open, s); err != nil {
		return admitted{}, err
	}
	if e.Check != nil {
		if err := e.Check(); err != nil {
			return admitted{}, s.refuse(casemate.PointForm, err)
		}
	}
	if m.Absent != nil {
		return admitted{}, s.refuse(casemate.PointMay, m.Absent)
	}
	a := admitted{event: e, match: m, principal: p}
	if err := g.roomy(m); err != nil {
		return admitted{}, s.refuse(casemate.PointRoom, err)
	}
	d, err := g.demand(e, m, p)
	if err != nil {
		return admitted{}, s.refuse(casemate.PointRoom, err)
	}
	if err := g.proveAside(ctx, &a, d, s); err != nil {
		return admitted{}, err
	}
	if a.room, err = g.c.Quota.Reserve(ctx, g.c.Clock(), d); err != nil {
		if a.proven && p.Done != nil {
			p.Done(false) // it may come again
		}
		return admitted{}, s.refuse(casemate.PointRoom, err)
	}
	in := false
	defer func() { // a check that panics holds nothing either
		if !in {
			g.settle(ctx, &a, s)
		}
	}()
	if err := g.form(ctx, &a, s); err != nil {
		return admitted{}, err
	}
	in = true
	return a, nil
}

// who says who is calling and what. An event that came by a route has its credential looked at in the light of that
// route; for the others the look-up comes after, so that who is nobody does not learn which functions exist.
func (g *Gate) who(ctx context.Context, e *casemate.Event, s *story) (m *casemate.Match, p *casemate.Principal, open *casemate.Exception, err error) {
	routed := e.Target.Function == "" && e.Target.Builtin == ""
	if routed {
		if m, err = g.c.Catalog.Resolve(e); err != nil {
			return nil, nil, nil, err
		}
		s.matched(m)
	}
	if p, err = g.c.Identity.Verify(ctx, e, m); err != nil {
		return nil, nil, nil, err
	}
	s.rec.Principal, s.rec.Role = p.Name(), p.Role
	if err := ofRun(e); err != nil {
		return nil, nil, nil, err
	}
	if !routed {
		if !p.Known() {
			return nil, nil, nil, unauthenticated("this call needs a credential", "send an API key or a token")
		}
		if m, err = g.c.Catalog.Resolve(e); err != nil {
			return nil, nil, nil, err
		}
		s.matched(m)
	}
	open, err = g.accepts(e, m, p)
	return m, p, open, err
}

// form is what comes after the policy and the room: the money, the body, whose sandbox.
func (g *Gate) form(ctx context.Context, a *admitted, s *story) (err error) {
	if err := g.prove(a); err != nil {
		return s.refuse(casemate.PointWho, err)
	}
	if err := g.hold(ctx, a, s); err != nil {
		return s.refuse(casemate.PointRoom, err)
	}
	s.point(casemate.PointRoom, casemate.Allowed, "")
	if a.payload, err = g.body(a, s); err != nil {
		return err
	}
	if a.tenant, a.partition, err = tenancy(a.event, a.match, a.principal, a.payload); err != nil {
		return s.refuse(casemate.PointForm, err)
	}
	if err := g.begin(ctx, a); err != nil {
		return s.refuse(casemate.PointForm, err)
	}
	s.point(casemate.PointForm, casemate.Allowed, formReason(a.match))
	return nil
}

// unprovenPlaces is how many bodies of one network are read at once before anybody is proven by them.
const unprovenPlaces = 16

// proveAside has a sender whose body proves it do so before it takes a place of its function or of the node: a forger who
// sends slowly holds places of its own network alone.
func (g *Gate) proveAside(ctx context.Context, a *admitted, d casemate.Demand, s *story) error {
	if a.principal.Body == nil || a.event.Credential.Kind == casemate.CredentialRun {
		return nil
	}
	aside := casemate.Demand{Principal: d.Principal, Function: "unproven " + d.Principal, Concurrency: unprovenPlaces}
	room, err := g.c.Quota.Reserve(ctx, g.c.Clock(), aside)
	if err != nil {
		return s.refuse(casemate.PointRoom, &casemate.Error{Code: casemate.CodeOf(err), Message: "too many senders of this network have yet to prove themselves", Hint: "send it again in a moment", Retry: 1, Err: err})
	}
	defer func() { g.c.Quota.Settle(g.c.Clock(), room) }()
	if err := g.prove(a); err != nil {
		return s.refuse(casemate.PointWho, err)
	}
	return nil
}

// prove reads the body of who has yet to prove itself by it: before that nobody's money is held back, and nothing is parsed.
func (g *Gate) prove(a *admitted) error {
	e, check := a.event, a.principal.Body
	if check == nil || a.proven || e.Credential.Kind == casemate.CredentialRun {
		return nil
	}
	raw, err := readBody(e, bodyLimit(a.match))
	if err != nil {
		return err
	}
	if e.Body != nil {
		e.Body, e.Size = bytes.NewReader(raw), int64(len(raw))
	}
	if err := check(raw); err != nil {
		return err
	}
	a.proven = true
	return nil
}

// keyOf is the key behind a principal: its own, or the access key that its session came from.
func keyOf(p *casemate.Principal) string {
	if p.Kind == casemate.KindKey {
		return strings.TrimPrefix(p.ID, "key/")
	}
	if key, ok := strings.CutPrefix(p.Origin, "access/"); ok {
		key, _, _ = strings.Cut(key, " ")
		return key
	}
	return ""
}

// hold has the most that the event can cost held back, and where a budget covers it, the opened record say so.
func (g *Gate) hold(ctx context.Context, a *admitted, s *story) (err error) {
	if g.c.Purse == nil || a.event.DryRun {
		return nil
	}
	e, m, p := a.event, a.match, a.principal
	if s.rec.Key == "" {
		s.rec.Key = keyOf(p)
	}
	s.spend = casemate.Spend{Event: s.rec.ID, Opened: s.rec.Opened, Chain: e.Chain, Root: e.Chain == e.ID && e.Source != casemate.SourceAsync, Depth: e.Depth, Source: e.Source,
		Principal: p.Name(), Role: p.Role, Key: s.rec.Key, Before: e.Spent, Queue: e.Async}
	if v := m.Version; v != nil {
		s.spend.Account, s.spend.App, s.spend.Function, s.spend.Version = v.Account, v.App, v.Function, v
		if streams(e, m) {
			s.spend.Answer = streamed(v)
		}
		if v.Runtime.Family() == "builtin" {
			s.spend.Function, s.spend.Operation, s.spend.Version = "", e.Target.Builtin, nil
		}
	}
	if a.money, err = g.c.Purse.Hold(ctx, g.c.Clock(), &s.spend); err != nil {
		return err
	}
	a.held, e.Spent = true, max(e.Spent, a.money.Chain)
	s.rec.Held, s.rec.Book, s.rec.Tags = a.money.Amount, a.money.Book, a.money.Tags
	if a.money.Keep && g.c.Keep != nil {
		if err := g.c.Keep(&s.rec); err != nil {
			return unavailable("what this event may cost cannot be recorded", err)
		}
	}
	return nil
}

// settle gives back the room and what is left of the money. It is called once for every admitted event.
func (g *Gate) settle(ctx context.Context, a *admitted, s *story) {
	g.c.Quota.Settle(g.c.Clock(), a.room)
	if a.held {
		a.held, a.money.Done = false, a.ok && !a.again
		s.rec.Cost, s.rec.Book = g.c.Purse.Settle(context.WithoutCancel(ctx), g.c.Clock(), a.money, &s.rec, a.ran)
	}
	if a.proven && a.principal.Done != nil {
		a.proven = false
		a.principal.Done(a.ok)
	}
	if a.step != nil {
		a.step(context.WithoutCancel(ctx), a.ok)
		a.step = nil
	}
}

// roomy refuses to start functions while the node is out of room for what they would leave. Operations of the platform go
// on: what they would write the store refuses by itself.
func (g *Gate) roomy(m *casemate.Match) error {
	if g.c.Room == nil || m.Version != nil && m.Version.Runtime.Family() == "builtin" {
		return nil
	}
	return g.c.Room()
}

// knock is the rate of one source address, taken before its credential costs anything. Operators on the node's own
// socket and events that were accepted before have no address.
func (g *Gate) knock(ctx context.Context, e *casemate.Event) error {
	if e.SourceIP == "" || e.Source == casemate.SourceAuthorizer { // it knocked with the event that is asked about
		return nil
	}
	d := casemate.Demand{SourceRate: g.c.Source}
	d.Source, d.Block = g.source(e)
	_, err := g.c.Quota.Reserve(ctx, g.c.Clock(), d)
	return err
}

// source is what an event's address is counted by: itself, and the network around it.
func (g *Gate) source(e *casemate.Event) (name string, block netip.Prefix) {
	a, err := netip.ParseAddr(e.SourceIP)
	if err != nil {
		return e.SourceIP, block
	}
	a = a.Unmap().WithZone("")
	bits := g.c.Block.IPv4
	if a.Is6() {
		bits = g.c.Block.IPv6
	}
	block, _ = a.Prefix(min(bits, a.BitLen())) // the bits fit
	return casemate.SourceOf(e.SourceIP), block
}

// ofRun holds what a function asks for to the way it has to come, by its own door with its own signature, and to the
// depth at which a loop of calls ends. Nothing else comes that way.
func ofRun(e *casemate.Event) error {
	signed := e.Credential.Kind == casemate.CredentialSigned
	switch {
	case (e.Source == casemate.SourceRun) != signed, signed && e.Target.Function == "" && e.Target.Builtin == "":
		return unauthenticated("this way in does not take this kind of credential", "call services by the endpoint in AWS_ENDPOINT_URL")
	case e.Depth > casemate.MaxDepth:
		return &casemate.Error{Code: casemate.Forbidden, AWS: "RecursiveInvocationException", Message: "functions call each other in a loop",
			Hint: "find out what calls what: casemate audit list --chain " + e.Chain}
	}
	return nil
}

// accepts checks that the way in takes this kind of caller. It returns the exception that lets anonymous callers in,
// when that is what lets this one in.
func (g *Gate) accepts(e *casemate.Event, m *casemate.Match, p *casemate.Principal) (*casemate.Exception, error) {
	if m.Route == nil {
		if p.Known() {
			return nil, nil
		}
		return nil, unauthenticated("this call needs a credential", "send an API key or a token")
	}
	auth := &m.Route.Auth
	if !p.Known() {
		if auth.Open.Live(g.c.Clock()) {
			return auth.Open, nil
		}
		if m.Route.ByAPI() {
			return nil, unsigned
		}
		return nil, unauthenticated("this route needs a credential", wanted(auth.Kinds))
	}
	if e.Credential.Kind == casemate.CredentialRun {
		return nil, nil // it came in by this route, with a credential the route takes, when it was accepted
	}
	kind := e.Credential.Kind
	switch p.Kind { // what proves these is not one header, and who it proves was found by the route
	case casemate.KindWebhook:
		kind = casemate.CredentialWebhook
	case casemate.KindAuthorizer:
		kind = casemate.CredentialAuthorizer
	case casemate.KindCertificate:
		kind = casemate.CredentialCertificate
	}
	if slices.Contains(auth.Kinds, kind) {
		return nil, nil
	}
	if auth.Open.Live(g.c.Clock()) {
		return auth.Open, nil
	}
	if m.Route.ByAPI() {
		return nil, unsigned
	}
	return nil, unauthenticated("this route does not take this kind of credential", "the manifest's auth list of the route says which it takes")
}

// unsigned is what who sends no signature to a URL of Lambda's API is told: it is forbidden there, as on AWS.
var unsigned = &casemate.Error{Code: casemate.Forbidden, Message: "this function URL takes signed requests", Hint: "sign it with SigV4 for the service lambda"}

// wanted says how to send what a route takes. It is the same for all who send nothing.
func wanted(kinds []casemate.CredentialKind) string {
	key, token := slices.Contains(kinds, casemate.CredentialKey), slices.Contains(kinds, casemate.CredentialBearer)
	switch {
	case key && token:
		return "send an API key as x-api-key, or a token as Authorization: Bearer"
	case key:
		return "send an API key as x-api-key"
	case token:
		return "send a token as Authorization: Bearer"
	case slices.Contains(kinds, casemate.CredentialAccess):
		return "sign the request as AWS SDKs do (Signature Version 4)"
	}
	return "send what this route takes"
}

func unauthenticated(message, hint string) error {
	return &casemate.Error{Code: casemate.Unauthenticated, Message: message, Hint: hint}
}

// may asks the policy. A live open-route exception stands in for a missing allow; it never beats a deny, a guardrail or
// a boundary.
func (g *Gate) may(e *casemate.Event, m *casemate.Match, p *casemate.Principal, open *casemate.Exception, s *story) error {
	if m.Policy == nil {
		return s.refuse(casemate.PointMay, &casemate.Error{Code: casemate.Forbidden, Message: "no policy is loaded"})
	}
	account := p.Account
	if m.Version != nil {
		account = m.Version.Account
	}
	if m.Route != nil && m.Route.URL {
		viaURL(e, m.Route)
	}
	q := &casemate.AccessRequest{Principal: p, Action: m.Action, Resource: m.Resource, Account: account, Now: g.c.Clock(), Context: e.Context,
		Params: m.Params, Route: m.Pattern}
	if w, ok := m.Policy.(witness); ok {
		s.rec.Facts = w.Facts(q)
	}
	d := m.Policy.Decide(q)
	if d.Verdict != casemate.Allowed && d.Layer == "default" && open != nil && !m.Route.ByAPI() {
		d = casemate.Decision{Verdict: casemate.Allowed, Layer: "exception", Statement: "auth: none",
			Reason: "open until " + open.Expires.UTC().Format("2006-01-02") + ": " + open.Reason}
	}
	s.rec.Decision = d
	if d.Verdict != casemate.Allowed {
		return s.refuse(casemate.PointMay, forbidden(q, d))
	}
	by := d.Statement
	if m.Object != "" { // an exception opens the route, never the objects behind it
		q.Action, q.Resource, q.Route = m.ObjectAction, m.Object, ""
		s.rec.ObjectAction, s.rec.Object = m.ObjectAction, m.Object // from here on the decision of a refusal is the object's
		if w, ok := m.Policy.(witness); ok {
			s.rec.Facts = join(s.rec.Facts, w.Facts(q))
		}
		if d = m.Policy.Decide(q); d.Verdict != casemate.Allowed {
			s.rec.Decision = d
			return s.refuse(casemate.PointMay, forbidden(q, d))
		}
		by += ", " + d.Statement
	}
	s.point(casemate.PointMay, casemate.Allowed, by)
	return nil
}

// viaURL adds the condition keys that a request by a function URL has
// (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html); no other event has them.
func viaURL(e *casemate.Event, r *casemate.Route) {
	if e.Context == nil {
		e.Context = map[string][]string{}
	}
	e.Context["lambda:invokedviafunctionurl"] = []string{"true"}
	if auth := r.URLAuth(); auth != "" {
		e.Context["lambda:functionurlauthtype"] = []string{auth}
	}
}

// witness is a Decider that tells what a decision depends on beside the action and the resource, for the record. It gives
// nothing where no policy in force has a condition or a variable.
type witness interface {
	Facts(r *casemate.AccessRequest) []casemate.Fact
}

// join adds the facts of b whose keys a does not have.
func join(a, b []casemate.Fact) []casemate.Fact {
	n := len(a)
	for i := range b {
		if !slices.ContainsFunc(a[:n], func(f casemate.Fact) bool { return f.Key == b[i].Key }) {
			a = append(a, b[i])
		}
	}
	return a
}

func forbidden(q *casemate.AccessRequest, d casemate.Decision) error {
	return &casemate.Error{Code: casemate.Forbidden, Message: q.Principal.Name() + " may not " + q.Action + " on " + q.Resource, Rule: d.Statement, Hint: d.Hint}
}

// demand is what an event counts against, beside its source: its caller's plan, the route, the function and its account.
func (g *Gate) demand(e *casemate.Event, m *casemate.Match, p *casemate.Principal) (d casemate.Demand, err error) {
	d = casemate.Demand{Principal: p.Payer()}
	switch {
	case d.Principal == "":
		d.Principal = "anonymous@" + casemate.SourceOf(e.SourceIP)
	case p.Kind == casemate.KindWebhook && p.Body != nil, e.Source == casemate.SourceAuthorizer: // not proven yet: a forger uses up its own rate alone
		d.Principal += "@" + casemate.SourceOf(e.SourceIP)
	}
	d.Alone = e.Credential.Proves(p)
	if g.c.Plan != nil && p.Known() && e.Credential.Kind != casemate.CredentialRun { // what was accepted before counted then
		if d.Plan, err = g.c.Plan(p); err != nil {
			return d, err
		}
	}
	if p.Known() && e.SourceIP != "" && e.Source != casemate.SourceAuthorizer {
		d.Known.Source, d.Known.Block = g.source(e)
	}
	if r := m.Route; r != nil {
		d.Route, d.RouteRate, d.RouteID, d.Total = r.App+" "+r.ID, r.Rate, r.ID, r.Total
		if r.URL { // each has that id, and counts by itself; plans name routes
			d.Route, d.RouteID = r.App+" URL of "+r.Function, ""
		}
		if d.Plan != nil && d.Plan.App != r.App {
			d.RouteID = "" // its overrides are for routes of its own app
		}
	}
	if e.Source == casemate.SourceRun && e.Target.Builtin != "" {
		d.Route = "services" // all of them together, per function, at the default rate
	}
	// Accepting work takes no room to run; running it later does. Built-ins are bounded by their body and their time.
	if v := m.Version; v != nil && v.Runtime.Family() != "builtin" {
		d.Account = v.Account
		if !e.Async {
			d.Function, d.FunctionRate, d.Concurrency = v.ARN, v.Limits.Rate, v.Limits.Concurrency
			d.Reserved, d.Quota = v.Limits.Reserved, casemate.Limit{Day: v.Limits.Day, Month: v.Limits.Month}
		}
	}
	return d, nil
}

func formReason(m *casemate.Match) string {
	if m.Contract == nil {
		return "no contract"
	}
	if m.Route == nil {
		return m.Version.Contract
	}
	return m.Route.Contract
}

// body reads the body to its bound, has its form checked, and turns it into what the function
// receives. What was checked and encoded when it was accepted is not encoded twice.
func (g *Gate) body(a *admitted, s *story) ([]byte, error) {
	e, m, p := a.event, a.match, a.principal
	if e.Credential.Kind == casemate.CredentialRun {
		return e.Payload, nil
	}
	raw, err := readBody(e, bodyLimit(m))
	if err != nil {
		return nil, s.refuse(casemate.PointForm, err)
	}
	clean, err := g.c.Clean(m, e, raw)
	a.clean, s.rec.Notes = clean.Body, clean.Notes
	if err != nil {
		return nil, s.refuse(casemate.PointForm, err)
	}
	if e.Encode == nil {
		return clean.Body, nil
	}
	body, err := e.Encode(m, p, clean.Body)
	if err != nil {
		return nil, s.refuse(casemate.PointForm, err)
	}
	return body, nil
}

func bodyLimit(m *casemate.Match) int64 {
	limit := casemate.DefaultLimits().Request
	if m.Version != nil && m.Version.Limits.Request > 0 {
		limit = m.Version.Limits.Request
	}
	if m.Route != nil && m.Route.Request > 0 && m.Route.Request < limit {
		limit = m.Route.Request
	}
	return limit
}

func readBody(e *casemate.Event, limit int64) ([]byte, error) {
	if e.Body == nil {
		if int64(len(e.Payload)) > limit {
			return nil, tooLarge(limit)
		}
		return e.Payload, nil
	}
	if e.Size > limit {
		return nil, tooLarge(limit)
	}
	if e.Size == 0 {
		return nil, nil
	}
	if e.Size > 0 { // declared: one allocation; a body that ends early is an error, one that goes on is not read
		raw := make([]byte, e.Size)
		if _, err := io.ReadFull(e.Body, raw); err != nil {
			return nil, cutShort(err)
		}
		return raw, nil
	}
	raw, err := io.ReadAll(io.LimitReader(e.Body, limit+1))
	if err != nil {
		return nil, cutShort(err)
	}
	if int64(len(raw)) > limit {
		return nil, tooLarge(limit)
	}
	return raw, nil
}

func tooLarge(limit int64) error {
	return casemate.Errorf(casemate.TooLarge, "send less, or raise the route's max_body", "the body is larger than %d bytes", limit)
}

func cutShort(err error) error {
	if e := casemate.AsError(err); e.Code != casemate.Fault {
		return e
	}
	return &casemate.Error{Code: casemate.Invalid, Field: "body", Message: "the body ended before its declared length",
		Hint: "send the whole body, in time", Err: err}
}
