package sandbox_test

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parallelrun/parallelrun/internal/sandbox"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far speaks to a sandbox without a network.
type far struct {
	t     testing.TB
	s     *sandbox.Server
	realm sandbox.Realm
	token string
}

func open(t testing.TB, o sandbox.Options) *far {
	t.Helper()
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	r, ok := s.Realm("demo")
	if !ok {
		t.Fatal("a fresh sandbox has no realm demo")
	}
	return &far{t: t, s: s, realm: r}
}

func (f *far) grant(form url.Values) (int, string) {
	r := httptest.NewRequest("POST", "/realms/demo/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func (f *far) bearer() string {
	if f.token == "" {
		status, body := f.grant(url.Values{"grant_type": {"client_credentials"}, "client_id": {f.realm.Migrator.ID}, "client_secret": {f.realm.Migrator.Secret}})
		var granted struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &granted); err != nil || status != 200 {
			f.t.Fatalf("no token: %d %s", status, body)
		}
		f.token = granted.AccessToken
	}
	return f.token
}

func (f *far) login(username, password string) int {
	status, _ := f.grant(url.Values{
		"grant_type": {"password"}, "client_id": {f.realm.Proof.ID}, "client_secret": {f.realm.Proof.Secret}, "username": {username}, "password": {password},
	})
	return status
}

func (f *far) do(method, path, body string) (int, string) {
	r := httptest.NewRequest(method, "/admin/realms/demo"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+f.bearer())
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.s.ServeHTTP(w, r)
	if l := w.Header().Get("Location"); l != "" && w.Body.Len() == 0 {
		return w.Code, l[strings.LastIndexByte(l, '/')+1:]
	}
	return w.Code, w.Body.String()
}

// must is do with a status that has to come.
func (f *far) must(status int, method, path, body string) string {
	f.t.Helper()
	got, answer := f.do(method, path, body)
	if got != status {
		f.t.Fatalf("%s %s: status %d, want %d: %.300s", method, path, got, status, answer)
	}
	return answer
}

