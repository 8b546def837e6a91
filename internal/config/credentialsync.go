package config

import (
	"encoding/json"
	"errors"
	"time"
)

// CredentialSync says who carries password changes over between runs. The zero
// value is a configuration that does not say.
type CredentialSync struct {
	// None: nobody does, on purpose.
	None bool
	// MaxAge is the oldest sign of life of the sync with which a run writes to
	// the target; zero: no sync is configured.
	MaxAge time.Duration
}

// DefaultSyncAge holds where a sync is configured without a maxAge.
const DefaultSyncAge = 5 * time.Minute

// Required says that a run needs a fresh sign of life.
func (c CredentialSync) Required() bool { return c.MaxAge > 0 }

// UnmarshalJSON reads "none" or an object; the schema has checked which.
func (c *CredentialSync) UnmarshalJSON(data []byte) error {
	var word string
	if json.Unmarshal(data, &word) == nil {
		c.None = word == "none"
		return nil
	}
	o := struct {
		MaxAge Duration `json:"maxAge"`
	}{MaxAge: Duration(DefaultSyncAge)}
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	if o.MaxAge <= 0 { // would read as no sync at all
		return errors.New("credentialSync: maxAge must be longer than nothing; write none where nobody syncs")
	}
	c.MaxAge = time.Duration(o.MaxAge)
	return nil
}
