package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
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

// Create makes a store's keys: the long-lived key and the data key of epoch 1,
// wrapped for the recipients. It may be called again after a crash; keys that
// are there stay, if they were wrapped for the same recipients.
func Create(ctx context.Context, f Files, recipients ...Recipient) error {
	if len(recipients) == 0 {
		return ErrNoKey
	}
	if err := createKey(ctx, f, macPrefix+"1.json", kindMAC, 0, recipients); err != nil {
		return err
	}
	return createKey(ctx, f, epochFile(1, 1), kindData, 1, recipients)
}

// NewEpoch makes the data key of the next epoch and returns its number. What
// is sealed already stays readable as long as its own epoch's key is kept.
func NewEpoch(ctx context.Context, f Files, recipients ...Recipient) (uint32, error) {
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
	return next, createKey(ctx, f, epochFile(next, 1), kindData, next, recipients)
}

func epochFile(epoch uint32, n int) string { return fmt.Sprintf("%s%d/%d.json", keysPrefix, epoch, n) }

func createKey(ctx context.Context, f Files, name, kind string, epoch uint32, to []Recipient) error {
	data, err := newKeyFile(kind, epoch, to)
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

func newKeyFile(kind string, epoch uint32, to []Recipient) ([]byte, error) {
	key := make([]byte, keyBytes)
	rand.Read(key) // never fails
	plain, err := json.Marshal(wrappedKey{Kind: kind, Epoch: epoch, Key: key})
	if err != nil {
		return nil, err
	}
	wrapped, err := wrap(plain, to)
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(keyFile{Version: keyFileVersion, Kind: kind, Epoch: epoch, Recipients: texts(to), Wrapped: wrapped}, "", "  ")
	return append(data, '\n'), err
}

func wrap(plain []byte, to []Recipient) ([]byte, error) {
	var list []age.Recipient
	for _, r := range to {
		list = append(list, r.age)
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

// Unlock opens a store's keys. ErrNoKey means that the store has none (it was
// made without a key); ErrWrongIdentity and ErrDamagedKey come with the file.
// An older epoch that this identity does not open is left out; the newest one,
// which new secrets are sealed with, must open.
func Unlock(ctx context.Context, f Files, id *Identity) (*Keyring, error) {
	if id == nil {
		return nil, ErrNoKey
	}
	macs, err := f.List(ctx, macPrefix)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	if len(macs) == 0 {
		return nil, fmt.Errorf("the store holds no keys: %w", ErrNoKey)
	}
	long, err := unwrapAny(ctx, f, macs, kindMAC, 0, id)
	if err != nil {
		return nil, err
	}
	k := newKeyring(long)
	if err := k.unlockEpochs(ctx, f, id); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keyring) unlockEpochs(ctx context.Context, f Files, id *Identity) error {
	files, err := epochFiles(ctx, f)
	if err != nil {
		return err
	}
	var newest uint32
	for e := range files {
		newest = max(newest, e)
	}
	if newest == 0 {
		return fmt.Errorf("the store has a long-lived key and no data key: %w", ErrNoKey)
	}
	for e, names := range files {
		key, err := unwrapAny(ctx, f, names, kindData, e, id)
		if errors.Is(err, ErrWrongIdentity) && e != newest {
			continue
		}
		if err != nil {
			return err
		}
		if err := k.add(e, key); err != nil {
			return err
		}
	}
	return nil
}

// Epochs lists the epochs whose wrapped keys are there, ascending.
func Epochs(ctx context.Context, f Files) ([]uint32, error) {
	files, err := epochFiles(ctx, f)
	return slices.Sorted(maps.Keys(files)), err
}

// epochFiles lists the key files by epoch.
func epochFiles(ctx context.Context, f Files) (map[uint32][]string, error) {
	names, err := f.List(ctx, keysPrefix)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	out := map[uint32][]string{}
	for _, name := range names {
		dir, _, _ := strings.Cut(strings.TrimPrefix(name, keysPrefix), "/")
		e, err := strconv.ParseUint(dir, 10, 32)
		if err == nil && e > 0 {
			out[uint32(e)] = append(out[uint32(e)], name)
		}
	}
	return out, nil
}

// unwrapAny opens the first of the files, which hold one key, that the
// identity opens.
func unwrapAny(ctx context.Context, f Files, names []string, kind string, epoch uint32, id *Identity) ([]byte, error) {
	var last error
	for _, name := range names {
		key, err := unwrap(ctx, f, name, kind, epoch, id)
		if err == nil {
			return key, nil
		}
		if last == nil || !errors.Is(err, ErrWrongIdentity) {
			last = err // damage is worse news than another's key
		}
	}
	return nil, last
}

func unwrap(ctx context.Context, f Files, name, kind string, epoch uint32, id *Identity) ([]byte, error) {
	file, err := readKeyFile(ctx, f, name)
	if err != nil {
		return nil, err
	}
	damaged := &KeyFileError{File: name, Err: ErrDamagedKey, Hint: "restore this file from a backup of the store"}
	r, err := age.Decrypt(bytes.NewReader(file.Wrapped), id.ids...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, &KeyFileError{File: name, Err: ErrWrongIdentity, Hint: "wrapped for " + strings.Join(file.Recipients, ", ") + ": use the key file with this public key"}
	}
	if err != nil {
		return nil, damaged
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, damaged
	}
	var key wrappedKey
	if json.Unmarshal(plain, &key) != nil || key.Kind != kind || key.Epoch != epoch || len(key.Key) != keyBytes {
		return nil, damaged
	}
	return key.Key, nil
}

func readKeyFile(ctx context.Context, f Files, name string) (keyFile, error) {
	data, err := f.Get(ctx, name)
	if err != nil {
		return keyFile{}, fmt.Errorf("read key file %s: %w", name, err)
	}
	var file keyFile
	if err := json.Unmarshal(data, &file); err != nil {
		return keyFile{}, &KeyFileError{File: name, Err: ErrDamagedKey, Hint: "restore this file from a backup of the store"}
	}
	if file.Version != keyFileVersion {
		return keyFile{}, &KeyFileError{File: name, Err: ErrDamagedKey, Hint: fmt.Sprintf("version %d, known is %d: a newer parallelrun may have written it", file.Version, keyFileVersion)}
	}
	return file, nil
}
