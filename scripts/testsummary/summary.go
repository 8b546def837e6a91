package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is a line of `go test -json` (see `go doc test2json`).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// counts is what the closing line says.
type counts struct{ Passed, Failed, Skipped int }

func (c counts) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, c.Skipped)
}

// testID names a test.
type testID struct{ pkg, test string }

// parent is the test that a subtest belongs to; ok is false for a top one.
func (t testID) parent() (p testID, ok bool) {
	i := strings.LastIndexByte(t.test, '/')
	if i < 0 {
		return testID{}, false
	}
	return testID{t.pkg, t.test[:i]}, true
}

type summary struct {
	w        io.Writer
	counts   counts
	output   map[testID][]string // of tests that still run
	build    map[string][]string // compiler output by package
	parents  map[testID]bool
	blamed   map[testID]bool // a subtest of it failed
	inPkg    map[string]counts
	failures []string
	skips    []skipped
}

type skipped struct {
	name, reason string
	outside      bool // for data that is kept outside of the repository
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, output: map[testID][]string{}, build: map[string][]string{}, parents: map[testID]bool{},
		blamed: map[testID]bool{}, inPkg: map[string]counts{}}
}

// read takes events until the input ends. A line that is no event, such as
// what a server prints in between, is shown as it is.
func (s *summary) read(r io.Reader) error {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if jsonErr := json.Unmarshal(line, &e); jsonErr != nil || e.Action == "" {
				fmt.Fprintf(s.w, "%s\n", strings.TrimRight(string(line), "\n"))
			} else {
				s.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) event(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "run":
		if p, ok := id.parent(); ok {
			s.parents[p] = true
		}
	case "output":
		s.output[id] = append(s.output[id], e.Output)
	case "build-output":
		s.build[e.ImportPath] = append(s.build[e.ImportPath], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.packageEnd(e)
		} else {
			s.testEnd(id, e)
		}
		delete(s.output, id)
	}
}

func (s *summary) testEnd(id testID, e event) {
	c := s.inPkg[e.Package]
	defer func() { s.inPkg[e.Package] = c }()
	switch {
	case e.Action == "fail":
		if p, ok := id.parent(); ok {
			s.blamed[p] = true
		}
		s.show(id)
		if s.blamed[id] {
			return // its subtest is counted
		}
		c.Failed++
		s.failures = append(s.failures, e.Package+" "+e.Test)
	case s.parents[id]:
	case e.Action == "skip":
		c.Skipped++
		s.skips = append(s.skips, newSkipped(id, s.output[id]))
	default:
		c.Passed++
	}
}

// show prints what a failed test printed.
func (s *summary) show(id testID) {
	for _, line := range s.output[id] {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(s.w, line)
		}
	}
}

var (
	skipNoise = regexp.MustCompile(`^\s*(=== |--- SKIP|SKIP-BY-NAME)`)
	position  = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)
	// outsideData is how tests name data that is not part of the repository.
	outsideData = regexp.MustCompile(`\.\./(\.\./)*shared/data`)
)

func newSkipped(id testID, output []string) skipped {
	var reason []string
	for _, line := range output {
		if !skipNoise.MatchString(line) {
			reason = append(reason, strings.TrimSpace(position.ReplaceAllString(line, "")))
		}
	}
	text := strings.Join(reason, " ")
	return skipped{name: id.pkg + " " + id.test, reason: text, outside: outsideData.MatchString(text)}
}

// packageEnd prints the package's line, and for one that failed without a
// failed test (it did not build, panicked, ran out of time) why.
func (s *summary) packageEnd(e event) {
	c := s.inPkg[e.Package]
	id := testID{pkg: e.Package}
	if e.Action == "fail" && c.Failed == 0 {
		c.Failed = 1
		s.failures = append(s.failures, e.Package+" (the package itself)")
		for _, line := range s.build[e.FailedBuild] {
			fmt.Fprint(s.w, line)
		}
		s.unfinished(e.Package)
		s.show(id)
	}
	s.counts.Passed += c.Passed
	s.counts.Failed += c.Failed
	s.counts.Skipped += c.Skipped
	if e.Action == "skip" || c == (counts{}) {
		return // no tests
	}
	word := "ok  "
	if e.Action == "fail" {
		word = "FAIL"
	}
	fmt.Fprintf(s.w, "%s  %s  %.1fs  %v\n", word, e.Package, e.Elapsed, c)
}

// unfinished shows the output of tests that a crash cut off.
func (s *summary) unfinished(pkg string) {
	for id := range s.output {
		if id.pkg == pkg && id.test != "" {
			fmt.Fprintf(s.w, "%s did not end:\n", id.test)
			s.show(id)
		}
	}
}

// close prints the end of the summary and says whether all is well. Strict
// turns skips into failures.
func (s *summary) close(label string, strict bool) bool {
	slices.SortFunc(s.skips, func(a, b skipped) int { return strings.Compare(a.name, b.name) })
	missing := 0
	for _, k := range s.skips {
		fmt.Fprintf(s.w, "SKIP  %s: %s\n", k.name, k.reason)
		if !k.outside {
			missing++
		}
	}
	slices.Sort(s.failures)
	for _, f := range s.failures {
		fmt.Fprintf(s.w, "FAIL  %s\n", f)
	}
	ok := s.counts.Failed == 0
	if strict && missing > 0 && label == "" {
		fmt.Fprintf(s.w, "%d tests were skipped, which CI does not allow\n", missing)
		ok = false
	}
	if s.counts.Passed+s.counts.Failed == 0 {
		fmt.Fprintln(s.w, "no test ran")
		ok = false
	}
	if label != "" {
		fmt.Fprintf(s.w, "%s: ", label)
	}
	fmt.Fprintln(s.w, s.counts)
	return ok
}

// keep adds the counts to a file, for a sum over several runs.
func (s *summary) keep(file string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, s.counts)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func readTotals(file string) (total counts, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return total, err
	}
	for line := range strings.Lines(string(data)) {
		var c counts
		if _, err := fmt.Sscanf(line, "%d passed, %d failed, %d skipped", &c.Passed, &c.Failed, &c.Skipped); err != nil {
			return total, fmt.Errorf("%s: %q: %w", file, line, err)
		}
		total.Passed += c.Passed
		total.Failed += c.Failed
		total.Skipped += c.Skipped
	}
	return total, nil
}
