package ldifwriter

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestValue(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "Fry", "cn: Fry\n"},
		{"empty", "", "cn:\n"},
		{"leading space", " a", "cn:: IGE=\n"},
		{"trailing space", "a ", "cn:: YSA=\n"},
		{"leading colon", ":a", "cn:: OmE=\n"},
		{"leading less-than", "<a", "cn:: PGE=\n"},
		{"inner ones are fine", "a: <b", "cn: a: <b\n"},
		{"line feed", "a\nb", "cn:: YQpi\n"},
		{"carriage return", "a\rb", "cn:: YQ1i\n"},
		{"NUL", "a\x00", "cn:: YQA=\n"},
		{"beyond ASCII", "ü", "cn:: w7w=\n"},
		{"76 columns", strings.Repeat("x", 72), "cn: " + strings.Repeat("x", 72) + "\n"},
		{"77 columns", strings.Repeat("x", 73), "cn: " + strings.Repeat("x", 72) + "\n x\n"},
		{"many lines", strings.Repeat("x", 72+75+1), "cn: " + strings.Repeat("x", 72) + "\n " + strings.Repeat("x", 75) + "\n x\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			w := New(&b)
			w.Value("cn", []byte(tt.in))
			if err := w.Flush(); err != nil || b.String() != tt.want {
				t.Fatalf("got %q, %v\nwant %q", b.String(), err, tt.want)
			}
		})
	}
}

func TestEntry(t *testing.T) {
	var b bytes.Buffer
	w := New(&b)
	w.EOL, w.RawUTF8 = "\r\n", true
	w.Version()
	w.Comment("one\ntwo")
	w.Begin("cn=ü")
	w.Base64("userPassword", []byte("x"))
	w.End()
	want := "version: 1\r\n\r\n# one\r\n# two\r\ndn: cn=ü\r\nuserPassword:: eA==\r\n\r\n"
	if err := w.Flush(); err != nil || b.String() != want {
		t.Fatalf("got %q, %v\nwant %q", b.String(), err, want)
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrorsStick(t *testing.T) {
	w := New(broken{})
	for range 10000 {
		w.Value("cn", []byte("x"))
	}
	if err := w.Flush(); !errors.Is(err, errBroken) {
		t.Fatalf("got %v", err)
	}
}
