package ldif

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/internal/ldifwriter"
)

// where names the line of a table's case, so that a failure leads to it.
func where() string {
	_, _, line, _ := runtime.Caller(1)
	return fmt.Sprintf("reader_test.go:%d", line)
}

type entry struct {
	Line   int
	DN     string
	Values []string // name=value
}

func readAll(in io.Reader, o ReaderOptions) ([]entry, *Reader, error) {
	r := NewReader(in, "people.ldif", o)
	var out []entry
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, r, nil
		}
		if err != nil {
			return out, r, err
		}
		x := entry{Line: e.Line, DN: e.DN}
		for _, v := range e.Values {
			x.Values = append(x.Values, fmt.Sprintf("%s=%s@%d", v.Name, v.Data, v.Line))
		}
		out = append(out, x)
	}
}

func TestReader(t *testing.T) {
	for _, tt := range []struct {
		where, name, in string
		want            []entry
	}{
		{where(), "version line", "version: 1\n\ndn: cn=a\ncn: a\n\n", []entry{{3, "cn=a", []string{"cn=a@4"}}}},
		{where(), "version without a blank line", "version: 1\ndn: cn=a\ncn: a\n\n", []entry{{2, "cn=a", []string{"cn=a@3"}}}},
		{where(), "two exports in one file", "version: 1\n\ndn: cn=a\ncn: a\n\nversion: 1\n\ndn: cn=b\ncn: b\n\n",
			[]entry{{3, "cn=a", []string{"cn=a@4"}}, {8, "cn=b", []string{"cn=b@9"}}}},
		{where(), "starts directly, no blank line at the end", "dn: cn=a\ncn: a\n", []entry{{1, "cn=a", []string{"cn=a@2"}}}},
		{where(), "runs of blank lines", "\n\n\ndn: cn=a\ncn: a\n\n\n\ndn: cn=b\ncn: b\n\n\n", []entry{{4, "cn=a", []string{"cn=a@5"}}, {9, "cn=b", []string{"cn=b@10"}}}},
		{where(), "comments, folded too", "# one\n#two: x\n  goes on\ndn: cn=a\n# inside\n  goes on\ncn: a\n# last\n", []entry{{4, "cn=a", []string{"cn=a@7"}}}},
		{where(), "folding", "dn: cn=a,d\n c=x\nde\n scription: o\n n\n  e\ncn: a\n\n", []entry{{1, "cn=a,dc=x", []string{"description=on e@3", "cn=a@7"}}}},
		{where(), "folded base64", "dn:: Y249\n YQ==\ncn:: w\n 7w=\n\n", []entry{{1, "cn=a", []string{"cn=ü@3"}}}},
		{where(), "CRLF", "dn: cn=a\r\ndescription: on\r\n e\r\ncn:: YQ==\r\n\r\ndn: cn=b\r\ncn: b\r\n\r\n", []entry{{1, "cn=a", []string{"description=one@2", "cn=a@4"}}, {6, "cn=b", []string{"cn=b@7"}}}},
		{where(), "options are part of the name", "dn: cn=a\ncn;lang-de: a\nuserCertificate;binary:: AAE=\n\n", []entry{{1, "cn=a", []string{"cn;lang-de=a@2", "userCertificate;binary=\x00\x01@3"}}}},
		{where(), "empty values", "dn: cn=a\ndescription:\ntitle: \nsn::\n\n", []entry{{1, "cn=a", []string{"description=@2", "title=@3", "sn=@4"}}}},
		{where(), "order and spelling kept", "dn: cn=a\nMAIL: z\nmail: a\nMAIL: z\n\n", []entry{{1, "cn=a", []string{"MAIL=z@2", "mail=a@3", "MAIL=z@4"}}}},
		{where(), "plain UTF-8", "dn: cn=Öz\ncn: 林\n\n", []entry{{1, "cn=Öz", []string{"cn=林@2"}}}},
		{where(), "colons and no space", "dn:cn=a\nurl:http://x:80/\n\n", []entry{{1, "cn=a", []string{"url=http://x:80/@2"}}}},
		{where(), "trailing space is part of the value", "dn: cn=a\ncn: a \n\n", []entry{{1, "cn=a", []string{"cn=a @2"}}}},
		{where(), "byte order mark", "\ufeffdn: cn=a\ncn: a\n\n", []entry{{1, "cn=a", []string{"cn=a@2"}}}},
		{where(), "an attribute called changetype, later", "dn: cn=a\ncn: a\nchangetype: x\n\n", []entry{{1, "cn=a", []string{"cn=a@2", "changetype=x@3"}}}},
		{where(), "an attribute called version", "dn: cn=a\nversion: 7\n\n", []entry{{1, "cn=a", []string{"version=7@2"}}}},
		{where(), "OID as a name", "dn: cn=a\n2.5.4.3: a\n\n", []entry{{1, "cn=a", []string{"2.5.4.3=a@2"}}}},
		{where(), "nothing", "", nil},
		{where(), "only comments", "# nothing\nversion: 1\n\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := readAll(strings.NewReader(tt.in), ReaderOptions{})
			if err != nil {
				t.Fatalf("%s: %v", tt.where, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", tt.where, diff)
			}
		})
	}
}

