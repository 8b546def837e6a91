package sandbox

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// The journal is the list of committed changes: the requests themselves, with the time and the place in the seed's stream at which they
// ran, so that a replay yields the same state, ids and salts included. A record is written before its request is answered. That
// survives the end of this process at any point; it is not synced, so not the end of the machine.
//
// Requests hold password hashes, so records are sealed with a key that lies beside the journal: no scan of the folder
// finds a hash, as it would not in a database file with encryption at rest.
type journal struct {
	file *os.File
	seal cipher.AEAD
}

// entry is a record's head; a request's body follows it.
type entry struct {
	Kind   string    // "seed", "realm", "request", "rehash", "event"
	Time   time.Time `json:",omitzero"`
	Drawn  uint64    `json:",omitempty"`
	Method string    `json:",omitempty"`
	Realm  string    `json:",omitempty"`
	Path   string    `json:",omitempty"` // below the realm, escaped
	Query  string    `json:",omitempty"`
	Type   string    `json:",omitempty"` // the body's
	User   string    `json:",omitempty"`
	Data   string    `json:",omitempty"`
	Secret string    `json:",omitempty"`
	Seed   []byte    `json:",omitempty"`
}

const maxRecord = 1 << 28

// restore opens the state directory and replays its journal.
func (s *Server) restore(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("sandbox: make the state directory: %w", err)
	}
	key, err := stateKey(filepath.Join(dir, "key"))
	if err != nil {
		return err
	}
	seal, err := chacha20poly1305.NewX(key)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("sandbox: open the journal: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("sandbox: the state directory %s is in use: %w", dir, err), file.Close())
	}
	j := &journal{file: file, seal: seal}
	if err := s.replay(j); err != nil {
		return errors.Join(err, file.Close())
	}
	fresh := len(s.realms) == 0
	s.journal = j
	if fresh {
		return s.record(entry{Kind: "seed", Seed: s.seed[:]}, nil)
	}
	return nil
}

func stateKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == chacha20poly1305.KeySize {
		return key, nil
	}
	if err == nil {
		return nil, fmt.Errorf("sandbox: %s holds %d bytes, not a key", path, len(key))
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("sandbox: read the journal's key: %w", err)
	}
	key = make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, key, 0o600); err != nil {
		return nil, fmt.Errorf("sandbox: write the journal's key: %w", err)
	}
	return key, nil
}

// replay runs the records; a torn one at the end was never answered, and goes.
func (s *Server) replay(j *journal) error {
	b, err := io.ReadAll(j.file)
	if err != nil {
		return fmt.Errorf("sandbox: read the journal: %w", err)
	}
	at := 0
	for at < len(b) {
		if len(b)-at < 4 {
			break
		}
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n > maxRecord {
			return fmt.Errorf("sandbox: the journal is damaged at byte %d", at)
		}
		if len(b)-at-4 < n {
			break
		}
		frame := b[at+4 : at+4+n]
		if n < chacha20poly1305.NonceSizeX {
			return fmt.Errorf("sandbox: the journal is damaged at byte %d", at)
		}
		plain, err := j.seal.Open(nil, frame[:chacha20poly1305.NonceSizeX], frame[chacha20poly1305.NonceSizeX:], nil)
		if err != nil {
			return fmt.Errorf("sandbox: the journal is damaged at byte %d, or the key is another: %w", at, err)
		}
		if err := s.apply(plain); err != nil {
			return fmt.Errorf("sandbox: replay the journal at byte %d: %w", at, err)
		}
		at += 4 + n
	}
	if err := j.file.Truncate(int64(at)); err != nil {
		return fmt.Errorf("sandbox: drop the journal's torn end: %w", err)
	}
	_, err = j.file.Seek(int64(at), io.SeekStart)
	return err
}

func (s *Server) apply(plain []byte) error {
	head, body, _ := bytes.Cut(plain, []byte("\n"))
	var e entry
	if err := json.Unmarshal(head, &e); err != nil {
		return err
	}
	s.drawn = max(s.drawn, e.Drawn) // never back: what was drawn once is taken
	switch e.Kind {
	case "seed":
		s.seed = [32]byte(e.Seed)
	case "realm":
		var o RealmOptions
		if err := json.Unmarshal(body, &o); err != nil {
			return err
		}
		s.makeRealm(o, e.Time)
	case "rehash":
		u := s.users[e.User]
		if u == nil || u.password() == nil {
			return fmt.Errorf("rehash of the password of %s, which is not there", e.User)
		}
		s.applyRehash(u, e.Data, e.Secret)
	case "event":
		var u userEvent
		re := s.realms[e.Realm]
		if err := json.Unmarshal(body, &u); err != nil || re == nil {
			return errors.Join(fmt.Errorf("event in realm %q", e.Realm), err)
		}
		re.userEvents = append(re.userEvents, u)
	case "request":
		c, refusal := s.newCall(e.Method, e.Realm, e.Path, e.Query, e.Type, body, e.Time)
		if refusal == nil {
			answer := c.run()
			refusal = &answer
		}
		if !refusal.ok() {
			return fmt.Errorf("%s %s was accepted once and is refused now with %d", e.Method, e.Path, refusal.status)
		}
	default:
		return fmt.Errorf("record of an unknown kind %q", e.Kind)
	}
	return nil
}

// record writes a change. After a failure the server accepts nothing any more, since memory and journal differ.
func (s *Server) record(e entry, body []byte) error {
	if s.broken != nil {
		return s.broken
	}
	if s.journal == nil {
		return nil
	}
	head, err := json.Marshal(e)
	if err != nil {
		return err
	}
	plain := make([]byte, 0, len(head)+1+len(body))
	plain = append(append(append(plain, head...), '\n'), body...)
	frame := make([]byte, 4+chacha20poly1305.NonceSizeX, 4+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	if _, err := rand.Read(frame[4:]); err != nil {
		return err
	}
	frame = s.journal.seal.Seal(frame, frame[4:4+chacha20poly1305.NonceSizeX], plain, nil)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	if _, err := s.journal.file.Write(frame); err != nil {
		s.broken = fmt.Errorf("sandbox: write the journal: %w", err)
		return s.broken
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }
