package transform

import "strings"

// placeByPath is where a department is found by names instead of by a legacy
// value: the organization, and the path in it.
type placeByPath struct {
	organization int32
	path         valueHash
}

// normalizePath is a path as the departments table has it: a slash before each
// name, none at the end.
func normalizePath(s string) string {
	if s = strings.Trim(s, "/"); s == "" {
		return ""
	}
	return "/" + s
}

// indexPaths learns the paths of departments, those of templates among them. Of
// two with one path the one that stands is found.
func (s *structure) indexPaths() {
	s.paths = map[placeByPath]int32{}
	for i, u := range s.units {
		if u.entity != departmentEntity || u.excluded != "" || u.organization < 0 || u.made != nil && u.made.twin >= 0 || u.placeless() {
			continue
		}
		k := placeByPath{u.organization, hashValue(s.path(u))}
		if have, taken := s.paths[k]; !taken || !s.ok(have) && u.stands() {
			s.paths[k] = int32(i)
		}
	}
}

// department finds the department that a reference means; one by path is of the
// organization that the row refers to.
func (s *structure) department(ref *reference, organization int32, value string) int32 {
	if ref == nil || !ref.path || value == "" {
		return s.resolve(ref, departmentEntity, value)
	}
	if i, there := s.paths[placeByPath{organization, hashValue(value)}]; there {
		return i
	}
	return unknown
}

// usesPaths reports whether any rule finds departments by path.
func (m *Mapping) usesPaths() bool {
	for _, rules := range [][]*rule{m.rules, m.dependent} {
		for _, r := range rules {
			if r.department != nil && r.department.path {
				return true
			}
		}
	}
	return false
}