func TestReaderRefuses(t *testing.T) {
	const head = "dn: uid=fry\nuid: fry\n\ndn: uid=amy\n"
	for _, tt := range []struct {
		where, name, in string
		line            int
		dn, attr        string
		problem         string
	}{
		{where(), "value by URL", head + "jpegPhoto:< file:///photo.jpg\n\n", 5, "uid=amy", "jpegPhoto", "a value given by URL"},
		{where(), "change record", head + "changetype: modify\nreplace: sn\nsn: x\n-\n\n", 5, "uid=amy", "", "a change record (changetype)"},
		{where(), "control", head + "control: 1.2.3 true\nchangetype: delete\n\n", 5, "uid=amy", "", "a change record (control)"},
		{where(), "base64 cut", head + "cn:: w7\n\n", 5, "uid=amy", "cn", "base64 that does not decode at byte 0"},
		{where(), "base64 with foreign bytes", head + "cn:: YW55!GE=\n\n", 5, "uid=amy", "cn", "base64 that does not decode at byte 4"},
		{where(), "base64 cut in a fold at the end", head + "jpegPhoto:: AAAA\n AAA", 5, "uid=amy", "jpegPhoto", "base64 that does not decode at byte 4"},
		{where(), "whole base64 group cut", head + "jpegPhoto:: AAAA\n AAAA", 5, "uid=amy", "jpegPhoto", "the last line of the file has no end"},
		{where(), "plain value cut", head + "accountStatus: disa", 5, "uid=amy", "accountStatus", "the last line of the file has no end"},
		{where(), "cut behind the space of a fold", head + "cn: Amy Wong\n ", 5, "uid=amy", "cn", "the last line of the file has no end"},
		{where(), "cut in a name", head + "account", 5, "uid=amy", "", "a line without a colon"},
		{where(), "cut in the dn", "dn: uid=am", 1, "uid=am", "", "the last line of the file has no end"},
		{where(), "dn alone at the end", head, 4, "uid=amy", "", "a dn without attributes"},
		{where(), "dn alone in the middle", head + "\ndn: uid=leela\nuid: leela\n\n", 4, "uid=amy", "", "a dn without attributes"},
		{where(), "no colon", head + "uid: amy\nrubbish\n\n", 6, "uid=amy", "", "a line without a colon"},
		{where(), "no name", head + ": x\n\n", 5, "uid=amy", "", "what stands before the colon is no attribute name"},
		{where(), "space in the name", head + "first name: x\n\n", 5, "uid=amy", "", "what stands before the colon is no attribute name"},
		{where(), "second dn", head + "uid: amy\ndn: uid=leela\nuid: leela\n\n", 6, "uid=amy", "", "a second dn in one entry"},
		{where(), "entry without a dn", "dn: uid=fry\nuid: fry\n\nuid: amy\n\n", 4, "", "", "an entry that does not begin with its dn"},
		{where(), "ldapsearch's talk", "dn: uid=fry\nuid: fry\n\nsearch: 2\nresult: 0 Success\n", 4, "", "", "an entry that does not begin with its dn"},
		{where(), "invalid UTF-8 in a plain value", head + "cn: M\xfcller\n\n", 5, "uid=amy", "cn", "a plain value that is not UTF-8"},
		{where(), "invalid UTF-8 in a dn", "dn:: " + "Y249//8=" + "\ncn: a\n\n", 1, "", "", "the dn is not UTF-8"},
		{where(), "NUL bytes of a torn write", head + "cn: a\x00\x00\x00\n\n", 5, "uid=amy", "cn", "a plain value with a NUL byte"},
		{where(), "UTF-16", "\xff\xfed\x00n\x00:\x00", 1, "", "", "the file is UTF-16"},
		{where(), "compressed", "\x1f\x8b\x08\x00", 1, "", "", "the file is compressed"},
		{where(), "version 2", "version: 2\n\ndn: cn=a\ncn: a\n\n", 1, "", "", "an LDIF version other than 1"},
		{where(), "continuation of nothing", "dn: cn=a\ncn: a\n\n b\n", 4, "", "", "a continuation line without a line before it"},
		{where(), "long line", head + "cn: " + strings.Repeat("x", 500) + "\n\n", 5, "uid=amy", "cn", "a line longer than 300 bytes"},
		{where(), "long folded line", head + "cn: " + strings.Repeat("x\n ", 500) + "\n\n", 5, "uid=amy", "cn", "a line longer than 300 bytes"},
		{where(), "large entry", head + strings.Repeat("member: "+strings.Repeat("x", 100)+"\n", 11) + "\n", 14, "uid=amy", "member", "the entry is larger than 1000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := readAll(strings.NewReader(tt.in), ReaderOptions{MaxLineBytes: 300, MaxEntryBytes: 1000})
			e, ok := errors.AsType[*extract.Error](err)
			if !ok {
				t.Fatalf("%s: got %v, want an *extract.Error", tt.where, err)
			}
			got := []any{e.File, e.Line, e.DN, e.Attr, e.Problem}
			if diff := cmp.Diff([]any{"people.ldif", tt.line, tt.dn, tt.attr, tt.problem}, got); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", tt.where, diff)
			}
			if e.Next == "" {
				t.Fatalf("%s: no next step in %q", tt.where, err)
			}
		})
	}
}

