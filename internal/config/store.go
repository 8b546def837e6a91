package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// S3 says how the bucket of an s3:// store is spoken to. What is not set comes
// from where the AWS command line takes it; credentials always do.
type S3 struct {
	Region   string `json:"region,omitempty"`
	Profile  string `json:"profile,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// PathStyle puts the bucket into the path; nil: if there is an endpoint.
	PathStyle *bool `json:"pathStyle,omitempty"`
	// Checksums is when_supported or when_required; empty: the first.
	Checksums  string       `json:"checksums,omitempty"`
	Encryption S3Encryption `json:"encryption,omitzero"`
	// Timeout is how long an answer may take; zero: a minute.
	Timeout Duration `json:"timeout,omitempty"`
}

// S3Encryption is what the server encrypts objects with; zero: as the bucket
// says.
type S3Encryption struct {
	KMSKey string `json:"kmsKey,omitempty"`
	// CustomerKey is 32 bytes in base64.
	CustomerKey Secret `json:"customerKey,omitzero"`
}

// customerKeyBytes is how long a customer key is.
const customerKeyBytes = 32

// ErrCustomerKey means that a customer key is not one. Make one with: openssl
// rand -base64 32.
var ErrCustomerKey = errors.New("the customer key is not 32 bytes in base64")

// Key resolves the customer key; nil if there is none.
func (e S3Encryption) Key() ([]byte, error) {
	if e.CustomerKey.IsZero() {
		return nil, nil
	}
	v, err := e.CustomerKey.Value()
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(v.Reveal()))
	if err != nil || len(key) != customerKeyBytes {
		return nil, hinted{ErrCustomerKey, "make one with: openssl rand -base64 32"} // the decoder's error would show some of it
	}
	return key, nil
}

// Place is where a store lies: a folder, or a bucket with a prefix of its keys.
type Place struct {
	Dir            string
	Bucket, Prefix string
}

// IsBucket reports whether the place is in a bucket.
func (p Place) IsBucket() bool { return p.Bucket != "" }

// String is the place as a configuration names it.
func (p Place) String() string {
	if !p.IsBucket() {
		return p.Dir
	}
	return strings.TrimSuffix("s3://"+p.Bucket+"/"+p.Prefix, "/")
}

// ErrStoreKind means that a store's URL is of a kind that there is not. Name a
// folder or a bucket instead.
var ErrStoreKind = errors.New("not a kind of store that there is")

// StoreHint says what a store may be.
const StoreHint = "name a folder, or file:///PATH, or s3://BUCKET/PREFIX"

// ParseStore reads a store's name: a path, a file: URL, or an s3: URL.
func ParseStore(name string) (Place, error) {
	scheme, rest, ok := strings.Cut(name, "://")
	switch {
	case !ok:
		return Place{Dir: name}, nil
	case scheme == "file" && strings.HasPrefix(rest, "/"):
		return Place{Dir: filepath.Clean(rest)}, nil
	case scheme == "file":
		return Place{}, fmt.Errorf("%w: a file URL needs three slashes", ErrStoreKind)
	case scheme == "s3":
		bucket, prefix, _ := strings.Cut(rest, "/")
		if bucket == "" || strings.ContainsAny(rest, "?#@") {
			return Place{}, fmt.Errorf("%w: an s3 URL has a bucket and a prefix, no more", ErrStoreKind)
		}
		return Place{Bucket: bucket, Prefix: strings.Trim(prefix, "/")}, nil
	}
	return Place{}, fmt.Errorf("%w: %s://", ErrStoreKind, scheme)
}

// resolveStore makes the store's path absolute; what is no place is refused by
// name.
func (c *Config) resolveStore() Problems {
	c.S3.Encryption.CustomerKey = c.secret(c.S3.Encryption.CustomerKey)
	place, err := ParseStore(c.Store)
	if err != nil {
		p := path{"store"}
		return Problems{c.doc.problem(c.doc.locate(p), p, err.Error(), StoreHint)}
	}
	place.Dir = c.resolve(place.Dir)
	c.Store = place.String()
	return nil
}

// storeRules: settings that lead nowhere or exclude each other.
func (c *Config) storeRules() Problems {
	at := path{"s3"}
	if c.S3 == (S3{}) {
		return nil
	}
	if place, err := ParseStore(c.Store); err == nil && !place.IsBucket() {
		return Problems{c.doc.problem(c.doc.locateKey(at), at, "the store is a folder, and s3 says how to speak to a bucket", "name a bucket in store: (s3://BUCKET/PREFIX), or remove s3")}
	}
	if c.S3.Encryption.KMSKey != "" && !c.S3.Encryption.CustomerKey.IsZero() {
		at = at.child("encryption")
		return Problems{c.doc.problem(c.doc.locateKey(at), at, "kmsKey and customerKey exclude each other", "keep one of them")}
	}
	return nil
}

func (c *Config) checkStore(k Checker) Problems {
	if _, err := c.S3.Encryption.Key(); err != nil {
		return c.wrong(path{"s3", "encryption", "customerKey"}, err)
	}
	if k.Store == nil {
		return nil
	}
	if err := k.Store(c); err != nil {
		return c.wrong(path{"store"}, err)
	}
	return nil
}
