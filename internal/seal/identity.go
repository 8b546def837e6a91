package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"filippo.io/age"
)

// Identity is what opens a store's keys: the private halves of an age identity
// file, services, or both; any of them is enough. It never prints itself.
type Identity struct {
	ids        []age.Identity
	recipients []Recipient
	services   Services
}

// With adds services, also to no identity at all (nil).
func (id *Identity) With(services Services) *Identity {
	out := Identity{services: services}
	if id != nil {
		out.ids, out.recipients = id.ids, id.recipients
	}
	return &out
}

// String keeps the identity out of logs.
func (*Identity) String() string { return "(identity)" }

// GoString keeps the identity out of %#v.
func (*Identity) GoString() string { return "(identity)" }

// Recipients are the public halves of its age identities, for Create.
func (id *Identity) Recipients() []Recipient { return id.recipients }

// Recipient is who keys are wrapped for: a public half (age1...), or a key of a
// service (aws-kms:KEY).
type Recipient struct {
	text string
	age  age.Recipient // nil for a service's

	scheme, key string
	service     Service
}

// String is the public key in age's own form, or service and key.
func (r Recipient) String() string { return r.text }

// ParseRecipient reads the form that String writes. A recipient of a service
// needs that service.
func ParseRecipient(s string, in Services) (Recipient, error) {
	s = strings.TrimSpace(s)
	if r, ok, err := parseServiceRecipient(s, in); ok {
		return r, err
	}
	list, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(list) != 1 {
		return Recipient{}, fmt.Errorf("recipient %q: want one age public key (age1...), or aws-kms: and the ARN or alias of a key", s)
	}
	return Recipient{text: s, age: list[0]}, nil
}

// NewIdentity makes a key pair and writes its private half to an age identity
// file that only its owner may read. It never overwrites a file.
func NewIdentity(path string) (Recipient, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Recipient{}, fmt.Errorf("make a key: %w", err)
	}
	r := Recipient{text: id.Recipient().String(), age: id.Recipient()}
	text := fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), r.text, id.String())
	return r, writeNew(path, text)
}

func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &KeyFileError{File: path, Err: ErrIdentityExists, Hint: "name another file, or keep using this one: without it the store's secrets are lost"}
	}
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	_, werr := f.WriteString(text)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("key file: %w", err), os.Remove(path)) // ours, made above, and not whole
	}
	return nil
}

// LoadIdentity reads an identity file. A file that is not there is ErrNoKey.
func LoadIdentity(path string) (*Identity, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &KeyFileError{File: path, Err: ErrNoKey}
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	id, err := ParseIdentity(text)
	if err != nil {
		return nil, &KeyFileError{File: path, Err: err, Hint: "want an age identity file, as written by: parallelrun key init"}
	}
	return id, nil
}

// ParseIdentity reads the content of an identity file. Its errors hold nothing
// of the content.
func ParseIdentity(text []byte) (*Identity, error) {
	list, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil || len(list) == 0 {
		return nil, ErrDamagedKey // age's own words may quote the key
	}
	id := &Identity{ids: list}
	for _, i := range list {
		r, ok := recipientOf(i)
		if !ok {
			return nil, ErrDamagedKey
		}
		id.recipients = append(id.recipients, r)
	}
	return id, nil
}

func recipientOf(i age.Identity) (Recipient, bool) {
	switch i := i.(type) {
	case *age.X25519Identity:
		return Recipient{text: i.Recipient().String(), age: i.Recipient()}, true
	case *age.HybridIdentity:
		return Recipient{text: i.Recipient().String(), age: i.Recipient()}, true
	}
	return Recipient{}, false
}