func (f *far) dump() string {
	f.t.Helper()
	var b bytes.Buffer
	if err := f.s.Dump(&b, "demo", []byte("key")); err != nil {
		f.t.Fatal(err)
	}
	return b.String()
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func person(n int) string {
	return fmt.Sprintf(`{"id":%q,"username":"user%06d","email":"user%06d@example.org","firstName":"First %d","lastName":"Last","enabled":true,`+
		`"createdTimestamp":1710169762684,"attributes":{"employeeNumber":["%d"],"legacyId":["%d"]},"realmRoles":["default-roles-demo"],`+
		`"credentials":[{"type":"password","createdDate":1710169762684,"credentialData":"{\"hashIterations\":1000,\"algorithm\":\"pbkdf2-sha256\",\"additionalParameters\":{}}","secretData":"{\"value\":\"%044d\",\"salt\":\"c2FsdHNhbHQ=\",\"additionalParameters\":{}}"}]}`, id(n), n, n, n, n, n, n)
}

func batch(from, to int) string {
	var people []string
	for n := from; n < to; n++ {
		people = append(people, person(n))
	}
	return `{"ifResourceExists":"SKIP","users":[` + strings.Join(people, ",") + `]}`
}

// fill makes a realm with everything in it.
func fill(f *far) {
	f.must(200, "POST", "/partialImport", batch(0, 5))
	org := f.must(201, "POST", "/organizations", `{"name":"Acme","alias":"acme","attributes":{"legacyId":["o1"]},"domains":[{"name":"acme.org"}]}`)
	var group struct{ ID string }
	json.Unmarshal([]byte(f.must(201, "POST", "/organizations/"+org+"/groups", `{"name":"Eng","attributes":{"legacyId":["d1"]}}`)), &group)
	parent := group.ID
	json.Unmarshal([]byte(f.must(201, "POST", "/organizations/"+org+"/groups/"+parent+"/children", `{"name":"Sub"}`)), &group)
	f.must(204, "PUT", "/organizations/"+org+"/groups/"+group.ID, `{"name":"Sub","attributes":{"legacyId":["d2"]}}`)
	for n := range 3 {
		f.must(201, "POST", "/organizations/"+org+"/members", id(n))
		f.must(204, "PUT", "/organizations/"+org+"/groups/"+group.ID+"/members/"+id(n), "")
	}
	realmGroup := f.must(201, "POST", "/groups", `{"name":"G"}`)
	f.must(204, "PUT", "/users/"+id(1)+"/groups/"+realmGroup, "")
	f.must(201, "POST", "/roles", `{"name":"r"}`)
	f.must(204, "PUT", "/users/"+id(2), `{"firstName":"Changed"}`)
	f.must(204, "PUT", "/users/"+id(4)+"/reset-password", `{"value":"secret"}`)
	f.must(204, "DELETE", "/users/"+id(3), "")
	if status := f.login("user000004", "secret"); status != 200 {
		f.t.Fatalf("login: status %d", status)
	}
	f.must(409, "POST", "/organizations/"+org+"/members", id(0))
}

func TestDumpDependsOnContentAlone(t *testing.T) {
	a, b := open(t, sandbox.Options{}), open(t, sandbox.Options{})
	for _, f := range []*far{a, b} {
		f.must(200, "POST", "/partialImport", batch(0, 4))
	}
	a.must(201, "POST", "/organizations", `{"name":"A"}`)
	a.must(201, "POST", "/organizations", `{"name":"B"}`)
	b.must(201, "POST", "/organizations", `{"name":"B"}`)
	b.must(201, "POST", "/organizations", `{"name":"A"}`)
	if diff := cmp.Diff(a.dump(), b.dump()); diff != "" {
		t.Errorf("the same content, dumped (-first +second):\n%s", diff)
	}
	if strings.Contains(a.dump(), "c2FsdHNhbHQ=") {
		t.Error("the dump holds a salt")
	}
	before := a.dump()
	a.must(204, "PUT", "/users/"+id(1), `{"lastName":"Other"}`)
	if a.dump() == before {
		t.Error("a change does not show in the dump")
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, sandbox.Options{StateDir: dir})
	fill(first)
	want := first.dump()
	orgs := first.must(200, "GET", "/organizations", "")
	// No Close: what was answered has to be there all the same. The lock goes with the process; here it goes by closing.
	copied := t.TempDir()
	for _, name := range []string{"journal", "key"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	second := open(t, sandbox.Options{StateDir: copied})
	if diff := cmp.Diff(want, second.dump()); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	if second.realm != first.realm {
		t.Errorf("realm %+v, was %+v", second.realm, first.realm)
	}
	second.token = first.bearer() // tokens outlive the server
	if got := second.must(200, "GET", "/organizations", ""); got != orgs {
		t.Errorf("ids that the server chose: %s, were %s", got, orgs)
	}
	second.must(201, "POST", "/organizations", `{"name":"New"}`)
	if status := second.login("user000004", "secret"); status != 200 {
		t.Errorf("login after a restart: status %d", status)
	}
}

// A password that is hashed anew at a login is the last change before the
// restart: what the server makes afterwards still has ids of its own.
func TestRestartAfterRehash(t *testing.T) {
	dir := t.TempDir()
	first := open(t, sandbox.Options{StateDir: dir})
	hash, err := pbkdf2.Key(sha256.New, "secret", []byte("saltsalt"), 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	old := base64.StdEncoding.EncodeToString(hash)
	first.must(200, "POST", "/partialImport", strings.Replace(batch(0, 1), fmt.Sprintf("%044d", 0), old, 1))
	before := first.must(201, "POST", "/groups", `{"name":"Before"}`)
	if status := first.login("user000000", "secret"); status != 200 {
		t.Fatalf("login: status %d", status)
	}
	dump := first.dump()
	first.s.Close()
	second := open(t, sandbox.Options{StateDir: dir})
	if diff := cmp.Diff(dump, second.dump()); diff != "" || strings.Contains(dump, old) {
		t.Errorf("after a login that hashed anew and a restart (-before +after):\n%s", diff)
	}
	for n := range 40 { // as many as were drawn until then
		if after := second.must(201, "POST", "/groups", fmt.Sprintf(`{"name":"After%d"}`, n)); after == before {
			t.Errorf("the id %s was given twice", after)
		}
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	f := open(t, sandbox.Options{StateDir: dir})
	f.must(200, "POST", "/partialImport", batch(0, 1))
	f.must(200, "POST", "/partialImport", batch(1, 2))
	if _, err := sandbox.New(sandbox.Options{StateDir: dir}); err == nil {
		t.Error("two sandboxes share a state directory")
	}
	f.s.Close()
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(whole, []byte("user000000")) || bytes.Contains(whole, []byte("c2FsdHNhbHQ=")) {
		t.Error("the journal can be read without its key")
	}
	// A record cut anywhere was never answered: it goes, and the others stay.
	for _, cut := range []int{1, 100, 3} {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := sandbox.New(sandbox.Options{StateDir: dir})
		if err != nil {
			t.Fatalf("cut by %d: %v", cut, err)
		}
		var b bytes.Buffer
		if err := s.Dump(&b, "demo", nil); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), `"user":`); n != 1 {
			t.Errorf("cut by %d: %d users, want 1", cut, n)
		}
		s.Close()
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.New(sandbox.Options{StateDir: dir}); err == nil {
		t.Error("a damaged journal was accepted")
	}
}

func TestTokensExpire(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	f := open(t, sandbox.Options{Now: func() time.Time { return now }})
	f.must(200, "GET", "/users/count", "")
	now = now.Add(59 * time.Second)
	f.must(200, "GET", "/users/count", "")
	now = now.Add(time.Second)
	f.must(401, "GET", "/users/count", "")
	f.token = ""
	f.must(200, "GET", "/users/count", "")
}

func TestBodyLimit(t *testing.T) {
	f := open(t, sandbox.Options{})
	body := `{"ifResourceExists":"SKIP","users":[{"username":"big","attributes":{"photo":["` + strings.Repeat("x", 10<<20-90) + `"]}}]}`
	if len(body) > 10<<20 {
		t.Fatal(len(body))
	}
	f.must(200, "POST", "/partialImport", body)
	if got := f.must(413, "POST", "/partialImport", body+strings.Repeat(" ", 100)); got != "" {
		t.Errorf("413 with a body: %q", got)
	}
}

func TestFaults(t *testing.T) {
	f := open(t, sandbox.Options{})
	url, err := f.s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	token := f.bearer()
	send := func(method, path, body string) (*http.Response, error) {
		r, _ := http.NewRequest(method, url+"/admin/realms/demo"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		return client.Do(r)
	}
	imports := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/partialImport") }
	f.s.SetFault(sandbox.Nth(1, 2, imports, sandbox.Fault{LoseReply: true}))
	for n := range 3 {
		resp, err := send("POST", "/partialImport", batch(n, n+1))
		if (err != nil) != (n == 1) {
			t.Errorf("import %d: %v", n, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	f.s.SetFault(func(*http.Request) sandbox.Fault { return sandbox.Fault{Status: 503, RetryAfter: 7, Body: `{}`} })
	resp, err := send("GET", "/users/count", "")
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "7" {
		t.Errorf("got %v, %v", resp, err)
	}
	resp.Body.Close()
	f.s.SetFault(func(*http.Request) sandbox.Fault { return sandbox.Fault{LateDelay: time.Millisecond} })
	resp, err = send("GET", "/users/count", "")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(b) != "3" { // the lost reply's user is there
		t.Errorf("count %s, want 3", b)
	}
	dropped := make(chan struct{})
	f.s.SetFault(func(r *http.Request) sandbox.Fault {
		go func() { <-r.Context().Done(); close(dropped) }()
		return sandbox.Fault{Delay: time.Minute}
	})
	client.Timeout = 50 * time.Millisecond // and the client is gone
	if _, err := send("POST", "/partialImport", batch(3, 4)); err == nil {
		t.Error("a request that is held was answered")
	}
	<-dropped
	f.s.SetFault(nil)
	if got := f.must(200, "GET", "/users/count", ""); got != "3" {
		t.Errorf("count %s, want 3: the request of a client that is gone was carried out", got)
	}
	f.s.Close()
}

// TestConcurrent is for the race detector: every kind of request at once.
func TestConcurrent(t *testing.T) {
	f := open(t, sandbox.Options{StateDir: t.TempDir()})
	f.bearer()
	org := f.must(201, "POST", "/organizations", `{"name":"A"}`)
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for n := w * 20; n < w*20+20; n++ {
				f.do("POST", "/partialImport", batch(n, n+1))
				f.do("POST", "/organizations/"+org+"/members", id(n))
				f.do("GET", "/users?first=0&max=50", "")
				f.do("GET", "/organizations/"+org+"/members?max=50", "")
				f.do("PUT", "/users/"+id(n), `{"firstName":"x","attributes":{"a":["1"]}}`)
				f.do("GET", "/users/profile", "")
				f.login(fmt.Sprintf("user%06d", n), "no")
			}
		})
	}
	wg.Wait()
	if got := f.must(200, "GET", "/users/count", ""); got != "120" {
		t.Errorf("count %s, want 120", got)
	}
}

// TestManyUsers shows what a user costs: 50,000 of them, a sixth of what the largest test of the pipeline loads.
func TestManyUsers(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("measures memory and time, which the race detector changes")
	}
	f := open(t, sandbox.Options{TokenLifespan: time.Hour})
	const users = 50_000
	before := heap()
	start := time.Now()
	for n := 0; n < users; n += 20 {
		f.must(200, "POST", "/partialImport", batch(n, n+20))
	}
	each := (heap() - before) / users
	t.Logf("%d users in %s, %d bytes of heap each", users, time.Since(start).Round(time.Millisecond), each)
	if each > 2500 {
		t.Errorf("%d bytes of heap per user, want at most 2,500", each)
	}
	runtime.KeepAlive(f)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkUserWithMemberships loads whole users, as the demo does: go test -bench UserWith ./internal/sandbox
func BenchmarkUserWithMemberships(b *testing.B) {
	f := open(b, sandbox.Options{StateDir: b.TempDir(), TokenLifespan: time.Hour})
	org := f.must(201, "POST", "/organizations", `{"name":"A"}`)
	var group struct{ ID string }
	json.Unmarshal([]byte(f.must(201, "POST", "/organizations/"+org+"/groups", `{"name":"Eng"}`)), &group)
	n := 0
	for b.Loop() {
		if n%20 == 0 {
			f.must(200, "POST", "/partialImport", batch(n, n+20))
		}
		f.must(201, "POST", "/organizations/"+org+"/members", id(n))
		f.must(204, "PUT", "/organizations/"+org+"/groups/"+group.ID+"/members/"+id(n), "")
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "users/s")
}
