package seal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Service wraps short keys with a key that never leaves it, as a cloud's key
// management does. about says what is wrapped; nothing opens it that does not
// say the same. Implementations are safe for concurrent use. Their errors hold
// nothing of what they wrap.
type Service interface {
	// Wrap closes plain with the named key. id names the very key that opens it
	// again, without blanks.
	Wrap(ctx context.Context, key string, plain []byte, about map[string]string) (id string, wrapped []byte, err error)
	// Unwrap opens what Wrap closed.
	Unwrap(ctx context.Context, id string, wrapped []byte, about map[string]string) ([]byte, error)
}

// Services are known by the word that their recipients begin with: "aws-kms" of
// aws-kms:KEY.
type Services map[string]Service

// What is wrapped says which store and which key it is of.
const (
	aboutStore = "parallelrun:store"
	aboutKey   = "parallelrun:key" // "mac", "epoch-1"
)

// serviceRecipient is a service's key as a recipient of an age file. age knows
// no contexts, so it holds the one of the call that it is made for.
type serviceRecipient struct {
	ctx         context.Context //nolint:containedctx // see above
	scheme, key string
	service     Service
	about       map[string]string
}

// Wrap implements age.Recipient.
func (r *serviceRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	id, body, err := r.service.Wrap(r.ctx, r.key, fileKey, r.about)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: r.scheme, Args: []string{id}, Body: body}}, nil
}

// serviceIdentity opens what was wrapped by one of several services. That one
// refuses must not keep the next from trying, so its error waits.
type serviceIdentity struct {
	ctx      context.Context //nolint:containedctx // as in serviceRecipient
	services Services
	about    map[string]string
	failed   error
}

// Unwrap implements age.Identity.
func (i *serviceIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		service, ok := i.services[s.Type]
		if !ok || len(s.Args) != 1 {
			continue
		}
		key, err := service.Unwrap(i.ctx, s.Args[0], s.Body, i.about)
		if err == nil {
			return key, nil
		}
		i.failed = errors.Join(i.failed, err)
	}
	return nil, age.ErrIncorrectIdentity
}

// parseServiceRecipient reads aws-kms:KEY; ok is false if no service is meant.
func parseServiceRecipient(text string, in Services) (r Recipient, ok bool, err error) {
	scheme, key, ok := strings.Cut(text, ":")
	service, known := in[scheme]
	if !ok || !known {
		return r, false, nil
	}
	if key == "" || strings.ContainsAny(key, " \t\r\n") {
		return r, true, fmt.Errorf("recipient %q: no key is named behind %s", text, scheme)
	}
	return Recipient{text: text, scheme: scheme, key: key, service: service}, true, nil
}
