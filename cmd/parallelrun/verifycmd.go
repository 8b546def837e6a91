package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
)

// verifyFlags are those of `snapshots verify`.
type verifyFlags struct {
	bytes, rows, deep bool
	sample            percent
	seed              string
}

// percent is a flag such as 5%; zero: not given.
type percent float64

func (p *percent) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'g', -1, 64) + "%"
}

func (p *percent) Set(s string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || n <= 0 || n >= 100 {
		return fmt.Errorf("give a share above 0%% and below 100%%, such as 5%%")
	}
	*p = percent(n)
	return nil
}

func (*percent) Type() string { return "percent" }

func newSnapshotsVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [snapshot...]",
		Short: "Check that the store holds what its log says",
		Long: "Check that the store holds what its log says: the log's chain, the manifests, and that every file of the\n" +
			"named snapshots, or of all and of what checkpoints pin, is there and as long as it must be. Each of\n" +
			"--bytes, --rows and --deep does what the one before does, and more. --sample reads a share of the files\n" +
			"and says what was left out; the same --seed chooses the same ones. Writes nothing.\n" +
			"Exit code 5 if something is damaged, 1 if something is only to be looked at. docs/integrity.md lists\n" +
			"what can be found and what to do.",
		RunE: func(cmd *cobra.Command, args []string) error { return a.verifyStore(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.bytes, "bytes", false, "compare every file with its SHA-256")
	flags.BoolVar(&f.rows, "rows", false, "decode every row and compute all digests anew")
	flags.BoolVar(&f.deep, "deep", false, "let a second Parquet reader, in a process of its own, read the same rows and compare every cell")
	flags.Var(&f.sample, "sample", "read only this share of the files, such as 5%")
	flags.StringVar(&f.seed, "seed", "", "any text: another one chooses another sample")
	return cmd
}

func (f verifyFlags) level() (snapshots.VerifyLevel, error) {
	level := snapshots.VerifyNames
	switch {
	case f.deep:
		level = snapshots.VerifyDeep
	case f.rows:
		level = snapshots.VerifyRows
	case f.bytes:
		level = snapshots.VerifyBytes
	}
	if level == snapshots.VerifyNames && f.sample > 0 {
		return level, ui.Refusef("give --bytes, --rows or --deep with it", "--sample says how much is read, and names and sizes need no reading")
	}
	if f.seed != "" && f.sample == 0 {
		return level, ui.Refusef("give --sample with it", "--seed chooses a sample")
	}
	return level, nil
}

// verifyView is the data of `snapshots verify`.
type verifyView struct {
	OK          bool `json:"ok"` // nothing damaged, nothing to look at
	Entries     int  `json:"log_entries"`
	Snapshots   int  `json:"snapshots"`
	Checkpoints int  `json:"checkpoints,omitempty"` // whose files were looked at too
	Objects     int  `json:"objects"`
	// Bytes are those of the objects, BytesRead of those compared with their
	// SHA-256.
	Bytes     int64 `json:"bytes"`
	BytesRead int64 `json:"bytes_read,omitempty"`
	Rows      int64 `json:"rows_decoded,omitempty"`
	Tables    int   `json:"table_digests_computed,omitempty"`
	Second    int   `json:"parts_read_by_second_reader,omitempty"`
	// Orphans are objects that nothing refers to; Repaired are second copies.
	Orphans  int           `json:"orphans,omitempty"`
	Repaired int           `json:"repaired,omitempty"`
	Sample   *sampleView   `json:"sample,omitempty"`
	Damaged  int           `json:"damaged"`
	Notes    int           `json:"to_look_at,omitempty"`
	Findings []findingView `json:"findings"`
}

// sampleView says what a sample looked at, and out of how much.
type sampleView struct {
	Percent           float64 `json:"percent"`
	Seed              string  `json:"seed,omitempty"`
	PartsRead         int     `json:"parts_read"`
	Parts             int     `json:"parts"`
	LargeValuesRead   int     `json:"large_values_read"`
	LargeValues       int     `json:"large_values"`
	TablesNotComputed int     `json:"table_digests_not_computed,omitempty"`
}

// findingView is one thing that is damaged or to be looked at.
type findingView struct {
	Kind   string `json:"kind"`
	Damage bool   `json:"damage"`
	Object string `json:"object"`
	Table  string `json:"table,omitempty"`
	Target string `json:"target,omitempty"`
	What   string `json:"what"`
	Next   string `json:"hint,omitempty"`
	// What depends on the object.
	Snapshots   []neededBy `json:"snapshots,omitempty"`
	Refs        []string   `json:"refs,omitempty"`
	Checkpoints []string   `json:"checkpoints,omitempty"`
}

type neededBy struct {
	Digest  string `json:"digest"`
	Dataset string `json:"dataset"`
	Stage   string `json:"stage"`
}

func viewOfFinding(f snapshots.Finding) findingView {
	v := findingView{Kind: string(f.Kind), Damage: f.Damage(), Object: f.Object, Table: f.Table, Target: f.Target, What: f.What,
		Next: f.Advice, Refs: f.Refs, Checkpoints: f.Checkpoints}
	for _, info := range f.Snapshots {
		v.Snapshots = append(v.Snapshots, neededBy{info.Digest.String(), info.Dataset, info.Stage})
	}
	return v
}

// mostNeededBy is how many snapshots are named on a terminal.
const mostNeededBy = 3

