// Package versitygw runs a real S3 server for tests: the Versity S3 Gateway over a directory, on loopback.
//
// Nouns: a Directory is where buckets lie; a Server is one gateway process over it. Several processes may serve one
// directory, as the gateways of a bucket do. Start with [NewDirectory] and [Directory.Serve] in a program, and with
// versitygwtest in a test.
package versitygw

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/child"
)

// Region is the region that the gateways say they are in.
const Region = "us-east-1"

const (
	startTimeout  = 30 * time.Second
	startAttempts = 3 // a chosen port may be taken by another process before the server binds it
)

// Directory holds buckets. Its gateways end with it.
type Directory struct {
	AccessKey string
	SecretKey string

	program string
	scratch *child.Scratch
	served  int
}

// Server is a running gateway.
type Server struct {
	URL string // http://127.0.0.1:PORT
	*Directory

	process *child.Process
}

// NewDirectory makes an empty directory. The error matches servers.ErrUnavailable if the gateway can't be built here.
func NewDirectory(ctx context.Context) (*Directory, error) {
	program, err := Program(ctx)
	if err != nil {
		return nil, err
	}
	scratch, err := child.NewScratch("versitygw")
	if err != nil {
		return nil, err
	}
	d := &Directory{AccessKey: "AKIA" + rand.Text()[:16], SecretKey: rand.Text(), program: program, scratch: scratch}
	// The sidecar keeps what the gateway else keeps in extended attributes, which not every file system has.
	for _, dir := range []string{d.data(), d.sidecar()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			scratch.Close()
			return nil, fmt.Errorf("make the gateway's folders: %w", err)
		}
	}
	return d, nil
}

func (d *Directory) data() string { return filepath.Join(d.scratch.Dir, "data") }

func (d *Directory) sidecar() string { return filepath.Join(d.scratch.Dir, "sidecar") }

// Path is where a bucket's objects lie as files, for tests that damage one.
func (d *Directory) Path(bucket string) string { return filepath.Join(d.data(), bucket) }

// NewBucket makes an empty bucket with a name of its own. To the gateway a bucket is a folder.
func (d *Directory) NewBucket() (string, error) {
	name := "bucket-" + strings.ToLower(rand.Text())
	if err := os.Mkdir(d.Path(name), 0o700); err != nil {
		return "", fmt.Errorf("make a bucket: %w", err)
	}
	return name, nil
}

// Serve starts one more gateway over the directory.
func (d *Directory) Serve(ctx context.Context) (*Server, error) {
	var err error
	for range startAttempts {
		var s *Server
		if s, err = d.serveOnce(ctx); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func (d *Directory) serveOnce(ctx context.Context) (*Server, error) {
	ports, err := servers.FreePorts(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	d.served++
	p, err := d.scratch.Start(child.Spec{
		Name: fmt.Sprintf("versitygw-%d", d.served), Path: d.program,
		Args: []string{"--port", address, "--region", Region, "--keep-alive", "--quiet", "posix", "--sidecar", d.sidecar(), d.data()},
		// Keys by environment: a command line is readable for everybody.
		Env:  append(os.Environ(), "ROOT_ACCESS_KEY="+d.AccessKey, "ROOT_SECRET_KEY="+d.SecretKey),
		Wait: time.Second,
	})
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + address, Directory: d, process: p}
	return s, p.Await(ctx, startTimeout, s.answers)
}

// answers asks without a signature: being refused is an answer.
func (s *Server) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Stop ends this gateway alone.
func (s *Server) Stop() { s.process.Stop() }

// Close ends all gateways and removes the directory.
func (d *Directory) Close() error { return d.scratch.Close() }
