package files

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"

	"github.com/parallelrun/parallelrun/extract"
)

// readBuffer is the buffer before a decompressor.
const readBuffer = 256 << 10

// zstdMemory bounds the window of a zstd file: that of zstd --long=27, the most
// that the tool itself unpacks without being asked.
const zstdMemory = 128 << 20

// Text is the text of a file that is being read: unpacked where the file is
// gzip or zstd, in UTF-8 whatever its encoding, without a byte order mark.
type Text struct {
	*File
	in      io.Reader
	unpack  io.Closer // nil: the file is not compressed
	packed  string
	Decoded bool // bytes that the encoding does not have came out as U+FFFD
}

// CheckEncoding says whether an encoding is known by its name (as browsers know
// it: utf-8, windows-1252, iso-8859-15, utf-16le). Empty is UTF-8, or what a
// byte order mark says.
func CheckEncoding(name string) error {
	_, err := encodingOf(name)
	return err
}

// encodingOf is nil for UTF-8, which needs no decoding.
func encodingOf(name string) (encoding.Encoding, error) {
	if name == "" {
		return nil, nil
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("encoding %q is not known: write a name such as utf-8, windows-1252 or iso-8859-15", name)
	}
	if canonical, err := htmlindex.Name(e); err == nil && canonical == "utf-8" {
		return nil, nil
	}
	return e, nil
}

// OpenText opens a file as text in an encoding (see CheckEncoding). Errors are
// *extract.Error.
func OpenText(name string, k Kind, charset string) (*Text, error) {
	f, err := Open(name, k)
	if err != nil {
		return nil, err
	}
	t := &Text{File: f}
	if err := t.open(charset); err != nil {
		_ = f.Close() // nothing was read
		return nil, t.fail(err)
	}
	return t, nil
}

func (t *Text) open(charset string) error {
	e, err := encodingOf(charset)
	if err != nil {
		return err
	}
	raw := bufio.NewReaderSize(t.File, readBuffer)
	in, err := t.unpacked(raw)
	if err != nil {
		return err
	}
	head, err := in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	t.in = in
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := in.Discard(3)
		return err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		e = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	}
	if e != nil {
		t.in, t.Decoded = e.NewDecoder().Reader(in), true
	}
	return nil
}

// unpacked looks at a file's first bytes: names of files lie.
func (t *Text) unpacked(raw *bufio.Reader) (*bufio.Reader, error) {
	head, err := raw.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		t.packed = "gzip"
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, err
		}
		t.unpack = z
		return bufio.NewReaderSize(z, readBuffer), nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		t.packed = "zstd"
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdMemory))
		if err != nil {
			return nil, err
		}
		t.unpack = z.IOReadCloser()
		return bufio.NewReaderSize(t.unpack.(io.Reader), readBuffer), nil
	}
	for magic, what := range map[string]string{"PK\x03\x04": "a zip archive", "BZh": "bzip2", "\xfd7zXZ\x00": "xz", "\xd0\xcf\x11\xe0": "an Excel workbook", "PAR1": "Parquet"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return nil, &extract.Error{File: t.Name(), Problem: "the file is " + what, Next: "export it as text, plain or packed with gzip or zstd"}
		}
	}
	return raw, nil
}

// Read reads text. Errors but io.EOF are *extract.Error.
func (t *Text) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = t.fail(err)
	}
	return n, err
}

func (t *Text) fail(err error) error {
	if e, ok := errors.AsType[*extract.Error](err); ok {
		return e
	}
	if t.packed != "" {
		return &extract.Error{File: t.Name(), Problem: "the " + t.packed + " data is cut or damaged: " + cause(err), Next: "export or copy the file again", Err: err}
	}
	return Error(t.Name(), err)
}

// Close closes the file.
func (t *Text) Close() error {
	if t.unpack != nil {
		_ = t.unpack.Close() // what was read has been checked by then
	}
	return t.File.Close()
}

// Packed says that the file was compressed, so that a cut would have shown.
func (t *Text) Packed() bool { return t.packed != "" }
