package contract

const (
	unknownError = `{"error":"unknown_error","error_description":"For more on this error consult the server log."}`
	badJSON      = `{"error":"unknown_error","error_description":"Cannot parse the JSON"}`
	duplicate    = `{"errorMessage":"Duplicate resource error"}`
	badLogin     = `{"error":"invalid_grant","error_description":"Invalid user credentials"}`
	notSetUp     = `{"error":"invalid_grant","error_description":"Account is not fully set up"}`
	disabled     = `{"error":"invalid_grant","error_description":"Account disabled"}`
)

// get, put, post and del are steps; imp is a partialImport with the policy SKIP.
func get(path string, status int, want string) Step {
	return Step{Method: "GET", Path: path, Status: status, Want: want}
}

func put(path, body string, status int, want string) Step {
	return Step{Method: "PUT", Path: path, Body: body, Status: status, Want: want}
}

func post(path, body string, status int, want string) Step {
	return Step{Method: "POST", Path: path, Body: body, Status: status, Want: want}
}

func del(path, body string, status int, want string) Step {
	return Step{Method: "DELETE", Path: path, Body: body, Status: status, Want: want}
}

func imp(users string, status int, want string) Step {
	return post("/partialImport", `{"ifResourceExists":"SKIP","users":[`+users+`]}`, status, want)
}

func impAs(policy, users string, status int, want string) Step {
	return post("/partialImport", `{"ifResourceExists":"`+policy+`","users":[`+users+`]}`, status, want)
}

func login(username, password string, status int, want string) Step {
	return Step{Method: "LOGIN", Path: username, Body: password, Status: status, Want: want}
}

func (s Step) save(name string) Step   { s.Save = name; return s }
func (s Step) saveID(name string) Step { s.SaveID = name; return s }
func (s Step) loose() Step             { s.Loose = true; return s }
func (s Step) bearer(t string) Step    { s.Bearer = t; return s }
func (s Step) as(media string) Step    { s.ContentType = media; return s }

// full is a user that can log in, as import and update want it; more is put before the end.
func full(n, more string) string {
	return `{"id":"{u` + n + `}","username":"{p}user` + n + `","enabled":true,"email":"{p}user` + n + `@example.org","firstName":"First","lastName":"Last"` + more + `}`
}

