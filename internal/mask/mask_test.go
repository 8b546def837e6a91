package mask

import (
	"strings"
	"testing"
)

func TestValue(t *testing.T) {
	for in, want := range map[string]string{
		"jane.doe@example.com":       "j***@e***.com",
		"Zoé":                        "Z*** (3 characters)",
		"":                           "(empty)",
		"x":                          "*** (1 character)",
		"a@b@c":                      "a*** (5 characters)",
		"@example.com":               "@*** (12 characters)",
		"j@localhost":                "j***@l***",
		"\x00\x01abc":                "*** (5 characters)",
		"j@host.averyverylongsuffix": "j***@h***",
		"j@host.c\nm":                "j***@h***",
	} {
		if got := Value(in); got != want {
			t.Errorf("Value(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzValue(f *testing.F) {
	f.Add("jane.doe@example.com")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, s string) {
		got := Value(s)
		if strings.ContainsAny(got, "\n\r\x00\x1b") {
			t.Errorf("Value(%q) = %q holds control characters", s, got)
		}
		if len(s) > 40 && strings.Contains(got, s) {
			t.Errorf("Value(%q) shows the value", s)
		}
	})
}
