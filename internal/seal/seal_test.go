package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// memFiles is a Files in memory.
type memFiles struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (f *memFiles) Put(_ context.Context, name string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.m[name]; ok {
		return fs.ErrExist
	}
	if f.m == nil {
		f.m = map[string][]byte{}
	}
	f.m[name] = data
	return nil
}

func (f *memFiles) Get(_ context.Context, name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (f *memFiles) List(_ context.Context, prefix string) (names []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := range f.m {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (f *memFiles) Delete(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.m, name)
	return nil
}

// testStore is the id of the store that keys are of.
const testStore = "5f0c8a0e-0d4c-4a7e-9f55-0d6a6b1f9d11"

func newIdentity(t testing.TB) *Identity {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.txt")
	if _, err := NewIdentity(path); err != nil {
		t.Fatal(err)
	}
	id, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newRing(t testing.TB) (*Keyring, *memFiles, *Identity) {
	t.Helper()
	f, id := &memFiles{}, newIdentity(t)
	if _, err := Create(t.Context(), f, testStore, id.Recipients()...); err != nil {
		t.Fatal(err)
	}
	k, err := Unlock(t.Context(), f, id)
	if err != nil {
		t.Fatal(err)
	}
	return k, f, id
}

var row = schemas.NewRowID("ns", "users", "k1")

func TestSealOpens(t *testing.T) {
	k, f, id := newRing(t)
	for _, plain := range []string{"", "x", strings.Repeat("long", 1000)} {
		s, err := k.Seal("users", row, "secret", []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 1 && bytes.Contains(s.Box, []byte(plain)) {
			t.Error("the box holds the secret in the clear")
		}
		again, err := Unlock(t.Context(), f, id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Open("users", row, "secret", s)
		if err != nil || string(got) != plain {
			t.Errorf("secret of %d bytes: got %d bytes, %v", len(plain), len(got), err)
		}
		s2, _ := again.Seal("users", row, "secret", []byte(plain))
		if !bytes.Equal(s.Box, s2.Box) || s.MAC != s2.MAC {
			t.Error("the same secret in the same cell sealed twice differs")
		}
	}
}

// A box opens in its own cell only, and a MAC tells nothing across cells.
func TestSealIsBoundToItsCell(t *testing.T) {
	k, _, _ := newRing(t)
	other := schemas.NewRowID("ns", "users", "k2")
	s, _ := k.Seal("users", row, "secret", []byte("pw"))
	cells := []struct {
		name, table, column string
		row                 schemas.RowID
	}{
		{"other table", "people", "secret", row},
		{"other column", "users", "secret2", row},
		{"other row", "users", "secret", other},
	}
	for _, c := range cells {
		if _, err := k.Open(c.table, c.row, c.column, s); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: got %v, want ErrOpen", c.name, err)
		}
		s2, _ := k.Seal(c.table, c.row, c.column, []byte("pw"))
		if s2.MAC == s.MAC {
			t.Errorf("%s: same MAC", c.name)
		}
	}
	for i := range s.Box {
		bad := schemas.Sealed{MAC: s.MAC, Box: bytes.Clone(s.Box)}
		bad.Box[i] ^= 0x10
		if _, err := k.Open("users", row, "secret", bad); err == nil {
			t.Errorf("byte %d changed: opened", i)
		}
	}
	bad := s
	bad.MAC[3]++
	if _, err := k.Open("users", row, "secret", bad); !errors.Is(err, ErrOpen) {
		t.Errorf("MAC of another value: got %v", err)
	}
}

func TestEpochs(t *testing.T) {
	k1, f, id := newRing(t)
	s1, _ := k1.Seal("users", row, "secret", []byte("pw"))
	e, err := NewEpoch(t.Context(), f, testStore, nil, id.Recipients()...)
	if err != nil || e != 2 {
		t.Fatalf("epoch %d, %v", e, err)
	}
	k2, err := Unlock(t.Context(), f, id)
	if err != nil {
		t.Fatal(err)
	}
	s2, _ := k2.Seal("users", row, "secret", []byte("pw"))
	if s1.MAC != s2.MAC {
		t.Error("the MAC changed with the epoch: unchanged secrets would show as changed")
	}
	if n, _ := BoxEpoch(s2.Box); n != 2 {
		t.Errorf("sealed in epoch %d, want 2", n)
	}
	if got, err := k2.Open("users", row, "secret", s1); err != nil || string(got) != "pw" {
		t.Errorf("old epoch: %v", err)
	}
	delete(f.m, "keys/1/1.json") // destroyed
	k3, err := Unlock(t.Context(), f, id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k3.Open("users", row, "secret", s1)
	var cell *CellError
	if !errors.Is(err, ErrEpochMissing) || !errors.As(err, &cell) || cell.Epoch != 1 {
		t.Errorf("destroyed epoch: got %v", err)
	}
	// Another's older epoch does not bar the way; another's newest does.
	if _, err := NewEpoch(t.Context(), f, testStore, nil, newIdentity(t).Recipients()...); err != nil {
		t.Fatal(err)
	}
	if _, err := Unlock(t.Context(), f, id); !errors.Is(err, ErrWrongIdentity) || !strings.Contains(err.Error(), "keys/3/1.json") {
		t.Errorf("newest epoch is another's: got %v", err)
	}
}

func TestCreateAgain(t *testing.T) {
	_, f, id := newRing(t)
	before := fmt.Sprint(f.m)
	if _, err := Create(t.Context(), f, testStore, id.Recipients()...); err != nil || fmt.Sprint(f.m) != before {
		t.Errorf("second Create: %v, changed: %v", err, fmt.Sprint(f.m) != before)
	}
	_, err := Create(t.Context(), f, testStore, newIdentity(t).Recipients()...)
	if !errors.Is(err, ErrIdentityExists) {
		t.Errorf("other recipients: got %v", err)
	}
	// A crash after the long-lived key: Create goes on from there.
	delete(f.m, "keys/1/1.json")
	if _, err := Unlock(t.Context(), f, id); !errors.Is(err, ErrNoKey) {
		t.Errorf("half-made keys: got %v", err)
	}
	if _, err := Create(t.Context(), f, testStore, id.Recipients()...); err != nil {
		t.Fatal(err)
	}
	if _, err := Unlock(t.Context(), f, id); err != nil {
		t.Error(err)
	}
}

func TestUnlockErrors(t *testing.T) {
	_, f, id := newRing(t)
	if _, err := Unlock(t.Context(), &memFiles{}, id); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "parallelrun key init") {
		t.Errorf("no keys: got %v", err)
	}
	if _, err := Unlock(t.Context(), f, nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("no identity: got %v", err)
	}
	err := func() error { _, err := Unlock(t.Context(), f, newIdentity(t)); return err }()
	if !errors.Is(err, ErrWrongIdentity) || !strings.Contains(err.Error(), id.Recipients()[0].String()) {
		t.Errorf("wrong identity: got %v", err)
	}
	good := f.m["keys/1/1.json"]
	for name, data := range map[string][]byte{
		"cut": good[:len(good)/2], "empty": {}, "not json": []byte("hello"),
		"flipped": flipWrapped(good), "swapped": f.m["keys/mac/1.json"],
	} {
		f.m["keys/1/1.json"] = data
		_, err := Unlock(t.Context(), f, id)
		if !errors.Is(err, ErrDamagedKey) || !strings.Contains(err.Error(), "keys/1/1.json") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// flipWrapped changes the last character of the wrapped key.
func flipWrapped(file []byte) []byte {
	out := bytes.Clone(file)
	i := bytes.LastIndexByte(out, '"') - 8
	out[i] ^= 1
	return out
}

func TestNoKeyring(t *testing.T) {
	var k *Keyring
	if _, err := k.Seal("t", row, "c", nil); !errors.Is(err, ErrNoKey) {
		t.Errorf("Seal: %v", err)
	}
	if _, err := k.Open("t", row, "c", schemas.Sealed{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("Open: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Derive without a key gave a salt that anyone can foresee")
		}
	}()
	k.Derive("salt")
}

func TestNewIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.txt")
	r, err := NewIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
	before, _ := os.ReadFile(path)
	if _, err := NewIdentity(path); !errors.Is(err, ErrIdentityExists) || !strings.Contains(err.Error(), path) {
		t.Errorf("second time: got %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the key file was overwritten")
	}
	if again, err := ParseRecipient(r.String(), nil); err != nil || again.String() != r.String() {
		t.Errorf("recipient does not survive printing: %v", err)
	}
	if _, err := LoadIdentity(path + "x"); !errors.Is(err, ErrNoKey) {
		t.Errorf("missing file: got %v", err)
	}
}

// No error and no printed value holds any of the key.
func TestNothingPrintsKeys(t *testing.T) {
	k, _, id := newRing(t)
	s, _ := k.Seal("users", row, "secret", []byte("hunter2hunter2"))
	_, err := ParseIdentity([]byte("AGE-SECRET-KEY-1QQQQSECRETSECRET\n"))
	_, err2 := k.Open("users", schemas.RowID{}, "secret", s)
	out := fmt.Sprintf("%v %+v %#v %s %v %#v %+v %v %v", k, k, k, id, id, id, s, err, err2)
	for _, secret := range []string{"QQQQ", "SECRET-KEY", "hunter2", string(k.mac), fmt.Sprint(k.mac), fmt.Sprint(s.MAC)} {
		if strings.Contains(out, secret) {
			t.Errorf("printed: %q", out)
		}
	}
}

func TestDerive(t *testing.T) {
	k, f, id := newRing(t)
	a := k.Derive("salt", []byte("ab"), []byte("c"))
	again, _ := Unlock(t.Context(), f, id)
	if !bytes.Equal(a, again.Derive("salt", []byte("ab"), []byte("c"))) {
		t.Error("not the same in another run")
	}
	other, _, _ := newRing(t)
	for name, b := range map[string][]byte{
		"parts cut elsewhere": k.Derive("salt", []byte("a"), []byte("bc")),
		"other purpose":       k.Derive("pepper", []byte("ab"), []byte("c")),
		"other store":         other.Derive("salt", []byte("ab"), []byte("c")),
	} {
		if bytes.Equal(a, b) {
			t.Errorf("%s: same salt", name)
		}
	}
	if len(a) != 32 {
		t.Errorf("%d bytes, want 32", len(a))
	}
}

func FuzzOpen(f *testing.F) {
	k, _, _ := newRing(f)
	s, _ := k.Seal("users", row, "secret", []byte("pw"))
	f.Add(s.MAC[:], s.Box, "users", "secret")
	f.Add([]byte{}, []byte{}, "", "")
	f.Add(s.MAC[:], s.Box[:minBox-1], "users", "secret")
	f.Fuzz(func(t *testing.T, mac, box []byte, table, column string) {
		var x schemas.Sealed
		copy(x.MAC[:], mac)
		x.Box = box
		got, err := k.Open(table, row, column, x)
		if err == nil && (string(got) != "pw" || x.MAC != s.MAC || !bytes.Equal(box, s.Box)) {
			t.Errorf("opened a box that was never sealed: %q", got)
		}
	})
}

func FuzzUnlock(f *testing.F) {
	_, files, id := newRing(f)
	f.Add(files.m["keys/mac/1.json"], files.m["keys/1/1.json"])
	f.Add([]byte("{}"), []byte("null"))
	f.Fuzz(func(t *testing.T, mac, data []byte) {
		k, err := Unlock(t.Context(), &memFiles{m: map[string][]byte{"keys/mac/1.json": mac, "keys/1/1.json": data}}, id)
		if (k == nil) == (err == nil) {
			t.Errorf("keyring %v, error %v", k, err)
		}
	})
}

// Whatever an identity file holds, it is read or refused, and the error quotes
// nothing of it.
func FuzzIdentity(f *testing.F) {
	path := filepath.Join(f.TempDir(), "key.txt")
	if _, err := NewIdentity(path); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-5])
	f.Add([]byte("AGE-SECRET-KEY-PQ-1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := ParseIdentity(text)
		if err != nil {
			if !errors.Is(err, ErrDamagedKey) || err.Error() != ErrDamagedKey.Error() {
				t.Fatalf("got %v", err)
			}
			return
		}
		for _, r := range id.Recipients() {
			if _, err := ParseRecipient(r.String(), Services{}); err != nil {
				t.Fatalf("a recipient that can't be read again: %v", err)
			}
		}
	})
}
