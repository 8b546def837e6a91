package parts

import (
	"fmt"
	"io"
	"sync"

	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/klauspost/compress/zstd"
)

// Arrow v17 makes a new zstd encoder for every page, which costs a third of
// the write time; this codec keeps them.
func init() { compress.RegisterCodec(compress.Codecs.Zstd, pooledZstd{}) }

type pooledZstd struct{}

var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithZeroFrames(true), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic(err) // options are constants
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage))
		if err != nil {
			panic(err)
		}
		return d
	}}
)

// maxPage bounds what a damaged page can make the decoder allocate.
const maxPage = 1 << 30

func (pooledZstd) EncodeLevel(dst, src []byte, _ int) []byte {
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	return e.EncodeAll(src, dst[:0])
}

func (z pooledZstd) Encode(dst, src []byte) []byte { return z.EncodeLevel(dst, src, 0) }

// Decode panics on damaged pages, as the interface leaves no other way; whoever
// reads recovers.
func (pooledZstd) Decode(dst, src []byte) []byte {
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	out, err := d.DecodeAll(src, dst[:0])
	if err != nil {
		panic(fmt.Errorf("zstd page: %w", err))
	}
	return out
}

// CompressBound is ZSTD_COMPRESSBOUND and some room for the frame.
func (pooledZstd) CompressBound(n int64) int64 { return n + n>>8 + max(128<<10-n, 0)>>11 + 32 }

func (pooledZstd) NewReader(r io.Reader) io.ReadCloser {
	d, err := zstd.NewReader(r)
	if err != nil {
		panic(err)
	}
	return d.IOReadCloser()
}

func (pooledZstd) NewWriter(w io.Writer) io.WriteCloser {
	e, err := zstd.NewWriter(w)
	if err != nil {
		panic(err)
	}
	return e
}

func (z pooledZstd) NewWriterLevel(w io.Writer, _ int) (io.WriteCloser, error) {
	return z.NewWriter(w), nil
}