// Cases is the contract.
var Cases = []Case{
	// Tokens.
	{Name: "token/bad calls", Steps: []Step{
		{Method: "TOKEN", Body: "grant_type=client_credentials&client_id=parallelrun-migrator&client_secret=bad", Status: 401, Want: `{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}`},
		{Method: "TOKEN", Body: "grant_type=client_credentials&client_id=nobody&client_secret=bad", Status: 401, Want: `{"error":"invalid_client"}`},
		{Method: "TOKEN", Body: "grant_type=client_credentials&client_id=parallelrun-proof&client_secret=PROOF", Status: 401, Want: `{"error":"unauthorized_client","error_description":"Client not enabled to retrieve service account"}`},
		{Method: "TOKEN", Body: "grant_type=password&client_id=parallelrun-migrator&client_secret=MIGRATOR&username=a&password=b", Status: 400, Want: `{"error":"unauthorized_client"}`},
		{Method: "TOKEN", Body: "grant_type=nothing&client_id=parallelrun-migrator&client_secret=MIGRATOR", Status: 400, Want: `{"error":"unsupported_grant_type"}`},
		{Method: "TOKEN", Body: "client_id=parallelrun-migrator&client_secret=MIGRATOR", Status: 400, Want: `{"error":"invalid_request"}`},
		{Method: "TOKEN", Body: "grant_type=password&client_id=parallelrun-proof&client_secret=PROOF", Status: 401, Want: `{"error":"invalid_request","error_description":"Missing parameter: username"}`},
		{Method: "TOKEN", Body: "grant_type=password&client_id=parallelrun-proof&client_secret=PROOF&username=nobody", Status: 400, Want: badLogin},
		{Method: "TOKEN", Body: "grant_type=client_credentials&client_id=parallelrun-migrator&client_secret=MIGRATOR", Status: 200, Want: `{"token_type":"Bearer","refresh_expires_in":0,"refresh_token":"<absent>"}`},
	}},
	{Name: "token/admin calls", Steps: []Step{
		get("/users/count", 401, `{"error":"HTTP 401 Unauthorized"}`).bearer("none"),
		get("/users/count", 401, `{"error":"HTTP 401 Unauthorized"}`).bearer("abc"),
		get("//admin/serverinfo", 401, "").bearer("none"),
		get("//admin/realms/there-is-none/users", 404, `{"error":"Realm not found."}`),
		get("/nothing", 404, `{"error":"HTTP 404 Not Found"}`),
		del("/users", "", 405, `{"error":"HTTP 405 Method Not Allowed"}`),
		get("/users//groups", 400, `{"error":"missingNormalization"}`),
		imp(full("1", `,"credentials":[{sha256}]`), 200, ""),
		login("{p}user1", "pw", 200, "").saveID("person"),
		get("/users/count", 403, `{"error":"HTTP 403 Forbidden"}`).bearer("{person}"),
		post("/users/{u1}/logout", "", 204, ""),
		get("/users/{u1}", 200, `{"notBefore":"<any>"}`),
	}},
	{Name: "serverinfo/hash providers", Steps: []Step{
		get("//admin/serverinfo", 200, `{"systemInfo":{"version":"26.7.4"},"providers":{"password-hashing":{"providers":{"argon2":{},"pbkdf2":{},"pbkdf2-sha256":{},"pbkdf2-sha512":{}}}}}`).loose(),
	}},

	// partialImport.
	{Name: "import/keeps what we choose", Steps: []Step{
		imp(`{"id":"{u1}","username":"{p}UpPer","email":"{p}A@X.org","enabled":true,"emailVerified":true,"createdTimestamp":1710169762684,"attributes":{"a":["2","1"],"long":["{x:3000}"]},"requiredActions":["UPDATE_PASSWORD"],"credentials":[{sha256}]}`, 200,
			`{"added":1,"overwritten":0,"skipped":0,"results":[{"action":"ADDED","resourceType":"USER","resourceName":"{p}UpPer","id":"{u1}"}]}`),
		get("/users/{u1}", 200, `{"username":"<any>","createdTimestamp":1710169762684,"emailVerified":true,"enabled":true,"requiredActions":["UPDATE_PASSWORD"],"attributes":{"long":["{x:3000}"]}}`),
		get("/users/{u1}/credentials", 200, `[{"type":"password","createdDate":1710169762684,"userLabel":"label","credentialData":"<any>","secretData":"<absent>"}]`),
		get("/users/{u1}/role-mappings/realm", 200, `[]`), // no default role
		get("/users?username={p}upper&exact=true", 200, `[{"id":"{u1}"}]`),
		get("/users?email={p}a@x.ORG&exact=true", 200, `[{"id":"{u1}"}]`),
	}},
	{Name: "import/missing enabled means disabled", Steps: []Step{
		imp(`{"id":"{u1}","username":"{p}u"}`, 200, ""), get("/users/{u1}", 200, `{"enabled":false,"email":"<absent>","firstName":"<absent>"}`),
	}},
	{Name: "import/no id", Steps: []Step{
		imp(`{"username":"{p}u"}`, 200, `{"added":1}`), get("/users?username={p}u&exact=true", 200, `[{"id":"<any>"}]`),
	}},
	{Name: "import/skip", Steps: []Step{
		imp(full("1", ""), 200, `{"added":1}`),
		imp(`{"id":"{u2}","username":"{p}USER1","email":"{p}other@x.org"}`, 200, `{"added":0,"skipped":1,"results":[{"action":"SKIPPED","id":"{u1}"}]}`),
		get("/users/{u2}", 404, `{"error":"User not found"}`),
		imp(full("1", "")+","+full("3", ""), 200, `{"added":1,"skipped":1}`),
	}},
	{Name: "import/skip by e-mail only is a 500", Steps: []Step{
		imp(full("1", ""), 200, ""),
		imp(full("2", "")+`,{"id":"{u3}","username":"{p}other","email":"{p}USER1@example.org"}`, 500, unknownError),
		get("/users/{u2}", 404, ""),
	}},
	{Name: "import/fail", Steps: []Step{
		imp(full("1", ""), 200, ""),
		impAs("FAIL", full("1", ""), 409, `{"errorMessage":"User with user name {p}user1 already exists."}`),
		impAs("FAIL", `{"username":"{p}carol","email":"{p}user1@example.org"}`, 409, `{"errorMessage":"User with user name {p}carol already exists."}`),
		post("/partialImport", `{"users":[`+full("1", "")+`]}`, 409, ""), // the default
	}},
	{Name: "import/overwrite deletes", Steps: []Step{
		imp(full("1", `,"credentials":[{sha256}]`), 200, ""),
		impAs("OVERWRITE", `{"id":"{u2}","username":"{p}carol","email":"{p}user1@example.org"}`, 200, `{"overwritten":1,"added":0,"results":[{"action":"OVERWRITTEN","id":"{u2}"}]}`),
		get("/users/{u1}", 404, ""), get("/users/{u2}", 200, `{"username":"{p}carol"}`),
		impAs("OVERWRITE", `{"id":"{u2}","username":"{p}carol","enabled":true},{"username":"{p}new"}`, 200, `{"overwritten":1,"added":1}`),
		get("/users/{u2}", 200, `{"enabled":true,"email":"<absent>"}`),
	}},
	{Name: "import/duplicates", Steps: []Step{
		imp(`{"username":"{p}a"},{"username":"{p}A"}`, 409, duplicate),
		imp(`{"id":"{u1}","username":"{p}a"},{"id":"{u1}","username":"{p}b"}`, 409, duplicate),
		imp(`{"username":"{p}a","email":"{p}e@x.org"},{"username":"{p}b","email":"{p}E@x.org"}`, 409, duplicate),
		imp(full("2", ""), 200, ""),
		imp(`{"id":"{u2}","username":"{p}other"}`, 409, duplicate),
		imp(`{"username":"{p}x","attributes":{"username":["{p}user2"]}}`, 409, duplicate),
		imp(`{"username":"{p}x","attributes":{"email":["{p}user2@example.org"]}}`, 409, duplicate),
		get("/users?username={p}a&exact=true", 200, `[]`),
	}},
	{Name: "import/body", Steps: []Step{
		imp(`{"username":"{p}a","nope":1}`, 500, badJSON),
		imp(`{"username":"{p}a","credentials":[{"type":"password","nope":1}]}`, 500, badJSON),
		post("/partialImport", `{"users":[],"nope":1,"organizations":[{"name":"x"}]}`, 200, `{"added":0,"results":[]}`),
		post("/partialImport", `{"users":[{"username":"tr`, 500, badJSON),
		post("/partialImport", ``, 500, badJSON), post("/partialImport", `[]`, 500, badJSON), post("/partialImport", `{}`, 200, ""),
		post("/partialImport", `{"users":{}}`, 500, badJSON), post("/partialImport", `{"users":[null]}`, 500, unknownError),
		post("/partialImport", `{"ifResourceExists":"skip","users":[]}`, 500, badJSON),
		post("/partialImport", `{"ifResourceExists":null,"users":[{"username":"{p}null"}]}`, 200, `{"added":1}`), post("/partialImport", `{"ifResourceExists":null,"users":[{"username":"{p}null"}]}`, 500, unknownError),
		imp(`{}`, 500, unknownError), imp(`{"email":"{p}only@x.org"}`, 500, unknownError),
		imp(`{"username":["a"]}`, 500, badJSON), imp(`{"username":"{p}a","enabled":"yes"}`, 500, badJSON), imp(`{"username":"{p}a","createdTimestamp":"abc"}`, 500, badJSON),
		imp(`{"username":"{p}a","requiredActions":"x"}`, 500, badJSON), imp(`{"username":"{p}a","credentials":{}}`, 500, badJSON),
		imp(`{"id":"{u1}","username":"{p}lax","enabled":"true","firstName":5,"createdTimestamp":"17","attributes":{"s":"one","n":1,"m":[1,true,1.5],"o":{"a":1},"e":[],"z":null}}`, 200, ""),
		get("/users/{u1}", 200, `{"enabled":true,"firstName":"5","createdTimestamp":17,"attributes":{"s":["one"],"n":["1"],"o":[""],"e":"<absent>","z":"<absent>"}}`),
		imp(`{"username":"{p}a","attributes":{"s":[null,"a"]}}`, 500, unknownError),
		post("/partialImport", `{}`, 415, "").as("text/plain"),
	}},
	{Name: "import/what is accepted and should not be", Steps: []Step{
		imp(`{"id":"{p}/def ghi","username":"{p}strange"}`, 200, `{"results":[{"id":"{p}/def ghi"}]}`),
		get("/users?username={p}strange&exact=true", 200, `[{"id":"{p}/def ghi"}]`),
		get("/users/{p}/def%20ghi", 404, ""),
		imp(`{"id":"{u2}","username":"{p}u2","email":"not-an-email-{p}","firstName":"<b>"}`, 200, ""),
		get("/users/{u2}", 200, `{"email":"not-an-email-{p}","firstName":"<b>"}`),
		imp(`{"id":"{u3}","username":" {p} Lead ","email":" "}`, 200, ""), get("/users/{u3}", 200, `{"username":" {p} lead ","email":"<absent>"}`),
		imp(`{"id":"{u4}","username":"{p}u4","attributes":{"username":["{p}ZZ"],"email":["{p}e@x"],"firstName":["X"],"m":[""]}}`, 200, `{"results":[{"resourceName":"{p}u4"}]}`),
		get("/users/{u4}", 200, `{"username":"{p}zz","email":"{p}e@x","firstName":"X","attributes":{"m":[""],"username":"<absent>"}}`),
		imp(`{"id":"{u5}","username":"{p}u5","requiredActions":["NOPE","UPDATE_PROFILE","UPDATE_PROFILE"],"createdTimestamp":-5,"firstName":"","lastName":" "}`, 200, ""),
		get("/users/{u5}", 200, `{"createdTimestamp":-5,"firstName":"","lastName":" "}`),
		imp(`{"id":"{u6}","username":"{p}{x:247}"}`, 200, ""),
	}},
	{Name: "import/empty username", OwnRealm: true, Steps: []Step{
		imp(`{"id":"{u1}","username":""}`, 200, `{"added":1}`), get("/users/{u1}", 200, `{"username":""}`),
	}},
	{Name: "import/refused by the database", Steps: []Step{
		imp(`{"id":"{x:37}","username":"{p}u"}`, 500, unknownError),
		imp(`{"username":"{p}{x:300}"}`, 500, unknownError),
		imp(`{"username":"{p}u","firstName":"{x:256}"}`, 500, unknownError), imp(`{"username":"{p}u","lastName":"{x:256}"}`, 500, unknownError),
		imp(`{"username":"{p}u","email":"{x:256}"}`, 500, unknownError), imp(`{"username":"{p}u","attributes":{"{k:256}":["a"]}}`, 500, unknownError),
		imp(`{"username":"{p}u{nul}"}`, 500, unknownError), imp(`{"username":"{p}u","firstName":"a{nul}"}`, 500, unknownError),
		imp(`{"username":"{p}u","attributes":{"a":["{nul}"]}}`, 500, unknownError), imp(`{"username":"{p}u","email":"a{nul}@x.org"}`, 500, unknownError),
		imp(`{"username":"{p}u","requiredActions":["{x:256}"]}`, 500, unknownError), imp(`{"username":"{p}u","realmRoles":["{x:256}"]}`, 500, unknownError),
		imp(`{"username":"{p}u","realmRoles":[null]}`, 500, unknownError), imp(`{"username":"{p}u","credentials":[null]}`, 500, unknownError),
		get("/users?username={p}u&exact=true", 200, `[]`),
	}},
	{Name: "import/unknown group, client, role, link", Steps: []Step{
		imp(full("1", "")+","+full("2", `,"groups":["/{p}none"]`), 500, unknownError), get("/users/{u1}", 404, ""),
		imp(full("1", `,"groups":[""]`), 500, unknownError), imp(full("1", `,"groups":[null]`), 500, unknownError), imp(full("1", `,"groups":["/"]`), 500, unknownError),
		imp(full("1", `,"clientRoles":{"{p}none":["x"]}`), 500, unknownError),
		imp(full("1", `,"realmRoles":["{p}typo"],"federatedIdentities":[{"identityProvider":"none","userId":"1","userName":"u"}]`), 200, ""),
		get("/roles/{p}typo", 200, `{"name":"{p}typo"}`), // made in silence
		get("/roles/{p}typo/users", 200, `[{"id":"{u1}"}]`),
		get("/users/{u1}/federated-identity", 200, `[]`), // and the link is not there
	}},
	{Name: "import/groups by path", Steps: []Step{
		post("/groups", `{"name":"{p}G"}`, 201, "").save("g"), post("/groups/{g}/children", `{"name":"S"}`, 201, "").saveID("s"), post("/groups", `{"name":"{p}a/b"}`, 201, ""),
		imp(full("1", `,"groups":["/{p}G/S","/{p}G/S"]`)+","+full("2", `,"groups":["{p}G"]`)+","+full("3", `,"groups":["/{p}G/S/"]`)+","+full("4", `,"groups":["/{p}a/b"]`), 200, `{"added":4}`),
		get("/users/{u1}/groups", 200, `[{"id":"{s}","path":"/{p}G/S"}]`), get("/users/{u2}/groups", 200, `[{"id":"{g}"}]`),
		get("/users/{u3}/groups", 200, `[{"id":"{s}"}]`), get("/users/{u4}/groups", 200, `[{"path":"/{p}a/b"}]`),
		imp(full("5", `,"groups":["//{p}G"]`), 500, unknownError), imp(full("5", `,"groups":["/{p}g"]`), 500, unknownError),
	}},
	{Name: "import/roles", Steps: []Step{
		post("/partialImport", `{"ifResourceExists":"SKIP","roles":{"realm":[{"name":"{p}r"}]},"users":[`+full("1", `,"realmRoles":["{p}r","default-roles-{realm}"]`)+`]}`, 200, `{"added":2}`),
		get("/users/{u1}/role-mappings/realm", 200, `[{"name":"<any>"},{"name":"<any>"}]`),
		post("/partialImport", `{"ifResourceExists":"SKIP","roles":{"realm":[{"name":"{p}r"}]}}`, 200, `{"skipped":1,"results":[{"action":"SKIPPED","resourceType":"REALM_ROLE"}]}`),
	}},
	{Name: "import/credentials", Steps: []Step{
		imp(full("1", `,"credentials":[{nojson}]`), 500, `{"error":"invalid_request","error_description":"Cannot parse the JSON"}`),
		imp(full("1", `,"credentials":[{nojson2}]`), 500, `{"error":"invalid_request","error_description":"Cannot parse the JSON"}`),
		imp(full("1", `,"credentials":[{unknown}]`), 500, badJSON), imp(full("1", `,"credentials":[{"type":"password"}]`), 500, unknownError),
		imp(full("1", `,"credentials":[{"secretData":"{}","credentialData":"{}"}]`), 500, unknownError), get("/users/{u1}", 404, ""),
		imp(full("1", `,"credentials":[{otp},{sha256},{sha512}]`), 200, ""), // of two passwords the last stays
		get("/users/{u1}/credentials", 200, `[{"type":"otp","userLabel":"phone"},{"type":"password","createdDate":1710169762684}]`), get("/users/{u1}", 200, `{"totp":true}`),
		imp(full("2", `,"credentials":[{"type":"password","value":"plain"}]`), 200, ""),
		get("/users/{u2}/credentials", 200, `[{"type":"password","userLabel":"<absent>"}]`), login("{p}user2", "plain", 200, ""),
		imp(full("3", `,"credentials":[{"type":"password","value":"plain","temporary":true}]`), 200, ""), get("/users/{u3}", 200, `{"requiredActions":[]}`),
		imp(full("4", `,"credentials":[{otp},{otp}]`), 409, `{"errorMessage":"Device already exists with the same name"}`),
	}},
	{Name: "import/too large", OwnRealm: true, Steps: []Step{
		imp(full("1", `,"attributes":{"photo":["{x:9000000}"]}`), 200, ""), get("/users/{u1}?x", 200, "").loose(),
	}},

	// Logins.
	{Name: "login/hashes made elsewhere", Steps: []Step{
		imp(full("1", `,"credentials":[{sha1}]`)+","+full("2", `,"credentials":[{sha256}]`)+","+full("3", `,"credentials":[{sha512}]`)+","+full("4", `,"credentials":[{argon2id}]`)+","+full("5", `,"credentials":[{argon2i}]`)+","+full("6", `,"credentials":[{short}]`), 200, `{"added":6}`),
		login("{p}user1", "pw", 200, ""), login("{p}user2", "pw", 200, ""), login("{p}user3", "pw", 200, ""), login("{p}user4", "pw", 200, ""), login("{p}user5", "pw", 200, ""), login("{p}user6", "pw", 200, ""),
		login("{p}user1", "no", 400, badLogin), login("{p}user4", "no", 400, badLogin), login("{p}USER2", "pw", 200, ""), login("{p}user3@example.org", "pw", 200, ""), login("{p}user2", "", 400, badLogin),
		// The first login rewrote the hash: same date, another algorithm.
		get("/users/{u1}/credentials", 200, `[{"createdDate":1710169762684,"credentialData":"{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"7168\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}"}]`),
		get("/users/{u4}/credentials", 200, `[{"createdDate":1710169762684,"credentialData":"{\"hashIterations\":5,\"algorithm\":\"argon2\",\"additionalParameters\":{\"hashLength\":[\"32\"],\"memory\":[\"7168\"],\"type\":[\"id\"],\"version\":[\"1.3\"],\"parallelism\":[\"1\"]}}"}]`),
		login("{p}user1", "pw", 200, ""), login("{p}user4", "pw", 200, ""), login("{p}user1", "no", 400, badLogin),
	}},
	{Name: "login/what cannot be verified", Steps: []Step{
		imp(full("1", `,"credentials":[{bcrypt}]`)+","+full("2", `,"credentials":[{noparams}]`)+","+full("3", `,"credentials":[{nosecret}]`)+","+full("4", `,"credentials":[{emptysalt}]`)+","+full("5", ``)+","+full("6", `,"credentials":[{sha256},{otp}]`), 200, `{"added":6}`),
		login("{p}user1", "pw", 400, badLogin), login("{p}user2", "pw", 500, unknownError), login("{p}user3", "pw", 400, badLogin),
		login("{p}user4", "pw", 400, badLogin), login("{p}user5", "pw", 400, badLogin), login("{p}user6", "pw", 400, badLogin), login("{p}nobody", "pw", 400, badLogin),
	}},
	{Name: "login/account states", Steps: []Step{
		imp(full("1", `,"credentials":[{sha256}],"requiredActions":["UPDATE_PASSWORD"]`)+`,{"id":"{u2}","username":"{p}user2","enabled":false,"email":"{p}2@x.org","firstName":"a","lastName":"b","credentials":[{sha256}]}`+
			`,{"id":"{u3}","username":"{p}user3","enabled":true,"credentials":[{sha256}]},{"id":"{u4}","username":"{p}user4","enabled":true,"email":"{p}4@x.org","firstName":"a","credentials":[{sha256}]}`+
			`,{"id":"{u5}","username":"{p}user5","enabled":true,"email":"{p}bad mail","firstName":"a","lastName":"b","credentials":[{sha256}]},{"id":"{u6}","username":"{p}user6","enabled":true,"email":"{p}6@x.org","firstName":"<b>","lastName":"b","credentials":[{sha256}]}`+
			`,`+full("7", `,"credentials":[{sha256}],"attributes":{"long":["{x:3000}"]}`)+`,`+full("8", `,"credentials":[{sha256}],"requiredActions":["NOPE"]`), 200, `{"added":8}`),
		login("{p}user1", "pw", 400, notSetUp), login("{p}user1", "no", 400, badLogin), login("{p}user2", "pw", 400, disabled), login("{p}user2", "no", 400, badLogin),
		login("{p}user3", "pw", 400, notSetUp), login("{p}user3", "no", 400, badLogin), login("{p}user4", "pw", 400, notSetUp), login("{p}user5", "pw", 400, notSetUp),
		login("{p}user6", "pw", 400, notSetUp), login("{p}user7", "pw", 200, ""), login("{p}user8", "pw", 400, notSetUp),
		get("/users/{u1}/credentials", 200, `[{"createdDate":1710169762684}]`), get("/users/{u2}/credentials", 200, `[{"createdDate":1710169762684}]`), get("/users/{u3}", 200, `{"requiredActions":[]}`),
		put("/users/{u1}", full("1", `,"requiredActions":[]`), 204, ""), login("{p}user1", "pw", 200, ""),
	}},

	// Users one by one.
	{Name: "user/post", Steps: []Step{
		post("/users", `{"username":"{p}Post","id":"{u1}","enabled":true,"realmRoles":["x"],"attributes":{"q":["1"],"email":["{p}z@z.org"],"firstName":["via"]},"credentials":[{"type":"password","value":"pp","temporary":true}]}`, 201, "").save("id"),
		get("/users/{u1}", 404, ""), get("/users/{id}", 200, `{"enabled":true,"attributes":{"q":["1"]},"requiredActions":["UPDATE_PASSWORD"]}`),
		get("/users/{id}/role-mappings/realm", 200, `[{"name":"default-roles-{realm}"}]`),
		post("/users", `{"username":"{p}post"}`, 409, `{"errorMessage":"User exists with same username"}`),
		imp(full("2", ""), 200, ""), post("/users", `{"username":"{p}two","email":"{p}user2@example.org"}`, 409, `{"errorMessage":"User exists with same email"}`),
		post("/users", `{}`, 400, `{"errorMessage":"User name is missing"}`), post("/users", `{"username":""}`, 400, `{"errorMessage":"User name is missing"}`),
		post("/users", `{"username":"ab","email":"bad","firstName":"<x>"}`, 400, `{"errors":[{},{},{}]}`),
		post("/users", `{"username":"ab"}`, 400, `{"field":"username","errorMessage":"error-invalid-length","params":["username",3,255]}`),
		post("/users", `{"username":"{p}l","attributes":{"l":["{x:2049}"]}}`, 400, `{"field":"l","errorMessage":"error-invalid-length","params":["l",0,2048]}`),
		post("/users", `{"username":"{p}g","groups":["/{p}none"]}`, 500, unknownError), post("/users", `{"username":"{p}n","nope":1}`, 400, ""), post("/users", `x`, 400, ""), post("/users", ``, 500, unknownError), post("/users", `[]`, 400, badJSON),
		post("/users", `{"username":"{p}nul{nul}"}`, 500, unknownError), post("/users", `{}`, 415, "").as("text/plain"),
		post("/users", `{"username":"{p} blank"}`, 400, ""), post("/users", `{"username":"{p}用户"}`, 400, ""), post("/users", `{"username":"{p}é"}`, 201, ""),
		post("/users", `{"username":"{p}act","requiredActions":["NOPE","VERIFY_EMAIL"]}`, 201, "").save("act"), get("/users/{act}", 200, `{"requiredActions":["VERIFY_EMAIL"],"enabled":false}`),
	}},
	{Name: "user/put without attributes changes what is sent", Steps: []Step{
		imp(full("1", `,"attributes":{"a":["1","2"],"b":["x"]},"requiredActions":["UPDATE_PROFILE"]`), 200, ""),
		put("/users/{u1}", `{"firstName":"New"}`, 204, ""),
		get("/users/{u1}", 200, `{"firstName":"New","lastName":"Last","email":"{p}user1@example.org","attributes":{"b":["x"]},"requiredActions":["UPDATE_PROFILE"]}`),
		put("/users/{u1}", `{"email":"","firstName":"","lastName":""}`, 204, ""), get("/users/{u1}", 200, `{"email":"<absent>","firstName":"<absent>","username":"{p}user1"}`),
		put("/users/{u1}", `{}`, 204, ""),
	}},
	{Name: "user/put with attributes erases what is not sent", Steps: []Step{
		imp(full("1", `,"attributes":{"a":["1"],"b":["x"]}`), 200, ""),
		put("/users/{u1}", `{"attributes":{"c":["1"]}}`, 204, ""), get("/users/{u1}", 200, `{"username":"{p}user1","email":"<absent>","firstName":"<absent>","lastName":"<absent>","attributes":{"c":["1"],"a":"<absent>"}}`),
		put("/users/{u1}", full("1", `,"attributes":{"a":["1"],"e":[],"f":[""],"g":["","x"]}`), 204, ""), get("/users/{u1}", 200, `{"attributes":{"a":["1"],"e":"<absent>","f":"<absent>"}}`),
		put("/users/{u1}", full("1", `,"attributes":{}`), 204, ""), get("/users/{u1}", 200, `{"attributes":"<absent>","email":"{p}user1@example.org"}`),
	}},
	{Name: "user/put refused", Steps: []Step{
		imp(full("1", `,"attributes":{"a":["1"]}`)+","+full("2", ""), 200, ""),
		put("/users/{u1}", `{"username":"{p}renamed"}`, 400, `{"field":"username","errorMessage":"error-user-attribute-read-only"}`),
		put("/users/{u1}", `{"username":"{p}USER1"}`, 204, ""),
		put("/users/{u1}", `{"username":"{p}user2"}`, 409, `{"errorMessage":"User exists with same username"}`), put("/users/{u1}", `{"email":"{p}user2@example.org"}`, 409, `{"errorMessage":"User exists with same email"}`),
		put("/users/{u1}", `{"email":"bad"}`, 400, `{"field":"email","errorMessage":"error-invalid-email"}`), put("/users/{u1}", `{"username":""}`, 400, `{"errorMessage":"User name is missing"}`),
		put("/users/{u1}", `{"nope":1}`, 400, ""), put("/users/{u1}", `x`, 400, ""), put("/users/{u1}", ``, 400, `{"errorMessage":"Could not update user!"}`), put("/users/{u9}", `{}`, 404, `{"error":"User not found"}`),
		put("/users/{u1}", full("1", `,"attributes":{"l":["{x:2049}"]}`), 400, `{"field":"l"}`), put("/users/{u1}", full("1", `,"attributes":{"l":["{x:2048}"]}`), 204, ""),
		put("/users/{u1}", full("1", `,"attributes":{"{k:256}":["x"]}`), 400, `{"errorMessage":"Could not update user!"}`), put("/users/{u1}", full("1", `,"attributes":{"l":["{nul}"]}`), 400, ""),
		put("/users/{u1}", `{"firstName":"{nul}"}`, 400, `{"field":"firstName"}`), put("/users/{u1}", `{"firstName":"{x:256}"}`, 400, `{"errorMessage":"error-invalid-length-too-long","params":["firstName",null,255]}`),
		put("/users/{u1}", full("1", `,"credentials":[{nojson}]`), 400, `{"errorMessage":"Could not update user!"}`), put("/users/{u1}", full("1", `,"credentials":[{"type":"password"}]`), 400, ""),
		imp(`{"id":"{u3}","username":"{p} odd <name>","enabled":true}`, 200, ""), put("/users/{u3}", `{"firstName":"a"}`, 204, ""),
	}},
	{Name: "user/put of an account with odd names", OwnRealm: true, Steps: []Step{
		imp(`{"id":"{u1}","username":" {p}","enabled":true},{"id":"{u2}","username":"{p}user2","email":"{p}a@-x.org","lastName":"<b>"}`, 200, ""),
		put("/users/{u1}", `{"firstName":"a"}`, 204, ""), put("/users/{u1}", `{"username":"5"}`, 400, `{"errors":[{},{}]}`), put("/users/{u1}", `{"username":" "}`, 400, `{"errorMessage":"User name is missing"}`),
		put("/users/{u2}", `{"firstName":"a"}`, 400, ""), put("/users/{u2}", `{"firstName":"a","lastName":"b","email":"{p}b@-x.org"}`, 400, ""),
	}},
	{Name: "user/put ignores", Steps: []Step{
		imp(full("1", ""), 200, ""),
		put("/users/{u1}", `{"id":"zzz","enabled":null,"createdTimestamp":5,"groups":["/none"],"realmRoles":["zz"],"notBefore":7,"requiredActions":["NOPE","UPDATE_PASSWORD"]}`, 204, ""),
		get("/users/{u1}", 200, `{"enabled":true,"notBefore":0,"requiredActions":["UPDATE_PASSWORD"]}`), get("/users/{u1}/role-mappings/realm", 200, `[]`),
		put("/users/{u1}", `{"enabled":false,"requiredActions":[]}`, 204, ""), get("/users/{u1}", 200, `{"enabled":false,"requiredActions":[]}`),
	}},
	{Name: "user/put renames where the realm allows it", OwnRealm: true, Steps: []Step{
		put("", `{"editUsernameAllowed":true}`, 204, ""), imp(full("1", `,"credentials":[{sha256}]`)+","+full("2", ""), 200, ""),
		put("/users/{u1}", `{"username":"{p}Renamed"}`, 204, ""), get("/users?username={p}renamed&exact=true", 200, `[{"id":"{u1}"}]`), login("{p}renamed", "pw", 200, ""),
		put("/users/{u1}", `{"username":"{p}user2"}`, 409, ""), put("/users/{u1}", `{"username":"ab"}`, 400, `{"errorMessage":"error-invalid-length"}`), get("/users?first=0&max=10", 200, `[{"id":"{u1}"},{"id":"{u2}"}]`),
	}},
	{Name: "user/put credentials", Steps: []Step{
		imp(full("1", `,"credentials":[{sha256}]`), 200, ""), get("/users/{u1}/credentials", 200, `[{"userLabel":"label"}]`).saveID("cid"),
		put("/users/{u1}", `{"credentials":[{argon2id}]}`, 204, ""), get("/users/{u1}/credentials", 200, `[{"id":"{cid}","userLabel":"<absent>"}]`), // replaced, same id
		put("/users/{u1}", `{"credentials":[{"id":"{cid}","type":"password","value":"other"}]}`, 204, ""), login("{p}user1", "pw", 200, ""), // a known id: nothing happens
		put("/users/{u1}", `{"credentials":[{"type":"password","value":"plainpw"}]}`, 204, ""), login("{p}user1", "plainpw", 200, ""), login("{p}user1", "pw", 400, ""),
		put("/users/{u1}", `{"credentials":[]}`, 204, ""), put("/users/{u1}", `{"credentials":[{"type":"foo","secretData":"{}","credentialData":"{}"}]}`, 204, ""),
		put("/users/{u1}", `{"credentials":[{otp}]}`, 204, ""), put("/users/{u1}", `{"credentials":[{otp}]}`, 409, `{"errorMessage":"User exists with same username or email"}`),
		get("/users/{u1}/credentials", 200, `[{"type":"password"},{"type":"otp"}]`), del("/users/{u1}/credentials/none", "", 404, `{"error":"Credential not found"}`), del("/users/{u1}/credentials/{cid}", "", 204, ""),
		get("/users/{u1}/credentials", 200, `[{"type":"otp"}]`), get("/users/{u9}/credentials", 404, ""),
	}},
	{Name: "user/label and rehash", Steps: []Step{
		imp(full("1", `,"credentials":[{sha256}]`), 200, ""), login("{p}user1", "pw", 200, ""), get("/users/{u1}/credentials", 200, `[{"createdDate":1710169762684}]`),
	}},
	{Name: "user/reset password", Steps: []Step{
		imp(full("1", `,"credentials":[{sha256}]`), 200, ""),
		put("/users/{u1}/reset-password", `{"type":"password","value":"secret1","temporary":false}`, 204, ""), login("{p}user1", "secret1", 200, ""), login("{p}user1", "pw", 400, badLogin),
		put("/users/{u1}/reset-password", `{"type":"password","value":"secret2","temporary":true}`, 204, ""), login("{p}user1", "secret2", 400, notSetUp), put("/users/{u1}/reset-password", `{"value":"secret3"}`, 204, ""), login("{p}user1", "secret3", 200, ""),
		put("/users/{u1}/reset-password", `{"value":""}`, 400, `{"error":"Empty password not allowed"}`), put("/users/{u1}/reset-password", `{}`, 400, `{"error":"No password provided"}`),
		put("/users/{u1}/reset-password", ``, 400, `{"error":"No password provided"}`), put("/users/{u1}/reset-password", `{"nope":1}`, 400, ""), put("/users/{u9}/reset-password", `{"value":"x"}`, 404, ""),
	}},
	{Name: "user/delete", Steps: []Step{
		imp(full("1", `,"realmRoles":["{p}r"]`), 200, ""), del("/users/{u1}", "", 204, ""), del("/users/{u1}", "", 404, `{"error":"User not found"}`), get("/users/{u1}", 404, ""), get("/roles/{p}r/users", 200, `[]`),
		imp(full("1", ""), 200, `{"added":1}`), post("/users/{u9}/logout", "", 404, ""),
	}},
	{Name: "user/search by ids", Steps: []Step{
		imp(full("1", "")+","+full("2", "")+","+full("3", ""), 200, ""),
		get("/users?search=id:{u2}%20{u1}%20nope", 200, `[{"id":"{u2}"},{"id":"{u1}"}]`), get("/users?search=id:{u1}+{u1}", 200, `[{"id":"{u1}"},{"id":"{u1}"}]`), get("/users?search=id:", 200, `[]`),
		get("/users?search=id:{u3}%20%20{u2}&max=1&briefRepresentation=true", 200, `[{"id":"{u3}","attributes":"<absent>"},{"id":"{u2}"}]`),
		get("/users?username={p}user&exact=true", 200, `[]`), get("/users?username={p}user", 200, `[{},{},{}]`), get("/users?search={p}user1", 200, `[{"id":"{u1}"}]`), get("/users?email={p}user", 200, `[{},{},{}]`),
		get("/users/count?username={p}user", 200, `3`), get("/users?username={p}user&max=abc", 404, ""),
	}},
	{Name: "user/pages", OwnRealm: true, Steps: []Step{
		get("/users/count", 200, `0`), get("/users", 200, `[]`),
		imp(full("3", `,"attributes":{"a":["1"]}`)+","+full("1", "")+","+full("2", ""), 200, ""), get("/users/count", 200, `3`),
		get("/users?first=0&max=2", 200, `[{"id":"{u1}"},{"id":"{u2}"}]`), get("/users?first=2&max=2", 200, `[{"id":"{u3}"}]`), get("/users?first=5&max=2", 200, `[]`), get("/users?max=0", 200, `[]`), get("/users?max=-1&briefRepresentation=true", 200, `[{},{},{"attributes":"<absent>"}]`),
		get("/users?username=&exact=true", 200, `[{},{},{},{"username":"service-account-parallelrun-migrator"}]`), get("/users?q=a:1", 200, `[{"id":"{u3}"}]`), get("/users?q=a:2", 200, `[]`),
		del("/users/{u2}", "", 204, ""), get("/users?first=0&max=2", 200, `[{"id":"{u1}"},{"id":"{u3}"}]`), get("/users/count", 200, `2`),
	}},

	// Profile.
	{Name: "profile/unmanaged attributes by policy", OwnRealm: true, Steps: append([]Step{
		imp(full("1", `,"attributes":{"a":["1"]}`), 200, ""), get("/users/profile", 200, `{"unmanagedAttributePolicy":"ADMIN_EDIT"}`),
	}, policySteps("", `,"unmanagedAttributePolicy":"ENABLED"`, `,"unmanagedAttributePolicy":"ADMIN_VIEW"`, `,"unmanagedAttributePolicy":"ADMIN_EDIT"`)...)},
	{Name: "profile/refused", OwnRealm: true, Steps: []Step{
		put("/users/profile", profileWith(`{"name":"photo","validations":{"nope":{}}}`, ""), 400, `{"errorMessage":"[Validator 'nope' defined for attribute 'photo' doesn't exist]"}`),
		put("/users/profile", profileWith(`{"nope":1}`, ""), 400, ""), put("/users/profile", profileWith(`{"name":"photo"},{"name":"photo"}`, ""), 400, `{"errorMessage":"[Attribute configuration already exists with 'name':'photo']"}`),
		put("/users/profile", profileWith(`{"name":"pho to"}`, ""), 400, ""), put("/users/profile", profileWith(`{"name":"photo","group":"none"}`, ""), 400, ""),
		put("/users/profile", profileWith(`{"name":"photo"}`, `,"unmanagedAttributePolicy":"NOPE"`), 400, badJSON), put("/users/profile", profileWith(`{"name":"photo"}`, `,"nope":1`), 400, ""), put("/users/profile", `x`, 400, ""),
		put("/users/profile", `{"attributes":[{"name":"email"}]}`, 400, `{"errorMessage":"[The attribute 'username' can not be removed]"}`),
	}},
	{Name: "profile/validators", OwnRealm: true, Steps: append([]Step{
		put("/users/profile", profileWith(manyValidators, `,"unmanagedAttributePolicy":"ADMIN_EDIT"`), 200, ""), imp(full("1", ""), 200, ""),
	}, validatorSteps(
		`"vpat":["x"]`, `"vpat":["12"]`, `"vpat2":["x"]`, `"vint":["x"]`, `"vint":["10"]`, `"vint":["5"]`, `"vopt":["c"]`, `"vopt":["a"]`, `"vdbl":["x"]`, `"vdbl":["0.5"]`, `"vlen":["a"]`, `"vlen":["abc","abcde"]`, `"vlen":["abc","abcd"]`,
		`"vmin":["a"]`, `"vmv":["1","2","3"]`, `"vsingle":["1","2"]`, `"vsingle":["{x:2049}"]`, `"vmail":["bad"]`, `"vmail":["a@b"]`, `"vro":["1"]`, `"vnone":["1"]`, `"vpat":[""]`, `"vpat":[" "]`, `"viso":["2020-13-01"]`, `"viso":["2020-12-01"]`, `"photo":["{x:100000}"]`, `"photo":["{x:100001}"]`,
	)...)},

	// Roles.
	{Name: "role/make and map", Steps: []Step{
		post("/roles", `{"name":"{p}r","description":"d","attributes":{"a":["b"]}}`, 201, ""), get("/roles/{p}r", 200, `{"name":"{p}r","description":"d","attributes":{"a":["b"]}}`).saveID("r"),
		post("/roles", `{"name":"{p}r"}`, 409, `{"errorMessage":"Role with name {p}r already exists"}`), post("/roles", `{"name":"{p}R"}`, 201, ""), post("/roles", `{}`, 400, `{"error":"role has no name"}`),
		post("/roles", `{"name":"{p}n","nope":1}`, 400, ""), post("/roles", `{"name":"{x:256}"}`, 500, unknownError), post("/roles", `{"name":"{p}{nul}"}`, 500, unknownError), post("/roles", ``, 500, unknownError),
		post("/roles", `{"name":"{p}a/b"}`, 201, ""), get("/roles/{p}a%2Fb", 200, `{"name":"{p}a/b"}`), get("/roles/{p}none", 404, `{"error":"Could not find role"}`), get("/roles/{p}none/users", 404, `{"error":"Could not find role"}`),
		get("/roles?search={p}", 200, `[{"attributes":"<absent>"},{},{}]`), get("/roles?search={p}&briefRepresentation=false", 200, `[{"attributes":"<any>"},{},{}]`), get("/roles?search={p}&first=1&max=1", 200, `[{}]`),
		imp(full("1", ""), 200, ""), post("/users/{u1}/role-mappings/realm", `[{"id":"{r}","name":"{p}r"}]`, 204, ""), post("/users/{u1}/role-mappings/realm", `[{"id":"{r}","name":"{p}r"}]`, 204, ""),
		get("/users/{u1}/role-mappings/realm", 200, `[{"id":"{r}","name":"{p}r"}]`), get("/users/{u1}/role-mappings", 200, `{"realmMappings":[{"id":"{r}"}]}`), get("/roles/{p}r/users", 200, `[{"id":"{u1}"}]`), get("/roles/{p}r/users?briefRepresentation=true&first=0&max=1", 200, `[{"attributes":"<absent>"}]`),
		post("/users/{u1}/role-mappings/realm", `[{"id":"none","name":"{p}r"}]`, 404, `{"error":"Role not found"}`), post("/users/{u1}/role-mappings/realm", `[{"name":"{p}r"}]`, 404, ""), post("/users/{u1}/role-mappings/realm", `[{"id":"{r}","name":"none"}]`, 404, ""),
		post("/users/{u1}/role-mappings/realm", `{}`, 400, badJSON), post("/users/{u1}/role-mappings/realm", `[]`, 204, ""), post("/users/{u1}/role-mappings/realm", ``, 500, unknownError), post("/users/{u9}/role-mappings/realm", `[]`, 404, ""),
		del("/users/{u1}/role-mappings/realm", `[{"id":"{r}","name":"{p}r"}]`, 204, ""), del("/users/{u1}/role-mappings/realm", `[{"id":"{r}","name":"{p}r"}]`, 204, ""), del("/users/{u1}/role-mappings/realm", `[{"id":"x","name":"none"}]`, 404, ""), get("/users/{u1}/role-mappings/realm", 200, `[]`),
	}},
	{Name: "role/composites", Steps: []Step{
		post("/roles", `{"name":"{p}whole"}`, 201, ""), post("/roles", `{"name":"{p}part"}`, 201, ""), get("/roles/{p}whole", 200, `{"composite":false}`).saveID("w"), get("/roles/{p}part", 200, "").saveID("t"),
		get("/roles-by-id/{w}/composites", 200, `[]`), get("/roles-by-id/none/composites", 404, `{"error":"Could not find role with id"}`), get("/roles/{p}none/composites", 404, `{"error":"Could not find role"}`),
		post("/roles-by-id/{w}/composites", `[{"id":"{t}","name":"{p}part"}]`, 204, ""), post("/roles-by-id/{w}/composites", `[{"id":"{t}"}]`, 204, ""), get("/roles-by-id/{w}/composites", 200, `[{"id":"{t}","name":"{p}part","composite":false,"clientRole":false,"attributes":"<absent>"}]`),
		get("/roles/{p}whole", 200, `{"composite":true}`), get("/roles?search={p}", 200, `[{"containerId":"<any>"},{"containerId":"<any>"}]`), get("/roles/{p}whole/composites", 200, `[{"id":"{t}"}]`),
		post("/roles/{p}part/composites", `[{"id":"{w}","name":"{p}whole"}]`, 204, ""), get("/roles/{p}part/composites", 200, `[{"id":"{w}","composite":true}]`), // in a circle
		post("/roles-by-id/{w}/composites", `[{"id":"none","name":"{p}part"}]`, 404, `{"error":"Could not find composite role"}`), post("/roles-by-id/{w}/composites", `[{"name":"{p}part"}]`, 404, `{"error":"Could not find composite role"}`), post("/roles-by-id/none/composites", `[]`, 404, `{"error":"Could not find role with id"}`),
		post("/roles-by-id/{w}/composites", `{}`, 400, badJSON), post("/roles-by-id/{w}/composites", `[]`, 204, ""), post("/roles-by-id/{w}/composites", ``, 500, unknownError), post("/roles-by-id/{w}/composites", `[{"nope":1}]`, 400, ""),
		del("/roles-by-id/{w}/composites", `[{"id":"{t}"}]`, 204, ""), del("/roles-by-id/{w}/composites", `[{"id":"{t}"}]`, 204, ""), del("/roles-by-id/{w}/composites", `[{"id":"none"}]`, 404, `{"error":"Could not find composite role"}`), get("/roles/{p}whole", 200, `{"composite":false}`),
		del("/roles/{p}whole", "", 204, ""), get("/roles/{p}part", 200, `{"composite":false}`), get("/roles/{p}part/composites", 200, `[]`),
		get("/roles/default-roles-{realm}", 200, `{"composite":true}`), get("/roles/default-roles-{realm}/composites", 200, "").loose(), // those of client account are not in the sandbox
	}},

	// Groups of the realm.
	{Name: "group/tree", Steps: []Step{
		post("/groups", `{"name":"{p}G","attributes":{"a":["1"]},"description":"d","subGroups":[{"name":"zz"}],"realmRoles":["offline_access"]}`, 201, "").save("g"),
		get("/groups/{g}", 200, `{"path":"/{p}G","attributes":{"a":["1"]},"realmRoles":[],"subGroupCount":0}`), post("/groups", `{"name":"{p}G"}`, 409, `{"errorMessage":"Top level group named '{p}G' already exists."}`),
		post("/groups", `{}`, 400, `{"errorMessage":"Group name is missing"}`), post("/groups", `{"name":""}`, 400, ""), post("/groups", `{"name":"x","id":"none"}`, 404, `{"error":"Could not find child by id"}`), post("/groups", `{"name":"x","nope":1}`, 400, ""), post("/groups", ``, 500, ""), post("/groups", `{"name":"{x:256}"}`, 500, ""), post("/groups", `{"name":"{p}{nul}"}`, 500, ""), post("/groups", `{"name":"{p}A","attributes":{"a":["{x:256}"]}}`, 500, ""),
		post("/groups/{g}/children", `{"name":"C1","attributes":{"a":["1"]}}`, 201, `{"path":"/{p}G/C1","parentId":"{g}"}`).saveID("c"), post("/groups/{g}/children", `{"name":"C1"}`, 409, `{"errorMessage":"Sibling group named 'C1' already exists."}`),
		put("/groups/{c}", `{"name":"C2","attributes":{"z":["1"]}}`, 204, ""), put("/groups/{c}", `{"name":"C2"}`, 204, ""), get("/groups/{c}", 200, `{"name":"C2","attributes":{"z":["1"]}}`), put("/groups/{c}", `{"attributes":{}}`, 400, ""), put("/groups/none", `{"name":"x"}`, 404, `{"error":"Could not find group by id"}`),
		post("/groups/{g}/children", `{"name":"C3"}`, 201, "").saveID("c3"), put("/groups/{c3}", `{"name":"C2"}`, 409, ""), post("/groups/{c3}/children", `{"name":"C2","id":"{c}"}`, 204, ""), get("/groups/{c}", 200, `{"path":"/{p}G/C3/C2"}`),
		get("/groups/{g}/children", 200, `[{"name":"C3","subGroupCount":1}]`), get("/groups/{g}/children?briefRepresentation=true&first=0&max=1", 200, `[{"attributes":"<absent>"}]`), get("/groups?search={p}G", 200, `[{"name":"{p}G"}]`), get("/groups/none/children", 404, ""), get("/group-by-path/{p}G/C3", 200, `{"id":"{c3}"}`), get("/group-by-path/none", 404, `{"error":"Group path does not exist"}`),
		imp(full("1", `,"attributes":{"a":["1"]}`), 200, ""), put("/users/{u1}/groups/{c}", ``, 204, ""), put("/users/{u1}/groups/{c}", ``, 204, ""), put("/users/{u1}/groups/none", ``, 404, `{"error":"Group not found"}`), put("/users/{u9}/groups/{c}", ``, 404, ""),
		get("/users/{u1}/groups", 200, `[{"id":"{c}","attributes":"<absent>"}]`), get("/users/{u1}/groups?briefRepresentation=false", 200, `[{"attributes":{"z":["1"]}}]`), get("/groups/{c}/members", 200, `[{"id":"{u1}"}]`), get("/groups/{c}/members?briefRepresentation=true", 200, `[{"attributes":"<absent>"}]`), get("/groups/none/members", 404, ""),
		del("/users/{u1}/groups/{c}", "", 204, ""), del("/users/{u1}/groups/{c}", "", 204, ""), del("/users/{u1}/groups/none", "", 404, ""), put("/users/{u1}/groups/{c}", ``, 204, ""),
		del("/groups/{g}", "", 204, ""), get("/groups/{c}", 404, ""), get("/users/{u1}/groups", 200, `[]`), del("/groups/{g}", "", 404, ""),
	}},

	// Organizations.
	{Name: "organization/post", Steps: []Step{
		post("/organizations", `{"name":"{p} Acme","alias":"{p}acme","description":"d","attributes":{"k":["v1","v2"],"e":[]},"domains":[{"name":"{p}Acme.org","verified":true}],"id":"{u1}"}`, 201, "").save("o"),
		get("/organizations/{u1}", 404, `{"errorMessage":"Organization not found."}`), get("/organizations/{o}", 200, `{"alias":"{p}acme","enabled":true,"attributes":{"e":"<absent>"},"domains":[{"verified":true}]}`),
		post("/organizations", `{"name":"{p} Acme"}`, 400, `{"errorMessage":"Name cannot be used as alias: Empty Space not allowed."}`), post("/organizations", `{"name":"{p} Acme","alias":"{p}2"}`, 409, `{"errorMessage":"A organization with the same name already exists."}`), post("/organizations", `{"name":"{p}acme"}`, 409, `{"errorMessage":"A organization with the same alias already exists"}`),
		post("/organizations", `{"name":"{p}B","domains":[{"name":"{p}acme.org"}]}`, 400, ""), post("/organizations", `{"name":"{p}B","alias":"b b"}`, 400, `{"error":"Empty Space not allowed."}`), post("/organizations", `{"name":"{p}B","alias":"b/b"}`, 400, `{"error":"Character '/' not allowed."}`),
		post("/organizations", `{}`, 400, `{"errorMessage":"Name can not be null"}`), post("/organizations", `{"name":""}`, 400, ""), post("/organizations", `{"name":"{p}C","nope":1}`, 400, ""), post("/organizations", ``, 400, `{"errorMessage":"Organization cannot be null."}`), post("/organizations", `{"name":"{x:256}"}`, 500, unknownError), post("/organizations", `{"name":"{p}{nul}"}`, 500, unknownError), post("/organizations", `{"name":"{p}I","attributes":{"a":["{x:256}"]}}`, 500, unknownError),
		post("/organizations", `{"name":"{p}F","domains":[{"name":"bad domain"}]}`, 400, `{"errorMessage":"Invalid domain format: bad domain"}`), post("/organizations", `{"name":"{p}G","domains":[{"name":""}]}`, 400, `{"errorMessage":"Domain name cannot be empty"}`), post("/organizations", `{"name":"{p}K","redirectUrl":"nourl"}`, 400, ""),
		post("/organizations", `{"name":"{p}nodomain","enabled":false,"attributes":{"b":[""]}}`, 201, "").save("n"), get("/organizations/{n}", 200, `{"alias":"{p}nodomain","enabled":false,"domains":"<absent>"}`), post("/organizations", `{"name":"{p}H","domains":["{p}h.org"]}`, 201, ""), post("/organizations", `{"name":"{p}é"}`, 201, ""), post("/organizations", `{"name":"{p}P","alias":""}`, 201, ""),
		get("/organizations?search={p}%20Acme&exact=true", 200, `[{"id":"{o}","attributes":"<absent>"}]`), get("/organizations?search={p}acme.org&exact=true", 200, `[{"id":"{o}"}]`), get("/organizations?search={p}%20ACME&exact=true", 200, `[]`), get("/organizations?search={p}%20acm&briefRepresentation=false", 200, `[{"attributes":{}}]`), get("/organizations?q=alias:{p}acme", 200, `[{"id":"{o}"}]`),
	}},
	{Name: "organization/aliases with signs", Steps: aliasSteps(`!"#$%&'()*+,-.:;<=>?@[]^_|~` + "`")},
	{Name: "organization/by attribute", Steps: []Step{
		post("/organizations", `{"name":"{p}A","attributes":{"legacyId{p}":["v1","v2"]}}`, 201, "").save("o"), get("/organizations?q=legacyId{p}:v1", 200, `[{"id":"{o}"}]`), get("/organizations?q=legacyId{p}:v", 200, `[]`), get("/organizations?q=legacyId{p}:V1", 200, `[]`),
	}},
	{Name: "organization/put", Steps: []Step{
		post("/organizations", `{"name":"{p}A","description":"d","attributes":{"k":["v"]},"domains":[{"name":"{p}a.org"}],"enabled":false}`, 201, "").save("o"), post("/organizations", `{"name":"{p}B"}`, 201, "").save("b"),
		put("/organizations/{o}", `{"name":"{p}A2"}`, 400, `{"errorMessage":"Cannot change the alias"}`), put("/organizations/{o}", `{"name":"{p}A","alias":"{p}x"}`, 400, `{"errorMessage":"Cannot change the alias"}`), put("/organizations/{o}", `{"alias":"{p}A"}`, 409, ""), put("/organizations/{o}", `{"name":"{p}B","alias":"{p}A"}`, 409, ""), put("/organizations/none", `{"name":"x"}`, 404, ""),
		put("/organizations/{o}", `{"name":"{p}A","alias":"{p}A"}`, 204, ""), get("/organizations/{o}", 200, `{"description":"<absent>","domains":"<absent>","attributes":{"k":["v"]},"enabled":true}`),
		put("/organizations/{o}", `{"name":"{p}A3","alias":"{p}A","attributes":{"z":["1"]},"domains":[{"name":"{p}n.org"}],"enabled":false}`, 204, ""), get("/organizations/{o}", 200, `{"name":"{p}A3","alias":"{p}A","attributes":{"z":["1"],"k":"<absent>"},"domains":[{"name":"<any>","verified":false}],"enabled":false}`),
		put("/organizations/{b}", `{"name":"{p}B"}`, 204, ""), put("/organizations/{b}", `{"name":"{p}B","nope":1}`, 400, ""), put("/organizations/{b}", `{"name":"{p}B","attributes":{"a":["{x:256}"]}}`, 500, unknownError),
	}},
	{Name: "organization/switched off", OwnRealm: true, Steps: []Step{
		post("/organizations", `{"name":"A"}`, 201, "").save("o"), put("", `{"organizationsEnabled":false}`, 204, ""), get("/organizations", 404, `{"errorMessage":"Organizations not enabled for this realm."}`), get("/organizations/{o}/members", 404, ""), post("/organizations", `{"name":"B"}`, 404, ""),
		get("", 200, `{"organizationsEnabled":false}`), put("", `{"organizationsEnabled":true}`, 204, ""), get("/organizations/{o}", 200, `{"name":"A"}`), put("", `{"nope":1}`, 400, ""), put("", `{"displayName":"dn"}`, 204, ""), get("", 200, `{"displayName":"dn","realm":"{realm}","id":"<any>"}`),
	}},
	{Name: "organization/pages of ten", OwnRealm: true, Steps: append(repeat(12, func(n string) Step { return post("/organizations", `{"name":"o`+n+`"}`, 201, "").save("o") }), append(repeat(12, func(n string) Step {
		return post("/organizations/{o}/groups", `{"name":"g`+n+`"}`, 201, "").saveID("g")
	}), append(repeat(12, func(n string) Step {
		return post("/organizations/{o}/groups/{g}/children", `{"name":"c`+n+`"}`, 201, "").saveID("c")
	}),
		get("/organizations", 200, `[{},{},{},{},{},{},{},{},{},{}]`), get("/organizations?first=10", 200, `[{},{}]`), get("/organizations?max=-1", 200, `[{},{},{},{},{},{},{},{},{},{},{},{}]`), get("/organizations?max=0", 200, `[]`), get("/organizations/count", 200, `12`),
		get("/organizations/{o}/groups", 200, `[{},{},{},{},{},{},{},{},{},{},{},{}]`), get("/organizations/{o}/groups/{g}/children", 200, `[{},{},{},{},{},{},{},{},{},{}]`), get("/organizations/{o}/groups/{g}/children?first=10&max=100", 200, `[{},{}]`),
		get("/organizations/{o}/groups?first=1&max=2", 200, `[{"name":"g02"},{"name":"g03"}]`), get("/organizations/{o}/groups?search=c0", 200, `[{},{},{},{},{},{},{},{},{}]`), get("/organizations/{o}/groups?search=c0&populateHierarchy=true", 200, `[{"subGroups":[{},{},{},{},{},{},{},{},{}]}]`),
	)...)...)},
	{Name: "organization/members", Steps: []Step{
		imp(full("1", `,"attributes":{"a":["1"]}`)+","+full("2", ""), 200, ""), post("/organizations", `{"name":"{p}A"}`, 201, "").save("o"),
		post("/organizations/{o}/members", `{u1}`, 201, ""), post("/organizations/{o}/members", `{u1}`, 409, `{"errorMessage":"User is already a member of the organization."}`), post("/organizations/{o}/members", `"{u2}"`, 201, ""),
		post("/organizations/{o}/members", `{u9}`, 404, `{"error":"HTTP 404 Not Found"}`), post("/organizations/{o}/members", ``, 404, ""), post("/organizations/{o}/members", `{"id":"{u1}"}`, 404, ""), post("/organizations/{o}/members", `{u1}`, 415, "").as("text/plain"), post("/organizations/none/members", `{u1}`, 404, ""),
		get("/organizations/{o}/members", 200, `[{"id":"{u1}","membershipType":"UNMANAGED","attributes":"<absent>"},{"id":"{u2}"}]`), get("/organizations/{o}/members?briefRepresentation=false&first=0&max=1", 200, `[{"attributes":{"a":["1"]}}]`), get("/organizations/{o}/members?max=0", 200, `[]`), get("/organizations/{o}/members?search={p}user2&exact=true", 200, `[{"id":"{u2}"}]`), get("/organizations/{o}/members/count", 200, `2`),
		get("/organizations/{o}/members/{u1}", 200, `{"membershipType":"UNMANAGED"}`), get("/organizations/{o}/members/{u9}", 404, ""), get("/organizations/members/{u1}/organizations", 200, `[{"id":"{o}"}]`), get("/organizations/members/{u9}/organizations", 404, ""), get("/organizations/members/{u1}/organizations?briefRepresentation=false", 200, `[{"attributes":{}}]`),
		del("/organizations/{o}/members/{u1}", "", 204, ""), del("/organizations/{o}/members/{u1}", "", 404, ""), get("/users/{u1}", 200, ""), get("/organizations/members/{u1}/organizations", 200, `[]`), del("/users/{u2}", "", 204, ""), get("/organizations/{o}/members", 200, `[]`),
		del("/organizations/{o}", "", 204, ""), del("/organizations/{o}", "", 404, `{"errorMessage":"Organization not found."}`),
	}},
	{Name: "user/attributes out of sight", OwnRealm: true, Steps: append(append([]Step{
		imp(full("1", `,"attributes":{"locale":["de"],"a":["1"],"terms_and_conditions":["1"],"createTimestamp":["x"],"modifyTimestamp":["x"],"LDAP_ID":["x"],"kc.email.pending":["x"]}`), 200, ""),
		get("/users/{u1}", 200, `{"attributes":{"a":["1"],"locale":"<absent>","createTimestamp":"<absent>"}}`), put("/users/{u1}", full("1", `,"attributes":{"a":["2"],"locale":["en"],"terms_and_conditions":["2"]}`), 204, ""),
		put("", `{"internationalizationEnabled":true,"supportedLocales":["de","en"]}`, 204, ""), get("/users/{u1}", 200, `{"attributes":{"a":["2"],"locale":["de"],"terms_and_conditions":"<absent>"}}`), // ignored, and kept
		put("/users/{u1}", full("1", `,"attributes":{"locale":["fr"]}`), 204, ""), get("/users/{u1}", 200, `{"attributes":{"locale":["fr"]}}`),
	}, refusedAttributes("LDAP_ID", "LDAP_ENTRY_DN", "KERBEROS_PRINCIPAL", "CREATED_TIMESTAMP", "createTimestamp", "modifyTimestamp", "CREATETIMESTAMP")...), put("/users/{u1}", full("1", `,"attributes":{"userCertificate":["x"],"ENABLED":["x"],"disabledReason":["x"],"saml.persistent.name.id.for.x":["x"],"emailPending":["x"],"locale":["{x:2049}"]}`), 400, ""), put("/users/{u1}", full("1", `,"attributes":{"userCertificate":["x"],"ENABLED":["x"],"disabledReason":["x"],"saml.persistent.name.id.for.x":["x"],"emailPending":["x"]}`), 204, ""), get("/users/{u1}", 200, ""))},
	{Name: "organization/a member's e-mail may be absent but not emptied", Steps: []Step{
		imp(full("1", "")+","+full("2", "")+`,{"id":"{u3}","username":"{p}user3"}`, 200, ""), post("/organizations", `{"name":"{p}A"}`, 201, "").save("o"), post("/organizations", `{"name":"{p}off","enabled":false}`, 201, "").save("off"),
		post("/organizations/{o}/members", `{u1}`, 201, ""), post("/organizations/{off}/members", `{u2}`, 201, ""), post("/organizations/{o}/members", `{u3}`, 201, ""),
		put("/users/{u1}", `{"email":""}`, 400, `{"field":"email","errorMessage":"Email not set","params":["email"]}`), put("/users/{u1}", `{"email":"","attributes":{}}`, 400, ""), put("/users/{u1}", `{"email":"{p}new@x.org"}`, 204, ""), put("/users/{u1}", `{"attributes":{}}`, 204, ""), get("/users/{u1}", 200, `{"email":"<absent>"}`),
		put("/users/{u2}", `{"email":""}`, 204, ""), put("/users/{u3}", `{"firstName":"a"}`, 204, ""), put("/users/{u3}", `{"email":""}`, 400, ""),
	}},
	{Name: "user/an empty password breaks logins", Steps: []Step{
		imp(full("1", `,"credentials":[{"type":"password","value":""}]`), 200, ""), get("/users/{u1}/credentials", 200, `[{"type":"password","credentialData":"<absent>"}]`), login("{p}user1", "pw", 500, unknownError),
		post("/users", `{"username":"{p}posted","credentials":[{"type":"password","value":""}]}`, 201, "").save("id"), get("/users/{id}/credentials", 200, `[{"credentialData":"<absent>"}]`),
		imp(full("2", `,"credentials":[{sha256}]`), 200, ""), put("/users/{u2}", `{"credentials":[{"type":"password","value":""}]}`, 204, ""), get("/users/{u2}/credentials", 200, `[{"credentialData":"<absent>"}]`), login("{p}user2", "pw", 500, unknownError),
	}},
	{Name: "organization/e-mail domains", OwnRealm: true, Steps: []Step{
		imp(full("1", "")+","+full("2", "")+`,{"id":"{u3}","username":"{p}user3","email":"{p}a@x_y.org"},{"id":"{u4}","username":"{p}user4","email":"bad"},{"id":"{u5}","username":"{p}user5","email":"{p}b@x_y.org"}`, 200, ""),
		put("/users/{u3}", `{"firstName":"a"}`, 400, `{"field":"email"}`), put("/users/{u3}", `{"email":"{p}c@x.org"}`, 204, ""), imp(`{"id":"{u6}","username":"{p}user6","email":"{p}a@x_y.org"}`, 200, ""),
		post("/organizations", `{"name":"{p}A"}`, 201, "").save("o"), post("/organizations/{o}/members", `{u1}`, 201, ""), post("/organizations/{o}/members", `{u5}`, 201, ""),
		// With an organization in the realm, an account whose e-mail has such a domain cannot be changed any more, not even its e-mail.
		put("/users/{u6}", `{"firstName":"a"}`, 400, `{"errorMessage":"Could not update user!"}`), put("/users/{u6}", `{"email":"{p}good@x.org"}`, 400, `{"errorMessage":"Could not update user!"}`), put("/users/{u6}", `{"username":"{p}user1"}`, 400, `{"errorMessage":"Could not update user!"}`),
		put("/users/{u4}", `{"firstName":"a"}`, 400, `{"field":"email"}`), put("/users/{u4}", `{"email":"{p}d@x.org"}`, 204, ""), put("/users/{u2}", `{"email":"{p}a@-x.org"}`, 400, `{"field":"email"}`),
		// For a member the reason comes twice.
		put("/users/{u1}", `{"email":"{p}a@x..org"}`, 400, `{"errors":[{},{}]}`), put("/users/{u1}", `{"email":"bad"}`, 400, `{"errors":[{},{}]}`), put("/users/{u5}", `{"firstName":"a"}`, 400, `{"errors":[{},{}]}`), put("/users/{u5}", `{"email":"{p}e@x.org"}`, 204, ""),
		put("/users/{u1}", `{"email":"{p}a@x"}`, 204, ""), put("/users/{u2}", `{"email":"{p}a@é.org"}`, 204, ""), post("/users", `{"username":"{p}bad","email":"{p}z@x_y.org"}`, 400, `{"field":"email"}`),
	}},
	{Name: "user/blank values", Steps: []Step{
		imp(full("1", "")+`,{"id":"{u2}","username":"{p}user2","firstName":"","lastName":" ","attributes":{"a":[" "],"b":[""]}}`, 200, ""),
		put("/users/{u1}", `{"firstName":" ","lastName":""}`, 204, ""), get("/users/{u1}", 200, `{"firstName":"<absent>","lastName":"<absent>"}`),
		put("/users/{u2}", `{"enabled":true,"firstName":"","lastName":" "}`, 204, ""), get("/users/{u2}", 200, `{"firstName":"","lastName":" ","attributes":{"a":[" "],"b":[""]}}`), // as they were
		put("/users/{u2}", `{"attributes":{"a":[" "],"b":["","x"],"c":[" "],"d":["y"," "]}}`, 204, ""), get("/users/{u2}", 200, `{"attributes":{"a":[" "],"b":["x"],"c":"<absent>","d":["y"]}}`),
		put("/users/{u1}", `{"email":" "}`, 400, `{"field":"email","errorMessage":"error-invalid-email"}`),
	}},
	{Name: "import/the row is written before its parts", Steps: []Step{
		imp(full("1", ""), 200, ""), imp(`{"id":"{u1}","username":"{p}other","credentials":[{nojson}],"groups":["/none"]}`, 409, duplicate),
	}},
	{Name: "organization/groups", Steps: []Step{
		post("/organizations", `{"name":"{p}A"}`, 201, "").save("o"), post("/organizations", `{"name":"{p}B"}`, 201, "").save("b"), get("/organizations/{o}/groups", 200, `[]`),
		post("/organizations/{o}/groups", `{"name":"Eng","attributes":{"a":["1"]},"description":"d"}`, 201, `{"path":"/Eng","attributes":"<absent>"}`).saveID("g"), get("/organizations/{o}/groups/{g}", 200, `{"attributes":{"a":["1"]},"realmRoles":[]}`),
		post("/organizations/{o}/groups", `{"name":"Eng"}`, 409, `{"errorMessage":"Group with the given name already exists."}`), post("/organizations/{o}/groups", `{}`, 400, `{"errorMessage":"Group name is missing"}`), post("/organizations/{o}/groups", `{"name":""}`, 400, ""), post("/organizations/{o}/groups", `{"name":"X","id":"none"}`, 404, `{"error":"Could not find group by id"}`), post("/organizations/{o}/groups", `{"name":"X","nope":1}`, 400, ""),
		post("/organizations/{o}/groups", `{"name":"{x:300}"}`, 400, `{"errorMessage":"Database operation failed"}`), post("/organizations/{o}/groups", `{"name":"n{nul}"}`, 400, `{"errorMessage":"Database operation failed"}`), post("/organizations/{o}/groups", `{"name":"Y","attributes":{"a":["{x:256}"]}}`, 500, unknownError), post("/organizations/{o}/groups", ``, 500, unknownError), post("/organizations/{o}/groups", `{"name":"Y","attributes":{"a":["{x:255}"]}}`, 201, ""),
		post("/organizations/{o}/groups/{g}/children", `{"name":"Sub","attributes":{"a":["1"]},"description":"d"}`, 201, `{"description":"<absent>","path":"/Eng/Sub","parentId":"{g}","attributes":{"a":"<absent>"}}`).saveID("s"), get("/organizations/{o}/groups/{s}", 200, `{"attributes":{"a":"<absent>"}}`), // dropped
		put("/organizations/{o}/groups/{s}", `{"name":"Sub","attributes":{"a":["2"]},"realmRoles":["offline_access"]}`, 204, ""), put("/organizations/{o}/groups/{s}", `{"name":"Sub"}`, 204, ""), get("/organizations/{o}/groups/{s}", 200, `{"attributes":{"a":["2"]},"realmRoles":[]}`),
		post("/organizations/{o}/groups/{g}/children", `{"name":"Sub"}`, 409, `{"errorMessage":"Sibling group with the given name already exists"}`), post("/organizations/{o}/groups/{g}/children", `{"name":""}`, 400, ""), post("/organizations/{o}/groups/none/children", `{"name":"Q"}`, 404, `{"errorMessage":"Group does not exist"}`), post("/organizations/{o}/groups/{g}/children", `{"name":"Q","id":"none"}`, 404, `{"error":"Could not find child by id"}`),
		post("/organizations/{o}/groups/{g}/children", `{"name":"S2"}`, 201, "").saveID("s2"), put("/organizations/{o}/groups/{s2}", `{"name":"Sub"}`, 409, `{"error":"conflict","error_description":"Duplicate resource error"}`), put("/organizations/{o}/groups/none", `{"name":"x"}`, 404, ""), put("/organizations/{o}/groups/{s2}", `{}`, 400, ""), put("/organizations/{o}/groups/{s2}", `{"name":"S2","attributes":{"a":["{x:256}"]}}`, 500, unknownError),
		post("/organizations/{o}/groups/{s2}/children", `{"name":"Sub","id":"{s}"}`, 204, ""), get("/organizations/{o}/groups/{s}", 200, `{"path":"/Eng/S2/Sub"}`), post("/organizations/{o}/groups", `{"name":"Sub","id":"{s}"}`, 204, ""), get("/organizations/{o}/groups/{s}", 200, `{"path":"/Sub"}`),
		get("/organizations/{o}/groups", 200, `[{"name":"Eng","attributes":"<absent>"},{"name":"Sub"},{"name":"Y"}]`), get("/organizations/{o}/groups?briefRepresentation=false&first=0&max=1", 200, `[{"attributes":{"a":["1"]}}]`), get("/organizations/{o}/groups/{g}/children?briefRepresentation=false", 200, `[{"attributes":"<absent>"}]`), get("/organizations/{o}/groups?q=a:1", 200, `[{"id":"{g}"}]`),
		get("/organizations/{o}/groups?populateHierarchy=true&search=S2&briefRepresentation=false", 200, `[{"id":"{g}","subGroups":[{"id":"{s2}","attributes":{}}]}]`), get("/organizations/{o}/groups?search=s2&exact=true", 200, `[]`), get("/organizations/{o}/groups/group-by-path/Eng/S2", 200, `{"id":"{s2}"}`),
		post("/organizations/{o}/groups", `{"name":"Back/Ops"}`, 201, `{"path":"/Back/Ops"}`), get("/organizations/{o}/groups/group-by-path/Back/Ops", 200, `{"name":"Back/Ops"}`), get("/organizations/{o}/groups/group-by-path/Back%2FOps", 200, ""), get("/organizations/{o}/groups/group-by-path/Back", 404, `{"error":"Group path does not exist"}`),
		get("/groups/{g}", 400, `{"errorMessage":"Cannot manage organization related group via non Organization API."}`), put("/groups/{g}", `{"name":"z"}`, 400, ""), del("/groups/{g}", "", 400, ""), get("/organizations/{b}/groups/{g}", 400, `{"errorMessage":"Group does not belong to the organization"}`), get("/groups?search=Eng", 200, `[]`),
		del("/organizations/{o}/groups/{g}", "", 204, ""), get("/organizations/{o}/groups/{s2}", 404, `{"errorMessage":"Group does not exist"}`), del("/organizations/{o}/groups/{g}", "", 404, ""),
	}},
	{Name: "organization/group members and roles", Steps: []Step{
		imp(full("1", `,"attributes":{"a":["1"]}`)+","+full("2", ""), 200, ""), post("/organizations", `{"name":"{p}A"}`, 201, "").save("o"), post("/organizations/{o}/groups", `{"name":"Eng"}`, 201, "").saveID("g"), post("/organizations/{o}/groups/{g}/children", `{"name":"Sub"}`, 201, "").saveID("s"), post("/organizations/{o}/members", `{u1}`, 201, ""),
		put("/organizations/{o}/groups/{s}/members/{u1}", ``, 204, ""), put("/organizations/{o}/groups/{s}/members/{u1}", ``, 409, `{"errorMessage":"User is already a member of the group"}`), put("/organizations/{o}/groups/{s}/members/{u2}", ``, 400, `{"errorMessage":"User is not member of the organization"}`), put("/organizations/{o}/groups/{s}/members/{u9}", ``, 404, `{"errorMessage":"User does not exist"}`), put("/organizations/{o}/groups/none/members/{u1}", ``, 404, `{"errorMessage":"Group does not exist"}`),
		get("/organizations/{o}/groups/{s}/members", 200, `[{"id":"{u1}","membershipType":"UNMANAGED"}]`), get("/organizations/{o}/members/{u1}/groups", 200, `[{"id":"{s}","path":"/Eng/Sub"}]`), get("/organizations/{o}/members/{u2}/groups", 404, ""), get("/users/{u1}/groups", 200, `[]`), put("/users/{u1}/groups/{s}", ``, 400, `{"errorMessage":"Cannot access organization related group via non Organization API."}`), get("/organizations/{o}/groups/{s}/members?briefRepresentation=true", 200, `[{}]`),
		post("/roles", `{"name":"{p}r"}`, 201, ""), get("/roles/{p}r", 200, "").saveID("r"), post("/organizations/{o}/groups/{s}/role-mappings/realm", `[{"id":"{r}","name":"{p}r"}]`, 204, ""), get("/organizations/{o}/groups/{s}/role-mappings/realm", 200, `[{"id":"{r}"}]`), get("/organizations/{o}/groups/{s}", 200, `{"realmRoles":["{p}r"]}`), post("/organizations/{o}/groups/{s}/role-mappings/realm", `[{"id":"x","name":"none"}]`, 404, ""), get("/roles/{p}r/users", 200, `[]`), get("/users/{u1}/role-mappings/realm", 200, `[]`), del("/organizations/{o}/groups/{s}/role-mappings/realm", `[{"id":"{r}","name":"{p}r"}]`, 204, ""), get("/organizations/{o}/groups/{s}/role-mappings/realm", 200, `[]`),
		del("/organizations/{o}/groups/{s}/members/{u1}", "", 204, ""), del("/organizations/{o}/groups/{s}/members/{u1}", "", 204, ""), del("/organizations/{o}/groups/{s}/members/{u9}", "", 404, ""), put("/organizations/{o}/groups/{s}/members/{u1}", ``, 204, ""),
		// Leaving the organization leaves its groups, for good.
		del("/organizations/{o}/members/{u1}", "", 204, ""), get("/organizations/{o}/groups/{s}/members", 200, `[]`), post("/organizations/{o}/members", `{u1}`, 201, ""), get("/organizations/{o}/members/{u1}/groups", 200, `[]`),
		put("/organizations/{o}/groups/{s}/members/{u1}", ``, 204, ""), del("/organizations/{o}", "", 204, ""), get("/users/{u1}", 200, ""),
	}},
}

