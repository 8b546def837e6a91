package modeltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/keymate"
	"github.com/parallelrun/parallelrun/pipelines"
	"github.com/parallelrun/parallelrun/pipelines/waves"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/backendtest"
)

// rig is the real thing: a store in memory, a source that reads the model's
// legacy side, and a realm that is loaded through its own API.
type rig struct {
	realm  *realm
	source *source
	store  *backendtest.Memory
	dir    string
	// requests, changes and commits are how many the last run needed, for kills
	// to come.
	requests, changes, commits int
	runs                       []string // of this store, before the run that is played
}

// storeSeed is a store with keys and nothing else in it, made once: to wrap keys
// takes longer than a run.
var storeSeed = sync.OnceValues(func() (*storeOrigin, error) {
	dir, err := os.MkdirTemp("", "modeltest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "identity.txt")
	if _, err := seal.NewIdentity(file); err != nil {
		return nil, err
	}
	id, err := seal.LoadIdentity(file)
	if err != nil {
		return nil, err
	}
	ctx, b := context.Background(), &backendtest.Memory{}
	if err := snapshots.Init(ctx, b, snapshots.InitOptions{Recipients: id.Recipients()}); err != nil {
		return nil, err
	}
	k, err := snapshots.Unlock(ctx, b, id)
	return &storeOrigin{b, k}, err
})

type storeOrigin struct {
	b    *backendtest.Memory
	keys *seal.Keyring
}

func newRig(ctx context.Context, r *realm, dir string) (*rig, error) {
	origin, err := storeSeed()
	if err != nil {
		return nil, err
	}
	g := &rig{realm: r, store: &backendtest.Memory{}, dir: dir, source: &source{seal: origin.keys}, requests: 60, changes: 30, commits: 60}
	for key, err := range origin.b.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		if err := g.store.Create(ctx, key, bytes.NewReader(origin.b.Bytes(key))); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// waveRules: the first takes users by their keys, the second by a group that
// they may leave again.
var waveRules = []waves.Rule{
	{Name: "first", Keys: []string{"u0", "u1", "u2", "u3", "u4"}},
	{Name: "second", Groups: []string{"staff"}},
}

var waveNames = []string{"first", "second"}

var loadWaves = sync.OnceValues(func() (*waves.Selection, error) {
	return waves.Compile(waves.Rules{Salt: "model", Waves: waveRules})
})

// migrationConfig lets through what brakes are for: what they stop is tested
// elsewhere, and a population of ten knows no share.
func migrationConfig() config.Migration {
	all, ratio := int64(1000), 1.0
	limit := &config.BrakeLimit{Rows: &all, Ratio: &ratio}
	m := config.Migration{Source: "legacy", Target: "live", Rejects: config.Rejects{MaxRatio: map[string]float64{"default": 1}}}
	m.Brake.BrakeKinds = config.BrakeKinds{Creates: limit, Updates: limit, Disables: limit, Deletes: limit, Enables: limit, Grants: limit}
	m.Brake.Shrinks = *limit
	m.Ownership.Fields = map[string]string{`users.attributes["title"]`: "keymate"}
	for _, w := range waveNames {
		m.Waves = append(m.Waves, config.Wave{Name: w})
	}
	return m
}

// patience is the loader's policy: the same rules, faster.
func patience() load.Policy {
	p := load.FastPolicy()
	p.Attempts, p.Grace = 3, 100*time.Millisecond
	return p
}

// session is one process of the tool: what it has opened. A kill ends it.
type session struct {
	*pipelines.Runner
	kill *killer
}

// open starts a process. A nil killer lets it live.
func (g *rig) open(ctx context.Context, k *killer) (*session, error) {
	if k == nil {
		k = &killer{}
	}
	origin, err := storeSeed()
	if err != nil {
		return nil, err
	}
	k.wires, k.backend = g.realm.wires, g.store
	store, err := snapshots.Open(ctx, k, snapshots.Options{Keyring: origin.keys, Writer: "model", Patience: time.Millisecond})
	if err != nil {
		return nil, err
	}
	cfg := g.realm.config
	cfg.Namespace, cfg.Secrets, cfg.Transport = namespace, origin.keys, k
	cfg.BatchUsers, cfg.Concurrency, cfg.ReadRetries = 3, 1, -1
	target, err := keymate.Open(cfg)
	if err != nil {
		return nil, err
	}
	mapping, err := loadMapping()
	if err != nil {
		return nil, err
	}
	selection, err := loadWaves()
	if err != nil {
		return nil, err
	}
	return &session{kill: k, Runner: &pipelines.Runner{
		Name: "model", Config: migrationConfig(), Namespace: namespace, SourceName: "legacy", TargetName: "live",
		Store: store, Source: g.source, Mapping: mapping, Waves: selection, Target: target,
		Memory: 64 << 20, Workers: 1, TempDir: g.dir, WorkDir: filepath.Join(g.dir, "work"), ReportDir: filepath.Join(g.dir, "reports"),
		Retry: patience(), Tool: "model",
	}}, nil
}

// errKilled is what a killed process sees of the world.
var errKilled = errors.New("killed")

// takenOver gives back the target that a killed process held, as its time has
// run out: how a lease is taken over is tested with real processes.
func (g *rig) takenOver(ctx context.Context, s *snapshots.Store) error {
	st, err := s.State(ctx)
	if err != nil {
		return err
	}
	held := st.Leases["live"]
	if held.Epoch == 0 || held.Released {
		return nil
	}
	_, err = s.Commit(ctx, snapshots.Change{Reason: "its time has run out", Actions: []snapshots.Action{
		snapshots.LeaseAction{Target: "live", Epoch: held.Epoch, Release: true, Holder: held.Holder}}})
	return err
}

// loseDisk removes what a killed process had on its own disk.
func (g *rig) loseDisk() error { return os.RemoveAll(filepath.Join(g.dir, "work")) }

// reset starts the count of what a run needs.
func (g *rig) note(k *killer) {
	g.requests, g.changes, g.commits = max(1, k.requests), max(1, k.changes), max(1, k.creates)
}

// describeKill is a kill in words.
func (k *killer) String() string {
	switch {
	case k.change > 0 && k.after:
		return fmt.Sprintf("killed after change %d", k.change)
	case k.change > 0:
		return fmt.Sprintf("killed before change %d", k.change)
	case k.request > 0 && k.after:
		return fmt.Sprintf("killed after request %d", k.request)
	case k.request > 0:
		return fmt.Sprintf("killed before request %d", k.request)
	case k.create > 0 && k.after:
		return fmt.Sprintf("killed after write %d to the store", k.create)
	case k.create > 0:
		return fmt.Sprintf("killed before write %d to the store", k.create)
	}
	return "not killed"
}

var _ io.Closer = (*session)(nil)
