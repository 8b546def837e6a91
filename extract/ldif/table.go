package ldif

import (
	"bytes"
	"strings"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/secrets"
	"github.com/parallelrun/parallelrun/internal/dn"
)

// table is a table compiled from its configuration. It is not written to once
// compiled, so that several Reads may share it.
type table struct {
	spec  extract.TableSpec
	where Where
	under dn.DN
	// keys are the attributes that may identify a row, in lower case, by rank.
	keys []string
	fold bool
	// strayKeyless sends entries without a key to the catch-all table; there,
	// to the dn as their key.
	strayKeyless bool
	columns      map[string]int // attribute in lower case to column
	secret       map[string]bool
	problems     int // column
	other        int // column
	otherSealed  int // column
}

// isSecret reports whether an attribute (in lower case) is a secret by its
// name; options do not make it another.
func (t *table) isSecret(low string) bool {
	base, _, _ := strings.Cut(low, ";")
	return t.secret[low] || t.secret[base] || secrets.Named(base)
}

// matches reports whether the entry meets the table's condition.
func (t *table) matches(e *Entry) (bool, error) {
	if len(t.where.ObjectClass) > 0 && !hasClass(e, t.where.ObjectClass) {
		return false, nil
	}
	if t.where.Under == "" && t.where.RDN == "" {
		return true, nil
	}
	name, err := dn.Parse(e.DN)
	if err != nil {
		return false, err
	}
	if t.where.Under != "" && !name.Below(t.under) {
		return false, nil
	}
	return t.where.RDN == "" || len(name) > 0 && hasRDN(name[0], t.where.RDN), nil
}

func hasRDN(r dn.RDN, attr string) bool {
	for _, a := range r {
		if strings.EqualFold(a.Type, attr) {
			return true
		}
	}
	return false
}

func hasClass(e *Entry, classes []string) bool {
	for _, v := range e.Values {
		if !strings.EqualFold(v.Name, ObjectClassColumn) {
			continue
		}
		for _, c := range classes {
			if bytes.EqualFold(v.Data, []byte(c)) {
				return true
			}
		}
	}
	return false
}
