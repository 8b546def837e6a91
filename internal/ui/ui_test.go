package ui

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func lines(t *Table, width int) []string { return t.lines(width) }

func TestTableAlignsAndFits(t *testing.T) {
	tab := NewTable("NAME", "ROWS", "NOTE")
	tab.Row("users", "1,234", "all of them, in one long sentence that needs much room")
	tab.Row("名前", "-", "")
	tab.Row("e\u0301t\u00e9", "5%", "x")
	wide := lines(tab, 0)
	if wide[1] != "users  1,234  all of them, in one long sentence that needs much room" {
		t.Errorf("numbers stand to the right: %q", wide[1])
	}
	if wide[2] != "名前       -" {
		t.Errorf("wide characters count twice, ends are bare: %q", wide[2])
	}
	if wide[3] != "e\u0301t\u00e9       5%  x" {
		t.Errorf("combining marks count nothing: %q", wide[3])
	}
	for _, line := range lines(tab, 40) {
		if Width(line) > 40 {
			t.Errorf("wider than 40: %q", line)
		}
	}
	if narrow := lines(tab, 40)[1]; !strings.HasSuffix(narrow, "…") || !strings.Contains(narrow, "1,234") {
		t.Errorf("the widest column gives way, and shows it: %q", narrow)
	}
	if got := lines(tab, 5); len(got) != 4 {
		t.Error("a width that can't be kept must not lose rows")
	}
}

// TestTableKeepsControlCharactersOut: data from outside must not move the
// cursor or ring bells.
func TestTableKeepsControlCharactersOut(t *testing.T) {
	tab := NewTable("A")
	tab.Row("x\x1b[2J\r\n\ty\u202e")
	if got := lines(tab, 0)[1]; strings.ContainsAny(got, "\x1b\r\n\t\u202e") {
		t.Errorf("%q", got)
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(-1234567), "-1,234,567"}, {Count(-123), "-123"},
		{Bytes(0), "0 B"}, {Bytes(1023), "1023 B"}, {Bytes(1536), "1.5 KiB"}, {Bytes(5 << 40), "5.0 TiB"},
		{Elapsed(840 * time.Millisecond), "840ms"}, {Elapsed(12345 * time.Millisecond), "12.3s"},
		{Elapsed(245 * time.Second), "4m05s"}, {Elapsed(130 * time.Minute), "2h10m"}, {Elapsed(3599*time.Second + 900*time.Millisecond), "60m00s"},
		{About(300 * time.Millisecond), "1 s"}, {About(12345 * time.Millisecond), "13 s"}, {About(56 * time.Second), "1 min"}, {About(61 * time.Second), "2 min"},
		{About(59*time.Minute + time.Second), "1 h 0 min"}, {About(125 * time.Minute), "2 h 10 min"},
		{Rate(100, time.Second), "100/s"}, {Rate(3, 2*time.Second), "1.5/s"}, {Rate(5, 0), "-"}, {Rate(12345678, time.Second), "12,345,678/s"},
		{Percent(1, 3), "33.3%"}, {Percent(1, 0), "-"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

type hintedError struct{ hint string }

func (h hintedError) Error() string { return "broken" }
func (h hintedError) Hint() string  { return h.hint }

type listError []error

func (l listError) Error() string   { return l[0].Error() + "\n" + l[1].Error() }
func (l listError) Unwrap() []error { return l }

func TestReportError(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", nil, ""},
		{"said already", fmt.Errorf("x: %w", ErrFound), ""},
		{"plain", errors.New("no luck"), "parallelrun: no luck\n"},
		{"hint below", fmt.Errorf("table users: %w", hintedError{"look there"}), "parallelrun: table users: broken\nhint: look there\n"},
		{"outer hint wins", Refusef("do this", "x: %w", hintedError{"do that"}), "parallelrun: x: broken\nhint: do this\n"},
		{"empty outer hint", Refusef("", "x: %w", hintedError{"do that"}), "parallelrun: x: broken\nhint: do that\n"},
		{"a list has a line each", listError{hintedError{"one"}, errors.New("two")}, "parallelrun: broken\nhint: one\nparallelrun: two\n"},
		{"a list with words of its own", fmt.Errorf("both: %w", listError{errors.New("a"), errors.New("b")}), "parallelrun: both: a\nb\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			ReportError(&out, c.err, nil)
			if out.String() != c.want {
				t.Errorf("got %q, want %q", out.String(), c.want)
			}
		})
	}
}