// refusedAttributes write what the server keeps for itself.
func refusedAttributes(names ...string) []Step {
	var steps []Step
	for _, name := range names {
		steps = append(steps, put("/users/{u1}", full("1", `,"attributes":{"`+name+`":["x1"]}`), 400, `{"field":"`+name+`","errorMessage":"updateReadOnlyAttributesRejectedMessage"}`))
	}
	return steps
}

func repeat(n int, step func(n string) Step) []Step {
	var steps []Step
	for i := 1; i <= n; i++ {
		steps = append(steps, step(string([]byte{'0' + byte(i/10), '0' + byte(i%10)})))
	}
	return steps
}

const basicProfile = `{"name":"username","validations":{"length":{"min":3,"max":255},"username-prohibited-characters":{},"up-username-not-idn-homograph":{}},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false},
{"name":"email","validations":{"email":{},"length":{"max":255}},"required":{"roles":["user"]},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false},
{"name":"firstName","validations":{"length":{"max":255},"person-name-prohibited-characters":{}},"required":{"roles":["user"]},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false},
{"name":"lastName","validations":{"length":{"max":255},"person-name-prohibited-characters":{}},"required":{"roles":["user"]},"permissions":{"view":["admin","user"],"edit":["admin","user"]},"multivalued":false}`

