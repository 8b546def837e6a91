package schemas

// Names of the entity tables.
const (
	Organizations       = "organizations"
	Departments         = "departments"
	Users               = "users"
	Groups              = "groups"
	Memberships         = "memberships"
	Credentials         = "credentials"
	DepartmentTemplates = "department_templates"
	PropertyTemplates   = "property_templates"
)

// Names of the tables that stand beside the entities in some stages.
const (
	// IDMap (stage base): which id each row has in the target.
	IDMap = "id_map"
	// Scope (stage observed): which rows were looked at.
	Scope = "scope"
	// WaveAssignment (stage assignment): which wave each user moves with.
	WaveAssignment = "wave_assignment"
)

// RejectedTable is the table, beside an entity's own in stage desired, of the
// rows that failed a check or were left out by a rule. Their row ids are those
// of the entity, so that the planner can tell a rejected row from an absent one
// by a merge.
func RejectedTable(entity string) string { return entity + "_rejected" }

// LoadOrder is the order in which entities are written; deletes run the other
// way round.
var LoadOrder = []string{
	PropertyTemplates, DepartmentTemplates, Organizations, Departments, Groups, Users, Credentials, Memberships,
}

// Entities returns the eight entity tables, fresh copies that the caller owns.
// Field ids are part of the format: add, never renumber or re-use.
func Entities() map[string]Table {
	tables := []Table{
		{Name: Organizations, Columns: []Column{
			{ID: 10, Name: "alias", Type: String},
			{ID: 11, Name: "name", Type: String},
			{ID: 12, Name: "description", Type: String},
			{ID: 13, Name: "domains", Type: Strings, Set: true},
			{ID: 14, Name: "enabled", Type: Bool},
			{ID: 15, Name: "realm_roles", Type: Strings, Set: true},
			{ID: 16, Name: "properties", Type: StringsMap, Set: true},
			{ID: 17, Name: "property_template", Type: String},
		}},
		{Name: Departments, Columns: []Column{
			{ID: 20, Name: "organization", Type: String, Refs: Organizations},
			{ID: 21, Name: "parent", Type: String, Refs: Departments, Doc: "null for a root department"},
			{ID: 22, Name: "name", Type: String},
			{ID: 23, Name: "path", Type: String, Doc: "names from the root, each after a slash; ~/ for a slash in a name"},
			{ID: 24, Name: "external_ids", Type: StringsMap, Set: true},
			{ID: 25, Name: "realm_roles", Type: Strings, Set: true},
			{ID: 26, Name: "client_roles", Type: StringsMap, Set: true},
			{ID: 27, Name: "attributes", Type: StringsMap, Set: true},
			{ID: 28, Name: "template", Type: String},
		}},
		{Name: Users, Columns: []Column{
			{ID: 30, Name: "username", Type: String},
			{ID: 31, Name: "email", Type: String},
			{ID: 32, Name: "email_verified", Type: Bool},
			{ID: 33, Name: "first_name", Type: String},
			{ID: 34, Name: "last_name", Type: String},
			{ID: 35, Name: "enabled", Type: Bool},
			{ID: 36, Name: "expires_at", Type: Timestamp},
			{ID: 37, Name: "created_at", Type: Timestamp},
			{ID: 38, Name: "locale", Type: String},
			{ID: 39, Name: "required_actions", Type: Strings, Set: true},
			{ID: 40, Name: "attributes", Type: StringsMap, Set: true},
			{ID: 41, Name: "realm_roles", Type: Strings, Set: true},
			{ID: 42, Name: "groups", Type: Strings, Set: true, Refs: Groups},
			{ID: 43, Name: "federated_links", Type: StringsMap, Doc: "identity provider alias to [user id, user name], in this order"},
		}},
		{Name: Groups, Columns: []Column{
			{ID: 50, Name: "parent", Type: String, Refs: Groups},
			{ID: 51, Name: "name", Type: String},
			{ID: 52, Name: "path", Type: String},
			{ID: 53, Name: "attributes", Type: StringsMap, Set: true},
		}},
		{Name: Memberships, DependsOn: Users, Columns: []Column{
			{ID: 60, Name: "user", Type: String, Refs: Users},
			{ID: 61, Name: "organization", Type: String, Refs: Organizations},
			{ID: 62, Name: "department", Type: String, Refs: Departments, Doc: "null: member of the organization only"},
			{ID: 63, Name: "roles", Type: Strings, Set: true},
			{ID: 64, Name: "attributes", Type: StringsMap, Set: true},
			{ID: 65, Name: "is_default", Type: Bool},
		}},
		{Name: Credentials, DependsOn: Users, Columns: []Column{
			{ID: 70, Name: "user", Type: String, Refs: Users},
			{ID: 71, Name: "type", Type: String, Doc: "password or otp"},
			{ID: 72, Name: "algorithm", Type: String, Doc: "neutral name, as in PasswordScheme"},
			{ID: 73, Name: "parameters", Type: StringsMap, Doc: "iterations, memory, parallelism, version, hash_length"},
			{ID: 74, Name: "secret", Type: Secret, Doc: "JSON of a SecretMaterial, sealed"},
			{ID: 75, Name: "changed_at", Type: Timestamp},
			{ID: 76, Name: "version", Type: Int},
			{ID: 77, Name: "state", Type: String, Doc: "active, expired, must_change or disabled"},
		}},
		{Name: DepartmentTemplates, Columns: []Column{
			{ID: 80, Name: "template_group", Type: String},
			{ID: 81, Name: "name", Type: String},
			{ID: 82, Name: "parent", Type: String, Refs: DepartmentTemplates},
			{ID: 83, Name: "realm_roles", Type: Strings, Set: true},
			{ID: 84, Name: "client_roles", Type: StringsMap, Set: true},
			{ID: 85, Name: "attributes", Type: StringsMap, Set: true},
			{ID: 86, Name: "external_ids", Type: StringsMap, Set: true},
		}},
		{Name: PropertyTemplates, Columns: []Column{
			{ID: 90, Name: "name", Type: String},
			{ID: 91, Name: "applies_to", Type: String, Doc: "organization, department or user"},
			{ID: 92, Name: "schema", Type: String, Doc: "the JSON Schema's bytes"},
		}},
	}
	m := make(map[string]Table, len(tables))
	for _, t := range tables {
		m[t.Name] = t
	}
	return m
}

