package parts

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/schemas"
)

// naiveRoot is the trie as docs/format.md defines it, recursively.
func naiveRoot(entries []Entry, depth int) [32]byte {
	h := sha256.New()
	if len(entries) <= 256 {
		h.Write([]byte("PRl1"))
		for _, e := range entries {
			h.Write(e.ID[:])
			h.Write(e.Digest[:])
		}
		return [32]byte(h.Sum(nil))
	}
	h.Write([]byte("PRn1"))
	for d := range 16 {
		var child []Entry
		for _, e := range entries {
			if hex.EncodeToString(e.ID[:])[depth] == "0123456789abcdef"[d] {
				child = append(child, e)
			}
		}
		sum := [32]byte{}
		if len(child) > 0 {
			sum = naiveRoot(child, depth+1)
		}
		h.Write(sum[:])
	}
	return [32]byte(h.Sum(nil))
}

func naiveDigest(entries []Entry) Digest {
	root := naiveRoot(entries, 0)
	b := binary.BigEndian.AppendUint64([]byte("PRt1"), uint64(len(entries)))
	return Digest(sha256.Sum256(append(b, root[:]...)))
}

// someIDs makes ids that are uniform, or share long prefixes as dependent rows
// do, or both.
func someIDs(rng *rand.Rand, n int, shape string) []schemas.RowID {
	seen := map[schemas.RowID]bool{}
	var ids []schemas.RowID
	for len(ids) < n {
		var id schemas.RowID
		binary.BigEndian.PutUint64(id[:], rng.Uint64())
		binary.BigEndian.PutUint64(id[8:], rng.Uint64())
		switch {
		case shape == "one prefix", shape == "mixed" && rng.IntN(3) == 0:
			copy(id[:], "\xab\xcd\xef\x01\x23\x45\x67")
		case shape == "few owners":
			binary.BigEndian.PutUint64(id[:], uint64(rng.IntN(5))<<61)
		case shape == "dense":
			clear(id[:13])
		}
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, schemas.RowID.Compare)
	return ids
}

var idShapes = []string{"uniform", "one prefix", "few owners", "mixed", "dense"}

// The streaming trie is the one of the definition, for every number of rows
// around the size of a leaf and every shape of ids.
func TestTrieIsTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, shape := range idShapes {
		for _, n := range []int{0, 1, 2, 255, 256, 257, 258, 512, 513, 3000, 9000} {
			var entries []Entry
			for _, id := range someIDs(rng, n, shape) {
				entries = append(entries, Entry{ID: id, Digest: schemas.Digest{byte(rng.Uint32())}})
			}
			tree := newTrie()
			for _, e := range entries {
				tree.add(e)
			}
			if got, want := tree.digest(), naiveDigest(entries); got != want {
				t.Errorf("%s, %d rows: digest %s, want %s", shape, n, got, want)
			}
		}
	}
}

// A change of any one id or digest changes the table digest.
func TestTrieSeesEveryRow(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	var entries []Entry
	for _, id := range someIDs(rng, 700, "mixed") {
		entries = append(entries, Entry{ID: id})
	}
	want := naiveDigest(entries)
	for i := range entries {
		changed := slices.Clone(entries)
		changed[i].Digest[15] ^= 1
		tree := newTrie()
		for _, e := range changed {
			tree.add(e)
		}
		if tree.digest() == want {
			t.Fatalf("digest does not see row %d", i)
		}
	}
}

// naiveCuts is the cut rule as docs/format.md defines it, recursively.
func naiveCuts(ids []schemas.RowID, size []int64, b Bounds, prefix string) []cut {
	var total int64
	for _, s := range size {
		total += s
	}
	if len(ids) == 0 {
		return nil
	}
	if len(ids) == 1 || int64(len(ids)) <= b.Rows && total <= b.Bytes {
		return []cut{{prefix: prefix, rows: int64(len(ids))}}
	}
	var out []cut
	for _, d := range "0123456789abcdef" {
		p := prefix + string(d)
		var in []schemas.RowID
		var sizes []int64
		for i, id := range ids {
			if strings.HasPrefix(id.String(), p) {
				in, sizes = append(in, id), append(sizes, size[i])
			}
		}
		out = append(out, naiveCuts(in, sizes, b, p)...)
	}
	return out
}

// Parts are cut where the definition cuts them.
func TestCutsAreTheDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	for _, shape := range idShapes {
		for _, n := range []int{0, 1, 2, 10, 500, 2000} {
			for _, b := range []Bounds{{Rows: 1, Bytes: 1 << 40}, {Rows: 7, Bytes: 1 << 40}, {Rows: 1 << 40, Bytes: 900}, {Rows: 100, Bytes: 5000}, {Rows: 1 << 40, Bytes: 1 << 40}} {
				ids := someIDs(rng, n, shape)
				sizes := make([]int64, n)
				c := cutter{bounds: b}
				var counted census
				for i, id := range ids {
					sizes[i] = int64(rng.IntN(200))
					if rng.IntN(50) == 0 {
						sizes[i] = 10000 // out of bounds alone
					}
					c.add(id, sizes[i])
					counted.add(id, sizes[i])
				}
				got, want := c.finish(), naiveCuts(ids, sizes, b, "")
				if !slices.Equal(got, want) {
					t.Fatalf("%s, %d rows, %+v: cuts\n%v, want\n%v", shape, n, b, got, want)
				}
				got, ok := counted.cuts(b)
				if deep := slices.ContainsFunc(want, func(c cut) bool { return len(c.prefix) > censusDigits }); ok == deep && n > 0 {
					t.Fatalf("%s, %d rows, %+v: a census has cuts: %v, want %v", shape, n, b, ok, !deep)
				}
				if ok && !slices.Equal(got, want) {
					t.Fatalf("%s, %d rows, %+v: cuts of a census\n%v, want\n%v", shape, n, b, got, want)
				}
			}
		}
	}
}

// A prefix's range holds its ids and no others.
func TestPrefixRange(t *testing.T) {
	for _, tc := range []struct{ prefix, from, to string }{
		{"", "00", ""}, {"0", "00", "10"}, {"f", "f0", ""}, {"ff", "ff", ""}, {"0f", "0f", "10"}, {"a3f", "a3f0", "a400"}, {"fff7", "fff7", "fff8"},
		{strings.Repeat("f", 32), strings.Repeat("f", 32), ""}, {strings.Repeat("0", 32), "00", strings.Repeat("0", 31) + "1"},
	} {
		from, to, more, err := prefixRange(tc.prefix)
		pad := func(s string) string { return s + strings.Repeat("0", 32-len(s)) }
		if err != nil || from.String() != pad(tc.from) || more != (tc.to != "") || more && to.String() != pad(tc.to) {
			t.Errorf("%q: from %s to %s (%v), %v", tc.prefix, from, to, more, err)
		}
	}
	for _, bad := range []string{"g", "A", strings.Repeat("0", 33)} {
		if _, _, _, err := prefixRange(bad); err == nil {
			t.Errorf("%q is taken for a prefix", bad)
		}
	}
}

// go test -run xxx -bench Trie ./snapshots/parts
func BenchmarkTrie(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	ids := someIDs(rng, 200_000, "uniform")
	b.Run(fmt.Sprint("rows=", len(ids)), func(b *testing.B) {
		for b.Loop() {
			tree := newTrie()
			for _, id := range ids {
				tree.add(Entry{ID: id})
			}
			tree.digest()
		}
		b.ReportMetric(float64(len(ids)*b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
