package config

// LDIF is a directory exported to files.
type LDIF struct {
	// Files are paths or patterns, read in this order.
	Files []string `json:"files"`
	// Tables: an entry belongs to the first whose conditions it meets; one that
	// meets none's goes to the table CatchAllTable.
	Tables []LDIFTable `json:"tables"`
	// SecretAttributes are secret in every table, beside those known by name.
	SecretAttributes []string `json:"secretAttributes,omitempty"`
	MaxLine          Size     `json:"maxLine,omitempty"`  // zero: the reader's own
	MaxEntry         Size     `json:"maxEntry,omitempty"` // zero: the reader's own
}

// CatchAllTable takes the entries that no table of the configuration takes.
const CatchAllTable = "entries"

// LDIFTable is one kind of entries.
type LDIFTable struct {
	Name  string    `json:"name"`
	Where LDIFWhere `json:"where"`
	// Key names the attribute that identifies an entry for good; "dn" is
	// possible and mutable.
	Key string `json:"key"`
	// KeyCase: exact or fold. Empty: exact.
	KeyCase string `json:"keyCase,omitempty"`
	// OnMissingKey: error or entries. Empty: error.
	OnMissingKey string `json:"onMissingKey,omitempty"`
	// Columns gives attributes a column of their own: name to type. All other
	// attributes are kept in the column `other`.
	Columns map[string]string `json:"columns,omitempty"`
}

// LDIFWhere are conditions that must all hold; none hold for every entry.
type LDIFWhere struct {
	ObjectClass []string `json:"objectClass,omitempty"` // any of
	Under       string   `json:"under,omitempty"`       // this DN or one above the entry's
	RDN         string   `json:"rdn,omitempty"`         // attribute of the entry's own name
}

// IsZero reports whether there is no condition.
func (w LDIFWhere) IsZero() bool { return len(w.ObjectClass) == 0 && w.Under == "" && w.RDN == "" }
