package keymate

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/load"
)

// groupTree is all groups of the realm, or of one organization.
type groupTree struct {
	byID map[string]*groupRep
}

// everything asks for a whole listing at once: pages are ordered by name
// alone, so that equal names could be missed at their seams.
const everything = "2147483647"

// realmGroups reads all groups of the realm in one flat listing.
func (t *Target) realmGroups(ctx context.Context) (*groupTree, error) {
	return t.groupTree(ctx, "list the realm's groups", "/groups", url.Values{"populateHierarchy": {"false"}})
}

// organizationGroups reads all groups of an organization. A search for "*" is
// the one listing that gives every level with its attributes and roles.
func (t *Target) organizationGroups(ctx context.Context, organization string) (*groupTree, error) {
	return t.groupTree(ctx, "list an organization's groups", "/organizations/"+url.PathEscape(organization)+"/groups", url.Values{})
}

func (t *Target) groupTree(ctx context.Context, op, path string, q url.Values) (*groupTree, error) {
	q.Set("search", "*")
	q.Set("briefRepresentation", "false")
	q.Set("first", "0")
	q.Set("max", everything)
	tree := &groupTree{byID: map[string]*groupRep{}}
	err := list(ctx, t.http, op, path, q, func(g groupRep) error {
		tree.byID[g.ID] = &g
		return nil
	})
	if err == nil && len(tree.byID) == 0 {
		err = t.reallyEmpty(ctx, op, path)
	}
	return tree, err
}

// reallyEmpty looks again in another way when a search for "*" found nothing:
// a server that took the star for itself would make everything look absent.
func (t *Target) reallyEmpty(ctx context.Context, op, path string) error {
	var some []groupRep
	err := t.http.get(ctx, op, path, url.Values{"first": {"0"}, "max": {"1"}}, &some)
	if err == nil && len(some) > 0 {
		err = &load.Error{Class: load.Setup, Op: op, Message: `a search for "*" finds nothing although there are groups`,
			Hint: "this release of the server is not one that the dialect was tested with"}
	}
	return err
}

// parent returns the parent's id; empty for a group of the first level, whose
// parent is an organization's hidden root or none.
func (t *groupTree) parent(id string) string {
	g := t.byID[id]
	if g == nil || t.byID[g.ParentID] == nil {
		return ""
	}
	return g.ParentID
}

func (t *groupTree) namesFromRoot(id string) []string {
	var names []string
	for seen := 0; id != "" && seen <= len(t.byID); seen++ {
		names = append(names, t.byID[id].Name)
		id = t.parent(id)
	}
	slices.Reverse(names)
	return names
}

// path is the one in our tables: a slash in a name is written ~/.
func (t *groupTree) path(id string) string {
	var b strings.Builder
	for _, n := range t.namesFromRoot(id) {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(n, "/", "~/"))
	}
	return b.String()
}

// children of a group, or of the first level for an empty id.
func (t *groupTree) children(id string) []*groupRep {
	var out []*groupRep
	for _, g := range t.byID {
		if t.parent(g.ID) == id {
			out = append(out, g)
		}
	}
	return out
}
