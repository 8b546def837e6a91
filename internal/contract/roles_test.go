package contract_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/internal/contract"
)

// TestRolesInTokens asks the real server what its tokens carry: roles held
// directly, those inside of composite roles, and those of a group and of the
// groups above it; but not those given to an organization's groups, which
// Keycloak stores and hands out for others to read. docs/access.md says what
// follows for the access diff.
func TestRolesInTokens(t *testing.T) {
	k := keycloakTarget(t)
	vars := contract.NewVars(contract.Prefix()).For(k)
	do := func(s contract.Step) contract.Answer {
		t.Helper()
		a, err := k.Do(t.Context(), s, vars)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status/100 != 2 {
			t.Fatalf("%s %s: %d %s", s.Method, s.Path, a.Status, a.Body)
		}
		s.Keep(a, vars)
		return a
	}
	post := func(path, body, save string) {
		t.Helper()
		do(contract.Step{Method: "POST", Path: path, Body: body, Save: save})
	}
	for _, r := range []string{"whole", "part", "above", "below", "org", "dept"} {
		post("/roles", `{"name":"`+r+`"}`, "")
		do(contract.Step{Method: "GET", Path: "/roles/" + r, SaveID: r})
	}
	give := func(path, role string) {
		t.Helper()
		post(path, `[{"id":"{`+role+`}","name":"`+role+`"}]`, "")
	}
	give("/roles-by-id/{whole}/composites", "part")
	user := `{"id":"{u1}","username":"amy","email":"amy@example.org","firstName":"A","lastName":"B","enabled":true,"credentials":[{sha256}],"realmRoles":["whole"]}`
	post("/partialImport", `{"ifResourceExists":"SKIP","users":[`+user+`]}`, "")

	post("/groups", `{"name":"above"}`, "g")
	post("/groups/{g}/children", `{"name":"below"}`, "h")
	give("/groups/{g}/role-mappings/realm", "above")
	give("/groups/{h}/role-mappings/realm", "below")
	do(contract.Step{Method: "PUT", Path: "/users/{u1}/groups/{h}"})

	post("/organizations", `{"name":"acme","alias":"acme","enabled":true}`, "o")
	post("/organizations/{o}/members", `"{u1}"`, "")
	post("/organizations/{o}/groups", `{"name":"org"}`, "d")
	post("/organizations/{o}/groups/{d}/children", `{"name":"dept"}`, "e")
	give("/organizations/{o}/groups/{d}/role-mappings/realm", "org")
	give("/organizations/{o}/groups/{e}/role-mappings/realm", "dept")
	do(contract.Step{Method: "PUT", Path: "/organizations/{o}/groups/{e}/members/{u1}"})

	want := []string{"above", "below", "part", "whole"}
	for _, scope := range []string{"openid", "openid organization", "openid organization:*"} {
		a := do(contract.Step{Method: "TOKEN", Body: "grant_type=password&client_id=parallelrun-proof&client_secret=PROOF&username=amy&password=pw&scope=" +
			strings.ReplaceAll(scope, " ", "+")})
		if got := rolesOf(t, a.Body); !slices.Equal(got, want) {
			t.Errorf("scope %q: the token has roles %v, want %v", scope, got, want)
		}
	}
}

// rolesOf reads the realm roles of an answer's access token.
func rolesOf(t *testing.T, answer string) []string {
	t.Helper()
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	var claims struct {
		Realm struct{ Roles []string } `json:"realm_access"`
	}
	if err := json.Unmarshal([]byte(answer), &granted); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(granted.AccessToken, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %.200s", answer)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	slices.Sort(claims.Realm.Roles)
	return claims.Realm.Roles
}
