package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/parallelrun/parallelrun/internal/config"
	"github.com/parallelrun/parallelrun/internal/seal"
	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/transform"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want ui.Code
	}{
		{"none", nil, ui.Done},
		{"differences", ui.ErrFound, ui.Failed},
		{"anything else", errors.New("x"), ui.Failed},
		{"its own code", &ui.Failure{Code: ui.Corrupt, Err: ui.ErrFound}, ui.Corrupt},
		{"bad file", config.Problems{{File: "f", What: "x"}}, ui.Refused},
		{"bad mapping", &transform.MappingError{}, ui.Refused},
		{"no such name", &config.UnknownNameError{Kind: "target"}, ui.Refused},
		{"unset variable", &config.UnresolvedError{}, ui.Refused},
		{"no key", &seal.KeyFileError{Err: seal.ErrNoKey}, ui.Refused},
		{"damaged key", &seal.KeyFileError{Err: seal.ErrDamagedKey}, ui.Corrupt},
		{"no snapshot", &snapshots.UnknownSnapshotError{}, ui.Refused},
		{"no checkpoint", &snapshots.UnknownCheckpointError{}, ui.Refused},
		{"checkpoint's name is taken", &snapshots.CheckpointExistsError{}, ui.Refused},
		{"checkpoint's key is gone", &snapshots.EpochGoneError{}, ui.Refused},
		{"no store", snapshots.ErrNoStore, ui.Refused},
		{"target is held", &snapshots.LeaseHeldError{}, ui.Refused},
		{"no permission", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, ui.Refused},
		{"damage", &snapshots.CorruptError{}, ui.Corrupt},
		{"unknown commit", &snapshots.OutcomeUnknownError{Err: context.DeadlineExceeded}, ui.UnknownOutcome},
		{"unknown write", snapshots.ErrUnknownOutcome, ui.UnknownOutcome},
		{"target refuses all", &load.Error{Class: load.Setup, Status: 403}, ui.Refused},
		{"target does not answer at first", &load.Error{Class: load.Setup, Err: syscall.ECONNREFUSED}, ui.Unreachable},
		{"target does not answer", &load.Error{Class: load.Transient}, ui.Unreachable},
		{"target refuses a row", &load.Error{Class: load.Permanent, Status: 400}, ui.Failed},
		{"target's reply is lost", &load.Error{Class: load.Unknown}, ui.UnknownOutcome},
		{"stopped", &stoppedError{}, ui.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exitCode(c.err); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
			if c.err == nil {
				return
			}
			if got := exitCode(fmt.Errorf("more words: %w", c.err)); got != c.want {
				t.Errorf("wrapped: exit code %d, want %d", got, c.want)
			}
		})
	}
}

// TestReport: a hint stands on a line of its own and nowhere else.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&load.Error{Op: "read the realm", Endpoint: "GET /admin/realms/x", Status: 404, Message: "no such realm", Hint: "make the realm"},
			"parallelrun: read the realm: GET /admin/realms/x: status 404: no such realm\nhint: make the realm\n"},
		{fmt.Errorf("run: %w", &seal.KeyFileError{File: "k.txt", Err: seal.ErrWrongIdentity, Hint: "use another"}),
			"parallelrun: run: k.txt: the identity does not open this store's keys\nhint: use another\n"},
		{&transform.MappingError{Problems: []transform.Problem{{File: "m.yaml", Line: 3, Column: 4, Path: "users[0]", Message: "wrong", Offset: -1, Hint: "right it"}}},
			"parallelrun: m.yaml:3:4: users[0]: wrong\nhint: right it\n"},
		{config.Problems{{File: "c.yaml", Line: 1, Column: 2, What: "a"}, {File: "c.yaml", Line: 2, Column: 2, What: "b", Next: "h"}},
			"parallelrun: c.yaml:1:2: a\nparallelrun: c.yaml:2:2: b\nhint: h\n"},
	} {
		var out bytes.Buffer
		report(&out, c.err)
		if out.String() != c.want {
			t.Errorf("got %q, want %q", out.String(), c.want)
		}
	}
}

// TestReadmeListsExitCodes: what README promises is what the program does.
func TestReadmeListsExitCodes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range ui.Codes {
		if row := fmt.Sprintf("| %d | %s |", c.Code, c.Meaning); !strings.Contains(string(readme), row) {
			t.Errorf("README.md does not hold the row %q", row)
		}
	}
}
