package load_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/load/loadtest"
	"github.com/parallelrun/parallelrun/schemas"
)

// doorkeeper answers logins as its accounts say.
type doorkeeper map[string]func(password string) load.LoginResult

func (d doorkeeper) Login(_ context.Context, username, password string) (load.LoginResult, error) {
	f, ok := d[username]
	if !ok {
		return "", errors.New("no answer")
	}
	return f(password), nil
}

func opens(right string, with load.LoginResult) func(string) load.LoginResult {
	return func(p string) load.LoginResult {
		if p == right {
			return with
		}
		return load.LoginRefused
	}
}

func samples(list ...string) iter.Seq2[load.LoginSample, error] {
	return func(yield func(load.LoginSample, error) bool) {
		for _, s := range list {
			f := strings.Fields(s)
			if !yield(load.LoginSample{ID: rowID(schemas.Users, f[0]), Key: f[0], Username: f[0], Password: []byte(f[1]), Scheme: f[2]}, nil) {
				return
			}
		}
	}
}

func TestLoginProof(t *testing.T) {
	target := doorkeeper{
		"anna": opens("pässwörd", load.LoginOK),
		"bert": opens("two", load.LoginPending),
		"carl": opens("other", load.LoginOK),
		"dora": func(string) load.LoginResult { return load.LoginOK },
		"emil": opens("five", load.LoginDisabled),
		"fred": opens("six", load.LoginOK),
	}
	rep, err := load.LoginProof(t.Context(), target, samples("anna pässwörd argon2id", "bert two argon2id", "carl three argon2id",
		"dora four pbkdf2-sha256", "emil five pbkdf2-sha256", "fred six argon2id"), 3, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := &load.LoginReport{
		Schemes: map[string]*load.SchemeProof{
			"argon2id":      {Tried: 3, OK: 1, Pending: 1, Refused: 1},
			"pbkdf2-sha256": {Tried: 2, OK: 1, Disabled: 1, WrongAccepted: 1},
		},
		Refused: []schemas.RowID{rowID(schemas.Users, "carl")},
		Opened:  []schemas.RowID{rowID(schemas.Users, "dora")},
	}
	if diff := cmp.Diff(want, rep); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if rep.OK() || fmt.Sprintf("%.2f", rep.Schemes["argon2id"].Rate()) != "0.67" {
		t.Errorf("ok %v, rate %v", rep.OK(), rep.Schemes["argon2id"].Rate())
	}
	if s := fmt.Sprintf("%v %+v", load.LoginSample{Password: []byte("hunter2")}, load.LoginSample{Password: []byte("hunter2")}); strings.Contains(s, "hunter2") {
		t.Error("a sample prints its password")
	}
}

// It stops reading once it has enough of every scheme, and a target that does
// not answer is an error, not a refusal.
func TestLoginProofStops(t *testing.T) {
	target := doorkeeper{"anna": opens("one", load.LoginOK)}
	rep, err := load.LoginProof(t.Context(), target, samples("anna one argon2id", "nobody x argon2id"), 1, []string{"argon2id"}, nil)
	if err != nil || !rep.OK() {
		t.Errorf("got %+v, %v", rep, err)
	}
	if _, err := load.LoginProof(t.Context(), target, samples("nobody x argon2id"), 1, nil, nil); err == nil {
		t.Error("no error for a target that does not answer")
	}
	realm := loadtest.NewTarget()
	realm.Passwords = map[string]string{"anna": "one"}
	if rep, err := load.LoginProof(t.Context(), realm, samples("anna one argon2id"), 1, nil, nil); err != nil || !rep.OK() {
		t.Errorf("got %+v, %v", rep, err)
	}
}
