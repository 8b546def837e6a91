package legacygen

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// draw is a small generator of random numbers (splitmix64). It is our own so
// that no release of Go changes what a seed means.
type draw struct{ state uint64 }

// newDraw returns the generator for one purpose and index under a seed.
func newDraw(seed uint64, purpose string, i int) *draw {
	sum := digest(seed, purpose, i)
	return &draw{state: binary.BigEndian.Uint64(sum[:8])}
}

// digest derives 32 bytes for one purpose and index under a seed.
func digest(seed uint64, purpose string, i int) [32]byte {
	b := make([]byte, 0, 16+len(purpose))
	b = binary.BigEndian.AppendUint64(b, seed)
	b = binary.BigEndian.AppendUint64(b, uint64(i))
	return sha256.Sum256(append(b, purpose...))
}

func (d *draw) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n draws from 0 to limit-1.
func (d *draw) n(limit int) int {
	hi, _ := bits.Mul64(d.next(), uint64(limit))
	return int(hi)
}

// percent is true in p of a hundred draws.
func (d *draw) percent(p int) bool { return d.n(100) < p }

// fill draws bytes.
func (d *draw) fill(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, d.next())
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(d.next())
	}
}

func pick[T any](d *draw, of []T) T { return of[d.n(len(of))] }

// uuid derives an entryUUID.
func uuid(seed uint64, table string, i int) string {
	b := digest(seed, "uuid "+table, i)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
