package keymate_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/parallelrun/parallelrun/load"
)

// madeRole is a role as the server shows it.
type madeRole struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (w *world) makeRole(name string) madeRole {
	w.t.Helper()
	w.expect(http.StatusCreated, w.rest(http.MethodPost, "/roles", map[string]any{"name": name}, nil))
	var r madeRole
	w.expect(http.StatusOK, w.rest(http.MethodGet, "/roles/"+name, nil, &r))
	return r
}

func (w *world) expect(want, got int) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("status %d, want %d", got, want)
	}
}

func TestRoleGraph(t *testing.T) {
	onEach(t, options{}, func(w *world) {
		_, _, groups := w.furnish()
		boss, clerk, door := w.makeRole("boss"), w.makeRole("clerk"), w.makeRole("door")
		give := func(path string, r madeRole) {
			w.t.Helper()
			w.expect(http.StatusNoContent, w.rest(http.MethodPost, path, []madeRole{r}, nil))
		}
		give("/roles-by-id/"+boss.ID+"/composites", clerk)
		give("/roles-by-id/"+clerk.ID+"/composites", boss) // in a circle
		ours, _ := w.ids.TargetID(groups[0].ID)
		give("/groups/"+ours+"/role-mappings/realm", door)
		var theirs madeRole
		w.expect(http.StatusCreated, w.rest(http.MethodPost, "/groups", map[string]any{"name": "by hand"}, nil))
		var found []madeRole
		w.expect(http.StatusOK, w.rest(http.MethodGet, "/groups?search=by+hand&exact=true", nil, &found))
		theirs = found[0]
		give("/groups/"+theirs.ID+"/role-mappings/realm", clerk)

		for _, ids := range []load.IDs{w.ids, newIDMap()} { // by the id map, and by the anchors alone
			g, err := w.target.RoleGraph(w.ctx, ids, nil)
			w.must(err)
			w.contains(g.Composites[load.Role{Name: "boss"}], load.Role{Name: "clerk"})
			w.contains(g.Composites[load.Role{Name: "clerk"}], load.Role{Name: "boss"})
			w.contains(g.Groups[groups[0].ID], load.Role{Name: "door"})
			w.contains(g.Groups[load.ForeignRowID(theirs.ID)], load.Role{Name: "clerk"})
			if len(g.Groups) != 2 || g.Composites[load.Role{Name: "door"}] != nil || len(g.Unread) > 0 {
				w.t.Errorf("%+v: want two groups and nothing unread", g)
			}
			standard := "default-roles-" + w.cfg.Realm
			w.contains(g.Composites[load.Role{Name: standard}], load.Role{Name: "offline_access"})
			if !w.sandbox {
				w.contains(g.Composites[load.Role{Name: standard}], load.Role{Client: "account", Name: "manage-account"})
				w.contains(g.Composites[load.Role{Client: "account", Name: "manage-account"}], load.Role{Client: "account", Name: "manage-account-links"})
			}
		}

		// Roles of clients that rows name; a client that is not there is told.
		g, err := w.target.RoleGraph(w.ctx, w.ids, []string{"account", "nobody"})
		w.must(err)
		if !w.sandbox {
			w.contains(g.Composites[load.Role{Client: "account", Name: "manage-consent"}], load.Role{Client: "account", Name: "view-consent"})
			if len(g.Unread) != 1 {
				w.t.Errorf("unread %q, want the unknown client", g.Unread)
			}
		}
	})
}

func (w *world) contains(list []load.Role, r load.Role) {
	w.t.Helper()
	if !slices.Contains(list, r) {
		w.t.Errorf("%v does not hold %v", list, r)
	}
}
