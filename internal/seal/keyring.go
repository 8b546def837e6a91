package seal

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/parallelrun/parallelrun/schemas"
)

// A box is version (1 byte), key epoch (4 bytes, big-endian), nonce (24 bytes),
// then ciphertext and tag.
const (
	boxVersion  = 1
	headerBytes = 1 + 4
	nonceBytes  = chacha20poly1305.NonceSizeX
	minBox      = headerBytes + nonceBytes + chacha20poly1305.Overhead
)

const keyBytes = 32

// Keyring is a store's keys, unlocked. It is safe for concurrent use. A nil
// Keyring answers every call that needs a key with ErrNoKey.
type Keyring struct {
	mac     []byte // MACs of cells
	derive  []byte // Derive
	current uint32
	epochs  sync.Map // uint32 → *dataKey, or the error that locks it

	// later fetches the key of an epoch that came after the keyring was
	// unlocked: another process may rotate and re-seal beside this one. Nil
	// without an error: there is none.
	later func(epoch uint32) ([]byte, error)
	fetch sync.Mutex
}

// dataKey is the key of one epoch, with the key its nonces come from.
type dataKey struct {
	aead  cipher.AEAD
	nonce []byte
}

func newKeyring(long []byte) *Keyring {
	return &Keyring{
		mac:    subkey(long, "cell mac 1"),
		derive: subkey(long, "derive 1"),
	}
}

func (k *Keyring) add(epoch uint32, key []byte) error {
	aead, err := chacha20poly1305.NewX(subkey(key, "box 1"))
	if err != nil {
		return err
	}
	k.epochs.Store(epoch, &dataKey{aead: aead, nonce: subkey(key, "nonce 1")})
	return nil
}

// lock notes why an epoch can't be opened.
func (k *Keyring) lock(epoch uint32, why error) { k.epochs.Store(epoch, why) }

// key is an epoch's.
func (k *Keyring) key(epoch uint32) (*dataKey, error) {
	v, ok := k.epochs.Load(epoch)
	if !ok {
		if err := k.fetchLater(epoch); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrEpochMissing, err)
		}
		v, _ = k.epochs.Load(epoch)
	}
	switch v := v.(type) {
	case *dataKey:
		return v, nil
	case error:
		return nil, fmt.Errorf("%w: %w", ErrEpochMissing, v)
	}
	return nil, ErrEpochMissing
}

// fetchLater asks for the key of an epoch that is not known, once; again only
// where the answer may be another the next time.
func (k *Keyring) fetchLater(epoch uint32) error {
	k.fetch.Lock()
	defer k.fetch.Unlock()
	if _, ok := k.epochs.Load(epoch); ok || k.later == nil {
		return nil
	}
	key, err := k.later(epoch)
	switch {
	case err != nil && shut(err):
		k.lock(epoch, err)
	case err != nil:
		return err
	case key == nil:
		k.epochs.Store(epoch, nil)
	default:
		return k.add(epoch, key)
	}
	return nil
}

// subkey gives every use of a key a key of its own.
func subkey(key []byte, use string) []byte { return sum(key, "parallelrun "+use) }

// Epoch is the key epoch that Seal uses, the highest there was when the keyring
// was unlocked.
func (k *Keyring) Epoch() uint32 {
	if k == nil {
		return 0
	}
	return k.current
}

// Epochs lists the epochs that can be opened, ascending.
func (k *Keyring) Epochs() []uint32 {
	if k == nil {
		return nil
	}
	var all []uint32
	for e, key := range k.epochs.Range {
		if _, opens := key.(*dataKey); opens {
			all = append(all, e.(uint32))
		}
	}
	slices.Sort(all)
	return all
}

