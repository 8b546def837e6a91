package parts

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/parallelrun/parallelrun/schemas"
)

// Entry is a row's id and digest.
type Entry struct {
	ID     schemas.RowID
	Digest schemas.Digest
}

// Tags keep hashes of different things apart.
const (
	tagLeaf  = "PRl1"
	tagNode  = "PRn1"
	tagTable = "PRt1"
)

// leafRows is the most rows a leaf of the trie holds. It is part of the format.
const leafRows = 256

// trie computes the Merkle trie over entries that come in order of their ids.
// A prefix with more than leafRows entries is a node of 16 children, one per
// next hex digit; a smaller one a leaf. It holds one leaf and one path of
// nodes, whatever the number of rows.
type trie struct {
	h    hash.Hash
	buf  []Entry // entries not hashed yet, from start on
	at   int
	rows int64
	open []node // nodes on the way to buf[at], by depth
}

type node [16][sha256.Size]byte // all zero: no such child

func newTrie() *trie { return &trie{h: sha256.New()} }

// add takes the next entry. With leafRows+1 entries at hand, those prefixes of
// the first that reach the last are known to be nodes, and all others under it
// leaves.
func (t *trie) add(e Entry) {
	t.rows++
	t.buf = append(t.buf, e)
	if len(t.buf)-t.at <= leafRows {
		return
	}
	deep := sharedDigits(t.buf[t.at].ID, e.ID)
	for len(t.open) <= deep {
		t.open = append(t.open, node{})
	}
	t.leaf()
}

// leaf hashes the entries of the leaf that begins at t.at and closes the nodes
// that end with it.
func (t *trie) leaf() {
	first := t.buf[t.at].ID
	depth := len(t.open) - 1 // of the node the leaf hangs on
	n := 1
	for t.at+n < len(t.buf) && sharedDigits(first, t.buf[t.at+n].ID) > depth {
		n++
	}
	sum := t.leafHash(t.buf[t.at : t.at+n])
	t.open[depth][digit(first, depth)] = sum
	t.at += n
	if t.at < len(t.buf) {
		t.closeBelow(first, sharedDigits(first, t.buf[t.at].ID))
	}
	if t.at > 16*leafRows {
		t.buf = append(t.buf[:0], t.buf[t.at:]...)
		t.at = 0
	}
}

// closeBelow hashes the open nodes deeper than depth, all on the way to id,
// into their parents.
func (t *trie) closeBelow(id schemas.RowID, depth int) {
	for last := len(t.open) - 1; last > depth; last-- {
		sum := t.nodeHash(&t.open[last])
		t.open = t.open[:last]
		t.open[last-1][digit(id, last-1)] = sum
	}
}

// digest ends the trie and returns the table digest.
func (t *trie) digest() Digest {
	var root [sha256.Size]byte
	switch {
	case len(t.open) == 0:
		root = t.leafHash(t.buf[t.at:])
	default:
		var last schemas.RowID
		for t.at < len(t.buf) {
			last = t.buf[t.at].ID
			t.leaf()
		}
		t.closeBelow(last, 0)
		root = t.nodeHash(&t.open[0])
	}
	t.h.Reset()
	t.h.Write([]byte(tagTable))
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(t.rows))
	t.h.Write(n[:])
	t.h.Write(root[:])
	return Digest(t.sum())
}

func (t *trie) leafHash(entries []Entry) [sha256.Size]byte {
	t.h.Reset()
	t.h.Write([]byte(tagLeaf))
	for i := range entries {
		t.h.Write(entries[i].ID[:])
		t.h.Write(entries[i].Digest[:])
	}
	return t.sum()
}

func (t *trie) nodeHash(n *node) [sha256.Size]byte {
	t.h.Reset()
	t.h.Write([]byte(tagNode))
	for i := range n {
		t.h.Write(n[i][:])
	}
	return t.sum()
}

func (t *trie) sum() (sum [sha256.Size]byte) {
	t.h.Sum(sum[:0])
	return sum
}

// digit is the i-th hex digit of an id.
func digit(id schemas.RowID, i int) byte {
	if i%2 == 0 {
		return id[i/2] >> 4
	}
	return id[i/2] & 15
}

// idDigits is how many hex digits an id has.
const idDigits = 2 * len(schemas.RowID{})

// sharedDigits is how many leading hex digits two ids share.
func sharedDigits(a, b schemas.RowID) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			if x>>4 != 0 {
				return 2 * i
			}
			return 2*i + 1
		}
	}
	return idDigits
}
