package keymate

import (
	"context"
	"net/url"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/parallelrun/parallelrun/load"
	"github.com/parallelrun/parallelrun/schemas"
)

// census is who is who among the organizations, departments and groups of the
// realm: read whole at the start of an observation, since they are few beside
// the users and users refer to them.
type census struct {
	organizations []organizationRep
	departments   map[string]*groupTree // by organization
	groups        *groupTree

	names map[string]identity // by target id
	taken map[schemas.RowID]bool
}

// identity is the row that an object of the target is.
type identity struct {
	id  schemas.RowID
	key string // empty: nobody's
}

// name returns the row of an object; one that was made since the census is
// nobody's yet.
func (c *census) name(_, targetID string) (schemas.RowID, string) {
	if n, ok := c.names[targetID]; ok {
		return n.id, n.key
	}
	return load.ForeignRowID(targetID), ""
}

// structure takes the census and, if the scope asks for it, hands the rows on.
func (o *observer) structure(ctx context.Context) error {
	if err := o.takeCensus(ctx); err != nil {
		return err
	}
	o.identify()
	if !o.scope.Structure {
		return nil
	}
	return o.emitStructure()
}

func (o *observer) takeCensus(ctx context.Context) error {
	c := &o.census
	var err error
	if c.groups, err = o.target.realmGroups(ctx); err != nil {
		return err
	}
	if c.organizations, err = o.target.organizations(ctx); err != nil {
		return err
	}
	c.departments = make(map[string]*groupTree, len(c.organizations))
	var mu sync.Mutex
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(o.target.cfg.Concurrency)
	for _, org := range c.organizations {
		work.Go(func() error {
			tree, err := o.target.organizationGroups(ctx, org.ID)
			mu.Lock()
			defer mu.Unlock()
			c.departments[org.ID] = tree
			return err
		})
	}
	return work.Wait()
}

// organizations reads them all; without a number the server gives ten.
func (t *Target) organizations(ctx context.Context) ([]organizationRep, error) {
	var all []organizationRep
	q := url.Values{"briefRepresentation": {"false"}, "first": {"0"}, "max": {everything}}
	err := list(ctx, t.http, "list the organizations", "/organizations", q, func(o organizationRep) error {
		all = append(all, o)
		return nil
	})
	return all, err
}

// identify decides whose each object is: by the id map first, then by its
// anchor. An anchor that another object has taken already (a copy made by
// hand) makes it nobody's.
func (o *observer) identify() {
	c := &o.census
	c.names, c.taken = map[string]identity{}, map[schemas.RowID]bool{}
	type object struct{ table, id, anchor string }
	var all []object
	for _, org := range c.organizations {
		all = append(all, object{schemas.Organizations, org.ID, first(org.Attributes[anchorAttribute])})
	}
	for _, tree := range c.departments {
		for id, g := range tree.byID {
			all = append(all, object{schemas.Departments, id, first(g.Attributes[anchorAttribute])})
		}
	}
	for id, g := range c.groups.byID {
		all = append(all, object{schemas.Groups, id, first(g.Attributes[anchorAttribute])})
	}
	slices.SortFunc(all, func(a, b object) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	for _, x := range all {
		if o.scope.IDs == nil {
			break
		}
		if id, key, ok := o.scope.IDs.RowID(x.id); ok {
			c.names[x.id], c.taken[id] = identity{id, key}, true
		}
	}
	for _, x := range all {
		if _, known := c.names[x.id]; known {
			continue
		}
		id := schemas.NewRowID(o.target.cfg.Namespace, x.table, x.anchor)
		if x.anchor == "" || c.taken[id] {
			c.names[x.id] = identity{id: load.ForeignRowID(x.id)}
			continue
		}
		c.names[x.id], c.taken[id] = identity{id, x.anchor}, true
	}
}

func (o *observer) emitStructure() error {
	c := &o.census
	for i := range c.organizations {
		org := &c.organizations[i]
		if err := o.row(schemas.Organizations, o.readOrganization(org), org.ID); err != nil {
			return err
		}
		tree := c.departments[org.ID]
		for id := range tree.byID {
			if err := o.row(schemas.Departments, o.readDepartment(org.ID, tree, id), id); err != nil {
				return err
			}
		}
	}
	for id := range c.groups.byID {
		if err := o.row(schemas.Groups, o.readGroup(c.groups, id), id); err != nil {
			return err
		}
	}
	return nil
}

func (o *observer) readOrganization(org *organizationRep) schemas.Row {
	const tb = schemas.Organizations
	me := o.census.names[org.ID]
	row := blankRow(tb, me.id, me.key)
	put(tb, row, "alias", org.Alias)
	put(tb, row, "name", org.Name)
	put(tb, row, "description", org.Description)
	var domains []string
	for _, d := range org.Domains {
		domains = append(domains, d.Name)
	}
	put(tb, row, "domains", domains)
	put(tb, row, "enabled", org.Enabled)
	put(tb, row, "realm_roles", org.Attributes[realmRolesAttribute])
	put(tb, row, "properties", ownAttributes(org.Attributes))
	put(tb, row, "property_template", first(org.Attributes[propertyTemplateAttribute]))
	return row
}

func (o *observer) readDepartment(organization string, tree *groupTree, id string) schemas.Row {
	const tb = schemas.Departments
	me, g := o.census.names[id], tree.byID[id]
	row := blankRow(tb, me.id, me.key)
	put(tb, row, "organization", o.census.names[organization].id.String())
	if p := tree.parent(id); p != "" {
		put(tb, row, "parent", o.census.names[p].id.String())
	}
	put(tb, row, "name", g.Name)
	put(tb, row, "path", tree.path(id))
	put(tb, row, "external_ids", readExternalIDs(g.Attributes))
	put(tb, row, "realm_roles", g.RealmRoles)
	put(tb, row, "client_roles", asSets(g.ClientRoles))
	put(tb, row, "attributes", ownAttributes(g.Attributes))
	put(tb, row, "template", first(g.Attributes[templateAttribute]))
	return row
}

func (o *observer) readGroup(tree *groupTree, id string) schemas.Row {
	const tb = schemas.Groups
	me, g := o.census.names[id], tree.byID[id]
	row := blankRow(tb, me.id, me.key)
	if p := tree.parent(id); p != "" {
		put(tb, row, "parent", o.census.names[p].id.String())
	}
	put(tb, row, "name", g.Name)
	put(tb, row, "path", tree.path(id))
	put(tb, row, "attributes", ownAttributes(g.Attributes))
	return row
}

func readExternalIDs(attributes map[string][]string) map[string][]string {
	out := map[string][]string{}
	for name, list := range asSets(attributes) {
		if len(name) > len(externalIDPrefix) && name[:len(externalIDPrefix)] == externalIDPrefix {
			out[name[len(externalIDPrefix):]] = list
		}
	}
	return out
}
