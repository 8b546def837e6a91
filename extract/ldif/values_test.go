package ldif

import (
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
)

func TestTimestamps(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"20240102030405Z", "2024-01-02T03:04:05Z"},
		{"20240102030405z", "2024-01-02T03:04:05Z"},
		{"20240102030405.0Z", "2024-01-02T03:04:05Z"}, // Active Directory
		{"20240102030405.25Z", "2024-01-02T03:04:05.25Z"},
		{"20240102030405,123456Z", "2024-01-02T03:04:05.123456Z"},
		{"202401020304Z", "2024-01-02T03:04:00Z"},
		{"202401020304.5Z", "2024-01-02T03:04:30Z"},
		{"2024010203Z", "2024-01-02T03:00:00Z"},
		{"2024010203.25Z", "2024-01-02T03:15:00Z"},
		{"20240102030405+0200", "2024-01-02T01:04:05Z"},
		{"20240102030405-0530", "2024-01-02T08:34:05Z"},
		{"20240102030405+02", "2024-01-02T01:04:05Z"},
		{"20991231235959Z", "2099-12-31T23:59:59Z"},
		{"16010101000000Z", "1601-01-01T00:00:00Z"},
		{"000001010000Z", "0000-01-01T00:00:00Z"}, // OpenLDAP: locked for good
	} {
		want, err := time.Parse(time.RFC3339Nano, tt.want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := cell(schemas.Timestamp, [][]byte{[]byte(tt.in)}); err != nil || got != want.UnixMicro() {
			t.Errorf("%s: got %v, %v, want %d", tt.in, got, err, want.UnixMicro())
		}
	}
}

// What a column can't hold without loss does not fit.
func TestMisfits(t *testing.T) {
	for typ, values := range map[schemas.Type][]string{
		schemas.Timestamp: {"", "Z", "20240102030405", "20241302030405Z", "20240230030405Z", "2024010Z", "20240102030405.Z", "20240102030405.1234567Z",
			"20240102030405+2", "20240102030405+2460", "20240102030405+2400", "2024-01-02T03:04:05Z", "20240102030460Z", "20240102030405Z ", "133536000000000000", "20240102030405.9999999999Z"},
		schemas.Int:  {"", "007", "+7", "1.0", "9223372036854775808", " 7", "-0", "seven"},
		schemas.Bool: {"", "1", "yes", "TRUE ", "T"},
	} {
		for _, v := range values {
			if got, err := cell(typ, [][]byte{[]byte(v)}); err != errMisfit {
				t.Errorf("%s %q: got %v, %v", typ, v, got, err)
			}
		}
	}
	for _, typ := range []schemas.Type{schemas.String, schemas.Binary, schemas.Int, schemas.Bool, schemas.Timestamp} {
		if got, err := cell(typ, [][]byte{[]byte("1"), []byte("1")}); err != errMisfit {
			t.Errorf("two values in a %s: got %v, %v", typ, got, err)
		}
	}
}

func TestNumbersAndFlags(t *testing.T) {
	for _, tt := range []struct {
		typ  schemas.Type
		in   string
		want any
	}{
		{schemas.Int, "0", int64(0)}, {schemas.Int, "-9223372036854775808", int64(-1 << 63)},
		{schemas.Bool, "TRUE", true}, {schemas.Bool, "false", false}, {schemas.String, "", ""},
	} {
		if got, err := cell(tt.typ, [][]byte{[]byte(tt.in)}); err != nil || got != tt.want {
			t.Errorf("%s %q: got %v, %v", tt.typ, tt.in, got, err)
		}
	}
}
