package transform

import (
	"slices"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform/template"
)

// Mapping is the compiled rules from legacy tables to entities. It is made by
// LoadMapping, never changes, and is safe for concurrent use.
type Mapping struct {
	file      string
	files     map[string][]byte
	passwords passwordPolicy
	nested    string // group attribute that keeps nesting
	lookups   []*lookup
	templates []*propertyTemplate
	rules     []*rule            // with `from`, in order of entities and of the file
	byTable   map[string][]*rule // the same, by legacy table
	dependent []*rule            // nested under users, by their index

	written     []*writtenTemplate // department templates in the mapping itself
	writtenRule *rule              // behind them
}

// Files returns the bytes that the mapping was made of, by path as written in
// it: the mapping itself under its base name, and its templates.
func (m *Mapping) Files() map[string][]byte { return m.files }

// Attributes lists the attribute names that rules set by name on an entity,
// sorted, and whether further names come from the rows themselves.
func (m *Mapping) Attributes(entity string) (names []string, open bool) {
	for _, r := range slices.Concat(m.rules, m.dependent) {
		if r.entity.name != entity {
			continue
		}
		for _, a := range r.attributes {
			names = append(names, a.name)
		}
		open = open || r.rest != nil
	}
	slices.Sort(names)
	return slices.Compact(names), open
}

type passwordPolicy struct {
	hashClear  bool
	iterations int
}

// lookup finds rows by a legacy value.
type lookup struct {
	index int
	name  string
	table string
	by    *expr
	match matching
}

type propertyTemplate struct {
	name, appliesTo, file string
	data                  []byte
	schema                *template.Template
}

// entity is one of the tables that rules yield rows of.
type entity struct {
	id         uint8
	name       string
	table      schemas.Table
	attributes int      // column of attributes, -1 for none
	required   []string // columns that a row can't be without
	columns    []string // columns that a mapping gives by expression
}

const (
	organizationEntity uint8 = iota
	departmentEntity
	groupEntity
	userEntity
	membershipEntity
	credentialEntity
	departmentTemplateEntity
	entityCount
)

var entities = makeEntities()

func makeEntities() [entityCount]*entity {
	tables := schemas.Entities()
	var out [entityCount]*entity
	for id, e := range []entity{
		{name: schemas.Organizations, required: []string{"alias", "name"},
			columns: []string{"alias", "name", "description", "domains", "enabled", "realm_roles"}},
		{name: schemas.Departments, required: []string{"name"},
			columns: []string{"name", "external_ids", "realm_roles", "client_roles", "template"}},
		{name: schemas.Groups, required: []string{"name"}, columns: []string{"name"}},
		{name: schemas.Users, required: []string{"username"},
			columns: []string{"username", "email", "email_verified", "first_name", "last_name", "enabled", "expires_at",
				"created_at", "locale", "required_actions", "realm_roles", "federated_links"}},
		{name: schemas.Memberships, columns: []string{"roles", "is_default"}},
		{name: schemas.Credentials, columns: []string{"changed_at", "version", "state"}},
		{name: schemas.DepartmentTemplates, required: []string{"template_group", "name"},
			columns: []string{"template_group", "name", "external_ids", "realm_roles", "client_roles"}},
	} {
		e.id, e.table = uint8(id), tables[e.name]
		e.attributes = e.table.Column("attributes")
		if e.name == schemas.Organizations {
			e.attributes = e.table.Column("properties")
		}
		out[id] = &e
	}
	return out
}

func entityByName(name string) *entity {
	for _, e := range entities {
		if e.name == name {
			return e
		}
	}
	return nil
}

// rule turns rows of one legacy table into candidates of one entity.
type rule struct {
	index      int // among the mapping's rules, or among the dependent ones
	nested     bool
	entity     *entity
	name       string
	path       string // in the mapping, as users[0]
	line       int
	from       *schemas.Table
	where      *expr
	exclude    []excludeRule
	key        *expr
	each       *expr
	columns    []columnExpr
	attributes []attributeExpr
	rest       *restRule
	template   *propertyTemplate

	parent, organization, department, user *reference
	groups, members                        *reference
	password                               *expr
	merge                                  *mergeRule
	instantiate                            []*instantiation // of an organizations rule

	memberships, credentials []*rule // of a users rule
	reads                    reads   // of all its expressions, those nested included
}

// kind tells the codec which list the rule's index counts in.
func (r *rule) kind() byte {
	if r.nested {
		return r.entity.id | nestedFlag
	}
	return r.entity.id
}

type excludeRule struct {
	name string
	when *expr
}

type columnExpr struct {
	column int
	name   string
	expr   *expr
}

type attributeExpr struct {
	name string
	expr *expr
}

// reference is a legacy value and the lookups that may know it, or the path of
// a department.
type reference struct {
	lookups []*lookup
	value   *expr
	path    bool
}

func (r *reference) match() matching { return r.lookups[0].match }

// normalize returns the form by which two values are the same.
func (r *reference) normalize(s string) string {
	if r.path {
		return normalizePath(s)
	}
	return r.match().normalize(s)
}

type mergeRule struct{ by, prefer *expr }

// restRule passes on the attributes that no expression reads.
type restRule struct {
	only, except map[string]bool
	prefix       string
}

func (r *restRule) takes(name string) bool {
	return (r.only == nil || r.only[name]) && !r.except[name]
}
