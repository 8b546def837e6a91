package contract

import "strings"

// eventsOn switches both kinds of events on the way that the migrator may: by a change of the realm.
var eventsOn = put("", `{"adminEventsEnabled":true,"eventsEnabled":true}`, 204, "")

// eventCases is what a server remembers of changes, and how it is asked.
var eventCases = []Case{
	{Name: "events/off by default", OwnRealm: true, Steps: []Step{
		get("/events/config", 200, `{"eventsEnabled":false,"adminEventsEnabled":false,"adminEventsDetailsEnabled":false,"eventsExpiration":"<absent>"}`),
		imp(full("1", ""), 200, ""),
		get("/admin-events", 200, `[]`), get("/events", 200, `[]`),
	}},
	{Name: "events/config", OwnRealm: true, Steps: []Step{
		put("/events/config", `{"adminEventsEnabled":true}`, 403, `{"error":"HTTP 403 Forbidden"}`),
		put("/events/config", ``, 403, ""), put("/events/config", `{"nope":1}`, 400, ""), put("/events/config", `{}`, 415, "").as("text/plain"),
		del("/events", "", 403, ""), del("/admin-events", "", 403, ""),
		post("/events", `{}`, 404, ""), post("/admin-events", `{}`, 404, ""), post("/events/config", `{}`, 404, ""),
		get("/events/nope", 404, ""), get("/admin-events/nope", 404, ""),
		eventsOn,
		get("/events/config", 200, `{"eventsEnabled":true,"adminEventsEnabled":true,"eventsExpiration":"<absent>"}`),
		put("", `{"eventsExpiration":3600}`, 204, ""), get("/events/config", 200, `{"eventsExpiration":3600}`),
		put("", `{"eventsExpiration":0}`, 204, ""), get("/events/config", 200, `{"eventsExpiration":"<absent>"}`),
		put("", `{"enabledEventTypes":["LOGIN","UPDATE_PROFILE"]}`, 204, ""), get("/events/config", 200, "").loose(),
		put("", `{"enabledEventTypes":[]}`, 204, ""), get("/events/config", 200, ""),
		put("", `{"attributes":{"adminEventsExpiration":"7200"}}`, 204, ""), get("", 200, `{"attributes":{"adminEventsExpiration":"7200"}}`).loose(),
	}},
	{Name: "events/switching them off is the last that is remembered, switching on is not", OwnRealm: true, Steps: []Step{
		eventsOn, get("/admin-events?direction=asc", 200, `[]`),
		put("", `{"adminEventsEnabled":false}`, 204, ""),
		post("/groups", `{"name":"unseen"}`, 201, ""),
		eventsOn,
		get("/admin-events?direction=asc", 200, `[{"operationType":"UPDATE","resourceType":"REALM","resourcePath":"<absent>"}]`),
	}},
	{Name: "events/queries", OwnRealm: true, Steps: []Step{
		eventsOn,
		post("/groups", `{"name":"a"}`, 201, ""), post("/groups", `{"name":"b"}`, 201, ""), post("/users", `{"username":"{p}u"}`, 201, ""),
		get("/admin-events?max=1", 200, `[{"resourceType":"USER","operationType":"CREATE"}]`),
		get("/admin-events?direction=asc&max=1", 200, `[{"resourceType":"GROUP"}]`),
		get("/admin-events?direction=asc&first=1&max=5", 200, `[{"resourceType":"GROUP"},{"resourceType":"USER"}]`),
		get("/admin-events?direction=asc&resourceTypes=USER&resourceTypes=REALM", 200, `[{"resourceType":"USER"}]`),
		get("/admin-events?operationTypes=DELETE", 200, `[]`),
		get("/admin-events?dateFrom=2020-01-01", 200, ""), get("/admin-events?dateFrom=1000", 200, ""),
		get("/admin-events?dateFrom=9999999999999", 200, `[]`), get("/admin-events?dateTo=1000", 200, `[]`), get("/admin-events?max=0", 200, `[]`),
		get("/admin-events?direction=ASC", 400, ""), get("/admin-events?direction=up", 400, ""), get("/admin-events?dateFrom=abc", 400, ""),
		get("/admin-events?resourceTypes=NOPE", 500, unknownError), get("/admin-events?operationTypes=NOPE", 500, unknownError),
		get("/events?type=NOPE", 500, unknownError), get("/events?dateFrom=abc", 400, ""), get("/events?direction=up", 400, ""),
	}},
	{Name: "events/imports are changes of the realm, and who was overwritten is not named", OwnRealm: true, Steps: []Step{
		eventsOn,
		imp(full("1", ""), 200, `{"added":1}`), imp(full("2", ""), 200, `{"added":1}`), // of one import the order is a hash set's
		imp(full("1", ""), 200, `{"skipped":1}`),
		impAs("OVERWRITE", `{"id":"{u3}","username":"{p}user2"}`, 200, `{"overwritten":1}`),
		get("/admin-events?direction=asc", 200, `[
			{"operationType":"CREATE","resourceType":"REALM","resourcePath":"users/{u1}"},
			{"operationType":"CREATE","resourceType":"REALM","resourcePath":"users/{u2}"},
			{"operationType":"UPDATE","resourceType":"REALM","resourcePath":"users/{u3}"}]`),
	}},
	{Name: "events/of users", OwnRealm: true, Steps: []Step{
		eventsOn,
		post("/roles", `{"name":"{p}r"}`, 201, ""), get("/roles/{p}r", 200, "").saveID("rid"),
		imp(full("1", ""), 200, ""),
		put("/users/{u1}", full("1", ""), 204, ""),
		put("/users/{u1}", `{"nope":1}`, 400, ""),
		put("/users/{u1}/reset-password", `{"type":"password","value":"pw2"}`, 204, ""),
		post("/users/{u1}/role-mappings/realm", `[{"id":"{rid}","name":"{p}r"}]`, 204, ""),
		post("/users/{u1}/role-mappings/realm", `[{"id":"{rid}","name":"{p}r"}]`, 204, ""),
		del("/users/{u1}/role-mappings/realm", `[{"id":"{rid}","name":"{p}r"}]`, 204, ""),
		post("/groups", `{"name":"{p}g"}`, 201, "").save("g"),
		put("/users/{u1}/groups/{g}", "", 204, ""), put("/users/{u1}/groups/{g}", "", 204, ""),
		del("/users/{u1}/groups/{g}", "", 204, ""), del("/users/{u1}/groups/{g}", "", 204, ""),
		get("/users/{u1}/credentials", 200, "").saveID("cid"), del("/users/{u1}/credentials/{cid}", "", 204, ""),
		post("/users/{u1}/logout", "", 204, ""),
		del("/roles/{p}r", "", 204, ""), del("/users/{u1}", "", 204, ""),
		get("/admin-events?direction=asc", 200, ""),
	}},
	{Name: "events/of groups and organizations", OwnRealm: true, Steps: []Step{
		eventsOn,
		post("/roles", `{"name":"{p}r"}`, 201, ""), get("/roles/{p}r", 200, "").saveID("rid"),
		imp(full("1", ""), 200, ""), imp(`{"id":"{u2}","username":"{p}plain"}`, 200, ""),
		post("/groups", `{"name":"{p}g"}`, 201, "").save("g"), post("/groups/{g}/children", `{"name":"{p}gc"}`, 201, "").save("gc"),
		put("/groups/{gc}", `{"name":"{p}gc2"}`, 204, ""), post("/groups/{g}/role-mappings/realm", `[{"id":"{rid}","name":"{p}r"}]`, 204, ""),
		put("/users/{u1}/groups/{gc}", "", 204, ""),
		post("/organizations", `{"name":"{p}o"}`, 201, "").save("o"), put("/organizations/{o}", `{"name":"{p}o","description":"d"}`, 204, ""),
		post("/organizations/{o}/members", `{u1}`, 201, ""), post("/organizations/{o}/members", `{u2}`, 201, ""),
		post("/organizations/{o}/groups", `{"name":"{p}og"}`, 201, "").save("og"),
		post("/organizations/{o}/groups/{og}/children", `{"name":"{p}ogc"}`, 201, "").save("ogc"),
		put("/organizations/{o}/groups/{og}", `{"name":"{p}og","attributes":{"a":["b"]}}`, 204, ""),
		post("/organizations/{o}/groups/{og}/role-mappings/realm", `[{"id":"{rid}","name":"{p}r"}]`, 204, ""),
		put("/organizations/{o}/groups/{og}/members/{u1}", "", 204, ""), del("/organizations/{o}/groups/{og}/members/{u1}", "", 204, ""),
		del("/organizations/{o}/groups/{og}/members/{u1}", "", 204, ""),
		put("/organizations/{o}/groups/{ogc}/members/{u1}", "", 204, ""),
		del("/organizations/{o}/members/{u2}", "", 204, ""), del("/organizations/{o}/groups/{ogc}", "", 204, ""),
		del("/organizations/{o}", "", 204, ""), del("/groups/{g}", "", 204, ""), // with a member each, of whom no event tells
		get("/admin-events?direction=asc", 200, ""),
	}},
	{Name: "events/of logins", OwnRealm: true, Steps: []Step{
		eventsOn,
		imp(full("1", `,"credentials":[{sha256}]`), 200, ""),
		login("{p}user1", "pw", 200, ""), login("{p}user1", "bad", 400, badLogin),
		get("/events?direction=asc", 200, `[{"type":"LOGIN","userId":"{u1}","clientId":"parallelrun-proof","error":"<absent>"},{"type":"LOGIN_ERROR","userId":"{u1}","error":"invalid_user_credentials"}]`).loose(),
		get("/events?type=LOGIN_ERROR", 200, `[{"type":"LOGIN_ERROR"}]`),
	}},
	{Name: "events/profile", OwnRealm: true, Steps: []Step{
		eventsOn,
		put("/users/profile", strings.Join(strings.Fields(`{"unmanagedAttributePolicy":"ADMIN_EDIT","attributes":[{"name":"username"},{"name":"email"},{"name":"firstName"},{"name":"lastName"}]}`), ""), 200, "").loose(),
		get("/admin-events", 200, `[{"operationType":"UPDATE","resourceType":"USER_PROFILE","resourcePath":"users/profile"}]`),
	}},
}

func init() { Cases = append(Cases, eventCases...) }
