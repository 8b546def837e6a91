package ldif

import (
	"bufio"
	"errors"
	"io"
)

// errTooLong says that a logical line passed the limit; the rest of it was not
// read.
var errTooLong = errors.New("line too long")

const (
	readBuffer = 64 << 10
	// keepBuffer is the largest buffer kept for the next line or entry: one
	// photo must not hold its memory for the whole file.
	keepBuffer = 1 << 20
)

// lineReader yields logical lines: folded ones joined, comments still among
// them. It holds one logical line at a time, of at most max bytes.
type lineReader struct {
	in   *bufio.Reader
	buf  []byte
	max  int
	line int // number of the last physical line read
	read int64
	// cut says that the last line read had no end of line.
	cut bool
}

func newLineReader(in io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, readBuffer), max: limit}
}

// next returns a logical line and the number of its first physical line, with
// an error too. The text is valid until the next call; a blank line is an
// empty one.
func (l *lineReader) next() (text []byte, line int, err error) {
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	l.buf = l.buf[:0]
	if err := l.physical(); err != nil {
		return nil, l.line, err
	}
	line = l.line
	for len(l.buf) > 0 && l.continues() {
		err := l.physical()
		if errors.Is(err, io.EOF) {
			l.cut = true // right behind the space
			break
		}
		if err != nil {
			return nil, line, err
		}
	}
	return l.buf, line, nil
}

// continues eats the space that a continuation line begins with.
func (l *lineReader) continues() bool {
	b, err := l.in.Peek(1)
	if err != nil || b[0] != ' ' {
		return false
	}
	_, _ = l.in.Discard(1) // peeked: can't fail
	l.read++
	return true
}

// physical appends one physical line to the buffer, without its end.
func (l *lineReader) physical() error {
	start := len(l.buf)
	l.line++
	for {
		chunk, err := l.in.ReadSlice('\n')
		l.read += int64(len(chunk))
		if room := l.max - len(l.buf); len(chunk) > room {
			l.buf = append(l.buf, chunk[:room]...) // its start names the attribute
			return errTooLong
		}
		l.buf = append(l.buf, chunk...)
		switch {
		case err == nil:
			l.buf = l.buf[:len(l.buf)-1]
			if n := len(l.buf); n > start && l.buf[n-1] == '\r' {
				l.buf = l.buf[:n-1]
			}
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(chunk) == 0 && len(l.buf) == start:
			l.line--
			return io.EOF
		case errors.Is(err, io.EOF):
			l.cut = true
			return nil
		default:
			return err
		}
	}
}
