package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a sandbox runs. The zero value is a sandbox in memory with one realm "demo".
type Options struct {
	StateDir      string           // "": nothing is kept; else a folder for the journal, made if need be
	Realm         RealmOptions     // the realm that a fresh sandbox comes with; ignored if StateDir already holds one
	TokenLifespan time.Duration    // of access tokens; 0: 60 s. A realm's accessTokenLifespan, set by PUT, wins
	Now           func() time.Time // nil: time.Now
	BodyLimit     int64            // bytes of a request body; 0: 10 MiB, as in the real server
}

// Server is the sandbox. It is an http.Handler and safe for concurrent use.
type Server struct {
	opts    Options
	started *http.Server
	fault   atomic.Pointer[func(*http.Request) Fault]

	mu      sync.Mutex
	seed    [32]byte // of ids, salts and the token key; from the journal if there is one
	drawn   uint64   // how much of the seed's stream has been used
	realms  map[string]*realm
	users   map[string]*user // ids are unique across realms, as in the real server
	names   map[string]string
	journal *journal
	broken  error // the journal could not be written: nothing is accepted any more
}

// New makes a sandbox, from its state directory if that holds one.
func New(o Options) (*Server, error) {
	if o.TokenLifespan == 0 {
		o.TokenLifespan = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BodyLimit == 0 {
		o.BodyLimit = 10 << 20
	}
	s := &Server{opts: o, realms: map[string]*realm{}, users: map[string]*user{}, names: map[string]string{}}
	if _, err := rand.Read(s.seed[:]); err != nil {
		return nil, err
	}
	if o.StateDir != "" {
		if err := s.restore(o.StateDir); err != nil {
			return nil, err
		}
	}
	if len(s.realms) == 0 {
		if o.Realm.Name == "" {
			o.Realm.Name = "demo"
		}
		if _, err := s.NewRealm(o.Realm); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Start listens on a free loopback port and returns the URL. The server ends with ctx or with Close, whichever comes first.
func (s *Server) Start(ctx context.Context) (string, error) { return s.StartAt(ctx, "127.0.0.1:0") }

// StartAt is Start on an address of the caller's choice.
func (s *Server) StartAt(ctx context.Context, address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("sandbox: listen: %w", err)
	}
	s.started = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { s.started.Close() })
	go func() {
		defer stop()
		_ = s.started.Serve(l) // returns once closed; there is nobody left to tell
	}()
	return "http://" + l.Addr().String(), nil
}

// Close stops listening and closes the journal. What was answered is kept.
func (s *Server) Close() error {
	var err error
	if s.started != nil {
		err = s.started.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal != nil {
		err = errors.Join(err, s.journal.close())
		s.journal = nil
		s.broken = errors.New("the sandbox is closed")
	}
	return err
}

// draw returns 32 bytes of the seed's stream. The journal records how much was drawn before each change, so that a replay
// makes the same ids and salts. The caller holds the lock for writing.
func (s *Server) draw() [32]byte {
	s.drawn++
	m := hmac.New(sha256.New, s.seed[:])
	binary.Write(m, binary.BigEndian, s.drawn)
	return [32]byte(m.Sum(nil))
}

// newID makes an id in the form of a random UUID.
func (s *Server) newID() string {
	b := s.draw()
	return formatUUID([16]byte(b[:16]))
}

func formatUUID(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// derive makes a secret from the seed that stays the same after a restart.
func (s *Server) derive(label string) []byte {
	m := hmac.New(sha256.New, s.seed[:])
	m.Write([]byte("derive " + label))
	return m.Sum(nil)
}

// intern keeps one copy of a string that many users share: attribute names, credential parameters.
func (s *Server) intern(v string) string {
	if known, ok := s.names[v]; ok {
		return known
	}
	if len(v) > 512 || len(s.names) > 1<<16 {
		return v
	}
	v = strings.Clone(v)
	s.names[v] = v
	return v
}

// ServeHTTP answers one request, with the fault in force.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := s.fault.Load(); f != nil {
		s.serveFaulty(w, r, (*f)(r))
		return
	}
	s.serve(w, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if strings.Contains(path, "//") {
		write(w, fail(400, oauthError{"missingNormalization", "Request path not normalized"}))
		return
	}
	seg, err := segments(path)
	if err != nil {
		write(w, fail(400, oauthError{"missingNormalization", "Request path not normalized"}))
		return
	}
	switch {
	case len(seg) == 5 && seg[0] == "realms" && seg[2] == "protocol" && seg[3] == "openid-connect" && seg[4] == "token":
		write(w, s.token(r, seg[1]))
	case len(seg) == 5 && seg[0] == "realms" && seg[2] == "protocol" && seg[3] == "openid-connect" && seg[4] == "logout":
		write(w, s.logout(r, seg[1]))
	case len(seg) == 2 && seg[0] == "admin" && seg[1] == "serverinfo":
		write(w, s.serverInfo(r))
	case len(seg) >= 3 && seg[0] == "admin" && seg[1] == "realms":
		write(w, s.admin(r, seg[2], seg[3:]))
	default:
		write(w, fail(404, plainError{"Unable to find matching target resource method"}))
	}
}

// body reads a request's body. A reply other than nil ends the request.
func (s *Server) body(r *http.Request) ([]byte, *reply) {
	if r.ContentLength > s.opts.BodyLimit {
		return nil, &reply{status: 413, close: true}
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, s.opts.BodyLimit+1))
	if err != nil {
		return nil, &reply{status: 400, close: true}
	}
	if int64(len(b)) > s.opts.BodyLimit {
		return nil, &reply{status: 413, close: true}
	}
	return b, nil
}
