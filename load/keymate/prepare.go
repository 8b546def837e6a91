package keymate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/parallelrun/parallelrun/load"
)

// Prepare makes what a load needs: the attributes that it writes are declared
// in the realm's user profile (undeclared ones opened to administrators), the
// roles named in the config exist. It adds to the profile and takes nothing
// away. Without apply it only lists what it would change.
func (t *Target) Prepare(ctx context.Context, apply bool) ([]string, error) {
	f, err := t.refresh(ctx)
	if err != nil {
		return nil, err
	}
	profile := f.Profile
	profile.Attributes = slices.Clone(profile.Attributes)
	changes := t.prepareProfile(&profile)
	if apply && len(changes) > 0 {
		_, err := t.http.do(ctx, call{op: "change the realm's user profile", method: http.MethodPut, path: "/users/profile", body: profile})
		if err != nil {
			return nil, err
		}
	}
	roles, err := t.prepareRoles(ctx, apply)
	changes = append(changes, roles...)
	if err != nil || !apply || len(changes) == 0 {
		return changes, err
	}
	t.names.forget()
	if f, err = t.refresh(ctx); err != nil {
		return changes, err
	}
	if left := t.prepareProfile(&f.Profile); len(left) > 0 {
		return changes, &load.Error{Class: load.Setup, Op: "prepare the realm", Message: "the server took the user profile and did not keep it: " + left[0],
			Hint: "make the change in the realm's settings by hand"}
	}
	return changes, nil
}

// prepareProfile changes the profile to what the load needs and says what it
// changed.
func (t *Target) prepareProfile(p *profileRep) (changes []string) {
	if !p.undeclared() {
		was := p.Unmanaged
		if was == "" {
			was = "off"
		}
		p.Unmanaged = "ADMIN_EDIT"
		changes = append(changes, fmt.Sprintf("user profile: administrators may write undeclared attributes (was %s)", was))
	}
	need := map[string]int{anchorAttribute: maxUndeclaredValue, membershipsAttribute: maxMembershipValue}
	for _, name := range t.cfg.LongAttributes {
		need[name] = t.cfg.AttributeLimit
	}
	names := make([]string, 0, len(need))
	for name := range need {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if c := declare(p, name, need[name], name != anchorAttribute); c != "" {
			changes = append(changes, c)
		}
	}
	return changes
}

// declare makes the profile hold values of that length in the attribute.
func declare(p *profileRep, name string, limit int, multivalued bool) string {
	length, _ := json.Marshal(map[string]int{"max": limit})
	a := p.find(name)
	if a == nil {
		all, _ := json.Marshal(map[string]any{
			"name": name, "displayName": name, "multivalued": multivalued,
			// Not for people: administrators alone see and write it.
			"permissions": map[string]any{"view": []string{"admin"}, "edit": []string{"admin"}},
			"validations": map[string]any{"length": json.RawMessage(length)},
		})
		var fresh profileAttribute
		if err := json.Unmarshal(all, &fresh); err != nil {
			panic("keymate: an attribute of our own: " + err.Error())
		}
		p.Attributes = append(p.Attributes, fresh)
		return fmt.Sprintf("user profile: attribute %q declared, up to %d characters, for administrators only", name, limit)
	}
	if n, _ := p.limit(name); n >= limit {
		return ""
	}
	fresh := *a
	fresh.Validations = make(map[string]json.RawMessage, len(a.Validations)+1)
	for k, v := range a.Validations {
		fresh.Validations[k] = v
	}
	fresh.Validations["length"] = longer(a.Validations["length"], limit)
	*a = fresh
	return fmt.Sprintf("user profile: attribute %q may have up to %d characters", name, limit)
}

// longer raises the validator's upper bound and keeps its other settings.
func longer(was json.RawMessage, limit int) json.RawMessage {
	settings := map[string]any{}
	if len(was) > 0 {
		_ = json.Unmarshal(was, &settings) // an odd one is replaced
	}
	if settings == nil {
		settings = map[string]any{}
	}
	settings["max"] = limit
	b, err := json.Marshal(settings)
	if err != nil {
		panic("keymate: validator settings: " + err.Error())
	}
	return b
}

func (t *Target) prepareRoles(ctx context.Context, apply bool) (changes []string, err error) {
	roles := slices.Clone(t.cfg.Roles)
	slices.Sort(roles)
	for _, name := range slices.Compact(roles) {
		_, there, err := t.names.role(ctx, name)
		if err != nil {
			return changes, err
		}
		if there {
			continue
		}
		changes = append(changes, fmt.Sprintf("realm role %q made; it gives nothing by itself", name))
		if !apply {
			continue
		}
		_, err = t.http.do(ctx, call{op: "make a realm role", method: http.MethodPost, path: "/roles",
			body: map[string]any{"name": name, "description": "made for the migration"}})
		if err != nil && !isStatus(err, http.StatusConflict) {
			return changes, err
		}
	}
	return changes, nil
}
