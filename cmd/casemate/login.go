package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"casemate"
	"casemate/authn/operator"
	"casemate/front/admin"
)

// savedSession is what login leaves for the verbs that follow, for one address, readable by its owner alone.
type savedSession struct {
	URL     string    `json:"url"`
	User    string    `json:"user"`
	Token   string    `json:"token,omitempty"` // "": signed out
	Device  string    `json:"device,omitempty"`
	CA      string    `json:"ca,omitempty"` // PEM of the authority that was named with --ca
	Expires time.Time `json:"expires,omitzero"`
}

// openedSession is what the node gives for a sign-in.
type openedSession struct {
	Token   string           `json:"token"`
	Device  string           `json:"device"`
	Session operator.Session `json:"session"`
}

// maxSaved bounds what is read back of a saved session.
const maxSaved = 1 << 20

// sessionPath is where the session for an address is saved.
func sessionPath(address string) (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", &casemate.Error{Code: casemate.Invalid, Message: "there is no folder to keep a session in", Hint: "set HOME or XDG_CONFIG_HOME", Err: err}
	}
	sum := sha256.Sum256([]byte(strings.TrimSuffix(strings.ToLower(address), "/")))
	return filepath.Join(dir, "casemate", "sessions", hex.EncodeToString(sum[:12])+".json"), nil
}

// readSession gives what is saved for an address; the zero session where nothing is.
func readSession(address string) (s savedSession, err error) {
	path, err := sessionPath(address)
	if err != nil {
		return s, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("reading the saved session: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o077 != 0 {
		return s, &casemate.Error{Code: casemate.Invalid, Message: "others may read the saved session " + path, Hint: "casemate sessions revoke, remove the file, and sign in again", Err: err}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSaved))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, &casemate.Error{Code: casemate.Invalid, Message: "the saved session " + path + " cannot be read", Hint: "remove the file, and sign in again", Err: err}
	}
	return s, nil
}

// save replaces the file in one step: nobody ever sees half of it, or sees it before it is the owner's alone.
func (s *savedSession) save() error {
	path, err := sessionPath(s.URL)
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return fmt.Errorf("saving the session: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-") // mode 0600
	if err != nil {
		return fmt.Errorf("saving the session: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("saving the session: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// remote speaks to a node elsewhere as who signed in there.
func (a *app) remote() (*admin.Client, error) {
	s, err := readSession(a.url)
	if err != nil {
		return nil, err
	}
	if s.Token == "" {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "--key-file", Message: "a node elsewhere needs a key, or that you sign in",
			Hint: "casemate login --url " + a.url + "; or casemate keys create on that node, and put the key into a file with mode 0600"}
	}
	pem, err := a.authority(&s)
	if err != nil {
		return nil, err
	}
	return admin.DialSession(a.url, s.Token, pem)
}

// authority is that of --ca, or of the sign-in before.
func (a *app) authority(s *savedSession) ([]byte, error) {
	if a.ca == "" {
		return []byte(s.CA), nil
	}
	pem, err := os.ReadFile(a.ca)
	if err != nil {
		return nil, &casemate.Error{Code: casemate.Invalid, Field: "--ca", Message: "cannot read the authority's file", Hint: "it is tls/ca.pem in the node's folder; casemate up prints where", Err: err}
	}
	return pem, nil
}

// prompt asks for one line: of a terminal, hidden where it is a secret; else of standard input. The end of it is an empty line.
func (a *app) prompt(what string, secret bool) (string, error) {
	f, ok := a.in.(*os.File)
	shown := ok && term.IsTerminal(int(f.Fd()))
	if shown {
		fmt.Fprint(a.errs, what+": ")
	}
	if shown && secret {
		line, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.errs)
		return string(line), err
	}
	var line []byte
	var one [1]byte
	for len(line) < 4096 {
		n, err := a.in.Read(one[:])
		if n == 1 && one[0] != '\n' {
			line = append(line, one[0])
		}
		if err == io.EOF && len(line) == 0 && strings.Contains(what, "password") { // an empty guess would count
			return "", casemate.Errorf(casemate.Invalid, "write it as a line of standard input, or run this on a terminal", "the %s was not given", what)
		}
		if n == 1 && one[0] == '\n' || err == io.EOF {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", what, err)
		}
	}
	return "", casemate.Errorf(casemate.Invalid, "one line each", "the %s is too long", what)
}

func (a *app) interactive() bool {
	f, ok := a.in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) loginCommand() *cobra.Command {
	var user string
	var browser bool
	c := &cobra.Command{Use: "login", Short: "Sign in to a node elsewhere", Args: cobra.NoArgs,
		Long: `Signs an operator in to the node of --url, with a password and the code of an authenticator app or a recovery code, each
asked for on the terminal or read as one line of standard input: password first, then the code. Neither is ever an
argument. The session is saved in your configuration folder (mode 0600), and the other verbs take it whenever --url is
given without --key-file. Who has no second factor yet leaves the code empty and enrols one.`,
		Example: "  casemate login --url https://node:8444 --user ada --ca ca.pem\n  casemate login --url https://node:8444 --browser\n  casemate --url https://node:8444 audit list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.url == "" {
				return &casemate.Error{Code: casemate.Invalid, Field: "--url", Message: "which node?", Hint: "https://host:port; on the node's own machine nobody has to sign in"}
			}
			if browser {
				return a.loginByBrowser(cmd.Context())
			}
			return a.login(cmd.Context(), user)
		}}
	c.Flags().BoolVar(&browser, "browser", false, "approve it in a browser, with a passkey or whatever you sign in with there; no password is asked for here")
	c.Flags().StringVar(&user, "user", "", "operator's name; without it, it is asked for (standard input: the first line)")
	return c
}

