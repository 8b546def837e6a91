package records

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/parallelrun/parallelrun/extract/files"
)

// chunkBytes is how much text a worker takes at once, and the least that a
// file's buffer holds.
const chunkBytes = 1 << 20

// chunks are texts that nobody needs any more.
var chunks sync.Pool // of *[chunkBytes]byte

// newChunk returns room for a text, which holds anything.
func newChunk() []byte {
	if c, _ := chunks.Get().(*[chunkBytes]byte); c != nil {
		return c[:]
	}
	return make([]byte, chunkBytes)
}

// recycle takes a text back that is not looked at any more.
func recycle(text []byte) {
	if cap(text) == chunkBytes {
		chunks.Put((*[chunkBytes]byte)(text[:chunkBytes]))
	}
}

// piece is a record within a chunk.
type piece struct {
	start, end int
	line       int
	bad        string
}

// cutter cuts the text of a file into chunks of whole records.
type cutter struct {
	in     io.Reader
	format Format
	limit  int
	buf    []byte
	have   int // bytes of buf that are text
	eof    bool
	skip   bool // the rest of a line is to be left out
	line   int  // of buf[0]
	read   int64
	last   byte
	pieces int // of the chunk before
}

func newCutter(t *files.Text, f Format, limit int) *cutter {
	return &cutter{in: t, format: f, limit: limit, buf: newChunk(), line: 1}
}

// next returns records and the text that they lie in, which the caller owns;
// none after the last. No more than most are returned.
func (c *cutter) next(most int) (text []byte, pieces []piece, err error) {
	for {
		if err := c.fill(); err != nil {
			return nil, nil, err
		}
		c.leaveRest()
		at, line := 0, c.line
		for at < c.have && len(pieces) < most && !c.skip {
			cut := c.format.Cut(c.buf[at:c.have], c.eof, c.limit)
			if cut.N == 0 {
				break
			}
			if !cut.Blank {
				if pieces == nil {
					pieces = make([]piece, 0, min(most, c.pieces+c.pieces/8+16))
				}
				pieces = append(pieces, piece{start: at, end: at + cut.N, line: line, bad: cut.Bad})
			}
			at, line, c.skip = at+cut.N, line+cut.Lines, cut.Rest
		}
		switch {
		case len(pieces) > 0:
			c.pieces = len(pieces)
			return c.take(at, line), pieces, nil
		case at > 0: // blank lines only
			c.drop(at)
			c.line = line
		case c.eof && c.have == 0:
			return nil, nil, nil
		case c.have == len(c.buf):
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
}

// fill reads until the buffer is full or the text ends.
func (c *cutter) fill() error {
	for c.have < len(c.buf) && !c.eof {
		n, err := c.in.Read(c.buf[c.have:])
		c.have += n
		c.read += int64(n)
		if n > 0 {
			c.last = c.buf[c.have-1]
		}
		if errors.Is(err, io.EOF) {
			c.eof = true
		} else if err != nil {
			return err
		}
	}
	return nil
}

// leaveRest drops what is left of a line that was too long.
func (c *cutter) leaveRest() {
	if !c.skip {
		return
	}
	if i := bytes.IndexByte(c.buf[:c.have], '\n'); i >= 0 {
		c.drop(i + 1)
		c.line++
		c.skip = false
		return
	}
	c.drop(c.have)
	c.skip = !c.eof
}

func (c *cutter) drop(n int) {
	c.have = copy(c.buf, c.buf[n:c.have])
}

// take hands out the first n bytes and keeps the others.
func (c *cutter) take(n, line int) []byte {
	text := c.buf[:n]
	rest := c.buf[n:c.have]
	c.buf = newChunk()
	if len(rest) > len(c.buf) {
		c.buf = make([]byte, len(rest))
	}
	c.have = copy(c.buf, rest)
	c.line = line
	return text
}
