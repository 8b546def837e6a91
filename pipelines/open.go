package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
	"github.com/parallelrun/parallelrun/transform"
)

// OpenOptions are what a command line says beside the configuration.
type OpenOptions struct {
	Migration string // "": the only one
	Memory    int64
	Workers   int
	Progress  *ui.Progress
	Tool      string
	ReportDir string // "": reports, beside the configuration
	Boundary  func(step string, done bool)
	Bounds    parts.Bounds
	DriftPart int64 // 0: the default
	// LeaseTTL is how long a target's holder is believed after its last sign of
	// life; zero: the store's default, which all who use the store must share.
	LeaseTTL time.Duration
}

// Open opens a configured migration: store, source, mapping and target. The
// store is made where there is none. Close the runner.
func Open(ctx context.Context, c *config.Config, o OpenOptions) (_ *Runner, err error) {
	name, m, err := c.Migration(o.Migration)
	if err != nil {
		return nil, err
	}
	r := newRunner(c, name, m, o)
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.Mapping, err = LoadMapping(c, m); err != nil {
		return nil, err
	}
	if r.Waves, err = LoadWaves(c, name, m); err != nil {
		return nil, err
	}
	if err = AdoptRulesOf(m).Check(); err != nil {
		return nil, err
	}
	if err = r.openAliases(); err != nil {
		return nil, err
	}
	if r.Inputs, err = inputs(c, m, r.Mapping); err != nil {
		return nil, err
	}
	if r.Store, err = OpenStore(ctx, c); err != nil {
		return nil, err
	}
	if r.Source, err = OpenSource(c, m.Source, r.Store.Keyring()); err != nil {
		return nil, err
	}
	r.Target, err = OpenTarget(ctx, c.Targets[m.Target], r.Namespace, r.Store.Keyring())
	return r, err
}

// OpenStored opens a migration for what its store alone can tell: source,
// mapping and target stay closed. The store is the caller's, and need not be
// unlocked.
func OpenStored(c *config.Config, s *snapshots.Store, o OpenOptions) (*Runner, error) {
	name, m, err := c.Migration(o.Migration)
	if err != nil {
		return nil, err
	}
	r := newRunner(c, name, m, o)
	r.Store = s
	if r.Waves, err = LoadWaves(c, name, m); err != nil {
		return r, err
	}
	err = r.openAliases()
	return r, err
}

// newRunner is a runner with nothing opened yet.
func newRunner(c *config.Config, name string, m config.Migration, o OpenOptions) *Runner {
	r := &Runner{
		config: c, Name: name, Config: m, SourceName: m.Source, TargetName: m.Target, Namespace: c.Sources[m.Source].Namespace,
		Memory: o.Memory, Workers: o.Workers, Progress: o.Progress, Tool: o.Tool, Boundary: o.Boundary, ReportDir: o.ReportDir, Bounds: o.Bounds, DriftPart: o.DriftPart, LeaseTTL: o.LeaseTTL,
		WorkDir: filepath.Join(c.Dir, ".parallelrun", "work"),
	}
	if r.Workers <= 0 {
		r.Workers = runtime.GOMAXPROCS(0)
	}
	if r.ReportDir == "" {
		r.ReportDir = filepath.Join(c.Dir, "reports")
	}
	return r
}

// LoadMapping compiles a migration's mapping against its source's tables.
func LoadMapping(c *config.Config, m config.Migration) (*transform.Mapping, error) {
	tables, err := LegacyTables(c, m.Source)
	if err != nil {
		return nil, err
	}
	return transform.LoadMapping(m.Mapping, transform.LoadOptions{Tables: tables})
}

// inputs are the files that say what a run does, kept with it as bytes.
func inputs(c *config.Config, of config.Migration, m *transform.Mapping) ([]Input, error) {
	out := []Input{{Name: filepath.Base(c.Path), Data: c.Raw}}
	if of.Decisions != "" {
		data, err := os.ReadFile(of.Decisions)
		if err != nil {
			return nil, fmt.Errorf("decisions: %w", err)
		}
		out = append(out, decisionsInput(of.Decisions, data))
	}
	for _, w := range of.Waves {
		if w.KeysFile == "" {
			continue
		}
		data, err := os.ReadFile(w.KeysFile)
		if errors.Is(err, fs.ErrNotExist) { // whoever assigns users says so; others don't need it
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("keys of wave %s: %w", w.Name, err)
		}
		out = append(out, Input{Name: "waves/" + w.Name + ".keys", Data: data})
	}
	if of.Aliases != "" {
		data, err := os.ReadFile(of.Aliases)
		if err != nil {
			return nil, fmt.Errorf("aliases: %w", err)
		}
		out = append(out, aliasesInput(of.Aliases, data))
	}
	files := m.Files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		out = append(out, Input{Name: filepath.ToSlash(filepath.Join("mapping", filepath.Clean("/"+name))), Data: files[name]})
	}
	return out, nil
}

// Close closes what Open opened.
func (r *Runner) Close() error {
	var errs []error
	if r.Target != nil {
		errs = append(errs, r.Target.Close())
	}
	if r.Source != nil {
		errs = append(errs, r.Source.Close())
	}
	return errors.Join(errs...)
}

// workDir makes the folder for a run's local files.
func (r *Runner) workDir(run string) (string, error) {
	dir := filepath.Join(r.WorkDir, run)
	return dir, os.MkdirAll(dir, 0o700)
}
