package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"casemate"
	"casemate/internal/keeper"
	"casemate/store"
)

// Secrets opens what senders sign with.
type Secrets interface {
	// Open hands use the values of a secret that are in force, the newest first; they are wiped when it returns.
	Open(ctx context.Context, name string, use func(values [][]byte)) error
}

// Config is what the room needs; all but Log and Most.
type Config struct {
	Store   store.Store
	Secrets Secrets
	Place   casemate.Place
	Clock   func() time.Time
	Log     *slog.Logger
	Most    int // messages remembered of one sender; 0: 65,536
}

// Room verifies signed requests. All methods may be called concurrently.
type Room struct {
	cfg    Config
	seen   *seen
	keeper *keeper.Keeper
}

// Open reads what is remembered and starts the keeper, which forgets it in time.
func Open(ctx context.Context, cfg Config) (*Room, error) {
	if cfg.Store == nil || cfg.Secrets == nil || cfg.Clock == nil {
		return nil, errors.New("opening the webhooks: the configuration is incomplete")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Most <= 0 {
		cfg.Most = 1 << 16
	}
	s, err := openSeen(ctx, cfg.Store, cfg.Most)
	if err != nil {
		return nil, fmt.Errorf("opening the webhooks: %w", err)
	}
	r := &Room{cfg: cfg, seen: s}
	r.keeper = keeper.Every(ctx, time.Minute, func(ctx context.Context) {
		if err := s.sweep(ctx, "", cfg.Clock()); err != nil && ctx.Err() == nil {
			cfg.Log.Warn("webhooks that were taken are not forgotten", "err", err)
		}
	})
	return r, nil
}

// Close ends the keeper and waits for it. The store must still be open.
func (r *Room) Close() error {
	r.keeper.Stop()
	return nil
}

// Sent reports whether e carries a signature of w's kind at all.
func (r *Room) Sent(w *casemate.Webhook, e *casemate.Event) bool {
	if e.Header == nil {
		return false
	}
	name := signedBy(w, e.Header)
	return name != "" && len(e.Header(name)) > 0
}

// Verify looks at the headers of an event that came by a route of w: form and time. What it gives is the sender only when
// its Body accepts the body as it was sent; Done then says whether the message stays taken. Every refusal is the same
// Unauthenticated to the caller; a secret that cannot be opened is Unavailable.
func (r *Room) Verify(_ context.Context, e *casemate.Event, w *casemate.Webhook) (*casemate.Principal, error) {
	if w.App == "" || w.Name == "" || w.Role == "" || len(w.Secrets) == 0 || e.Header == nil {
		return nil, refused(errors.New("the sender is not described"))
	}
	m, err := read(w, e.Header)
	if err != nil {
		return nil, refused(err)
	}
	if err := r.timely(w, m); err != nil {
		return nil, refused(err)
	}
	t := &taking{room: r, hook: w, message: m}
	return &casemate.Principal{Kind: casemate.KindWebhook, ID: w.ID(), ARN: "arn:aws:iam::" + r.cfg.Place.Account + ":" + w.ID(), Account: r.cfg.Place.Account,
		Role: w.Role, Tags: map[string]string{"app": w.App}, Body: t.body, Done: t.end}, nil
}

func (r *Room) timely(w *casemate.Webhook, m *message) error {
	if m.at.IsZero() {
		return nil
	}
	if off := r.cfg.Clock().Sub(m.at).Abs(); off > w.Tolerance {
		return fmt.Errorf("it was signed %s from now; the sender's clock may be wrong, or it is old", off.Round(time.Second))
	}
	return nil
}

// refused is what every caller gets that is not the sender; the cause is for the operator.
func refused(cause error) error {
	return &casemate.Error{Code: casemate.Unauthenticated, Message: "the signature is not valid",
		Hint: "sign the body as it is sent with the webhook's secret, and send it once, in time", Err: cause}
}

// taking is one message on its way in.
type taking struct {
	room    *Room
	hook    *casemate.Webhook
	message *message
	key     string // of what is remembered; "": nothing is
}

// body accepts the body when a secret of the sender signed it and it was not taken before.
func (t *taking) body(raw []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	held, opened := false, 0
	var unfit error
	for _, name := range t.hook.Secrets {
		err := t.room.cfg.Secrets.Open(ctx, name, func(values [][]byte) {
			for _, v := range values {
				opened++
				ok, err := t.message.holds(v, raw)
				held = held || ok
				unfit = errors.Join(unfit, err)
			}
		})
		if err != nil { // another one may do: that of a rotation that is not over
			t.room.cfg.Log.Warn("a webhook's secret cannot be opened", "webhook", t.hook.ID(), "secret", name, "err", err)
		}
	}
	switch {
	case !held && (opened == 0 || unfit != nil):
		return &casemate.Error{Code: casemate.Unavailable, Message: "the signature cannot be checked at present", Hint: "the operator finds why in the record", Retry: 60,
			Err: errors.Join(fmt.Errorf("secrets %v of %s", t.hook.Secrets, t.hook.ID()), unfit)}
	case !held:
		return refused(errors.New("the signature does not verify"))
	}
	now := t.room.cfg.Clock()
	if err := t.room.timely(t.hook, t.message); err != nil { // the body may have been slow to come
		return refused(err)
	}
	key := t.digest(raw)
	until := now.Add(untimed)
	if !t.message.at.IsZero() {
		until = t.message.at.Add(t.hook.Tolerance + time.Second)
	}
	if err := t.room.seen.take(ctx, t.hook.ID(), key, now, until, t.message.at.IsZero()); err != nil {
		if errors.Is(err, errSeen) {
			return refused(err)
		}
		return err
	}
	t.key = key
	return nil
}

// digest names what was signed, not the signature: a message that two secrets signed is one message.
func (t *taking) digest(raw []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(t.message.before), raw, []byte(t.message.after)} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// end forgets a message that came to nothing: its sender will send it again, some with the same signature.
func (t *taking) end(ok bool) {
	if ok || t.key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := t.room.seen.forget(ctx, t.hook.ID(), t.key); err != nil {
		t.room.cfg.Log.Warn("a webhook that failed stays taken", "webhook", t.hook.ID(), "err", err)
	}
}
