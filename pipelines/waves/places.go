package waves

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// places are the organizations, departments and groups of a snapshot, which fit
// in memory. Ids are row ids as hex, as reference columns hold them.
type places struct {
	organizations map[string]string // id to alias
	departments   map[string]department
	// departmentNames and groupNames lead from paths and legacy keys to ids.
	departmentNames, groupNames names
}

type department struct {
	parent string
	path   string // with the organization's alias before it
}

// names leads from a name to ids: several where a name is not unique.
type names struct {
	ids   map[string][]string
	paths []string // those that people use
}

func (n *names) add(id, path, key string) {
	if n.ids == nil {
		n.ids = map[string][]string{}
	}
	n.paths = append(n.paths, path)
	n.ids[path] = append(n.ids[path], id)
	if key != path {
		n.ids[key] = append(n.ids[key], id)
	}
}

func readPlaces(ctx context.Context, desired Snapshot) (*places, error) {
	p := &places{organizations: map[string]string{}, departments: map[string]department{}}
	all := schemas.Entities()
	orgs, deps, groups := all[schemas.Organizations], all[schemas.Departments], all[schemas.Groups]
	for row, err := range scan(ctx, desired, orgs, "alias") {
		if err != nil {
			return nil, err
		}
		p.organizations[row.ID.String()] = text(row.Values[orgs.Column("alias")])
	}
	for row, err := range scan(ctx, desired, deps, "organization", "parent", "path") {
		if err != nil {
			return nil, err
		}
		id := row.ID.String()
		d := department{parent: text(row.Values[deps.Column("parent")]),
			path: p.organizations[text(row.Values[deps.Column("organization")])] + text(row.Values[deps.Column("path")])}
		p.departments[id] = d
		p.departmentNames.add(id, d.path, row.Key)
	}
	for row, err := range scan(ctx, desired, groups, "path") {
		if err != nil {
			return nil, err
		}
		p.groupNames.add(row.ID.String(), text(row.Values[groups.Column("path")]), row.Key)
	}
	return p, nil
}

// below adds to a set of departments all that are below one of them.
func (p *places) below(set map[string]bool) {
	for id := range p.departments {
		var way []string
		at := id
		// A cycle in the data ends the way up: each step is taken once.
		for at != "" && !set[at] && len(way) <= len(p.departments) {
			way = append(way, at)
			at = p.departments[at].parent
		}
		if at == "" || !set[at] {
			continue
		}
		for _, d := range way {
			set[d] = true
		}
	}
}

// nameError says what is wrong with a name.
type nameError struct{ what, next string }

// resolve finds what a name stands for.
func (n *names) resolve(kind, name string) (id string, wrong *nameError) {
	ids := slices.Compact(slices.Sorted(slices.Values(n.ids[name])))
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", &nameError{fmt.Sprintf("there is no %s %q", kind, name), n.near(name)}
	}
	return "", &nameError{fmt.Sprintf("%d %ss are named %q", len(ids), kind, name), "name it by its legacy key"}
}

// near suggests what may have been meant: names much like it, else those that
// end like it, else what names look like.
func (n *names) near(name string) string {
	if hint := transform.NearHint(name, n.paths); hint != "" {
		return hint
	}
	last := name[strings.LastIndex(name, "/")+1:]
	var like []string
	for _, p := range slices.Sorted(slices.Values(n.paths)) {
		if last != "" && strings.HasSuffix(strings.ToLower(p), "/"+strings.ToLower(last)) {
			like = append(like, "`"+p+"`")
		}
	}
	switch {
	case len(like) > 0:
		return "did you mean " + strings.Join(like[:min(3, len(like))], " or ") + "?"
	case len(n.paths) > 0:
		return fmt.Sprintf("names are written as in `%s`, or give the legacy key", slices.Min(n.paths))
	}
	return "the newest desired snapshot has none at all"
}
