package load

import (
	"context"
	"slices"
	"strings"

	"github.com/parallelrun/parallelrun/schemas"
)

// places is the structure of one state, with what it grants to those in it.
type places struct {
	contents *contents
	of       map[string]map[schemas.RowID]*place // by table
}

// place is an organization, a department or a realm group.
type place struct {
	label  string // "organization Meridian", "department Meridian/Finance", "group /staff"
	name   string // the same without its kind
	shut   bool   // a disabled organization: nothing comes through it
	own    []heldRole
	up     schemas.RowID // parent; zero: none
	in     schemas.RowID // a department's organization
	grants []Grant       // all that comes through it, once known
	known  bool
}

// heldRole is a role that somebody or something holds itself.
type heldRole struct {
	role    Role
	encoded bool
}

// structure reads the places of both states, and what the target says of roles.
func (d *accessDiff) structure(ctx context.Context) error {
	rows := map[string][2]map[schemas.RowID]schemas.Row{}
	for _, table := range []string{schemas.Organizations, schemas.Departments, schemas.Groups} {
		before, after, err := d.structureRows(ctx, table)
		if err != nil {
			return err
		}
		rows[table] = [2]map[schemas.RowID]schemas.Row{before, after}
	}
	graph, err := d.graph(ctx, rows[schemas.Departments])
	if err != nil {
		return err
	}
	inside := &contents{graph: graph, known: map[Role][]Role{}}
	for i, at := range []**places{&d.before, &d.after} {
		p := &places{contents: inside, of: map[string]map[schemas.RowID]*place{}}
		p.organizations(d, rows[schemas.Organizations][i])
		p.departments(d, rows[schemas.Departments][i])
		p.groups(d, rows[schemas.Groups][i])
		*at = p
	}
	return nil
}

// structureRows returns a structure table as the target holds it now and as it
// will: what is effective, and what is left alone beside it.
func (d *accessDiff) structureRows(ctx context.Context, table string) (before, after map[schemas.RowID]schemas.Row, err error) {
	shape := d.shapes[table]
	base, err := newReader(d.in.Base, &shape).readAll(ctx)
	if err != nil {
		return nil, nil, err
	}
	if after, err = newReader(d.in.Effective, &shape).readAll(ctx); err != nil {
		return nil, nil, err
	}
	observed := newReader(d.in.Observed, &shape)
	before = base
	looked, err := observes(ctx, d.in.Observed, table)
	if err != nil {
		return nil, nil, err
	}
	if looked {
		if before, err = observed.readAll(ctx); err != nil {
			return nil, nil, err
		}
	}
	for id, row := range before {
		ours := at(base, id)
		if looked && ours != nil {
			before[id] = overlay(ours, &row, observed.has)
		}
		if ours == nil && !has(after, id) {
			after[id] = row
		}
	}
	return before, after, nil
}

// observes says whether an observation covers a structure table.
func observes(ctx context.Context, observed Snapshot, table string) (bool, error) {
	scope := schemas.ScopeTable()
	row, err := newReader(observed, &scope).get(ctx, StructureMark(table))
	return row != nil, err
}

// graph returns what the target says of its roles. Rows are those of
// departments, which may name roles of clients.
func (d *accessDiff) graph(ctx context.Context, rows [2]map[schemas.RowID]schemas.Row) (*RoleGraph, error) {
	shape := d.shapes[schemas.Departments]
	var clients []string
	for _, side := range rows {
		for _, row := range side {
			byClient, _ := cell(&shape, &row, "client_roles").(map[string][]string)
			for client := range byClient {
				clients = append(clients, client)
			}
		}
	}
	g, file, err := storedGraph(ctx, d.in.Files, d.in.Plan.Run, func() (*RoleGraph, error) {
		reader, ok := d.in.Target.(RoleReader)
		if !ok {
			return &RoleGraph{Unread: []string{"this kind of target does not say what its roles contain and its groups grant"}}, nil
		}
		ids, err := ReadIDMap(ctx, d.in.Effective)
		if err != nil {
			return nil, err
		}
		return reader.RoleGraph(ctx, ids, asSet(clients))
	})
	if err == nil {
		d.out.Roles, d.out.Unread = file, g.Unread
	}
	return g, err
}

func (d *accessDiff) encodes(table, column string) bool {
	return d.in.Profile.Columns[table][column].Support == schemas.Encoded
}

