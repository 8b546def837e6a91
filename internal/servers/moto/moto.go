// Package moto runs a real AWS KMS for tests: moto's server, a program in Python, on loopback.
//
// Start with [Start] in a program, and with mototest in a test.
package moto

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/child"
)

const (
	startTimeout  = 60 * time.Second // Python imports for a while on a busy machine
	startAttempts = 3                // a chosen port may be taken by another process before the server binds it
)

// Server is a running server. Its keys end with it.
type Server struct {
	URL string // http://127.0.0.1:PORT

	scratch *child.Scratch
}

// Start runs a server. The error matches servers.ErrUnavailable if there is no Python with moto here.
func Start(ctx context.Context) (*Server, error) {
	python, err := interpreter(ctx)
	if err != nil {
		return nil, err
	}
	for range startAttempts {
		var s *Server
		if s, err = startOnce(ctx, python); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// interpreter is the Python of PARALLELRUN_PYTHON, of `make deps`, or the machine's, the first that has moto.
func interpreter(ctx context.Context) (string, error) {
	candidates := []string{os.Getenv("PARALLELRUN_PYTHON")}
	if cache, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(cache, "parallelrun", "python", "bin", "python"))
	}
	for _, python := range append(candidates, "python3") {
		if python != "" && exec.CommandContext(ctx, python, "-c", "import moto.server, flask_cors").Run() == nil {
			return python, nil
		}
	}
	return "", &servers.Unavailable{Missing: "Python with moto", Hint: "make deps installs it (pip install -r scripts/kms/requirements.txt)"}
}

func startOnce(ctx context.Context, python string) (*Server, error) {
	scratch, err := child.NewScratch("moto")
	if err != nil {
		return nil, err
	}
	ports, err := servers.FreePorts(1)
	if err != nil {
		return nil, closing(scratch, err)
	}
	p, err := scratch.Start(child.Spec{Name: "moto", Path: python, Args: []string{"-m", "moto.server", "-H", "127.0.0.1", "-p", fmt.Sprint(ports[0])}, Wait: time.Second})
	if err != nil {
		return nil, closing(scratch, err)
	}
	s := &Server{URL: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), scratch: scratch}
	if err := p.Await(ctx, startTimeout, s.answers); err != nil {
		return nil, closing(scratch, err)
	}
	return s, nil
}

func closing(s *child.Scratch, err error) error {
	if closeErr := s.Close(); closeErr != nil {
		return fmt.Errorf("%w (and: %w)", err, closeErr)
	}
	return err
}

func (s *Server) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/moto-api/data.json", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Close ends the server.
func (s *Server) Close() error { return s.scratch.Close() }