func TestReaderErrorMessage(t *testing.T) {
	_, _, err := readAll(strings.NewReader("dn: uid=amy\njpegPhoto:: A\n\n"), ReaderOptions{})
	want := `people.ldif:2: entry "uid=amy": attribute jpegPhoto: base64 that does not decode at byte 0 (the file may have been cut here: export it again)`
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
}

func TestReaderOpenEnd(t *testing.T) {
	for in, want := range map[string]bool{"dn: cn=a\ncn: a\n": true, "dn: cn=a\ncn: a\n\n": false, "dn: cn=a\ncn: a\n\n# bye\n": false} {
		_, r, err := readAll(strings.NewReader(in), ReaderOptions{})
		if err != nil || r.OpenEnd() != want {
			t.Errorf("%q: got %v, %v, want %v", in, r.OpenEnd(), err, want)
		}
	}
}

// Wherever a file is cut, reading it fails or every value read is whole.
func TestReaderCutAnywhere(t *testing.T) {
	whole := "version: 1\n\ndn: uid=fry,dc=x\nuid: fry\nmail: fry@example.org\njpegPhoto:: AAECAwQF\n BgcICQoL\n DA==\n\ndn:: dWlkPWFteQ==\nuid: amy\naccountStatus: disabled\n\n"
	want, _, err := readAll(strings.NewReader(whole), ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		got, r, err := readAll(strings.NewReader(whole[:n]), ReaderOptions{})
		if err != nil {
			continue
		}
		for i, e := range got {
			last := i == len(got)-1
			if !last && !cmp.Equal(e, want[i]) {
				t.Fatalf("cut at %d: entry %d is %v, want %v", n, i, e, want[i])
			}
			if last && !r.OpenEnd() && !cmp.Equal(e, want[i]) {
				t.Fatalf("cut at %d: last entry is %v, want %v, and no open end", n, e, want[i])
			}
		}
	}
}

