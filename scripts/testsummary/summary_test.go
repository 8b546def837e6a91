package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

const passing = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"run","Package":"p","Test":"TestA/two"}
{"Action":"pass","Package":"p","Test":"TestA/two"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`

const failing = `{"Action":"run","Package":"q","Test":"TestC"}
{"Action":"run","Package":"q","Test":"TestC/deep"}
{"Action":"output","Package":"q","Test":"TestC/deep","Output":"    q_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"q","Test":"TestC/deep"}
{"Action":"fail","Package":"q","Test":"TestC"}
{"Action":"fail","Package":"q"}
`

const skipping = `{"Action":"run","Package":"r","Test":"TestD"}
{"Action":"output","Package":"r","Test":"TestD","Output":"    r_test.go:3: java is missing\n"}
{"Action":"output","Package":"r","Test":"TestD","Output":"--- SKIP: TestD (0.00s)\n"}
{"Action":"skip","Package":"r","Test":"TestD"}
{"Action":"pass","Package":"r"}
`

const skippingData = `{"Action":"run","Package":"s","Test":"TestE"}
{"Action":"output","Package":"s","Test":"TestE","Output":"    s_test.go:3: ../../shared/data is absent\n"}
{"Action":"skip","Package":"s","Test":"TestE"}
{"Action":"pass","Package":"s"}
`

const broken = `{"ImportPath":"t [t.test]","Action":"build-output","Output":"t.go:1:1: syntax error\n"}
{"ImportPath":"t [t.test]","Action":"build-fail"}
{"Action":"start","Package":"t"}
{"Action":"output","Package":"t","Output":"FAIL\tt [build failed]\n"}
{"Action":"fail","Package":"t","FailedBuild":"t [t.test]"}
`

const panicking = `{"Action":"run","Package":"u","Test":"TestF"}
{"Action":"output","Package":"u","Test":"TestF","Output":"panic: boom\n"}
{"Action":"fail","Package":"u"}
`

func TestSummary(t *testing.T) {
	for _, c := range []struct {
		name, in string
		strict   bool
		ok       bool
		counts   counts
		shows    string
	}{
		{"leaves are counted", passing, true, true, counts{3, 0, 0}, "ok    p  1.5s  3 passed"},
		{"a failed subtest counts once", passing + failing, false, false, counts{3, 1, 0}, "got 1, want 2"},
		{"a skip is named", passing + skipping, false, true, counts{3, 0, 1}, "SKIP  r TestD: java is missing"},
		{"a skip fails on CI", passing + skipping, true, false, counts{3, 0, 1}, "CI does not allow"},
		{"absent data may be skipped on CI", passing + skippingData, true, true, counts{3, 0, 1}, "SKIP  s TestE"},
		{"a package that does not build", passing + broken, false, false, counts{3, 1, 0}, "t.go:1:1: syntax error"},
		{"a panic", passing + panicking, false, false, counts{3, 1, 0}, "panic: boom"},
		{"other output is kept", "server ready\n" + passing, false, true, counts{3, 0, 0}, "server ready"},
		{"nothing ran", "", false, false, counts{}, "no test ran"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSummary(&out)
			if err := s.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := s.close("", c.strict); ok != c.ok || s.counts != c.counts {
				t.Errorf("ok = %v, counts = %v; want %v, %v", ok, s.counts, c.ok, c.counts)
			}
			if !strings.Contains(out.String(), c.shows) {
				t.Errorf("%q is not shown in:\n%s", c.shows, &out)
			}
			if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); lines[len(lines)-1] != c.counts.String() {
				t.Errorf("last line: %s", lines[len(lines)-1])
			}
		})
	}
}

func TestTotals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "totals")
	for _, c := range []counts{{3, 0, 1}, {10, 2, 0}} {
		s := newSummary(&bytes.Buffer{})
		s.counts = c
		if err := s.keep(file); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := readTotals(file); err != nil || got != (counts{13, 2, 1}) {
		t.Errorf("%v, %v", got, err)
	}
}
