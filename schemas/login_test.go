package schemas

import "testing"

func TestLowerLogin(t *testing.T) {
	for in, want := range map[string]string{
		"Ann.Lee@X.COM": "ann.lee@x.com", "": "", "ΣΑΣ": "σας", "ẞ": "ß", "İ": "i̇", "ÄÖÜ": "äöü", "ДЖО": "джо", "e\u0301": "e\u0301",
	} {
		if got := LowerLogin(in); got != want {
			t.Errorf("%q: %q, want %q, as a Keycloak 26.7.4 stores it", in, got, want)
		}
	}
}
