package config

// LDIF is a directory exported to files.
type LDIF struct {
	// Files are paths or patterns, read in this order.
	Files []string `json:"files"`
	// Tables: an entry belongs to the first whose conditions it meets.
	Tables []LDIFTable `json:"tables"`
	// Secrets names further attributes whose values are secret, in every table.
	Secrets []string `json:"secrets,omitempty"`
}

// LDIFTable is one kind of entries.
type LDIFTable struct {
	Name  string    `json:"name"`
	Where LDIFWhere `json:"where"`
	// Key names the attribute that identifies an entry for good; "dn" is
	// possible and mutable.
	Key string `json:"key"`
	// KeyCase: exact or ignore. Empty: exact.
	KeyCase string `json:"keyCase,omitempty"`
	// Columns gives attributes a column of their own: name to type. All other
	// attributes are kept in the column `other`.
	Columns map[string]string `json:"columns,omitempty"`
}

// LDIFWhere are conditions that must all hold; none hold for every entry.
type LDIFWhere struct {
	ObjectClass []string `json:"objectClass,omitempty"` // any of
	Base        string   `json:"base,omitempty"`        // this DN or below
}
