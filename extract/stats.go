package extract

// Reporter is a Source that can tell more about what it read. Both methods
// speak of the last Read that came to its end; before that of the
// configuration alone.
type Reporter interface {
	Source
	Stats() Stats
	// Warnings are sentences for the operator: what is read all the same, but
	// deserves a look. They hold no values.
	Warnings() []string
}

// Stats counts what a Read saw. Entries is the sum of all Rows: a source drops
// nothing.
type Stats struct {
	Files   int                   `json:"files"`
	Entries int64                 `json:"entries"`
	Bytes   int64                 `json:"bytes"`
	Tables  map[string]TableStats `json:"tables"`
}

// TableStats counts one table. The maps are keyed by attribute name and count
// rows, not values.
type TableStats struct {
	Rows int64 `json:"rows"`
	// Sealed: secret by its name or by the configuration.
	Sealed map[string]int64 `json:"sealed,omitempty"`
	// SealedByPattern: a value looked like a secret, so the attribute's values
	// of that row stand in the other_sealed column.
	SealedByPattern map[string]int64 `json:"sealed_by_pattern,omitempty"`
	// Misfits: values that do not fit the declared type, so they stand in the
	// other column, and the row says so in its problems column.
	Misfits map[string]int64 `json:"misfits,omitempty"`
	// Unread: rows that could not be read. They stand in the table all the same,
	// with the reason in its unread column, and are rejected by the mapping.
	Unread int64 `json:"unread,omitempty"`
}
