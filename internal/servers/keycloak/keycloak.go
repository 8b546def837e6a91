// Package keycloak runs a real Keycloak on a real PostgreSQL, both our own child processes on loopback ports.
//
// [Start] makes a [Server] in about half a minute (plus 25 s the first time ever, when the distribution is unpacked and
// built into the user's cache). [Server.NewRealm] makes a [Realm] prepared for a migration; tests take one realm each and share the server.
// A server started by another process is used through its state file: [Server.WriteState] and [Attach].
package keycloak

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/child"
	"github.com/parallelrun/parallelrun/internal/servers/postgres"
)

// Options say how the server runs. The zero value suits tests and the demo.
type Options struct {
	Durable      bool          // PostgreSQL with fsync; off by default: the database is thrown away at Close
	PoolSize     int           // database connections; 0: 30
	Heap         string        // Java's notation of the largest heap; "": "768m"
	StartTimeout time.Duration // from start to ready; 0: 240 s, since a machine may be busy
}

// Server is a running Keycloak. Close it.
type Server struct {
	URL           string // without a slash at the end
	ManagementURL string // health and metrics
	AdminUser     string // of the realm master
	AdminPassword string

	dsn     string
	admin   *admin
	scratch *child.Scratch   // nil: another process owns the server
	db      *postgres.Server // nil: as above
	process *child.Process
}

const startAttempts = 3 // a chosen port may be taken by another process before the server binds it

// Start starts PostgreSQL and Keycloak and returns once Keycloak is ready.
// The error matches servers.ErrUnavailable if this machine lacks something.
func Start(ctx context.Context, o Options) (*Server, error) {
	dist, err := Distribution(ctx)
	if err != nil {
		return nil, err
	}
	if o.PoolSize == 0 {
		o.PoolSize = 30
	}
	if o.Heap == "" {
		o.Heap = "768m"
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = 4 * time.Minute
	}
	db, err := postgres.Start(ctx, postgres.Options{Database: "keycloak", NoFsync: !o.Durable, MaxConnections: o.PoolSize + 20})
	if err != nil {
		return nil, err
	}
	s := &Server{AdminUser: "admin", AdminPassword: rand.Text(), dsn: db.DSN(), db: db}
	if err := s.start(ctx, o, dist); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options, dist string) error {
	scratch, err := child.NewScratch("keycloak")
	if err != nil {
		return err
	}
	s.scratch = scratch
	home, err := layHome(scratch.Dir, dist)
	if err != nil {
		return err
	}
	for range startAttempts {
		var ports []int
		if ports, err = servers.FreePorts(2); err != nil {
			return err
		}
		s.URL = "http://127.0.0.1:" + strconv.Itoa(ports[0])
		s.ManagementURL = "http://127.0.0.1:" + strconv.Itoa(ports[1])
		s.admin = newAdmin(s.URL, s.AdminUser, s.AdminPassword)
		s.process, err = scratch.Start(child.Spec{
			Name: "keycloak",
			Path: filepath.Join(home, "bin", "kc.sh"),
			Args: []string{
				"start", "--optimized", "--cache=local", "--http-enabled=true", "--hostname-strict=false",
				"--http-host=127.0.0.1", "--http-port=" + strconv.Itoa(ports[0]),
				"--http-management-host=127.0.0.1", "--http-management-port=" + strconv.Itoa(ports[1]),
				"--db-pool-max-size=" + strconv.Itoa(o.PoolSize),
				"--log-console-color=false",
			},
			Env: s.environment(o),
		})
		if err != nil {
			return err
		}
		err = s.process.Await(ctx, o.StartTimeout, s.ready)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-s.process.Exited(): // a port was taken, perhaps: again, with others
		default:
			return err
		}
	}
	return err
}