// Rejected returns the shape of RejectedTable(entity).
func Rejected(entity string) Table {
	return Table{Name: RejectedTable(entity), Columns: []Column{
		{ID: 100, Name: "class", Type: String, Doc: "rejected or excluded"},
		{ID: 101, Name: "rules", Type: Strings, Doc: "the rules that failed, in the order they were checked"},
		{ID: 102, Name: "fields", Type: Strings, Doc: "the field each rule looked at, by position"},
		{ID: 103, Name: "messages", Type: Strings, Doc: "one sentence each, values redacted, with the next step"},
		{ID: 104, Name: "source", Type: String, Doc: "legacy table the row came from"},
	}}
}

// IDMapTable returns the shape of the id map: its row ids are those of the
// rows it maps, which are unique over all entities.
func IDMapTable() Table {
	return Table{Name: IDMap, Columns: []Column{
		{ID: 110, Name: "entity", Type: String},
		{ID: 111, Name: "target_id", Type: String},
		{ID: 112, Name: "origin", Type: String, Doc: "created, found or adopted"},
		{ID: 113, Name: "run", Type: String},
	}}
}

// ScopeTable returns the shape of an observed snapshot's scope.
func ScopeTable() Table {
	return Table{Name: Scope, Columns: []Column{
		{ID: 120, Name: "entity", Type: String},
		{ID: 121, Name: "found", Type: Bool},
	}}
}

// WaveAssignmentTable returns the shape of an assignment: its row ids are those
// of users. A user has a row from the day a wave takes it, for good: also when
// the rule that took it no longer would, and when legacy has it no longer.
func WaveAssignmentTable() Table {
	return Table{Name: WaveAssignment, Columns: []Column{
		{ID: 140, Name: "wave", Type: String},
		{ID: 141, Name: "rule", Type: String, Doc: "what took the user: department, group, key, percent, where, or by hand"},
		{ID: 142, Name: "run", Type: String, Doc: "the run that decided, empty for waves assign"},
	}}
}