func (f findingView) text(p *ui.Page) {
	word := "damaged"
	if !f.Damage {
		word = "look at"
	}
	p.Line("%s: %s: %s", word, f.Object, f.What)
	p.Line("  kind: %s", f.Kind)
	if f.Table != "" {
		p.Line("  in table %s", f.Table)
	}
	for i, s := range f.Snapshots {
		if i == mostNeededBy {
			p.Line("  and by %s more", counted(len(f.Snapshots)-i, "snapshot"))
			break
		}
		p.Line("  needed by snapshot %s (%s, %s)", shortDigest(s.Digest), s.Dataset, s.Stage)
	}
	if len(f.Refs) > 0 {
		p.Line("  known as %s", strings.Join(f.Refs, ", "))
	}
	for _, c := range f.Checkpoints {
		p.Line("  in checkpoint %s", c)
	}
	if f.Next != "" {
		p.Line("  hint: %s", f.Next)
	}
}

func (v verifyView) Text(p *ui.Page) {
	for _, f := range v.Findings {
		f.text(p)
	}
	if v.Repaired > 0 {
		p.Line("%s: read where the first copy is damaged", counted(v.Repaired, "repaired copy"))
	}
	if v.Orphans > 0 {
		p.Line("%s that nothing refers to, left by compaction, by runs that were stopped, or of runs at work: no damage", counted(v.Orphans, "object"))
	}
	if s := v.Sample; s != nil {
		p.Line("a sample of %g%% was read: %d of %s, %d of %s; the others were looked at by name and size only", s.Percent,
			s.PartsRead, counted(s.Parts, "part"), s.LargeValuesRead, counted(s.LargeValues, "large value"))
		if s.TablesNotComputed > 0 {
			p.Line("the digests of whole tables were left open, of %s", counted(s.TablesNotComputed, "table"))
		}
	}
	p.Line("%s: %s damaged%s", v.lookedAt(), counted(v.Damaged, "thing"), v.noted())
}

func (v verifyView) lookedAt() string {
	s := counted(v.Entries, "log entry") + ", " + counted(v.Snapshots, "snapshot")
	if v.Checkpoints > 0 {
		s += ", " + counted(v.Checkpoints, "checkpoint")
	}
	s += fmt.Sprintf(", %s (%s", counted(v.Objects, "object"), ui.Bytes(v.Bytes))
	if v.BytesRead > 0 {
		s += ", " + ui.Bytes(v.BytesRead) + " read"
	}
	s += ")"
	if v.Rows > 0 {
		s += ", " + ui.Count(v.Rows) + " rows decoded"
	}
	if v.Tables > 0 {
		s += ", " + counted(v.Tables, "table digest") + " computed"
	}
	if v.Second > 0 {
		s += ", " + counted(v.Second, "part") + " read by a second reader"
	}
	return s
}

func (v verifyView) noted() string {
	if v.Notes == 0 {
		return ""
	}
	return fmt.Sprintf(", %d to look at", v.Notes)
}

func (a *app) verifyStore(ctx context.Context, names []string, f verifyFlags) error {
	level, err := f.level()
	if err != nil {
		return err
	}
	s, err := a.readStore(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = nil
	}
	second, err := a.secondReader()
	if err != nil {
		return err
	}
	report, err := s.Verify(ctx, snapshots.VerifyOptions{Level: level, Snapshots: names, Sample: float64(f.sample), Seed: f.seed,
		Workers: a.flags.workers, Memory: int64(a.flags.memory), Second: second.Compare, Progress: a.steps})
	if err != nil {
		return err
	}
	v := verifyViewOf(report, level, f)
	if err := a.out.Print(v); err != nil || v.OK {
		return err
	}
	code := ui.Corrupt
	if v.Damaged == 0 {
		code = ui.Failed
	}
	return &ui.Failure{Code: code, Err: ui.ErrFound}
}

func verifyViewOf(r snapshots.VerifyReport, level snapshots.VerifyLevel, f verifyFlags) verifyView {
	v := verifyView{OK: len(r.Findings) == 0, Entries: r.Entries, Snapshots: r.Snapshots, Checkpoints: r.Checkpoints, Objects: r.Objects,
		Bytes: r.Bytes, Rows: r.Rows, Tables: r.Tables, Second: r.SecondParts, Orphans: r.Orphans, Repaired: r.Repaired,
		Damaged: r.Damaged(), Findings: []findingView{}}
	v.Notes = len(r.Findings) - v.Damaged
	if level >= snapshots.VerifyBytes {
		v.BytesRead = r.Read
	}
	if f.sample > 0 {
		v.Sample = &sampleView{Percent: float64(f.sample), Seed: f.seed, PartsRead: r.ReadParts, Parts: r.Parts,
			LargeValuesRead: r.ReadValues, LargeValues: r.LargeValues, TablesNotComputed: r.TablesLeft}
	}
	for _, x := range r.Findings {
		v.Findings = append(v.Findings, viewOfFinding(x))
	}
	return v
}

// steps shows the steps of a verification one after another, those that take
// a moment.
func (a *app) steps(name string, total int64, unit string) func(int64) {
	var mu sync.Mutex
	var step *ui.Step
	began, done := time.Now(), int64(0)
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		if n < 0 {
			step.End()
			return
		}
		done += n
		switch {
		case step != nil:
			step.Add(n)
		case time.Since(began) > worthShowing:
			step = a.progress().Step(name, total, unit)
			step.Set(done, total)
		}
	}
}

const worthShowing = 300 * time.Millisecond
