package signin

import (
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	nethttp "net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"casemate"
)

//go:embed static
var files embed.FS

// Path is where the page is.
const Path = "/signin"

// Config says what a Site needs.
type Config struct {
	Handler casemate.Handler
	Clock   func() time.Time
	Log     *slog.Logger // nowhere when nil
}

// Site answers everything under Path. It keeps nothing between two requests.
type Site struct {
	c     Config
	at    atomic.Pointer[place]
	pages map[string]page
}

// place is where browsers reach the page.
type place struct{ origins, hosts []string }

type page struct {
	kind string
	text []byte
}

// New reads the files that it shows. Until At says where it is, nothing is shown.
func New(c Config) (*Site, error) {
	if c.Handler == nil {
		return nil, errors.New("configuring the sign-in page: no handler")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Site{c: c, pages: map[string]page{}}
	s.at.Store(&place{})
	for path, file := range map[string][2]string{Path: {"page.html", "text/html; charset=utf-8"}, Path + "/page.js": {"page.js", "text/javascript; charset=utf-8"},
		Path + "/page.css": {"page.css", "text/css; charset=utf-8"}} {
		text, err := fs.ReadFile(files, "static/"+file[0])
		if err != nil {
			return nil, err
		}
		s.pages[path] = page{file[1], text}
	}
	return s, nil
}

// At says by which origins browsers reach the page: "https://ops.example.com:8443".
func (s *Site) At(origins []string) error {
	p := &place{origins: slices.Clone(origins)}
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return errors.New("configuring the sign-in page: malformed origin " + o)
		}
		p.hosts = append(p.hosts, u.Host)
	}
	s.at.Store(p)
	return nil
}

// home is the page's address.
func (s *Site) home() string {
	if p := s.at.Load(); len(p.origins) > 0 {
		return p.origins[0] + Path
	}
	return "nowhere: this node has no name that browsers reach it by (--admin-origin)"
}

// policy allows the page its own script and style, and calls to where it came from. Nothing is inline, nothing is another's,
// and nobody may frame it (https://www.w3.org/TR/CSP3/).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func headers(h nethttp.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cache-Control":                "no-store",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cross-Origin-Embedder-Policy": "require-corp",
		"Permissions-Policy":           "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), microphone=(), geolocation=()",
	} {
		h.Set(name, value)
	}
}

// ServeHTTP implements http.Handler. The host that a request names is only compared: what is not one of the configured
// origins gets nothing, so that no other name can be made to stand for the node (DNS rebinding).
func (s *Site) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	headers(w.Header())
	if !slices.Contains(s.at.Load().hosts, strings.ToLower(r.Host)) {
		s.text(w, nethttp.StatusMisdirectedRequest, "The sign-in page is at "+s.home()+"\n")
		return
	}
	if p, ok := s.pages[r.URL.Path]; ok {
		if r.Method != "GET" && r.Method != "HEAD" {
			w.Header().Set("Allow", "GET, HEAD")
			s.text(w, nethttp.StatusMethodNotAllowed, "GET it\n")
			return
		}
		s.write(w, nethttp.StatusOK, p.kind, p.text)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, Path+"/"); ok {
		if a, ok := actions()[name]; ok {
			s.act(w, r, a)
			return
		}
	}
	s.text(w, nethttp.StatusNotFound, "There is nothing here. The page is at "+Path+"\n")
}

func (s *Site) text(w nethttp.ResponseWriter, status int, text string) {
	s.write(w, status, "text/plain; charset=utf-8", []byte(text))
}

func (s *Site) write(w nethttp.ResponseWriter, status int, kind string, text []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		s.c.Log.Debug("the browser did not take its answer", slog.Any("error", err))
	}
}
