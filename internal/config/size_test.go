package config

import (
	"encoding/json"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "1": 1, "512MiB": 512 << 20, "512 mib": 512 << 20, "2GiB": 2 << 30, "3kb": 3000, "7B": 7, " 1TiB ": 1 << 40,
	} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "1.5GiB", "9223372036854775807KiB", "1 parsec", "0x10"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, no error", in, got)
		}
	}
}

func TestSizeRoundTrip(t *testing.T) {
	for _, s := range []Size{0, 1, 1023, 1 << 10, 512 << 20, 3 << 30, 1<<20 + 1} {
		if got, err := ParseSize(s.String()); err != nil || got != s {
			t.Errorf("%d -> %s -> %d, %v", s, s, got, err)
		}
		data, err := json.Marshal(s)
		var back Size
		if err != nil || json.Unmarshal(data, &back) != nil || back != s {
			t.Errorf("JSON of %d: %s, %d", s, data, back)
		}
	}
}

func TestDuration(t *testing.T) {
	var d Duration
	if err := json.Unmarshal([]byte(`"1m30s"`), &d); err != nil || d != Duration(90*time.Second) {
		t.Errorf("%v, %v", d, err)
	}
	for _, in := range []string{`"-5s"`, `"x"`, `5`} {
		if err := json.Unmarshal([]byte(in), &d); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"source", "target", "mapping", "templates", "workers"}
	for name, want := range map[string]string{
		"sorce": "source", "Mapping": "mapping", "template": "templates", "worker": "workers", "zzz": "", "tarmac": "", "src": "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
