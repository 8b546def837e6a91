package secrets

import (
	"bytes"
	"testing"
)

// Every marker is found in any case, anywhere in a value, and a value that is
// one byte off is none.
func TestMarkersAnywhere(t *testing.T) {
	for _, m := range markers {
		if !bytes.Equal(m, bytes.ToLower(m)) {
			t.Errorf("marker %q is not in lower case", m)
		}
		for _, v := range [][]byte{m, bytes.ToUpper(m), append([]byte("x: -_"), m...), append(append([]byte("\xff"), m...), " and more-$:"...)} {
			if !containsMarker(v) || !Looks(v) {
				t.Errorf("%q is not found in %q", m, v)
			}
		}
		for i := range m {
			v := bytes.Clone(m)
			v[i] = 'q'
			if containsMarker(v) {
				t.Errorf("%q is taken for a secret", v)
			}
		}
		if containsMarker(m[:len(m)-1]) || containsMarker(m[1:]) {
			t.Errorf("a part of %q is taken for a secret", m)
		}
	}
}

// go test -run xxx -bench Looks ./extract/secrets
func BenchmarkLooks(b *testing.B) {
	for name, v := range map[string]string{
		"uuid": "0a1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d", "mail": "someone.or.other@example.org",
		"json": `{"phone":"+49123456789","title":"Head of Department","employeeNumber":"123456","building":"B12","costCenter":"1234","locale":"en"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			for b.Loop() {
				if Looks([]byte(v)) {
					b.Fatal(v)
				}
			}
		})
	}
}
