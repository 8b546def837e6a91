package pipelines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/parallelrun/parallelrun/internal/ui"
	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/transform"
)

// Names of the files in a run's report folder.
const (
	rejectsFile = "rejects.csv"
	outcomeFile = "outcome.json"
	summaryFile = "summary.txt"
)

// reportPath is where a report of a run lies: beside the configuration, since
// people open it.
func (r *Runner) reportPath(run, name string) string {
	return filepath.Join(r.ReportDir, run, name)
}

// rejectsReport writes the rejects for their owners. It is written anew by
// every attempt at the run: its content follows from the snapshot.
func (r *Runner) rejectsReport(ctx context.Context, run string, desired snapshots.Digest, out *Outcome) error {
	sn, err := r.open(ctx, desired)
	if err != nil {
		return err
	}
	path := r.reportPath(run, rejectsFile)
	err = writeReport(path, func(w *bufio.Writer) error {
		_, err := transform.WriteRejects(ctx, w, legacyRows{sn}, true)
		return err
	})
	if err == nil {
		out.addReport(path)
	}
	return err
}

// writeOutcome keeps what the run came to: as a file of the run in the store,
// and in the report folder as JSON and as text.
func (r *Runner) writeOutcome(ctx context.Context, out *Outcome) error {
	jsonPath, textPath := r.reportPath(out.ID, outcomeFile), r.reportPath(out.ID, summaryFile)
	out.addReport(textPath)
	out.addReport(jsonPath)
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	name := string(out.State) + ".json"
	if err := r.Store.PutFile(ctx, runKey(out.ID, "reports", name), data); err != nil && !errors.Is(err, snapshots.ErrExists) {
		return err
	}
	err = writeReport(jsonPath, func(w *bufio.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return writeReport(textPath, func(w *bufio.Writer) error {
		page := ui.NewPage(w, 0)
		out.Text(page)
		return page.Err()
	})
}

func (o *Outcome) addReport(path string) {
	for _, have := range o.Reports {
		if have == path {
			return
		}
	}
	o.Reports = append(o.Reports, path)
}

// writeReport replaces a report file, whole or not at all.
func writeReport(path string, write func(*bufio.Writer) error) error {
	fail := func(err error) error {
		return fmt.Errorf("report %s: %w (choose a folder that can be written, with --reports)", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fail(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone once it was renamed
	w := bufio.NewWriter(f)
	err = errors.Join(write(w), w.Flush(), f.Chmod(0o644), f.Close())
	if err != nil {
		return fail(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fail(err)
	}
	return nil
}