func (s *Server) environment(o Options) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return len(kv) > 3 && kv[:3] == "KC_" // the user's own Keycloak settings are not meant for this server
	})
	return append(env,
		"KC_BOOTSTRAP_ADMIN_USERNAME="+s.AdminUser, "KC_BOOTSTRAP_ADMIN_PASSWORD="+s.AdminPassword,
		"KC_DB_URL=jdbc:postgresql://127.0.0.1:"+strconv.Itoa(s.db.Port)+"/"+s.db.Database,
		"KC_DB_USERNAME="+s.db.User, "KC_DB_PASSWORD="+s.db.Password,
		"JAVA_OPTS_KC_HEAP=-Xms64m -Xmx"+o.Heap,
	)
}

func (s *Server) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ManagementURL+"/health/ready", nil)
	if err != nil {
		return err
	}
	resp, err := s.admin.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /health/ready: %s", resp.Status)
	}
	return nil
}

// layHome makes a Keycloak home of our own that shares the read-only parts of the distribution: the server writes into home/data.
func layHome(dir, dist string) (string, error) {
	home := filepath.Join(dir, "home")
	entries, err := os.ReadDir(dist)
	if err != nil {
		return "", fmt.Errorf("read the Keycloak distribution: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(home, "bin"), 0o755); err != nil {
		return "", fmt.Errorf("lay out a Keycloak home: %w", err)
	}
	// kc.sh follows links to find its home, so the script is a copy.
	script, err := os.ReadFile(filepath.Join(dist, "bin", "kc.sh"))
	if err == nil {
		err = os.WriteFile(filepath.Join(home, "bin", "kc.sh"), script, 0o755)
	}
	if err != nil {
		return "", fmt.Errorf("lay out a Keycloak home: %w", err)
	}
	for _, e := range entries {
		if e.Name() == "bin" || e.Name() == "data" {
			continue
		}
		if err := os.Symlink(filepath.Join(dist, e.Name()), filepath.Join(home, e.Name())); err != nil {
			return "", fmt.Errorf("lay out a Keycloak home: %w", err)
		}
	}
	return home, nil
}

// DB returns the address of the server's database, for SQL: postgres.Query, or any PostgreSQL driver.
func (s *Server) DB() string { return s.dsn }

// Log returns the last lines of the server's log; a server of another process has none here.
func (s *Server) Log(lines int) string {
	if s.process == nil {
		return "(the server belongs to another process)"
	}
	return s.process.Tail(lines)
}

// Close ends Keycloak and PostgreSQL and removes their files. On an attached server it only drops our connections. A second call does nothing.
func (s *Server) Close() error {
	if s.admin != nil {
		s.admin.http.CloseIdleConnections()
	}
	var first error
	if s.scratch != nil {
		first = s.scratch.Close()
	}
	if s.db != nil {
		if err := s.db.Close(); first == nil {
			first = err
		}
	}
	return first
}

// StateEnv names the environment variable that leads to the state file of a running server.
const StateEnv = "PARALLELRUN_KEYCLOAK_STATE"

type state struct {
	URL           string `json:"url"`
	ManagementURL string `json:"managementUrl"`
	AdminUser     string `json:"adminUser"`
	AdminPassword string `json:"adminPassword"`
	DSN           string `json:"dsn"`
}

// WriteState writes what another process needs to use this server. The file holds passwords: it is readable for its owner alone.
func (s *Server) WriteState(path string) error {
	b, err := json.MarshalIndent(state{s.URL, s.ManagementURL, s.AdminUser, s.AdminPassword, s.dsn}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the server's state: %w", err)
	}
	return nil
}

// Attach uses the server that a state file describes, after asking whether it is ready.
func Attach(ctx context.Context, path string) (*Server, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the state of a running Keycloak (%s): %w", StateEnv, err)
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil {
		return nil, fmt.Errorf("read the state of a running Keycloak from %s: %w", path, err)
	}
	s := &Server{
		URL: st.URL, ManagementURL: st.ManagementURL, AdminUser: st.AdminUser, AdminPassword: st.AdminPassword,
		dsn: st.DSN, admin: newAdmin(st.URL, st.AdminUser, st.AdminPassword),
	}
	if err := s.ready(ctx); err != nil {
		return nil, fmt.Errorf("the Keycloak described by %s does not answer: %w", path, err)
	}
	return s, nil
}
