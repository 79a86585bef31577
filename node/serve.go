package node

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"casemate"
	"casemate/front/admin"
	front "casemate/front/http"
)

// Run opens a node in cfg.Dir, tells ready where it listens, and serves until ctx ends or a listener fails. Runs get
// cfg.StopGrace to end. While it serves, the folder's node.json says what ready was told.
func Run(ctx context.Context, cfg Config, ready func(Address) error) error {
	n, err := openNode(ctx, cfg)
	if err != nil {
		return notStarted(err)
	}
	if err := n.writeAddress(); err != nil {
		return errors.Join(err, n.close())
	}
	if err := ready(n.address()); err != nil {
		return errors.Join(err, n.close())
	}
	var preparing sync.WaitGroup
	preparing.Go(func() { n.prepare(ctx) })
	select {
	case <-ctx.Done():
	case err = <-n.http.Failed():
	case err = <-n.awsFailed():
	case err = <-n.redirectFailed():
	}
	preparing.Wait()
	cfg.Log.Info("stopping")
	return errors.Join(err, os.Remove(n.path("node.json")), n.closeInTime())
}

// notStarted gives what nobody classified a code: it is no mistake in a flag.
func notStarted(err error) error {
	if e := casemate.AsError(err); e.Code != casemate.Fault || e.Err != err {
		return err
	}
	return &casemate.Error{Code: casemate.Fault, Message: "the node does not start: " + err.Error(),
		Hint: "mend what is named here, or restore the node's folder from a backup", Err: err}
}

// closeInTime closes, and ends runs that take longer than they may.
func (n *node) closeInTime() error {
	var cutting sync.WaitGroup
	ended := make(chan struct{})
	cutting.Go(func() {
		late := time.NewTimer(n.cfg.StopGrace)
		defer late.Stop()
		select {
		case <-ended:
			return
		case <-late.C:
		}
		n.cfg.Log.Warn("ending what still runs", "after", n.cfg.StopGrace)
		n.gate.Cut()
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.pool.Close(now) // asked again below, which tells what is wrong
	})
	err := n.close()
	close(ended)
	cutting.Wait()
	return err
}

func (n *node) openAdmin(ctx context.Context) (err error) {
	cfg := admin.Config{Handler: n.gate.Handle, Socket: n.path(Socket), Addr: n.cfg.Admin, Limits: n.cfg.Front.Conn, Refused: n.refused, Log: n.cfg.Log}
	if n.cfg.Admin != "" {
		cfg.Certificate, cfg.MinTLS = n.certificate, n.cfg.MinTLS
		if err := n.openPages(); err != nil {
			return err
		}
		cfg.Pages = n.pages
	}
	if n.admin, err = admin.New(cfg); err != nil {
		return err
	}
	if err := n.admin.Start(ctx); err != nil {
		return err
	}
	n.onClose(bounded(n.admin.Shutdown))
	if at := n.admin.Addr(); at != nil {
		return n.showPages(n.cfg.Admin, at)
	}
	return nil
}

// observe feeds metrics of whole exchanges; nil where nobody exports them.
func (n *node) observe() func(front.Observation) {
	if n.telemetry == nil {
		return nil
	}
	return func(o front.Observation) { n.telemetry.Exchange(o.Source, o.Method, o.Status, o.Took) }
}

func (n *node) openHTTP(ctx context.Context) (err error) {
	var listen []front.Listener
	if n.cfg.HTTP != "" {
		listen = append(listen, front.Listener{Addr: n.cfg.HTTP})
	}
	if n.cfg.HTTPS != "" {
		listen = append(listen, front.Listener{Addr: n.cfg.HTTPS, TLS: true})
	}
	n.http, err = front.New(front.Config{Handler: n.gate.Handle, Knock: n.knock, Refused: n.refused, Listen: listen, TLS: n.tls(),
		Domain: n.cfg.Domain, Log: n.cfg.Log, Observe: n.observe(), Limits: n.cfg.Front, AskCertificate: n.asksCertificate.Load, Browsers: &n.browsers})
	if err != nil {
		return err
	}
	if err := n.http.Start(ctx); err != nil {
		return err
	}
	n.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.StopGrace+10*time.Second)
		defer cancel()
		return n.http.Shutdown(ctx)
	})
	return nil
}
