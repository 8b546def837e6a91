package snapshots

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// syncPrefix is where a credential sync leaves its signs of life: numbered
// files that are created and never changed, as everything in a store. The
// number is the time in microseconds, so that the newest is found without
// reading the others; a folder a day keeps listings short.
const syncPrefix = "sync/"

// SyncSign is a sign of life of the credential sync of a target: somebody
// carries password changes of the legacy system over, and how far.
type SyncSign struct {
	Version int    `json:"version"`
	Target  string `json:"target"`
	// Time is when it was written, by the writer's clock.
	Time time.Time `json:"time"`
	// Through: every change made in the legacy system up to then stands in the
	// target. A sync that is alive and behind has an old one.
	Through time.Time `json:"through"`
	Writer  string    `json:"writer"` // program and host
	PID     int       `json:"pid"`
}

func syncKey(target string, at time.Time) string {
	at = at.UTC()
	return fmt.Sprintf("%s%s/%s/%020d.json", syncPrefix, target, at.Format("2006-01-02"), at.UnixMicro())
}

// SignSync leaves a sign of life for a target whose credentials were carried
// over up to through. Call it as long as that goes on, several times in the age
// that runs accept.
func (s *Store) SignSync(ctx context.Context, target string, through time.Time) error {
	at := s.o.Now().UTC().Truncate(time.Microsecond)
	for {
		sign := SyncSign{Version: 1, Target: target, Time: at, Through: through.UTC().Truncate(time.Microsecond), Writer: s.o.Writer, PID: os.Getpid()}
		data, err := marshal(sign)
		if err != nil {
			return err
		}
		key := syncKey(target, at)
		if err := CheckKey(key); err != nil {
			return err
		}
		err = s.putFile(ctx, key, data)
		if !errors.Is(err, ErrExists) {
			return err
		}
		at = at.Add(time.Microsecond) // another sign has this very number
	}
}

// LastSync is the newest sign of life of a target's credential sync, ok false
// if there never was one. It looks at those after since first, which costs
// little; older ones are only looked for to say how old the newest is.
func (s *Store) LastSync(ctx context.Context, target string, since time.Time) (sign SyncSign, ok bool, err error) {
	prefix := syncPrefix + target + "/"
	if err := CheckKey(syncKey(target, since)); err != nil {
		return sign, false, err
	}
	var last string
	for _, after := range []string{syncKey(target, since), ""} {
		for key, err := range s.b.List(ctx, prefix, after) {
			if err != nil {
				return sign, false, fmt.Errorf("look for signs of the credential sync of %s: %w", target, err)
			}
			last = key
		}
		if last != "" {
			break
		}
	}
	if last == "" {
		return sign, false, nil
	}
	data, err := readObject(ctx, s.b, last)
	if err != nil {
		return sign, false, fmt.Errorf("look for signs of the credential sync of %s: %w", target, err)
	}
	if err := json.Unmarshal(data, &sign); err != nil || syncKey(sign.Target, sign.Time) != last {
		return SyncSign{}, false, &CorruptError{Object: last, What: "not a sign of a credential sync", Advice: "wait for the next one", Err: err}
	}
	if sign.Version != 1 {
		return SyncSign{}, false, fmt.Errorf("%s: version %d: %w", last, sign.Version, ErrNewerStore)
	}
	return sign, true, nil
}
