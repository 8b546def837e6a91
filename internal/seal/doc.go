// Package seal keeps the secrets of one store: password hashes, OTP seeds and
// clear-text passwords that a legacy system held exist on disk only sealed.
//
// Nouns: an Identity is what opens keys: the private half that people keep (an
// age identity file), or a Service that wraps keys with one of its own; a
// Recipient is who keys are wrapped for; a data key
// seals values and belongs to a key epoch; the long-lived HMAC key makes the
// MACs that stand for secrets in row digests, and the salts that have to be the
// same in every run; a Keyring is a store's keys, unlocked; Files is where the
// wrapped keys lie, the only objects of a store that are meant to be destroyed.
//
// Start with NewIdentity, Create and Unlock; then Keyring.Seal and Open. The life
// of keys is NewEpoch, List, Rewrap, Keyring.Reseal and Destroy. The form of boxes and key files is in docs/format.md.
package seal
