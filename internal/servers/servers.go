// Package servers starts the real servers that Parallel Run is tested and demonstrated against.
//
// A server here is a child process of ours: PostgreSQL (package postgres) and Keycloak on top of it
// (package keycloak), an S3 server (versitygw), a KMS (moto). Each listens on a free loopback port, keeps its files in one scratch folder, and
// leaves neither process nor folder behind, even when this process is killed (package child).
//
// Start with keycloak.Start in a program, and with keycloaktest.Server in a test. A machine that lacks
// what a server needs gets an [Unavailable] error that says what is missing.
package servers

import (
	"errors"
	"fmt"
	"net"
)

// ErrUnavailable is matched by every error that says that this machine cannot run the server at all,
// because a program or a file is missing. A test skips by name on it; a command prints the hint.
var ErrUnavailable = errors.New("server not available on this machine")

// Unavailable names what is missing, and how to get it. It matches [ErrUnavailable].
type Unavailable struct {
	Missing string // "java", "postgres", "mvn", "keycloak zip"
	Hint    string // next step to take
	Cause   error  // may be nil
}

func (e *Unavailable) Error() string {
	s := fmt.Sprintf("%v: %s is missing (%s)", ErrUnavailable, e.Missing, e.Hint)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is makes errors.Is(err, ErrUnavailable) hold.
func (e *Unavailable) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the cause.
func (e *Unavailable) Unwrap() error { return e.Cause }

// FreePorts returns n different loopback TCP ports that nobody listened on a moment ago. Another process
// may take one before the caller does, so callers start again with new ports when their server cannot bind.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		// All stay open until the last is chosen, so that the kernel gives different ones.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("choose a loopback port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
