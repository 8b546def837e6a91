package snapshots

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// EpochState says whether secrets sealed in a key epoch can be opened.
type EpochState string

// States of a key epoch.
const (
	EpochOpens   EpochState = "opens"
	EpochGone    EpochState = "gone"    // its wrapped keys were destroyed
	EpochLocked  EpochState = "locked"  // wrapped for another identity
	EpochUntried EpochState = "untried" // its keys are there, no identity was given
)

// KeyEpochs lists the key epochs whose wrapped keys the store holds, ascending,
// whether or not they can be opened.
func (s *Store) KeyEpochs(ctx context.Context) ([]uint32, error) {
	return seal.Epochs(ctx, KeyFiles(s.b))
}

// Unlock opens the store's keys. It changes nothing of the store, whose own
// keyring stays what it was opened with.
func (s *Store) Unlock(ctx context.Context, id *seal.Identity) (*seal.Keyring, error) {
	return Unlock(ctx, s.b, id)
}

// EpochStates says of each key epoch whether a keyring opens it; nil for none.
func (s *Store) EpochStates(ctx context.Context, epochs []uint32, ring *seal.Keyring) (map[uint32]EpochState, error) {
	there, err := s.KeyEpochs(ctx)
	if err != nil {
		return nil, err
	}
	opens := ring.Epochs()
	out := map[uint32]EpochState{}
	for _, e := range epochs {
		switch {
		case !slices.Contains(there, e):
			out[e] = EpochGone
		case ring == nil:
			out[e] = EpochUntried
		case slices.Contains(opens, e):
			out[e] = EpochOpens
		default:
			out[e] = EpochLocked
		}
	}
	return out, nil
}

// EpochsOf lists the key epochs that the secrets of a checkpoint's snapshots
// need as they are held now, ascending: re-sealing changes that. Where parts do
// not say, those count that the store held when the checkpoint was taken.
func (s *Store) EpochsOf(ctx context.Context, c CheckpointInfo) ([]uint32, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	scan, needs := s.newEpochScan(nil), map[uint32]bool{}
	for _, role := range c.Pinned() {
		sealed, err := scan.manifest(ctx, st.Snapshots[c.Pin(role)].Manifest)
		if err != nil {
			return nil, err
		}
		for e := range sealed {
			needs[e] = true
		}
	}
	if needs[parts.EpochUnsaid] {
		delete(needs, parts.EpochUnsaid)
		for _, e := range c.Epochs {
			needs[e] = true
		}
	}
	return slices.Sorted(maps.Keys(needs)), nil
}

// Openable says whether all secrets that the checkpoint pins can be opened with
// a keyring; else the error is a *EpochGoneError, or seal.ErrNoKey without one.
func (c CheckpointInfo) Openable(ctx context.Context, s *Store, ring *seal.Keyring) error {
	epochs, err := s.EpochsOf(ctx, c)
	if err != nil {
		return err
	}
	states, err := s.EpochStates(ctx, epochs, ring)
	if err != nil {
		return err
	}
	for _, worst := range []EpochState{EpochGone, EpochLocked, EpochUntried} {
		for _, e := range epochs {
			switch {
			case states[e] != worst:
			case worst == EpochUntried:
				return fmt.Errorf("checkpoint %s needs key epoch %d: %w", c.Name, e, seal.ErrNoKey)
			default:
				return &EpochGoneError{Checkpoint: c.Name, Epoch: e, Locked: worst == EpochLocked}
			}
		}
	}
	return nil
}

// EpochGoneError: the secrets that a checkpoint pins can't be opened. Rows and
// digests can be read and compared as ever; nothing can be restored that needs
// the secrets.
type EpochGoneError struct {
	Checkpoint string
	Epoch      uint32
	Locked     bool // the key is there, wrapped for another identity
}

func (e *EpochGoneError) Error() string {
	what := "is gone"
	if e.Locked {
		what = "is wrapped for another identity"
	}
	return fmt.Sprintf("checkpoint %s: the key epoch %d that it needs %s (%s)", e.Checkpoint, e.Epoch, what, e.Hint())
}

// Hint says what to do.
func (e *EpochGoneError) Hint() string {
	if e.Locked {
		return "use the identity that the store was made with, see keys.identity"
	}
	return fmt.Sprintf("restore keys/%d/ from a copy of the store, or choose a later checkpoint", e.Epoch)
}

// Unwrap tells it to whoever asks for a missing epoch.
func (*EpochGoneError) Unwrap() error { return seal.ErrEpochMissing }