// endless yields a line without an end, and fails the test when much more of
// it is read than the limit allows.
type endless struct {
	t    *testing.T
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	if e.read == 0 {
		copy(p, "dn: cn=a\njpegPhoto:: ")
	}
	if e.read += len(p); e.read > 17<<20 {
		e.t.Fatal("more than the limit of a line was read")
	}
	return len(p), nil
}

func TestReaderStopsAtLongLine(t *testing.T) {
	_, _, err := readAll(&endless{t: t}, ReaderOptions{})
	want := `people.ldif:2: entry "cn=a": attribute jpegPhoto: a line longer than 16777216 bytes (raise maxLine, or leave the attribute out of the export)`
	if err == nil || err.Error() != want {
		t.Fatalf("got  %v\nwant %s", err, want)
	}
}

type failing struct{ r io.Reader }

var errDisk = errors.New("input/output error")

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errDisk
	}
	return n, err
}

func TestReaderReportsReadErrors(t *testing.T) {
	for _, in := range []string{"", "dn: cn=a", "dn: cn=a\ncn: a\n", "dn: cn=a\ncn: a\n\n"} {
		if _, _, err := readAll(failing{strings.NewReader(in)}, ReaderOptions{}); !errors.Is(err, errDisk) {
			t.Errorf("after %q: got %v, want the disk's error", in, err)
		}
	}
}

// What parses is written again, and parses to the same entries.
func FuzzReader(f *testing.F) {
	f.Add([]byte("version: 1\n\ndn: cn=a\ncn: a\ncn;lang-de:: w7w=\ndescription:\n\n"))
	f.Add([]byte("dn: cn=a\r\ndescription: on\r\n e\r\n\r\n# c\r\n x\r\ndn:: Y249Yg==\r\ncn:  b \r\n"))
	f.Add([]byte("\ufeffdn: cn=a\njpegPhoto:: AAEC\n AwQF\nx:< file:///x\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		o := ReaderOptions{MaxLineBytes: 4096, MaxEntryBytes: 8192}
		first, _, err := readAll(bytes.NewReader(in), o)
		if err != nil {
			if _, ok := errors.AsType[*extract.Error](err); !ok {
				t.Fatalf("error of type %T: %v", err, err)
			}
		}
		for _, raw := range []bool{false, true} {
			second := rewrite(t, first, in, raw)
			if diff := cmp.Diff(second, stripLines(first)); diff != "" {
				t.Fatalf("written and read again, raw %v (-second +first):\n%s", raw, diff)
			}
		}
	})
}

// rewrite writes the first len(want) entries of in and reads them back.
func rewrite(t *testing.T, want []entry, in []byte, raw bool) []entry {
	var out bytes.Buffer
	w := ldifwriter.New(&out)
	w.RawUTF8 = raw
	if raw {
		w.EOL = "\r\n"
	}
	w.Version()
	r := NewReader(bytes.NewReader(in), "people.ldif", ReaderOptions{MaxLineBytes: 4096, MaxEntryBytes: 8192})
	for range want {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		w.Begin(e.DN)
		for _, v := range e.Values {
			w.Value(v.Name, v.Data)
		}
		w.End()
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	second, _, err := readAll(&out, ReaderOptions{})
	if err != nil {
		t.Fatalf("what was written does not parse: %v", err)
	}
	return stripLines(second)
}

func stripLines(in []entry) []entry {
	var out []entry
	for _, e := range in {
		x := entry{DN: e.DN}
		for _, v := range e.Values {
			x.Values = append(x.Values, v[:strings.LastIndexByte(v, '@')])
		}
		out = append(out, x)
	}
	return out
}
