package seal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"
)

// Unlock opens a store's keys. ErrNoKey means that the store has none (it was
// made without a key); ErrWrongIdentity and ErrDamagedKey come with the file. An
// older epoch that this identity does not open is left out; the newest one,
// which new secrets are sealed with, must open. Epochs that are made later the
// keyring looks up when it meets them.
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
	long, err := unwrapAny(ctx, f, macs, 0, id)
	if err != nil {
		return nil, err
	}
	k := newKeyring(long)
	if err := k.unlockEpochs(ctx, f, id); err != nil {
		return nil, err
	}
	k.later = func(epoch uint32) ([]byte, error) {
		ctx := context.WithoutCancel(ctx)
		names, err := f.List(ctx, keyID{epoch: epoch}.dir())
		if err != nil || len(names) == 0 {
			return nil, err
		}
		return unwrapAny(ctx, f, names, epoch, id)
	}
	return k, nil
}

func (k *Keyring) unlockEpochs(ctx context.Context, f Files, id *Identity) error {
	files, err := epochFiles(ctx, f)
	if err != nil {
		return err
	}
	newest := uint32(0)
	for e := range files {
		newest = max(newest, e)
	}
	if newest == 0 {
		return fmt.Errorf("the store has a long-lived key and no data key: %w", ErrNoKey)
	}
	for e, names := range files {
		key, err := unwrapAny(ctx, f, names, e, id)
		if e != newest && shut(err) {
			k.lock(e, err)
			continue
		}
		if err != nil {
			return err
		}
		if err := k.add(e, key); err != nil {
			return err
		}
	}
	k.current = newest
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
func unwrapAny(ctx context.Context, f Files, names []string, epoch uint32, id *Identity) ([]byte, error) {
	var last error
	for _, name := range names {
		key, err := unwrap(ctx, f, name, epoch, id)
		if err == nil {
			return key, nil
		}
		if last == nil || !errors.Is(err, ErrWrongIdentity) {
			last = err // damage, or a service that refuses, is worse news than another's key
		}
	}
	return nil, last
}

func unwrap(ctx context.Context, f Files, name string, epoch uint32, id *Identity) ([]byte, error) {
	file, err := readKeyFile(ctx, f, name)
	if err != nil {
		return nil, err
	}
	return file.open(ctx, name, epoch, id)
}

// open unwraps the key of a file, for which the epoch's, or with none the
// long-lived one, is expected.
func (file *keyFile) open(ctx context.Context, name string, epoch uint32, id *Identity) ([]byte, error) {
	damaged := &KeyFileError{File: name, Err: ErrDamagedKey, Hint: "restore this file from a backup of the store"}
	is := keyID{file.Store, epoch}
	services := &serviceIdentity{ctx: ctx, services: id.services, about: is.about()}
	r, err := age.Decrypt(bytes.NewReader(file.Wrapped), append(slices.Clone(id.ids), services)...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		if services.failed != nil {
			return nil, &ServiceError{File: name, Err: services.failed}
		}
		return nil, &KeyFileError{File: name, Err: ErrWrongIdentity, Hint: "wrapped for " + strings.Join(file.Recipients, ", ") + ": use the key file with this public key, or name the AWS KMS key under keys.recipients"}
	}
	if err != nil {
		return nil, damaged
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, damaged
	}
	var key wrappedKey
	if json.Unmarshal(plain, &key) != nil || key.Kind != is.kind() || key.Epoch != epoch || len(key.Key) != keyBytes {
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
