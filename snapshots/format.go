package snapshots

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parallelrun/parallelrun/internal/seal"
)

const (
	formatKey     = "format.json"
	formatVersion = 1
)

// Format is format.json: what every reader must know before anything else.
type Format struct {
	Version   int       `json:"version"`
	Store     string    `json:"store"` // random id, so that two stores are never taken for one
	Hash      string    `json:"hash"`
	RowIDs    string    `json:"row_ids"`
	Canonical int       `json:"canonical"` // version of the canonical encoding
	Created   time.Time `json:"created"`
}

// InitOptions are the choices when a store is made.
type InitOptions struct {
	// Recipients are who can open the store's secrets; none makes a store that
	// can't hold secrets.
	Recipients []seal.Recipient
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Init makes a store in an empty place. Called again, after a crash too, it
// completes what is missing and changes nothing else; a place that holds
// something else, or a store of another format, is refused.
func Init(ctx context.Context, b Backend, o InitOptions) error {
	if _, _, err := readFormat(ctx, b); !errors.Is(err, ErrNoStore) {
		return err // of our format, or refused
	}
	if err := onlyKeys(ctx, b); err != nil {
		return err
	}
	id := uuid.NewString()
	if len(o.Recipients) > 0 {
		var err error
		if id, err = seal.Create(ctx, KeyFiles(b), id, o.Recipients...); err != nil {
			return fmt.Errorf("make store in %s: %w", b.Location(), err)
		}
	}
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	data, err := marshal(Format{Version: formatVersion, Store: id, Hash: "sha256",
		RowIDs: "sha256-128", Canonical: 1, Created: now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	// format.json comes last: with it the store is there.
	_, createErr := createInsisting(ctx, b, formatKey, bytes.NewReader(data))
	if createErr == nil {
		return nil
	}
	if _, _, err := readFormat(context.WithoutCancel(ctx), b); err != nil {
		return fmt.Errorf("make store in %s: %w", b.Location(), createErr)
	}
	return nil // it was written after all, by us or by another Init
}

// DoctorPrefix is where objects lie that were written to probe the place; they
// are no part of a store.
const DoctorPrefix = "doctor/"

// onlyKeys makes sure that the place is empty but for what an Init that was
// stopped has left, and what probes have.
func onlyKeys(ctx context.Context, b Backend) error {
	for key, err := range b.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("make store: %w", err)
		}
		if !strings.HasPrefix(key, "keys/") && !strings.HasPrefix(key, DoctorPrefix) {
			return fmt.Errorf("%s: %w", b.Location(), ErrNotEmpty)
		}
	}
	return nil
}

// readFormat returns format.json and the digest of its bytes.
func readFormat(ctx context.Context, b Backend) (Format, Digest, error) {
	data, err := readObject(ctx, b, formatKey)
	if errors.Is(err, ErrNotFound) {
		return Format{}, Digest{}, fmt.Errorf("%s: %w", b.Location(), ErrNoStore)
	}
	if err != nil {
		return Format{}, Digest{}, fmt.Errorf("open store: %w", err)
	}
	var f Format
	if err := json.Unmarshal(data, &f); err != nil || f.Version == 0 {
		return Format{}, Digest{}, &CorruptError{Object: formatKey, What: "not a store's format file", Advice: "restore it from a backup of " + b.Location(), Err: err}
	}
	if f.Version != formatVersion || f.Hash != "sha256" || f.Canonical != 1 || f.RowIDs != "sha256-128" {
		return Format{}, Digest{}, fmt.Errorf("%s: format version %d, this program knows %d: %w", b.Location(), f.Version, formatVersion, ErrNewerStore)
	}
	return f, digestOf(data), nil
}

// maxSmall bounds objects that are read whole: log entries, manifests, keys,
// files of runs.
const maxSmall = 1 << 30

func readObject(ctx context.Context, b Backend, key string) ([]byte, error) {
	o, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if o.Size() > maxSmall {
		return nil, &CorruptError{Object: key, What: fmt.Sprintf("%d bytes, far more than such a file has", o.Size())}
	}
	data := make([]byte, o.Size())
	if n, err := o.ReadAt(data, 0); n < len(data) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return data, nil
}
