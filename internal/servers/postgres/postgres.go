// Package postgres runs a PostgreSQL server of our own in a scratch folder.
//
// PostgreSQL refuses to run as root; under root the server runs as the user "postgres".
package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/child"
)

// Options say how the server runs. The zero value is a small server with durable writes.
type Options struct {
	Database       string        // made at the start; "": "postgres"
	NoFsync        bool          // faster; a crash of the machine loses the database, which tests can bear
	SharedBuffers  string        // PostgreSQL's notation; "": "128MB"
	MaxConnections int           // 0: 120
	StartTimeout   time.Duration // 0: 60 s
}

// Server is a running PostgreSQL.
type Server struct {
	Port     int
	User     string
	Password string
	Database string

	bin     string
	scratch *child.Scratch
}

const startAttempts = 3 // a chosen port may be taken by another process before the server binds it

// Start makes a cluster and starts it. The error matches servers.ErrUnavailable if PostgreSQL is not installed.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	cred, err := credential()
	if err != nil {
		return nil, err
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 120
	}
	if o.SharedBuffers == "" {
		o.SharedBuffers = "128MB"
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = time.Minute
	}
	scratch, err := child.NewScratch("postgres")
	if err != nil {
		return nil, err
	}
	s := &Server{User: "parallelrun", Password: rand.Text(), Database: "postgres", bin: bin, scratch: scratch}
	if err := s.start(ctx, o, cred); err != nil {
		scratch.Close()
		return nil, err
	}
	if o.Database != "" && o.Database != s.Database {
		if _, err := s.Query(ctx, fmt.Sprintf("CREATE DATABASE %q", o.Database)); err != nil {
			scratch.Close()
			return nil, err
		}
		s.Database = o.Database
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options, cred *syscall.Credential) error {
	dir := filepath.Join(s.scratch.Dir, "cluster")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	pwfile := filepath.Join(dir, ".password")
	if err := os.WriteFile(pwfile, []byte(s.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the password file: %w", err)
	}
	if cred != nil {
		for _, p := range []string{s.scratch.Dir, dir, pwfile} {
			if err := os.Chown(p, int(cred.Uid), int(cred.Gid)); err != nil {
				return fmt.Errorf("give the cluster to PostgreSQL's user: %w", err)
			}
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "-D", data, "-U", s.User, "--pwfile="+pwfile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir = dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(out))
	}
	if err := os.Remove(pwfile); err != nil {
		return fmt.Errorf("remove the password file: %w", err)
	}
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"max_connections":         strconv.Itoa(o.MaxConnections),
		"shared_buffers":          o.SharedBuffers,
		"max_wal_size":            "4GB",
		"log_min_messages":        "warning",
	}
	if o.NoFsync {
		settings["fsync"] = "off"
		settings["full_page_writes"] = "off"
		settings["synchronous_commit"] = "off"
	}
	var err error
	for range startAttempts {
		var ports []int
		if ports, err = servers.FreePorts(1); err != nil {
			return err
		}
		s.Port = ports[0]
		args := []string{"-D", data, "-p", strconv.Itoa(s.Port)}
		for k, v := range settings {
			args = append(args, "-c", k+"="+v)
		}
		var p *child.Process
		p, err = s.scratch.Start(child.Spec{
			Name: "postgres", Path: filepath.Join(s.bin, "postgres"), Args: args, Dir: dir, Cred: cred,
			Stop: []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT}, // fast, then immediate shutdown
		})
		if err != nil {
			return err
		}
		err = p.Await(ctx, o.StartTimeout, func(ctx context.Context) error {
			_, err := s.Query(ctx, "SELECT 1")
			return err
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		p.Stop()
	}
	return err
}

// DSN is the address of the database in URL form, password included.
func (s *Server) DSN() string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.User, s.Password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), Path: "/" + s.Database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Query runs SQL through psql and returns the rows as text; NULL reads as "\N". It is for checks and set-up, not for bulk work.
func (s *Server) Query(ctx context.Context, sql string) ([][]string, error) {
	return Query(ctx, s.DSN(), sql)
}

// Query is [Server.Query] for a server that another process has started.
func Query(ctx context.Context, dsn, sql string) ([][]string, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the database's address: %w", err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username()) // the password goes by environment: a command line is readable for everybody
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "psql"), "-X", "-q", "-w", "--csv", "-t", "-v", "ON_ERROR_STOP=1", "-P", `null=\N`, "-d", u.String(), "-f", "-")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=5")
	cmd.Stdin = bytes.NewReader([]byte(sql))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("psql on port %s: %w: %s", u.Port(), err, bytes.TrimSpace(stderr.Bytes()))
	}
	r := csv.NewReader(&stdout)
	r.FieldsPerRecord = -1
	return r.ReadAll()
}

// Close stops the server and removes its files.
func (s *Server) Close() error { return s.scratch.Close() }

// findBin returns the folder of PostgreSQL's programs: Debian keeps the server out of PATH.
func findBin() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	sort.Slice(dirs, func(i, j int) bool { return version(dirs[i]) > version(dirs[j]) })
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	for _, d := range dirs {
		whole := true
		for _, name := range []string{"initdb", "postgres", "psql"} {
			if _, err := exec.LookPath(filepath.Join(d, name)); err != nil {
				whole = false
			}
		}
		if whole {
			return d, nil
		}
	}
	return "", &servers.Unavailable{Missing: "postgres", Hint: "Debian: apt-get install postgresql"}
}

func version(dir string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return n
}

// credential returns whom the server runs as: nil means ourselves.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, &servers.Unavailable{Missing: `the user "postgres"`, Hint: "PostgreSQL refuses to run as root; Debian's package postgresql makes that user", Cause: err}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres has the id %q: %w", u.Uid, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user postgres has the group id %q: %w", u.Gid, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
