package keymate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parallelrun/parallelrun/schemas"
)

// Prepare lists first, then does what it listed, then finds nothing to do; what
// the profile declared before stays as it was.
func TestPrepare(t *testing.T) {
	onEach(t, options{unmanaged: "DISABLED", bare: true}, func(w *world) {
		var profile map[string]any
		w.rest("GET", "/users/profile", nil, &profile)
		profile["attributes"] = append(profile["attributes"].([]any),
			map[string]any{"name": "photo", "displayName": "Photo", "multivalued": true, "group": "user-metadata",
				"permissions": map[string]any{"view": []string{"admin", "user"}, "edit": []string{"admin"}},
				"validations": map[string]any{"length": map[string]any{"min": 1, "max": 5000}, "pattern": map[string]any{"pattern": "^.*$"}},
				"annotations": map[string]any{"inputType": "textarea"}})
		if s := w.rest("PUT", "/users/profile", profile, nil); s != 200 {
			w.t.Fatalf("change the profile: %d", s)
		}
		w.rest("GET", "/users/profile", nil, &profile)

		listed, err := w.target.Prepare(w.ctx, false)
		w.must(err)
		var untouched map[string]any
		w.rest("GET", "/users/profile", nil, &untouched)
		if d := cmp.Diff(profile, untouched); d != "" {
			w.t.Errorf("listing changed the profile: %s", d)
		}
		for _, part := range []string{"undeclared attributes", "legacyId", "keymate.memberships", `"photo" may have up to 100000`, `role "employee"`, `role "manager"`} {
			if !slices.ContainsFunc(listed, func(s string) bool { return strings.Contains(s, part) }) {
				w.t.Errorf("%q should list %q", listed, part)
			}
		}
		done, err := w.target.Prepare(w.ctx, true)
		w.must(err)
		if d := cmp.Diff(listed, done); d != "" {
			w.t.Errorf("listed (-), done (+): %s", d)
		}
		if left, err := w.target.Prepare(w.ctx, true); err != nil || len(left) > 0 {
			w.t.Errorf("a second time: %q, %v", left, err)
		}

		var after map[string]any
		w.rest("GET", "/users/profile", nil, &after)
		for i, a := range profile["attributes"].([]any) {
			was, is := a.(map[string]any), after["attributes"].([]any)[i].(map[string]any)
			if was["name"] == "photo" {
				was["validations"].(map[string]any)["length"].(map[string]any)["max"] = 100000.0
			}
			if d := cmp.Diff(was, is); d != "" {
				w.t.Errorf("attribute %v: %s", was["name"], d)
			}
		}
		if d := cmp.Diff(profile["groups"], after["groups"]); d != "" {
			w.t.Error(d)
		}
		p, err := w.target.Preflight(w.ctx)
		w.must(err)
		if !p.UndeclaredAttributes || !slices.Contains(p.DeclaredAttributes, "legacyId") || len(p.PasswordSchemes) != 6 {
			w.t.Errorf("profile %+v", p)
		}
		if !slices.Contains(p.RealmRoles, "employee") || !slices.Contains(p.RealmRoles, "default-roles-"+w.cfg.Realm) {
			w.t.Errorf("roles %q", p.RealmRoles)
		}
		for name, tb := range schemas.Entities() {
			for _, c := range tb.Columns {
				if p.Columns[name][c.Name].Support == "" {
					w.t.Errorf("nothing is said of %s.%s", name, c.Name)
				}
			}
		}
	})
}