func (a *app) login(ctx context.Context, user string) (err error) {
	s, err := readSession(a.url)
	if err != nil {
		return err
	}
	pem, err := a.authority(&s)
	if err != nil {
		return err
	}
	if user == "" {
		if user, err = a.prompt("name", false); err != nil {
			return err
		}
	}
	password, err := a.prompt("password", true)
	if err != nil {
		return err
	}
	code, err := a.prompt("code (empty if you have no second factor yet)", true)
	if err != nil {
		return err
	}
	if s.User != user {
		s.Device = ""
	}
	c, err := admin.DialSession(a.url, "", pem)
	if err != nil {
		return err
	}
	defer c.Close()
	var o openedSession
	if err := c.Call(ctx, "session.open", map[string]string{"name": user, "password": password, "code": code, "device": s.Device}, &o); err != nil {
		return err
	}
	s.URL, s.User, s.CA = a.url, user, string(pem)
	if err := s.keep(o); err != nil {
		return err
	}
	if o.Session.Level == operator.LevelEnrol && a.interactive() {
		return a.enrolTOTP(ctx, password)
	}
	o.Token, o.Device = "", ""
	return a.show(o.Session, func(w io.Writer) {
		fmt.Fprintf(w, "signed in as %s, until %s; roles: %s\n", user, when(o.Session.Expires), or(strings.Join(o.Session.Roles, ", "), "none"))
		if o.Session.Level == operator.LevelEnrol {
			fmt.Fprintln(w, "this session can do nothing but enrol a second factor: casemate operator totp")
		}
	})
}

// keep saves a session that was opened.
func (s *savedSession) keep(o openedSession) error {
	s.Token, s.Expires = o.Token, o.Session.Expires
	if o.Device != "" {
		s.Device = o.Device
	}
	return s.save()
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{Use: "logout", Short: "Sign out of a node elsewhere", Args: cobra.NoArgs, Example: "  casemate logout --url https://node:8444",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSession(a.url)
			if err != nil {
				return err
			}
			if a.url == "" || s.Token == "" {
				return casemate.Errorf(casemate.NotFound, "casemate login signs in", "you are not signed in there")
			}
			err = a.call(cmd.Context(), "session.close", nil, nil)
			if code := casemate.CodeOf(err); err != nil && code != casemate.Unauthenticated { // which is: it had ended already
				return err
			}
			s.Token = ""
			if err := s.save(); err != nil {
				return err
			}
			return a.show(struct{}{}, func(w io.Writer) { fmt.Fprintln(w, "signed out") })
		}}
}

// callerShown is whom the node takes us for.
type callerShown struct {
	ID      string            `json:"id"`
	Kind    string            `json:"kind"`
	ARN     string            `json:"arn,omitempty"`
	Role    string            `json:"role,omitempty"`
	Session *operator.Session `json:"session,omitempty"`
}

func (a *app) whoamiCommand() *cobra.Command {
	return &cobra.Command{Use: "whoami", Short: "Say whom the node takes you for", Args: cobra.NoArgs, Example: "  casemate whoami\n  casemate --url https://node:8444 whoami",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var c callerShown
			if err := a.call(cmd.Context(), "whoami", nil, &c); err != nil {
				return err
			}
			return a.show(c, func(w io.Writer) {
				fmt.Fprintf(w, "%s, role %s\n", c.ID, or(c.Role, "none"))
				if s := c.Session; s != nil {
					fmt.Fprintf(w, "session %s with %s, until %s\n", s.ID, or(s.Factor, "no second factor"), when(s.Expires))
					if s.Glass != nil {
						fmt.Fprintf(w, "BREAK-GLASS until %s: %s\n", when(s.Glass.Until), s.Glass.Reason)
					}
				}
			})
		}}
}
