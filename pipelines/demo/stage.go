package demo

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/parallelrun/parallelrun/internal/legacygen"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/schemas"
)

// Files that Prepare writes beside the starting set.
const (
	LegacyFile = "legacy.ldif"
	LoginsFile = "logins.csv"
	markerFile = ".parallelrun-demo"
)

// iterations is the cost of hashing passwords that stood in clear text.
// Passwords that are worth nothing need no costly hash.
var iterations = regexp.MustCompile(`(?m)^(\s*)iterations: \d+`)

func cheap(data []byte) []byte {
	return iterations.ReplaceAll(data, []byte("${1}iterations: 1000 # cheap, for a demo only"))
}

// Prepare empties the stage, if an earlier demo left it, and sets it: the
// starting set, the generated directory, the logins that prove it, a key.
func Prepare(dir string, set map[string][]byte, gen legacygen.Config) (*legacygen.Counts, error) {
	if err := empty(dir); err != nil {
		return nil, err
	}
	if err := writeAll(dir, set); err != nil {
		return nil, err
	}
	counts, err := writeLegacy(filepath.Join(dir, LegacyFile), gen)
	if err != nil {
		return nil, err
	}
	if err := writeLogins(filepath.Join(dir, LoginsFile), gen); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return nil, err
	}
	_, err = seal.NewIdentity(filepath.Join(dir, "keys", "identity.txt"))
	return counts, err
}

// empty removes what an earlier demo left. A folder that is not a demo's is
// never touched.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, markerFile)); err != nil {
		return fmt.Errorf("%s is not empty and not a demo's folder: name another with --dir", dir)
	}
	return os.RemoveAll(dir)
}

func writeAll(dir string, files map[string][]byte) error {
	files[markerFile] = []byte("parallelrun demo may remove this folder\n")
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		dirMode, mode := os.FileMode(0o755), os.FileMode(0o644)
		if strings.HasPrefix(name, "keys/") {
			dirMode, mode = 0o700, 0o600
		}
		if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
			return err
		}
		if err := os.WriteFile(path, cheap(data), mode); err != nil {
			return err
		}
	}
	return nil
}

func writeLegacy(path string, gen legacygen.Config) (*legacygen.Counts, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	counts, err := legacygen.Generate(f, gen)
	return counts, errors.Join(err, f.Close())
}

// writeLogins writes the passwords of those whose login must work, a real
// migration's test accounts: key, password and scheme, in the order of the directory.
func writeLogins(path string, gen legacygen.Config) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buf := bufio.NewWriter(f)
	w := csv.NewWriter(buf)
	if err := w.Write([]string{"key", "password", "scheme"}); err != nil {
		return err
	}
	for l, err := range legacygen.Logins(gen) {
		if err != nil {
			return err
		}
		if !provable(l) {
			continue
		}
		if err := w.Write([]string{l.Key, l.Password, l.Scheme}); err != nil {
			return err
		}
	}
	w.Flush()
	return errors.Join(w.Error(), buf.Flush())
}

// provable reports whether the person's legacy password must work at the
// target: it is movable, or the mapping hashes it on the way.
func provable(l legacygen.Login) bool {
	return l.Expected() || l.Scheme == schemas.ClearText && l.Password != "" && l.Kind.Carried() && l.Kind.Active()
}
