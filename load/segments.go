package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/parallelrun/parallelrun/snapshots"
)

// segments are the shipped parts of a ledger: runs/<run>/ledger/<n>.jsonl, each
// created once, one outcome per line. Later lines count.
type segments struct {
	files Files
	run   string

	mu   sync.Mutex
	last int
}

func (s *segments) prefix() string { return path.Join("runs", s.run, "ledger") + "/" }

// read hands every shipped outcome to f, oldest first.
func (s *segments) read(ctx context.Context, f func(Outcome)) error {
	for key, err := range s.files.Files(ctx, s.prefix()) {
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(key, s.prefix()), ".jsonl"))
		if err != nil {
			continue // not a segment
		}
		s.last = max(s.last, n)
		if err := s.readOne(ctx, key, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *segments) readOne(ctx context.Context, key string, f func(Outcome)) error {
	data, err := s.files.ReadFile(ctx, key)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		var o Outcome
		switch err := dec.Decode(&o); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", key, err)
		}
		f(o)
	}
}

// write stores outcomes as the next segment. A number that another holder of
// the run took meanwhile is passed over.
func (s *segments) write(ctx context.Context, batch []Outcome) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, o := range batch {
		if err := enc.Encode(o); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.last++
		err := s.files.PutFile(ctx, fmt.Sprintf("%s%06d.jsonl", s.prefix(), s.last), buf.Bytes())
		if !errors.Is(err, snapshots.ErrExists) {
			if err != nil {
				s.last--
			}
			return err
		}
	}
}
