package spreadsheet

import "testing"

func TestHarmlessCells(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "=1+1": "'=1+1", "+49": "'+49", "-1": "'-1", "@x": "'@x", "\t=1": "' =1", " =1": "' =1", "a=b": "a=b",
		"a\x1b[31mb\r\nc": "a [31mb  c", "＝1": "'＝1", "\xff": "\uFFFD",
	} {
		if got := Harmless(in); got != want {
			t.Errorf("Harmless(%q) = %q, want %q", in, got, want)
		}
	}
}
