// Package runbook writes the rollback runbook of one migration: how to pause and
// continue, how to route people back to legacy, how to restore and retry, each
// with the exact commands for this configuration.
//
// Nouns: Data is what is known of a migration when the runbook is written; a
// procedure is one of the three chapters, and says what it can't do.
//
// Start with Write.
package runbook

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode"
)

// Data is what a runbook is written from.
type Data struct {
	// Written is when.
	Written time.Time
	// Config is the path of the configuration as commands shall name it, and
	// Store the store's place. StoreFlag says that commands must name it, too.
	Config    string
	Store     string
	StoreFlag bool
	// Migration, and whether commands must name it because there are several.
	Migration     string
	MigrationFlag bool
	Source        string
	Target        string
	TargetAt      string       // realm and URL, for people
	Refs          []Ref        // names of the migration's snapshots
	Waves         []Wave       // in order
	Checkpoints   []Checkpoint // of the target, the newest last
	Runs          []Run        // the newest last
	Holder        string       // who holds the target's lease; empty: nobody
	Codes         []Code       // exit codes
	AllowWords    []string
}

// Ref is a name in the store and what it stands for; Digest is empty where it
// does not exist yet.
type Ref struct{ Name, What, Digest string }

// Wave is one wave with how far it is.
type Wave struct {
	Name, State        string
	Assigned, InTarget int64
	// Loaded: somebody of it is in the target. Complete: its users' profiles are
	// Keymate's.
	Loaded, Complete bool
}

// Checkpoint is one checkpoint.
type Checkpoint struct{ Name, Taken, Reason string }

// Run is one run.
type Run struct{ ID, State, LastStep, Started string }

// Code is an exit code with its meaning.
type Code struct {
	Code    int
	Meaning string
}

//go:embed runbook.md.tmpl
var text string

// Write writes the runbook as Markdown.
func Write(w io.Writer, d Data) error {
	t, err := template.New("runbook").Funcs(template.FuncMap{
		"cmd": d.command, "code": inCode, "text": inTable, "join": strings.Join, "at": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	}).Parse(text)
	if err != nil {
		return fmt.Errorf("runbook: %w", err)
	}
	return t.Execute(w, d)
}

// ofMigration are the commands that take --migration, by one word or two.
var ofMigration = map[string]bool{
	"plan": true, "load": true, "run": true, "resume": true, "explain": true, "drift": true,
	"restore": true, "undo": true, "checkpoint create": true, "waves list": true, "waves reopen": true,
}

// takesMigration says whether a command line is of a command that does.
func takesMigration(line string) bool {
	first, rest, _ := strings.Cut(line, " ")
	second, _, _ := strings.Cut(rest, " ")
	return ofMigration[first] || ofMigration[first+" "+second]
}

// command is a command line to copy: with what names this configuration.
func (d Data) command(line string) string {
	out := "parallelrun " + line
	if d.Config != "migration.yaml" {
		out += " --config " + quote(d.Config)
	}
	if d.StoreFlag {
		out += " --store " + quote(d.Store)
	}
	if d.MigrationFlag && takesMigration(line) {
		out += " --migration " + quote(d.Migration)
	}
	return out
}

// quote makes one word of a text for a shell.
func quote(s string) string {
	plain := func(r rune) bool {
		return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("/._-+:@%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// inCode keeps a name from outside within its code span and its table cell.
func inCode(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '`' || r == '|' || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	return "`" + s + "`"
}

// inTable keeps a text from outside within its table cell, and plain.
func inTable(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("`|<>[]*_", r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// Latest is the newest run.
func (d Data) Latest() (r Run) {
	if len(d.Runs) > 0 {
		r = d.Runs[len(d.Runs)-1]
	}
	return r
}

// Stopped is the newest run that did not come to its end, its id empty if there
// is none.
func (d Data) Stopped() (r Run) {
	for _, x := range d.Runs {
		if x.State == "stopped" {
			r = x
		}
	}
	return r
}

// RunWord, WaveWord and CheckpointWord are arguments for commands: a real one
// where there is one, else a word in capitals to be replaced.
func (d Data) RunWord() string {
	if s := d.Stopped(); s.ID != "" {
		return s.ID
	}
	return "RUN"
}

// WaveWord is the wave that was moved last, of those that are not complete;
// before any was, the first of them; WAVE where there are no such waves.
func (d Data) WaveWord() string {
	open := slices.DeleteFunc(slices.Clone(d.Waves), func(w Wave) bool { return w.Complete })
	for _, w := range slices.Backward(open) {
		if w.Loaded {
			return quote(w.Name)
		}
	}
	if len(open) > 0 {
		return quote(open[0].Name)
	}
	return "WAVE"
}

// CompleteWaves are the names of the complete waves, as commands take them.
func (d Data) CompleteWaves() (out []string) {
	for _, w := range d.Waves {
		if w.Complete {
			out = append(out, quote(w.Name))
		}
	}
	return out
}

// CheckpointWord is the newest checkpoint, or CHECKPOINT.
func (d Data) CheckpointWord() string {
	if n := len(d.Checkpoints); n > 0 {
		return quote(d.Checkpoints[n-1].Name)
	}
	return "CHECKPOINT"
}
