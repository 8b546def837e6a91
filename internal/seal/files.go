package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"filippo.io/age"
)

// Files is where wrapped keys lie. Names start with "keys/".
type Files interface {
	// Put creates a file; an error that is fs.ErrExist says that there is one.
	Put(ctx context.Context, name string, data []byte) error
	// Get reads a file; an error that is fs.ErrNotExist says that there is none.
	Get(ctx context.Context, name string) ([]byte, error)
	// List returns the names that start with prefix, in byte order.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete takes a file away, for good. It is no error that there is none.
	Delete(ctx context.Context, name string) error
}

// Names of key files: the long-lived key, then keys/<epoch>/<n>.json, where
// every n holds the same key, wrapped for other recipients.
const (
	keysPrefix = "keys/"
	macPrefix  = "keys/mac/"
)

const (
	kindMAC  = "mac"
	kindData = "data"
)

const keyFileVersion = 1

// keyFile is a key file's content.
type keyFile struct {
	Version    int      `json:"version"`
	Kind       string   `json:"kind"`
	Epoch      uint32   `json:"epoch,omitempty"`
	Store      string   `json:"store,omitempty"` // the store's id
	Recipients []string `json:"recipients"`
	// Wrapped is an age file whose plaintext is a wrappedKey in JSON.
	Wrapped []byte `json:"wrapped"`
}

// wrappedKey repeats what the key is for, so that key files can't be swapped.
type wrappedKey struct {
	Kind  string `json:"kind"`
	Epoch uint32 `json:"epoch,omitempty"`
	Key   []byte `json:"key"`
}

// keyID is which of a store's keys: the long-lived one, or an epoch's.
type keyID struct {
	store string
	epoch uint32 // zero: the long-lived key
}

func (id keyID) kind() string {
	if id.epoch == 0 {
		return kindMAC
	}
	return kindData
}

// dir is where the key's files lie.
func (id keyID) dir() string {
	if id.epoch == 0 {
		return macPrefix
	}
	return fmt.Sprintf("%s%d/", keysPrefix, id.epoch)
}

func (id keyID) file(n int) string { return fmt.Sprintf("%s%d.json", id.dir(), n) }

// about is what services are told of the key.
func (id keyID) about() map[string]string {
	key := kindMAC
	if id.epoch > 0 {
		key = fmt.Sprintf("epoch-%d", id.epoch)
	}
	return map[string]string{aboutStore: id.store, aboutKey: key}
}

// Create makes a store's keys: the long-lived key and the data key of epoch 1,
// wrapped for the recipients. It may be called again after a crash; keys that
// are there stay, if they were wrapped for the same recipients. It returns the
// store's id: the one given, or that which an earlier call was given.
func Create(ctx context.Context, f Files, store string, recipients ...Recipient) (string, error) {
	if len(recipients) == 0 {
		return "", ErrNoKey
	}
	long := keyID{store: store}
	if err := createKey(ctx, f, long, nil, recipients); err != nil {
		return "", err
	}
	there, err := readKeyFile(ctx, f, long.file(1))
	if err != nil {
		return "", err
	}
	if there.Store != "" {
		store = there.Store
	}
	return store, createKey(ctx, f, keyID{store, 1}, nil, recipients)
}

// NewEpoch makes the data key of the next epoch and returns its number. What
// is sealed already stays readable as long as its own epoch's key is kept. The
// identity has to open it, so that nobody locks himself out; nil: whoever makes
// the epoch need not.
func NewEpoch(ctx context.Context, f Files, store string, id *Identity, recipients ...Recipient) (uint32, error) {
	if len(recipients) == 0 {
		return 0, ErrNoKey
	}
	names, err := epochFiles(ctx, f)
	if err != nil {
		return 0, err
	}
	next := uint32(1)
	for e := range names {
		next = max(next, e+1)
	}
	return next, createKey(ctx, f, keyID{store, next}, id, recipients)
}

func createKey(ctx context.Context, f Files, is keyID, id *Identity, to []Recipient) error {
	name := is.file(1)
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails
	data, err := newKeyFile(ctx, is, key, id, to)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	putErr := f.Put(ctx, name, data)
	if putErr == nil {
		return nil
	}
	// Whatever the error says, the file may be there: an earlier try, or ours.
	there, err := readKeyFile(ctx, f, name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", name, putErr)
		}
		return err
	}
	if want := texts(to); !slices.Equal(there.Recipients, want) {
		return &KeyFileError{File: name, Err: ErrIdentityExists, Hint: fmt.Sprintf("wrapped for %s, not for %s: use the key file the store was made with",
			strings.Join(there.Recipients, ", "), strings.Join(want, ", "))}
	}
	return nil
}

func texts(list []Recipient) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.text)
	}
	slices.Sort(out)
	return out
}

// newKeyFile wraps a key. An identity that is given has to open it.
func newKeyFile(ctx context.Context, is keyID, key []byte, id *Identity, to []Recipient) ([]byte, error) {
	plain, err := json.Marshal(wrappedKey{Kind: is.kind(), Epoch: is.epoch, Key: key})
	if err != nil {
		return nil, err
	}
	file := keyFile{Version: keyFileVersion, Kind: is.kind(), Epoch: is.epoch, Store: is.store, Recipients: texts(to)}
	if file.Wrapped, err = wrap(ctx, plain, is.about(), to); err != nil {
		return nil, err
	}
	if id != nil {
		if _, err := file.open(ctx, is.dir(), is.epoch, id); err != nil {
			return nil, fmt.Errorf("%w: nothing was written, for nobody may lock himself out: name your own key among the recipients", err)
		}
	}
	data, err := json.MarshalIndent(file, "", "  ")
	return append(data, '\n'), err
}

func wrap(ctx context.Context, plain []byte, about map[string]string, to []Recipient) ([]byte, error) {
	var list []age.Recipient
	for _, r := range to {
		if r.service != nil {
			list = append(list, &serviceRecipient{ctx, r.scheme, r.key, r.service, about})
		} else {
			list = append(list, r.age)
		}
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, list...)
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return out.Bytes(), nil
}