// Seal closes a secret into a box for one cell. The same secret in the same
// cell and epoch gives the same box, so that files made twice are equal; that
// tells no more than the MAC beside it does. For map columns the column names
// the key: `other_sealed["userPassword"]`.
func (k *Keyring) Seal(table string, row schemas.RowID, column string, plaintext []byte) (schemas.Sealed, error) {
	if k == nil {
		return schemas.Sealed{}, ErrNoKey
	}
	d, err := k.key(k.current)
	if err != nil {
		return schemas.Sealed{}, err
	}
	box := make([]byte, headerBytes, minBox+len(plaintext))
	box[0] = boxVersion
	binary.BigEndian.PutUint32(box[1:], k.current)
	nonce := sum(d.nonce, table, string(row[:]), column, string(plaintext))[:nonceBytes]
	box = append(box, nonce...)
	box = d.aead.Seal(box, nonce, plaintext, associated(box[:headerBytes], row, column))
	return schemas.Sealed{MAC: k.cellMAC(table, row, column, plaintext), Box: box}, nil
}

// Open returns the secret in a cell's box. It fails with a *CellError when the
// box is damaged, moved here from another cell, or sealed in an epoch whose
// key is not there.
func (k *Keyring) Open(table string, row schemas.RowID, column string, s schemas.Sealed) ([]byte, error) {
	if k == nil {
		return nil, ErrNoKey
	}
	epoch, err := BoxEpoch(s.Box)
	if err != nil {
		return nil, &CellError{Table: table, Column: column, Row: row.String(), Err: err}
	}
	fail := func(err error) ([]byte, error) {
		return nil, &CellError{Table: table, Column: column, Row: row.String(), Epoch: epoch, Err: err}
	}
	d, err := k.key(epoch)
	if err != nil {
		return fail(err)
	}
	nonce, body := s.Box[headerBytes:headerBytes+nonceBytes], s.Box[headerBytes+nonceBytes:]
	plaintext, err := d.aead.Open(nil, nonce, body, associated(s.Box[:headerBytes], row, column))
	if err != nil {
		return fail(ErrOpen)
	}
	mac := k.cellMAC(table, row, column, plaintext)
	if !hmac.Equal(mac[:], s.MAC[:]) {
		return fail(ErrOpen)
	}
	return plaintext, nil
}

// Reseal opens a box and seals its secret in the current epoch. The MAC stays,
// so that the row's digest does.
func (k *Keyring) Reseal(table string, row schemas.RowID, column string, s schemas.Sealed) (schemas.Sealed, error) {
	plaintext, err := k.Open(table, row, column, s)
	if err != nil {
		return schemas.Sealed{}, err
	}
	defer clear(plaintext)
	return k.Seal(table, row, column, plaintext)
}

// BoxEpoch tells which key epoch a box needs.
func BoxEpoch(box []byte) (uint32, error) {
	if len(box) < minBox {
		return 0, fmt.Errorf("%w: box of %d bytes is too short", ErrOpen, len(box))
	}
	if box[0] != boxVersion {
		return 0, fmt.Errorf("%w: box has version %d, known is %d", ErrOpen, box[0], boxVersion)
	}
	return binary.BigEndian.Uint32(box[1:]), nil
}

// Derive returns 32 bytes that depend on the store's long-lived key, the
// purpose and the parts alone: salts that have to be the same in every run and
// that nobody else can foresee. It panics on a nil Keyring: a salt that is not
// keyed must not come to be.
func (k *Keyring) Derive(purpose string, parts ...[]byte) []byte {
	if k == nil {
		panic("seal: Derive without a keyring")
	}
	all := make([]string, 0, 1+len(parts))
	all = append(all, purpose)
	for _, p := range parts {
		all = append(all, string(p))
	}
	return sum(k.derive, all...)
}

// String keeps keys out of logs.
func (k *Keyring) String() string { return "(keyring)" }

// GoString keeps keys out of %#v.
func (k *Keyring) GoString() string { return "(keyring)" }

func (k *Keyring) cellMAC(table string, row schemas.RowID, column string, plaintext []byte) [16]byte {
	return [16]byte(sum(k.mac, table, string(row[:]), column, string(plaintext))[:16])
}

// associated binds a box to its row, its column and its own header. The table
// stays out, and is in the MAC: row ids of different tables differ.
func associated(header []byte, row schemas.RowID, column string) []byte {
	a := make([]byte, 0, len(header)+len(row)+len(column))
	a = append(a, header...)
	a = append(a, row[:]...)
	return append(a, column...)
}

// sum is HMAC-SHA256 over the parts, each behind its length, so that no two
// lists of parts are alike.
func sum(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}
