package seal

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// Keys are wrapped for others: who is added opens what there was, who is taken
// out does not, and who does it is never locked out.
func TestRewrap(t *testing.T) {
	k, f, id := newRing(t)
	sealed, _ := k.Seal("users", row, "secret", []byte("pw"))
	other := newIdentity(t)
	wrapAll := func(by *Identity, to ...Recipient) error {
		all, err := List(t.Context(), f)
		for _, w := range all {
			if err == nil && !w.WrappedFor(to) {
				err = Rewrap(t.Context(), f, testStore, w, by, to...)
			}
		}
		return err
	}
	opens := func(by *Identity) bool {
		ring, err := Unlock(t.Context(), f, by)
		if err != nil {
			if !errors.Is(err, ErrWrongIdentity) {
				t.Error(err)
			}
			return false
		}
		got, err := ring.Open("users", row, "secret", sealed)
		return err == nil && string(got) == "pw"
	}
	both := append(id.Recipients(), other.Recipients()...)
	if err := wrapAll(id, both...); err != nil || !opens(id) || !opens(other) {
		t.Fatalf("for both: %v, %v %v", err, opens(id), opens(other))
	}
	if err := wrapAll(id, other.Recipients()...); !errors.Is(err, ErrWrongIdentity) || !opens(id) || !opens(other) {
		t.Errorf("locked himself out: %v", err)
	}
	if err := wrapAll(other, other.Recipients()...); err != nil || opens(id) || !opens(other) {
		t.Errorf("for the other alone: %v, %v %v", err, opens(id), opens(other))
	}
	all, err := List(t.Context(), f)
	if err != nil || len(all) != 2 || len(all[0].Files) != 1 || len(all[1].Files) != 1 || !all[1].WrappedFor(other.Recipients()) || all[1].Epoch != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	// Killed between the new file and the end of the old one: both are there, and
	// the next call goes on.
	f.m["keys/1/9.json"] = f.m[all[1].Files[0]]
	if err := wrapAll(other, both...); err != nil || !opens(id) || !opens(other) {
		t.Error(err)
	}
	if names, _ := f.List(t.Context(), "keys/1/"); !slices.Equal(names, []string{"keys/1/10.json"}) {
		t.Error(names)
	}
}

func TestDestroy(t *testing.T) {
	k, f, id := newRing(t)
	sealed, _ := k.Seal("users", row, "secret", []byte("pw"))
	if _, err := NewEpoch(t.Context(), f, testStore, id, id.Recipients()...); err != nil {
		t.Fatal(err)
	}
	ring, err := Unlock(t.Context(), f, id)
	if err != nil {
		t.Fatal(err)
	}
	anew, err := ring.Reseal("users", row, "secret", sealed)
	if epoch, _ := BoxEpoch(anew.Box); err != nil || epoch != 2 || anew.MAC != sealed.MAC || bytes.Equal(anew.Box, sealed.Box) {
		t.Errorf("sealed anew in %d, %v", epoch, err)
	}
	for _, want := range []int{1, 0} {
		if n, err := Destroy(t.Context(), f, 1); err != nil || n != want {
			t.Errorf("%d files, %v", n, err)
		}
	}
	if _, err := Destroy(t.Context(), f, 0); err == nil {
		t.Error("the long-lived key was destroyed")
	}
	if ring, err = Unlock(t.Context(), f, id); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Open("users", row, "secret", sealed); !errors.Is(err, ErrEpochMissing) {
		t.Errorf("the old box: %v", err)
	}
	if got, err := ring.Open("users", row, "secret", anew); err != nil || string(got) != "pw" {
		t.Error(err)
	}
	// k was unlocked before: it opens what came later.
	if got, err := k.Open("users", row, "secret", anew); err != nil || string(got) != "pw" {
		t.Error(err)
	}
}

// A damaged file is told, and hides no other key.
func TestListOfDamage(t *testing.T) {
	_, f, _ := newRing(t)
	f.m["keys/2/1.json"] = []byte("{")
	all, err := List(t.Context(), f)
	if err != nil || len(all) != 3 || all[1].Damaged != nil || all[2].Damaged == nil || !strings.Contains(all[2].Damaged.Error(), "keys/2/1.json") {
		t.Errorf("%+v, %v", all, err)
	}
}
