package load

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/snapshots"
)

// Role is a role of the target: of the realm, or of a client.
type Role struct {
	Client string `json:"client,omitempty"` // empty: the realm's
	Name   string `json:"name"`
}

// String is the role's name, for one of a client after the client's and a
// slash. A slash in a name is written ~/, a tilde ~~, so that no two roles read
// alike.
func (r Role) String() string {
	name := roleEscape.Replace(r.Name)
	if r.Client == "" {
		return name
	}
	return roleEscape.Replace(r.Client) + "/" + name
}

var roleEscape = strings.NewReplacer("~", "~~", "/", "~/")

func compareRoles(a, b Role) int {
	return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Name, b.Name))
}

// RoleGraph is what a target knows of roles beside the rows of our tables. A
// plan changes none of it.
type RoleGraph struct {
	// Composites holds, for each role that contains others, those it contains
	// itself; they may contain more.
	Composites map[Role][]Role
	// Groups holds the roles given to the realm's groups, by row id
	// (ForeignRowID for groups that are nobody's).
	Groups map[schemas.RowID][]Role
	// Unread names what the target did not let us look at, one clause each.
	Unread []string
}

// RoleReader is a Target that can say what its roles contain and what its
// groups grant. Without it both count for nothing, and access is understated.
type RoleReader interface {
	// RoleGraph reads the graph. It writes nothing. Clients are those whose
	// roles rows name; further ones may be added.
	RoleGraph(ctx context.Context, ids IDs, clients []string) (*RoleGraph, error)
}

// graphFile is a role graph as it is stored beside a plan.
type graphFile struct {
	Version    int              `json:"version"`
	Composites []compositeEntry `json:"composites,omitempty"`
	Groups     []groupEntry     `json:"groups,omitempty"`
	Unread     []string         `json:"unread,omitempty"`
}

type compositeEntry struct {
	Role     Role   `json:"role"`
	Contains []Role `json:"contains"`
}

type groupEntry struct {
	ID    string `json:"id"`
	Roles []Role `json:"roles"`
}

func (g *RoleGraph) file() graphFile {
	out := graphFile{Version: 1, Unread: slices.Compact(slices.Sorted(slices.Values(g.Unread)))}
	for _, r := range slices.SortedFunc(maps.Keys(g.Composites), compareRoles) {
		out.Composites = append(out.Composites, compositeEntry{r, sortedRoles(g.Composites[r])})
	}
	for _, id := range slices.SortedFunc(maps.Keys(g.Groups), schemas.RowID.Compare) {
		if roles := g.Groups[id]; len(roles) > 0 {
			out.Groups = append(out.Groups, groupEntry{id.String(), sortedRoles(roles)})
		}
	}
	return out
}

func sortedRoles(roles []Role) []Role {
	return slices.Compact(slices.SortedFunc(slices.Values(roles), compareRoles))
}

func (f *graphFile) graph() (*RoleGraph, error) {
	g := &RoleGraph{Composites: map[Role][]Role{}, Groups: map[schemas.RowID][]Role{}, Unread: f.Unread}
	for _, c := range f.Composites {
		g.Composites[c.Role] = c.Contains
	}
	for _, e := range f.Groups {
		id, err := schemas.ParseRowID(e.ID)
		if err != nil {
			return nil, err
		}
		g.Groups[id] = e.Roles
	}
	return g, nil
}

// rolesFile is the role graph that a plan's access was computed with. A plan
// that is made again for the same run, after a crash, reads it instead of the
// target, which may have changed meanwhile.
const rolesFile = "roles.json"

// storedGraph returns the graph that the run keeps, asking the target if there
// is none yet.
func storedGraph(ctx context.Context, files Files, run string, ask func() (*RoleGraph, error)) (*RoleGraph, PlanFile, error) {
	pf := PlanFile{File: rolesFile, Lines: 1}
	data, err := files.ReadFile(ctx, planKey(run, rolesFile))
	if errors.Is(err, snapshots.ErrNotFound) {
		if data, err = askGraph(ask); err == nil {
			err = files.PutFile(ctx, planKey(run, rolesFile), data)
		}
	}
	if err != nil {
		return nil, pf, fmt.Errorf("roles of the target: %w", err)
	}
	pf.SHA256 = sha256.Sum256(data)
	var f graphFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, pf, fmt.Errorf("plan of run %s: %s: %w: %v", run, rolesFile, ErrPlanDamaged, err)
	}
	if f.Version != 1 {
		return nil, pf, fmt.Errorf("plan of run %s: %s: version %d, this program reads 1 (make a new plan)", run, rolesFile, f.Version)
	}
	g, err := f.graph()
	return g, pf, err
}

func askGraph(ask func() (*RoleGraph, error)) ([]byte, error) {
	g, err := ask()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(g.file())
	return append(data, '\n'), err
}

// contents closes a graph over composites of composites, role by role.
type contents struct {
	graph *RoleGraph
	known map[Role][]Role
}

// of returns all that a role contains, itself left out, sorted. Roles may
// contain each other in circles.
func (c *contents) of(r Role) []Role {
	if out, ok := c.known[r]; ok {
		return out
	}
	seen := map[Role]bool{r: true}
	var out []Role
	for queue := []Role{r}; len(queue) > 0; queue = queue[1:] {
		for _, in := range c.graph.Composites[queue[0]] {
			if !seen[in] {
				seen[in] = true
				out = append(out, in)
				queue = append(queue, in)
			}
		}
	}
	slices.SortFunc(out, compareRoles)
	c.known[r] = out
	return out
}