func profileWith(attributes, more string) string {
	return `{"attributes":[` + basicProfile + `,` + attributes + `]` + more + `}`
}

const (
	adminOnly      = `"permissions":{"view":["admin"],"edit":["admin"]},"multivalued":`
	manyValidators = `{"name":"vpat","validations":{"pattern":{"pattern":"^[0-9]+$","error-message":"digits"}},` + adminOnly + `false},
{"name":"vpat2","validations":{"pattern":{"pattern":"^[0-9]+$"}},` + adminOnly + `false},{"name":"vint","validations":{"integer":{"min":1,"max":9}},` + adminOnly + `false},
{"name":"vopt","validations":{"options":{"options":["a","b"]}},` + adminOnly + `false},{"name":"vdbl","validations":{"double":{"min":1}},` + adminOnly + `false},
{"name":"viso","validations":{"iso-date":{}},` + adminOnly + `false},{"name":"vlen","validations":{"length":{"min":2,"max":4}},` + adminOnly + `true},{"name":"vmin","validations":{"length":{"min":2}},` + adminOnly + `false},
{"name":"vmv","validations":{"multivalued":{"max":2}},` + adminOnly + `true},{"name":"vsingle","validations":{},` + adminOnly + `false},{"name":"vmail","validations":{"email":{}},` + adminOnly + `false},
{"name":"photo","validations":{"length":{"max":100000}},` + adminOnly + `true},{"name":"vreq","required":{"roles":["admin"]},` + adminOnly + `false},
{"name":"vro","permissions":{"view":["admin"],"edit":["user"]},"multivalued":false},{"name":"vnone","permissions":{"view":[],"edit":[]},"multivalued":false}`
)

