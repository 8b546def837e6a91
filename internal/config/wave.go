package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Wave says which users move together: those who meet all of its criteria. Of
// one criterion's values any will do.
type Wave struct {
	Name string `json:"name"`
	// Departments are organization/path or legacy keys; whoever is in a
	// department below counts too.
	Departments []string `json:"departments,omitempty"`
	// Groups are paths or legacy keys; members of a group below do not count.
	Groups []string `json:"groups,omitempty"`
	// Keys and the lines of KeysFile are users' legacy keys: one criterion.
	Keys     []string `json:"keys,omitempty"`
	KeysFile string   `json:"keysFile,omitempty"`
	// Percent is the share of all users; zero: no such criterion.
	Percent Percent `json:"percent,omitempty"`
	// Where is a CEL expression over the user.
	Where string `json:"where,omitempty"`
}

// IsZero reports whether the wave has no criterion.
func (w Wave) IsZero() bool {
	return len(w.Departments)+len(w.Groups)+len(w.Keys) == 0 && w.KeysFile == "" && w.Percent == 0 && w.Where == ""
}

// Percent is a share in millionths: 12.5 % is 125,000. It is read from a number
// of percent with at most four decimals.
type Percent int64

// Whole is all of something.
const Whole Percent = 1_000_000

// UnmarshalJSON reads a number of percent, exactly.
func (p *Percent) UnmarshalJSON(data []byte) error {
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	whole, decimals, _ := strings.Cut(n.String(), ".")
	if len(decimals) > 4 {
		return fmt.Errorf("%s %%: want at most four decimals", n)
	}
	v, err := strconv.ParseInt(whole+decimals+strings.Repeat("0", 4-len(decimals)), 10, 64)
	if err != nil || v <= 0 || v > int64(Whole) {
		return fmt.Errorf("%s %%: want a number over 0 and at most 100", n)
	}
	*p = Percent(v)
	return nil
}

// MarshalJSON writes the number of percent.
func (p Percent) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

// String is the number of percent, without the sign.
func (p Percent) String() string {
	text := fmt.Sprintf("%d.%04d", p/10_000, p%10_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// waveRules checks names and that each wave asks for something.
func (c *Config) waveRules(migration string, m Migration) (ps Problems) {
	seen := map[string]bool{}
	for i, w := range m.Waves {
		p := wavePath(migration, i)
		if name := p.child("name"); seen[w.Name] {
			ps = append(ps, c.doc.problem(c.doc.locate(name), name, fmt.Sprintf("a second wave is named %q", w.Name), "give each wave its own name"))
		}
		seen[w.Name] = true
		if w.IsZero() {
			ps = append(ps, c.doc.problem(c.doc.locate(p), p, fmt.Sprintf("wave %q does not say which users it takes", w.Name),
				"add departments, groups, keys, keysFile, percent or where; `percent: 100` takes all who are left"))
		}
	}
	return ps
}

func wavePath(migration string, i int) path {
	return path{"migrations", migration, "waves", strconv.Itoa(i)}
}

// WaveProblem is what is wrong with a criterion of a migration's wave (counted
// from 0), with its place in the file.
func (c *Config) WaveProblem(migration string, wave int, criterion, what, next string) *Problem {
	p := wavePath(migration, wave).child(criterion)
	return c.doc.problem(c.doc.locate(p), p, what, next)
}
