package waves

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	"github.com/parallelrun/parallelrun/transform"
)

// Hand is an assignment by hand: a CSV file with the header key,wave and a line
// for each user, as long as people like.
type Hand struct {
	File string
	// Move allows to take users out of the waves that they are in.
	Move bool
}

// handList is the lines of a Hand, sorted by row id, and what is wrong with
// them.
type handList struct {
	hand  *Hand
	lines *keyLists
	wrong FileErrors
	more  int // problems beyond mostWrong
}

// mostWrong bounds how many problems of a file are told.
const mostWrong = 20

func (h *handList) fail(line uint32, next, format string, args ...any) {
	h.wrong = append(h.wrong, &FileError{File: h.hand.File, Line: int(line), What: fmt.Sprintf(format, args...), Next: next})
	if len(h.wrong) > 2*mostWrong {
		h.cut()
	}
}

// cut keeps the first problems of the file.
func (h *handList) cut() {
	slices.SortStableFunc(h.wrong, func(a, b *FileError) int { return a.Line - b.Line })
	if n := len(h.wrong) - mostWrong; n > 0 {
		h.more += n
		h.wrong = h.wrong[:mostWrong]
	}
}

// err is what is wrong with the file, nil for nothing.
func (h *handList) err() error {
	if h == nil || len(h.wrong) == 0 {
		return nil
	}
	h.cut()
	if h.more > 0 {
		h.wrong = append(h.wrong, &FileError{File: h.hand.File, What: fmt.Sprintf("%d more lines are wrong", h.more)})
	}
	return h.wrong
}

// readHand reads the file. Lines that name no wave of the rules are noted; an
// error means that it can't be read on.
func (s *Selection) readHand(ctx context.Context, in *Input) (*handList, error) {
	f, err := openFile(in.Hand.File)
	if err != nil {
		return nil, &FileError{File: in.Hand.File, What: reason(err), Next: handForm}
	}
	defer f.Close()
	h := &handList{hand: in.Hand, lines: newKeyLists(in.share(), in.TempDir)}
	if err := s.readLines(ctx, in, h, f); err != nil {
		return nil, errors.Join(err, h.lines.Close())
	}
	return h, nil
}

const handForm = "write a CSV file with the header key,wave and a line for each user"

// reason is an error of openFile without the file's name.
func reason(err error) string {
	if u := errors.Unwrap(err); u != nil {
		return u.Error()
	}
	return err.Error()
}

func (s *Selection) readLines(ctx context.Context, in *Input, h *handList, f io.Reader) error {
	buffered := bufio.NewReader(f)
	if r, _, err := buffered.ReadRune(); err == nil && r != '\ufeff' {
		_ = buffered.UnreadRune() // right after a ReadRune it can't fail
	}
	r := csv.NewReader(buffered)
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil || !slices.Equal(header, []string{"key", "wave"}) {
		return &FileError{File: in.Hand.File, Line: 1, What: "the header key,wave is missing", Next: handForm}
	}
	for n := 0; ; n++ {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return &FileError{File: in.Hand.File, What: "no line below the header: nobody to assign", Next: handForm}
			}
			return nil
		}
		if err != nil {
			return h.unreadable(err)
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, _ := r.FieldPos(0)
		if err := s.takeLine(in, h, uint32(line), record[0], record[1]); err != nil {
			return err
		}
	}
}

func (h *handList) unreadable(err error) error {
	if pe, ok := errors.AsType[*csv.ParseError](err); ok {
		return &FileError{File: h.hand.File, Line: pe.StartLine, What: pe.Err.Error(), Next: "each line is a key, a comma and a wave; put a key that holds a comma or a quote between double quotes"}
	}
	return fmt.Errorf("%s: %w", h.hand.File, err)
}

func (s *Selection) takeLine(in *Input, h *handList, line uint32, key, wave string) error {
	i := s.index(wave)
	switch {
	case key == "" || !utf8.ValidString(key):
		h.fail(line, "the key is the user's legacy key, in UTF-8", "there is no key, or no valid one")
		return nil
	case i < 0:
		h.fail(line, transform.NearHint(wave, s.Names()), "there is no wave %q", wave)
		return nil
	}
	return h.lines.add(in, listed{wave: i, line: line, key: key})
}

// choose settles what the lines about one user mean: the wave, or -1 when
// something is wrong with them or they change nothing.
func (h *handList) choose(s *Selection, p *person, lines []listed) (wave int) {
	first := lines[0]
	for _, again := range lines[1:] {
		h.fail(again.line, "keep one of the two lines", "user %q stands in line %d already", again.key, first.line)
	}
	switch was := p.wave(); {
	case p.user == nil && p.previous == nil && p.leftOut:
		h.fail(first.line, "see why in the rejects of the newest run", "user %q was rejected or excluded: it can't be assigned now", first.key)
	case p.user == nil && p.previous == nil:
		h.unknown(first)
	case was == s.rules[first.wave].Name:
	case was != "" && !h.hand.Move:
		h.fail(first.line, "give --move to take it out of there", "user %q is in wave %q already", first.key, was)
	case len(lines) == 1:
		return first.wave
	}
	return -1
}

func (h *handList) unknown(k listed) {
	h.fail(k.line, "the key is the user's legacy key, not its login name", "no user has the key %q", k.key)
}
