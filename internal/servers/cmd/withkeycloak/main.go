// Command withkeycloak starts a real Keycloak on PostgreSQL, runs a command that finds it through the environment, and stops
// the servers again:
//
//	go run ./internal/servers/cmd/withkeycloak -- go test ./...
//
// Its exit code is the command's; 2 for a bad call, 3 if the servers cannot be started. If the environment already leads to a running server,
// that one is used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/keycloak"
)

func main() {
	optional := flag.Bool("optional", false, "run the command without the servers if this machine lacks something for them")
	durable := flag.Bool("durable", false, "PostgreSQL with fsync")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: withkeycloak [-optional] [-durable] -- command [argument...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(*optional, *durable, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "withkeycloak:", err)
	}
	os.Exit(code)
}

func run(optional, durable bool, command []string) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if os.Getenv(keycloak.StateEnv) != "" {
		return servers.Execute(ctx, command, nil)
	}
	start := time.Now()
	s, err := keycloak.Start(ctx, keycloak.Options{Durable: durable})
	if optional && errors.Is(err, servers.ErrUnavailable) {
		fmt.Fprintln(os.Stderr, "withkeycloak: going on without:", err)
		return servers.Execute(ctx, command, nil)
	}
	if err != nil {
		return 3, err
	}
	defer func() {
		if cerr := s.Close(); cerr != nil {
			code, err = max(code, 1), errors.Join(err, cerr)
		}
	}()
	fmt.Fprintf(os.Stderr, "withkeycloak: %s ready after %s\n", s.URL, time.Since(start).Round(100*time.Millisecond))
	dir, err := os.MkdirTemp("", "parallelrun-state-")
	if err != nil {
		return 3, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "keycloak.json")
	if err := s.WriteState(path); err != nil {
		return 3, err
	}
	return servers.Execute(ctx, command, []string{keycloak.StateEnv + "=" + path})
}
