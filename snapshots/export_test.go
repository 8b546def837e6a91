package snapshots

import (
	"context"
	"time"

	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Gone makes gone reachable for tests.
func (h Holder) Gone() bool { return h.gone() }

// ThisProcess makes thisProcess reachable for tests.
func ThisProcess() Holder { return thisProcess() }

// EncodeEntry and DecodeEntry make the log's encoding reachable for tests.
func EncodeEntry(e *Entry) ([]byte, error) { return e.encode() }

// DecodeEntry reads what EncodeEntry writes.
func DecodeEntry(data []byte) (*Entry, error) { return decodeEntry(data) }

// SetProcess says who a store's leases belong to.
func SetProcess(s *Store, h Holder) { s.process = func() Holder { return h } }

// EncodePack and DecodePack make packs of log entries reachable for tests.
func EncodePack(entries [][]byte) ([]byte, error) { return encodePack(entries) }

// DecodePack reads what EncodePack writes.
func DecodePack(data []byte) ([][]byte, error) { return decodePack(data) }

// TooOld makes tooOld reachable for tests.
var TooOld = tooOld

// SetRangeRows makes a diff cut its work otherwise.
func SetRangeRows(o *DiffOptions, rows int64) { o.rangeRows = rows }

// PutManifest makes putManifest reachable for tests.
func PutManifest(ctx context.Context, s *Store, tables []parts.Table) (snapshot, name Digest, err error) {
	return s.putManifest(ctx, tables)
}

// OnBackend is a store, unlocked as it is, through another back end.
func OnBackend(s *Store, b Backend) *Store {
	out := &Store{b: b, o: s.o, format: s.format, process: s.process}
	out.o.Patience = 50 * time.Millisecond
	s.mu.Lock()
	defer s.mu.Unlock()
	out.state = s.state.clone()
	out.marks.Store(s.marks.Load())
	return out
}

// LastRenewal makes lastRenewal reachable for tests: the number of a session's
// newest sign of life.
func LastRenewal(ctx context.Context, s *Store, session string) (uint64, error) {
	r, err := s.lastRenewal(ctx, session, 0)
	return r.N, err
}
