package schemas

// Row is one record outside of Arrow. Values align with the table's Columns
// and hold the Go types listed at Type, nil for null. Key is the legacy key,
// never empty in stages legacy and desired.
type Row struct {
	ID     RowID
	Key    string
	Values []any
	// Large lists values that were left as objects of their own when the row
	// was read; their cells (or elements) are null. Rows made in memory carry
	// whole values and no Large.
	Large []LargeRef
}

// Digest is a row's digest: SHA-256 over its canonical encoding, cut to 128
// bits.
type Digest [16]byte