// validatorSteps send one attribute each. What comes back is for the comparison of the two servers.
func validatorSteps(attributes ...string) []Step {
	steps := []Step{
		put("/users/{u1}", full("1", `,"attributes":{}`), 400, `{"field":"vreq","errorMessage":"error-user-attribute-required"}`),
	}
	for _, a := range attributes {
		steps = append(steps, put("/users/{u1}", full("1", `,"attributes":{"vreq":["1"],`+a+`}`), 0, ""), get("/users/{u1}", 200, ""))
	}
	return steps
}

// policySteps send the same writes under each policy of unmanaged attributes.
func policySteps(policies ...string) []Step {
	var steps []Step
	for i, policy := range policies {
		n := string([]byte{'0' + byte(i)})
		steps = append(steps,
			put("/users/profile", profileWith(`{"name":"photo","permissions":{"view":["admin"],"edit":["admin"]},"multivalued":false}`, policy), 200, ""),
			get("/users/{u1}", 200, ""), put("/users/{u1}", full("1", `,"attributes":{"new":["`+n+`"],"photo":["p`+n+`"]}`), 204, ""), get("/users/{u1}", 200, `{"attributes":{"photo":["p`+n+`"]}}`),
			post("/users", `{"username":"{p}post`+n+`","attributes":{"x":["1"],"photo":["q"]}}`, 201, "").save("id"), get("/users/{id}", 200, `{"attributes":{"photo":["q"]}}`),
		)
	}
	return steps
}

// aliasSteps try each sign inside an alias. What comes back is for the comparison of the two servers.
func aliasSteps(signs string) []Step {
	var steps []Step
	for i, r := range signs {
		sign := string(r)
		if r == '"' || r == '\\' {
			sign = `\` + sign
		}
		n := string([]byte{'a' + byte(i/26), 'a' + byte(i%26)})
		steps = append(steps, post("/organizations", `{"name":"{p}n`+n+`","alias":"{p}`+n+sign+`"}`, 0, ""))
	}
	return steps
}