// heldRoles reads a column of role names.
func (d *accessDiff) heldRoles(table string, row *schemas.Row, column string) []heldRole {
	shape := d.shapes[table]
	names, _ := cell(&shape, row, column).([]string)
	encoded := d.encodes(table, column)
	var out []heldRole
	for _, name := range asSet(names) {
		out = append(out, heldRole{Role{Name: name}, encoded})
	}
	return out
}

func (p *places) organizations(d *accessDiff, rows map[schemas.RowID]schemas.Row) {
	shape := d.shapes[schemas.Organizations]
	out := map[schemas.RowID]*place{}
	for id, row := range rows {
		name := text(cell(&shape, &row, "name"))
		if name == "" {
			name = text(cell(&shape, &row, "alias"))
		}
		out[id] = &place{name: name, label: "organization " + name, shut: !isTrue(cell(&shape, &row, "enabled")),
			own: d.heldRoles(shape.Name, &row, "realm_roles")}
	}
	p.of[shape.Name] = out
}

func (p *places) departments(d *accessDiff, rows map[schemas.RowID]schemas.Row) {
	shape := d.shapes[schemas.Departments]
	out := map[schemas.RowID]*place{}
	encoded := d.encodes(shape.Name, "client_roles")
	for id, row := range rows {
		pl := &place{own: d.heldRoles(shape.Name, &row, "realm_roles")}
		byClient, _ := cell(&shape, &row, "client_roles").(map[string][]string)
		var ofClients []Role
		for client, names := range byClient {
			for _, n := range names {
				ofClients = append(ofClients, Role{client, n})
			}
		}
		for _, r := range sortedRoles(ofClients) {
			pl.own = append(pl.own, heldRole{r, encoded})
		}
		pl.up, _ = ref(cell(&shape, &row, "parent"))
		pl.in, _ = ref(cell(&shape, &row, "organization"))
		pl.name = namesDown(&shape, rows, id)
		if o := p.of[schemas.Organizations][pl.in]; o != nil {
			pl.name = o.name + "/" + pl.name
		}
		pl.label = "department " + pl.name
		out[id] = pl
	}
	p.of[shape.Name] = out
}

func (p *places) groups(d *accessDiff, rows map[schemas.RowID]schemas.Row) {
	shape := d.shapes[schemas.Groups]
	out := map[schemas.RowID]*place{}
	for id, row := range rows {
		pl := &place{name: "/" + namesDown(&shape, rows, id)}
		pl.label = "group " + pl.name
		pl.up, _ = ref(cell(&shape, &row, "parent"))
		for _, r := range p.contents.graph.Groups[id] {
			pl.own = append(pl.own, heldRole{r, false})
		}
		out[id] = pl
	}
	p.of[shape.Name] = out
}

// namesDown is the names from the root to a row, a slash in a name written ~/.
func namesDown(shape *schemas.Table, rows map[schemas.RowID]schemas.Row, id schemas.RowID) string {
	var names []string
	for depth := 0; depth <= len(rows); depth++ {
		row, ok := rows[id]
		if !ok {
			break
		}
		names = append(names, strings.ReplaceAll(text(cell(shape, &row, "name")), "/", "~/"))
		if id, ok = ref(cell(shape, &row, "parent")); !ok {
			break
		}
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// through is what comes to those in a place: its own roles and those of all
// above it, with what the roles contain.
func (p *places) through(table string, id schemas.RowID) []Grant {
	pl := p.of[table][id]
	if pl == nil {
		return nil
	}
	if pl.known {
		return pl.grants
	}
	pl.known = true
	for up, depth := pl, 0; up != nil && depth <= len(p.of[table]); up, depth = p.of[table][up.up], depth+1 {
		for _, h := range up.own {
			pl.grants = p.add(pl.grants, h, "through "+up.label)
		}
	}
	return pl.grants
}

// add appends a held role and what it contains.
func (p *places) add(list []Grant, h heldRole, way string) []Grant {
	list = append(list, roleGrant(h.role, way, h.encoded, ""))
	held := h.role.String()
	further := "through composite role " + held
	if way != "" {
		further = way + ", composite role " + held
	}
	for _, r := range p.contents.of(h.role) {
		list = append(list, roleGrant(r, further, h.encoded, held))
	}
	return list
}