type sample struct {
	Name string `json:"name"`
}

func (s sample) Text(p *Page) { p.Line("name is %s", s.Name) }

func TestPrinters(t *testing.T) {
	var out bytes.Buffer
	text := NewPrinter(&out, false, 0)
	js := NewPrinter(&out, true, 0)
	for _, err := range []error{text.Print(sample{"<a>"}), text.Item(sample{"b"}), js.Print(sample{"<a>"}), js.Item(sample{"b"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := "name is <a>\nname is b\n{\n  \"name\": \"<a>\"\n}\n{\"name\":\"b\"}\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
	if text.JSON() || !js.JSON() {
		t.Error("JSON() is the wrong way round")
	}
}

type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestPrintersReportWriteErrors(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		if err := NewPrinter(full{}, asJSON, 0).Print(sample{"x"}); !errors.Is(err, errFull) {
			t.Errorf("JSON %v: %v", asJSON, err)
		}
	}
}

func TestProgressOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress(&out, ProgressOptions{Terminal: true, Width: 60})
		s := p.Step("extract", 1000, "rows")
		for range 5 {
			time.Sleep(time.Second)
			s.Add(100)
		}
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		got := out.String()
		for _, want := range []string{"extract: 500/1,000 rows (50.0%), 96/s, 5.2s left", "\r\x1b[K"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not shown in %q", want, got)
			}
		}
		p.Note("a word")
		s.End()
		s.End()
		p.Close()
		if !strings.HasSuffix(out.String(), "\r\x1b[Kextract: 500 rows in 5.3s (94/s)\n") {
			t.Errorf("end: %q", out.String())
		}
	})
}

func TestProgressInLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := NewProgress(&out, ProgressOptions{})
		s := p.Step("load", 0, "users")
		for range 120 {
			time.Sleep(100 * time.Millisecond)
			s.Add(1)
		}
		s.Set(120, 240)
		s.End()
		p.Step("verify", 0, "").End()
		p.Close()
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(got) != 4 || strings.Contains(out.String(), "\x1b") {
			t.Errorf("want a line every five seconds and one at each end, no control characters: %q", got)
		}
		if got[2] != "load: 120 users in 12.0s (10/s)" || got[3] != "verify: done in 0s" {
			t.Errorf("%q", got)
		}
	})
}

// Progress of a command inside another leaves nothing behind, and its notes go
// with the command's own text.
func TestFleetingProgress(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var out, notes bytes.Buffer
			p := NewProgress(&out, ProgressOptions{Terminal: terminal, Fleeting: true, Notes: &notes})
			s := p.Step("extract", 0, "rows")
			time.Sleep(11 * time.Second)
			s.Add(5)
			p.Note("a word")
			s.End()
			p.Close()
			if notes.String() != "a word\n" {
				t.Errorf("notes: %q", notes.String())
			}
			if terminal && (strings.Contains(out.String(), "\n") || !strings.HasSuffix(out.String(), "\r\x1b[K") || !strings.Contains(out.String(), "extract: 5 rows")) || !terminal && out.Len() > 0 {
				t.Errorf("terminal %v: %q", terminal, out.String())
			}
		})
	}
}

// TestNilProgress: commands without a display pass nil along.
func TestNilProgress(*testing.T) {
	var p *Progress
	s := p.Step("x", 1, "rows")
	s.Add(1)
	s.Set(1, 1)
	s.End()
	p.Note("x")
	p.Close()
}
