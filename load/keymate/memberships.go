package keymate

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// encodedMembership is what Keycloak has no place for in a membership: one
// compact JSON text per membership in an attribute of the user. Organization
// and department are row ids, the same in every target.
type encodedMembership struct {
	Organization string              `json:"o"`
	Department   string              `json:"d,omitempty"`
	Roles        []string            `json:"roles,omitempty"`
	Attributes   map[string][]string `json:"attributes,omitempty"`
	Default      bool                `json:"default,omitempty"`
}

func membershipOf(row schemas.Row) encodedMembership {
	const tb = schemas.Memberships
	return encodedMembership{
		Organization: text(tb, row, "organization"), Department: text(tb, row, "department"),
		Roles: texts(tb, row, "roles"), Attributes: textMap(tb, row, "attributes"), Default: flag(tb, row, "is_default"),
	}
}

func (m *encodedMembership) plain() bool {
	return len(m.Roles) == 0 && len(m.Attributes) == 0 && !m.Default
}

// projectMemberships normalises a user's memberships; roles, attributes and the
// default flag are encoded, in at most limit UTF-16 units each.
func projectMemberships(rows []schemas.Row, limit int) ([]schemas.Row, []load.Note) {
	const tb = schemas.Memberships
	n := &notes{table: tb}
	var out []schemas.Row
	for _, row := range rows {
		m := membershipOf(row)
		p := blankRow(tb, row.ID, row.Key)
		put(tb, p, "user", text(tb, row, "user"))
		put(tb, p, "organization", m.Organization)
		put(tb, p, "department", m.Department)
		put(tb, p, "roles", cleanSet(m.Roles, "roles", n))
		put(tb, p, "attributes", cleanSets(m.Attributes, n))
		put(tb, p, "is_default", m.Default)
		for _, c := range []string{"roles", "attributes", "is_default"} {
			if v := cell(tb, p, c); v != nil && v != false {
				n.add(load.Kept, c, "kept in an attribute of the user")
			}
		}
		if e := membershipOf(p); units(e.encode()) > limit {
			n.add(load.LeftOut, "attributes", "too long for the attribute that keeps it")
			put(tb, p, "attributes", map[string][]string(nil))
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b schemas.Row) int { return a.ID.Compare(b.ID) })
	return out, n.list
}

// maxMembershipValue is what Prepare declares for the attribute.
const maxMembershipValue = 64 << 10

func cleanSet(list []string, column string, n *notes) []string {
	return slices.DeleteFunc(asSet(list), func(s string) bool {
		if hasNUL(s) {
			n.add(load.LeftOut, column, "holds a NUL character, which the target's database refuses")
		}
		return hasNUL(s)
	})
}

func cleanSets(m map[string][]string, n *notes) map[string][]string {
	out := map[string][]string{}
	for _, name := range sortedKeys(m) {
		if list := cleanSet(m[name], "attributes", n); len(list) > 0 && !hasNUL(name) {
			out[name] = list
		}
	}
	return out
}

func (m *encodedMembership) encode() string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic("keymate: encode a membership: " + err.Error()) // strings and maps of them
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// encodeMemberships makes the attribute's values, sorted. A membership of an
// organization alone is written down as well where departments of the same one
// would hide it.
func encodeMemberships(rows []schemas.Row) []string {
	inDepartment := map[string]bool{}
	for _, row := range rows {
		if m := membershipOf(row); m.Department != "" {
			inDepartment[m.Organization] = true
		}
	}
	var values []string
	for _, row := range rows {
		m := membershipOf(row)
		if !m.plain() || m.Department == "" && inDepartment[m.Organization] {
			values = append(values, m.encode())
		}
	}
	slices.Sort(values)
	return values
}

// decodeMemberships reads the attribute; values that are none of ours are
// passed over, as a person may have written there.
func decodeMemberships(values []string) map[[2]string]encodedMembership {
	found := map[[2]string]encodedMembership{}
	for _, v := range values {
		var m encodedMembership
		if json.Unmarshal([]byte(v), &m) == nil && m.Organization != "" {
			found[[2]string{m.Organization, m.Department}] = m
		}
	}
	return found
}

// place is one membership that the target has.
type place struct {
	organization, department       string // row ids as hex
	organizationKey, departmentKey string
}

// readMemberships makes the rows of a user's memberships: what the server
// knows, completed by what the attribute keeps. In every organization without
// departments there is the membership of the organization alone.
func readMemberships(user schemas.RowID, userKey string, places []place, attribute []string) []schemas.Row {
	encoded := decodeMemberships(attribute)
	inDepartment := map[string]bool{}
	for _, p := range places {
		if p.department != "" {
			inDepartment[p.organization] = true
		}
	}
	var rows []schemas.Row
	for _, p := range places {
		m, kept := encoded[[2]string{p.organization, p.department}]
		if p.department == "" && inDepartment[p.organization] && !kept {
			continue
		}
		rows = append(rows, membershipRow(user, userKey, p, m))
	}
	slices.SortFunc(rows, func(a, b schemas.Row) int { return a.ID.Compare(b.ID) })
	return rows
}

func membershipRow(user schemas.RowID, userKey string, p place, m encodedMembership) schemas.Row {
	const tb = schemas.Memberships
	row := blankRow(tb, schemas.MembershipID(user, p.organization, p.department),
		schemas.MembershipKey(userKey, p.organizationKey, p.departmentKey))
	put(tb, row, "user", user.String())
	put(tb, row, "organization", p.organization)
	put(tb, row, "department", p.department)
	put(tb, row, "roles", m.Roles)
	put(tb, row, "attributes", asSets(m.Attributes))
	put(tb, row, "is_default", m.Default)
	return row
}
