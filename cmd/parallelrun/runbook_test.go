package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/pipelines/runbook"
)

// coming are commands, and flags of commands, that runbooks name and this
// program does not have yet. Whatever it has must not be listed.
var coming []string

// Every command line of a runbook is one that this program takes: names, number
// of arguments and flags.
func TestRunbookCommandsExist(t *testing.T) {
	for name, d := range map[string]runbook.Data{
		"plain": {Config: "migration.yaml", Migration: "m"},
		"all flags": {Config: "/a/b.yaml", StoreFlag: true, Store: "/store", MigrationFlag: true, Migration: "m", Checkpoints: []runbook.Checkpoint{{Name: "c"}},
			Waves: []runbook.Wave{{Name: "w"}, {Name: "x", Complete: true}}, Runs: []runbook.Run{{ID: "r", State: "stopped"}}},
	} {
		t.Run(name, func(t *testing.T) {
			d.AllowWords, d.Written = load.AllowWords, time.Unix(0, 0)
			for _, c := range ui.Codes {
				d.Codes = append(d.Codes, runbook.Code{Code: int(c.Code), Meaning: c.Meaning})
			}
			var text bytes.Buffer
			if err := runbook.Write(&text, d); err != nil {
				t.Fatal(err)
			}
			lines := commandLines(text.String())
			if len(lines) < 15 {
				t.Fatalf("only %d command lines", len(lines))
			}
			for _, line := range lines {
				checkCommand(t, line)
				if d.MigrationFlag && takesMigration(line) != strings.Contains(line, " --migration ") {
					t.Errorf("%s: --migration is there, or missing, against what the command takes", line)
				}
			}
		})
	}
}

// commandLines are the lines of the shell blocks.
func commandLines(markdown string) []string {
	var out []string
	for i, block := range strings.Split(markdown, "```") {
		if i%2 == 1 {
			out = append(out, strings.Split(strings.TrimSpace(strings.TrimPrefix(block, "sh\n")), "\n")...)
		}
	}
	return out
}

func checkCommand(t *testing.T, line string) {
	t.Helper()
	args := strings.Fields(line)
	if args[0] != ui.Program {
		t.Errorf("%s: no command of this program", line)
		return
	}
	args = args[1:]
	err := parses(args)
	listed := isComing(args)
	switch {
	case err != nil && !listed:
		t.Errorf("%s: %v", line, err)
	case err == nil && listed:
		t.Errorf("%s: is there now: take it off the list of what is coming", line)
	}
}

func parses(args []string) error {
	root := newRoot(newApp(&strings.Builder{}, &strings.Builder{}))
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd == root || cmd.HasSubCommands() {
		return group(cmd, rest)
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func takesMigration(line string) bool {
	cmd, _, err := newRoot(newApp(&strings.Builder{}, &strings.Builder{})).Find(strings.Fields(line)[1:])
	return err == nil && cmd.Flags().Lookup("migration") != nil
}

func isComing(args []string) bool {
	for _, c := range coming {
		words := strings.Fields(c)
		if args[0] != words[0] {
			continue
		}
		if len(words) == 1 || strings.Contains(strings.Join(args, " "), " "+words[1]+" ") {
			return true
		}
	}
	return false
}
