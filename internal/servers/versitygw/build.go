package versitygw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/parallelrun/parallelrun/internal/servers"
)

// Version is the gateway that the project tests against. Before 1.8 its conditional writes were not atomic.
const Version = "v1.8.0"

// module is built as a program of its own, so that its hundreds of modules never enter ours.
const module = "github.com/versity/versitygw/cmd/versitygw"

// Program returns the path of the gateway's program in the user's cache, building it through Go modules if need be
// (one to three minutes). Two processes that ask at once do the work once.
func Program(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder for versitygw: %w", err)
	}
	dir := filepath.Join(cache, "parallelrun", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder for versitygw: %w", err)
	}
	path := filepath.Join(dir, "versitygw-"+Version)
	if built(path) {
		return path, nil
	}
	unlock, err := servers.Lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if built(path) { // by whoever held the lock
		return path, nil
	}
	return path, build(ctx, dir, path)
}

func built(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o100 != 0
}

// build installs beside path and renames at the end, so that path is whole or absent.
func build(ctx context.Context, dir, path string) (err error) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return &servers.Unavailable{Missing: "go", Hint: "install Go, or put versitygw " + Version + " at " + path, Cause: err}
	}
	tmp, err := os.MkdirTemp(dir, ".versitygw-")
	if err != nil {
		return fmt.Errorf("make a folder to build versitygw in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	cmd := exec.CommandContext(ctx, goTool, "install", module+"@"+Version)
	cmd.Dir = tmp // outside of our module
	cmd.Env = append(os.Environ(), "GOBIN="+tmp, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return &servers.Unavailable{Missing: "versitygw", Hint: "go install " + module + "@" + Version + " has to build it; make deps says more",
			Cause: fmt.Errorf("%w: %s", err, lastBytes(out, 1<<10))}
	}
	return os.Rename(filepath.Join(tmp, "versitygw"), path)
}

func lastBytes(b []byte, n int) []byte {
	b = bytes.TrimSpace(b)
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return b
}
