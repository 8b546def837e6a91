package pipelines

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"github.com/parallelrun/parallelrun/load/keymate"
)

// sandboxTransactions is the embedded sandbox's transaction limit: it answers
// or has not begun, so that nobody need wait for it.
const sandboxTransactions = time.Second

// running are the embedded servers of this process by the folder of their
// state. A folder has one server, which replays all that ever happened when it
// starts: commands that follow each other in one process share it.
var running = struct {
	sync.Mutex
	servers map[string]*runningSandbox
}{servers: map[string]*runningSandbox{}}

type runningSandbox struct {
	*sandbox.Server
	url   string
	users int
}

// startSandbox starts the embedded server, unless it runs already, and
// completes the configuration with what it brings. The server ends when all who
// started it have stopped it.
func startSandbox(ctx context.Context, t config.Target, cfg *keymate.Config) (stop func() error, err error) {
	running.Lock()
	defer running.Unlock()
	s := running.servers[t.Sandbox.State]
	if s == nil {
		if s, err = openSandbox(ctx, t); err != nil {
			return nil, err
		}
	}
	realm, ok := s.Realm(t.Realm)
	if !ok {
		err := fmt.Errorf("target's sandbox: the state in %s has no realm %q: name another folder", t.Sandbox.State, t.Realm)
		if s.users == 0 {
			err = errors.Join(err, s.Close())
		}
		return nil, err
	}
	cfg.URL = s.url
	cfg.ClientID, cfg.ClientSecret = realm.Migrator.ID, realm.Migrator.Secret
	cfg.ProofClientID, cfg.ProofClientSecret = realm.Proof.ID, realm.Proof.Secret
	if cfg.TransactionLimit == 0 {
		cfg.TransactionLimit = sandboxTransactions
	}
	s.users++
	if t.Sandbox.State != "" { // in memory: nobody else's
		running.servers[t.Sandbox.State] = s
	}
	return sync.OnceValue(func() error { return s.leave(t.Sandbox.State) }), nil
}

func openSandbox(ctx context.Context, t config.Target) (*runningSandbox, error) {
	s, err := sandbox.New(sandbox.Options{StateDir: t.Sandbox.State, Realm: sandbox.RealmOptions{Name: t.Realm}, TokenLifespan: 5 * time.Minute})
	if err != nil {
		return nil, fmt.Errorf("target's sandbox: %w", err)
	}
	// It must outlive a cancelled run, whose last requests are still answered.
	url, err := s.Start(context.WithoutCancel(ctx))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &runningSandbox{Server: s, url: url}, nil
}

func (s *runningSandbox) leave(state string) error {
	running.Lock()
	defer running.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	delete(running.servers, state)
	return s.Close()
}
