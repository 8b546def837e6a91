package snapshots

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	logPrefix    = "log/"
	entryVersion = 1
)

// Entry is one entry of the log: the commit point of everything in it.
type Entry struct {
	N       uint64
	Prev    Digest // SHA-256 of the bytes of the entry before, of format.json for the first
	Attempt string // id of the attempt to commit, by which its writer knows it again
	Time    time.Time
	Writer  string
	Reason  string
	Run     string
	Actions []Action
}

// entryJSON is an entry as it is stored.
type entryJSON struct {
	Version int               `json:"version"`
	N       uint64            `json:"n"`
	Prev    Digest            `json:"prev"`
	Attempt string            `json:"attempt"`
	Time    time.Time         `json:"time"`
	Writer  string            `json:"writer"`
	Reason  string            `json:"reason"`
	Run     string            `json:"run,omitempty"`
	Actions []json.RawMessage `json:"actions"`
}

func (e *Entry) encode() ([]byte, error) {
	j := entryJSON{Version: entryVersion, N: e.N, Prev: e.Prev, Attempt: e.Attempt, Time: e.Time.UTC().Truncate(time.Microsecond),
		Writer: e.Writer, Reason: e.Reason, Run: e.Run, Actions: []json.RawMessage{}}
	for _, a := range e.Actions {
		raw, err := encodeAction(a)
		if err != nil {
			return nil, fmt.Errorf("encode %s action: %w", a.kind(), err)
		}
		j.Actions = append(j.Actions, raw)
	}
	return marshal(j)
}

// marshal writes JSON as all files of the store are written: for people too,
// with a newline at the end.
func marshal(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// decodeEntry reads an entry. One of a newer version yields an UnknownAction
// in place of what it does.
func decodeEntry(data []byte) (*Entry, error) {
	var j entryJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, err
	}
	if j.Attempt == "" || j.N == 0 {
		return nil, fmt.Errorf("attempt or number is missing")
	}
	e := &Entry{N: j.N, Prev: j.Prev, Attempt: j.Attempt, Time: j.Time, Writer: j.Writer, Reason: j.Reason, Run: j.Run}
	if j.Version != entryVersion {
		e.Actions = []Action{UnknownAction{Kind: "entry", Version: j.Version, Raw: data}}
		return e, nil
	}
	for i, raw := range j.Actions {
		a, err := decodeAction(raw)
		if err != nil {
			return nil, fmt.Errorf("action %d: %w", i, err)
		}
		e.Actions = append(e.Actions, a)
	}
	return e, nil
}

// logKey is the key of entry n: 20 digits, so that byte order is number order.
func logKey(n uint64) string { return fmt.Sprintf("%s%020d.json", logPrefix, n) }

// logNumber reads what logKey writes.
func logNumber(key string) (uint64, error) {
	s, ok := strings.CutSuffix(strings.TrimPrefix(key, logPrefix), ".json")
	n, err := strconv.ParseUint(s, 10, 64)
	if !ok || err != nil || logKey(n) != key || n == 0 {
		return 0, &CorruptError{Object: key, What: "not the name of a log entry", Advice: "nothing of ours writes such a file: move it out of the store"}
	}
	return n, nil
}

func digestOf(data []byte) Digest { return sha256.Sum256(data) }
