package second

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// Reader reads parts in child processes. It is safe for concurrent use.
type Reader struct {
	// Command starts the child: a program and arguments that call Main.
	Command []string
	// Memory limits each child, in bytes; zero: parts.SecondMemory.
	Memory int64
	// Timeout is when a child is killed; zero: five minutes.
	Timeout time.Duration
	// TempDir is where the part is put for the child, in a file without a name;
	// empty: os.TempDir.
	TempDir string
}

// Compare reads one part of a table with both readers. A *parts.SecondError
// says what the second made of it; other errors that it could not be asked.
func (s Reader) Compare(ctx context.Context, r *parts.Reader, layer, part int) (err error) {
	table := r.Table()
	req := request{Memory: s.Memory, Part: table.Layers[layer].Parts[part].Object.Bytes}
	if req.Memory == 0 {
		req.Memory = parts.SecondMemory
	}
	for _, c := range table.Columns {
		req.Types = append(req.Types, c.Type)
	}
	head, err := json.Marshal(req)
	if err != nil {
		return err
	}
	in, err := r.SpoolPart(ctx, layer, part, s.TempDir, append(binary.BigEndian.AppendUint64(nil, uint64(len(head))), head...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	timeout := s.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
	c.Env = []string{"GOTRACEBACK=none"} // no credentials of ours, and no stacks
	c.Stdin = in.File
	said := &tail{}
	c.Stderr = said
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start the second reader: %w", err)
	}
	different := compare(ctx, r, layer, part, bufio.NewReader(out))
	stopped := ctx.Err()
	if second, ok := errors.AsType[*parts.SecondError](different); different != nil && (!ok || second.Differs) {
		cancel() // it may be waiting for someone to read on
	}
	ended := c.Wait()
	return s.judge(stopped, timeout, different, ended, said.String())
}

// judge puts together what the comparison and the child's end say.
func (s Reader) judge(stopped error, timeout time.Duration, different, ended error, said string) error {
	second, ok := errors.AsType[*parts.SecondError](different)
	switch {
	case different != nil && !ok:
		return different
	case ok && second.Differs:
		return second
	case errors.Is(stopped, context.DeadlineExceeded):
		return &parts.SecondError{What: fmt.Sprintf("it was killed after %s", timeout)}
	case stopped != nil:
		return stopped
	case ended != nil && strings.Contains(said, "out of memory"):
		return &parts.SecondError{What: "it ran out of memory"}
	case ended != nil && strings.HasPrefix(said, "second reader: "):
		return &parts.SecondError{What: strings.TrimSpace(strings.TrimPrefix(said, "second reader: "))}
	case ended != nil:
		return &parts.SecondError{What: "it crashed: " + ended.Error()}
	case ok:
		return second
	}
	return nil
}

// compare holds the child's records against the rows of the first reader.
func compare(ctx context.Context, r *parts.Reader, layer, part int, in *bufio.Reader) error {
	table := r.Table()
	record := make([]byte, fixed+8*(len(table.Columns)+1))
	rows := 0
	for row, err := range r.PartRows(ctx, layer, part) {
		if err != nil {
			return err
		}
		mark, err := in.ReadByte()
		switch {
		case err != nil:
			return &parts.SecondError{What: fmt.Sprintf("it ended after %d rows", rows)}
		case mark == markEnd:
			return &parts.SecondError{Differs: true, What: fmt.Sprintf("it sees %d rows, there are more", rows)}
		}
		if _, err := io.ReadFull(in, record); err != nil {
			return &parts.SecondError{What: fmt.Sprintf("it ended after %d rows", rows)}
		}
		if what := differs(table.Columns, row, record); what != "" {
			return &parts.SecondError{Differs: true, What: what}
		}
		rows++
	}
	if mark, err := in.ReadByte(); err != nil {
		return &parts.SecondError{What: fmt.Sprintf("it ended after %d rows without saying so", rows)}
	} else if mark != markEnd {
		return &parts.SecondError{Differs: true, What: fmt.Sprintf("it sees more than %d rows", rows)}
	}
	return nil
}

// differs names what a record has otherwise, empty for nothing.
func differs(columns []schemas.Column, row parts.StoredRow, record []byte) string {
	is := func(what string) string { return fmt.Sprintf("it sees another %s in row %s", what, row.ID) }
	if !bytes.Equal(record[:16], row.ID[:]) {
		return is("row id")
	}
	if !bytes.Equal(record[16:32], row.Digest[:]) {
		return is("row digest")
	}
	hash := func(n int) uint64 { return binary.BigEndian.Uint64(record[32+8*n:]) }
	if hash(0) != cellHash(row.Key) {
		return is("legacy key")
	}
	for i, c := range columns {
		if hash(1+i) != cellHash(row.Values[i]) {
			return is("value of column " + c.Name)
		}
	}
	if hash(1+len(columns)) != cellHash(row.Large) {
		return is("list of large values")
	}
	return ""
}

// tail keeps the beginning of what a child says.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), max(4<<10-len(t.b), 0))]...)
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }
