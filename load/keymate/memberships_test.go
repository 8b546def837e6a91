package keymate

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

// FuzzDecodeMembership: whatever stands in the attribute is read without harm,
// and what is taken for a membership is written in the same words again.
func FuzzDecodeMembership(f *testing.F) {
	f.Add(`{"o":"00"}`)
	f.Add(`{"o":"aa","d":"bb","roles":["lead","<b>"],"attributes":{"k":["v"]},"default":true}`)
	f.Add(`{"o":1}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, m := range decodeMemberships([]string{s}) {
			again := decodeMemberships([]string{m.encode()})
			if d := cmp.Diff(map[[2]string]encodedMembership{{m.Organization, m.Department}: m}, again, equateEmpty); d != "" {
				t.Error(d)
			}
		}
	})
}

// equateEmpty takes null and empty for one, as Keycloak does.
var equateEmpty = cmp.Transformer("plain", func(m encodedMembership) string { return m.encode() })

// The text is part of what a migrated realm looks like: its form is fixed.
func TestMembershipText(t *testing.T) {
	m := encodedMembership{Organization: "aa", Department: "bb", Roles: []string{"r&d"}, Attributes: map[string][]string{"z": {"1"}, "a": {"2"}}, Default: true}
	const want = `{"o":"aa","d":"bb","roles":["r&d"],"attributes":{"a":["2"],"z":["1"]},"default":true}`
	if got := m.encode(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// The two texts of a stored password, as Keycloak wrote and verified them.
func TestCredentialText(t *testing.T) {
	data, err := credentialData(schemas.Argon2ID, map[string][]string{
		schemas.ParamIterations: {"5"}, schemas.ParamMemory: {"7168"}, schemas.ParamParallelism: {"1"}, schemas.ParamVersion: {"19"},
	}, 32)
	const want = `{"hashIterations":5,"algorithm":"argon2","additionalParameters":{"hashLength":["32"],"memory":["7168"],"parallelism":["1"],"type":["id"],"version":["1.3"]}}`
	if err != nil || data != want {
		t.Errorf("%s, %v\nwant %s", data, err, want)
	}
	secret, err := secretData(schemas.SecretMaterial{Hash: []byte{0xfb, 0xff}, Salt: []byte("s")})
	if err != nil || secret != `{"additionalParameters":{},"salt":"cw==","value":"+/8="}` {
		t.Errorf("%s, %v", secret, err)
	}
	for name, p := range map[string]map[string][]string{
		"no iterations": {}, "zero": {"iterations": {"0"}}, "text": {"iterations": {"x"}}, "two": {"iterations": {"1", "2"}}, "huge": {"iterations": {"99999999999"}},
	} {
		if _, err := credentialData(schemas.PBKDF2SHA512, p, 1); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
