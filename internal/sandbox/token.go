package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// claims are what a token says. It is signed with a key of the server that a restart keeps.
type claims struct {
	Expires  int64  `json:"exp"`
	Issued   int64  `json:"iat"`
	ID       string `json:"jti"`
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Type     string `json:"typ"`
	Party    string `json:"azp"`
	Scope    string `json:"scope"`
	Username string `json:"preferred_username"`
	Realm    string `json:"realm"`
}

const tokenHeader = `{"alg":"HS256","typ":"JWT"}`

func (s *Server) sign(c claims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers only
	}
	head := base64.RawURLEncoding.EncodeToString([]byte(tokenHeader)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return head + "." + base64.RawURLEncoding.EncodeToString(s.mac(head))
}

func (s *Server) mac(head string) []byte {
	m := hmac.New(sha256.New, s.derive("token"))
	m.Write([]byte(head))
	return m.Sum(nil)
}

// bearer returns the claims of a request's token, if it is one of ours and still valid. The caller holds the lock.
func (s *Server) bearer(r *http.Request) (claims, bool) {
	var c claims
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "bearer") {
		return c, false
	}
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return c, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || subtle.ConstantTimeCompare(signature, s.mac(token[:dot])) != 1 {
		return c, false
	}
	_, body, _ := strings.Cut(token[:dot], ".")
	payload, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, false
	}
	now := s.opts.Now()
	if now.Unix() >= c.Expires {
		return c, false
	}
	u := s.users[c.Subject]
	if u == nil || !u.has(enabled) || c.Issued < u.notBefore {
		return c, false
	}
	return c, true
}

type tokenReply struct {
	AccessToken      string `json:"access_token"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	TokenType        string `json:"token_type"`
	IDToken          string `json:"id_token,omitempty"`
	NotBeforePolicy  int64  `json:"not-before-policy"`
	SessionState     string `json:"session_state,omitempty"`
	Scope            string `json:"scope"`
}

func (s *Server) token(r *http.Request, realmName string) reply {
	if r.Method != http.MethodPost {
		return fail(405, plainError{"HTTP 405 Method Not Allowed"})
	}
	body, refusal := s.body(r)
	if refusal != nil {
		return *refusal
	}
	form := url.Values{}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && media == "application/x-www-form-urlencoded" {
		form, _ = url.ParseQuery(string(body)) // what cannot be read is missing
	}
	s.mu.Lock()
	re := s.realms[realmName]
	if re == nil {
		s.mu.Unlock()
		return fail(404, plainError{"Realm does not exist"})
	}
	if form.Get("grant_type") == "" {
		s.mu.Unlock()
		return fail(400, oauthError{"invalid_request", "Missing form parameter: grant_type"})
	}
	cl, refused := re.authenticate(r, form)
	if refused != nil {
		s.mu.Unlock()
		return *refused
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		defer s.mu.Unlock()
		if cl.account == nil {
			return fail(401, oauthError{"unauthorized_client", "Client not enabled to retrieve service account"})
		}
		t := s.issue(r, re, cl, cl.account, "email profile")
		return ok(t)
	case "password":
		s.mu.Unlock()
		return s.passwordGrant(r, re, cl, form)
	}
	s.mu.Unlock()
	return fail(400, oauthError{"unsupported_grant_type", "Unsupported grant_type"})
}

func (re *realm) authenticate(r *http.Request, form url.Values) (*client, *reply) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, basic := r.BasicAuth(); basic {
		id, secret = user, password
	}
	cl := re.clients[id]
	if cl == nil {
		refused := fail(401, oauthError{"invalid_client", "Invalid client or Invalid client credentials"})
		return nil, &refused
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(cl.secret)) != 1 {
		refused := fail(401, oauthError{"unauthorized_client", "Invalid client or Invalid client credentials"})
		return nil, &refused
	}
	return cl, nil
}

func (s *Server) issue(r *http.Request, re *realm, cl *client, u *user, scope string) tokenReply {
	now, life := s.opts.Now(), re.tokenLifespan(s.opts.TokenLifespan)
	id := s.draw()
	c := claims{
		Expires: now.Add(life).Unix(), Issued: now.Unix(), ID: formatUUID([16]byte(id[:16])), Type: "Bearer",
		Issuer:  "http://" + r.Host + "/realms/" + url.PathEscape(re.name),
		Subject: u.id, Party: cl.id, Scope: scope, Username: u.username, Realm: re.name,
	}
	return tokenReply{AccessToken: s.sign(c), ExpiresIn: int64(life / time.Second), TokenType: "Bearer", Scope: scope}
}

func invalidCredentials() reply {
	return fail(400, oauthError{"invalid_grant", "Invalid user credentials"})
}

// passwordGrant checks a password without the lock, since that takes as long as the hash wants.
func (s *Server) passwordGrant(r *http.Request, re *realm, cl *client, form url.Values) reply {
	if !cl.passwords {
		return fail(400, oauthError{"unauthorized_client", "Client not allowed for direct access grants"})
	}
	if !form.Has("username") {
		return fail(401, oauthError{"invalid_request", "Missing parameter: username"})
	}
	name := strings.ToLower(form.Get("username"))
	s.mu.Lock()
	u := re.users[name]
	if u == nil && re.flag("loginWithEmailAllowed") {
		u = re.emails[name]
	}
	if u == nil || u.has(service) || name == "" || u.password() == nil {
		defer s.mu.Unlock()
		reason := "invalid_user_credentials"
		if u == nil || u.has(service) {
			u, reason = nil, "user_not_found"
		}
		return s.loginFailed(re, cl, u, name, reason, invalidCredentials())
	}
	held := *u.password()
	otp := u.firstCredential("otp")
	policy := re.hashPolicy()
	s.mu.Unlock()

	right, err := held.verify(form.Get("password"))
	if err != nil {
		return unknownError()
	}
	if !right || form.Get("password") == "" || otp != nil && !otp.verifyCode(form.Get("totp"), s.opts.Now()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.loginFailed(re, cl, u, name, "invalid_user_credentials", invalidCredentials())
	}
	if !policy.met(&held) {
		if done := s.rehash(u, held, policy, form.Get("password")); done != nil {
			return *done
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if !u.has(enabled) {
		return s.loginFailed(re, cl, u, name, "user_disabled", fail(400, oauthError{"invalid_grant", "Account disabled"}))
	}
	if len(u.actions) > 0 || !re.profileComplete(u) {
		return s.loginFailed(re, cl, u, name, "resolve_required_actions", fail(400, oauthError{"invalid_grant", "Account is not fully set up"}))
	}
	t := s.issue(r, re, cl, u, "email profile")
	session := s.draw()
	t.SessionState = base64.RawURLEncoding.EncodeToString(session[:18])
	t.RefreshExpiresIn = 1800
	t.RefreshToken = s.sign(claims{Type: "Refresh", ID: t.SessionState}) // nobody can use it: there is no refresh grant
	for _, scope := range strings.Fields(form.Get("scope")) {
		if scope == "openid" {
			t.Scope = "openid " + t.Scope
			t.IDToken = s.sign(claims{Type: "ID", Subject: u.id, Issued: s.opts.Now().Unix()})
		}
	}
	if err := s.loginEvent(re, cl, u, name, t.SessionState, ""); err != nil {
		return unknownError()
	}
	return ok(t)
}

// loginFailed remembers it. The caller holds the lock.
func (s *Server) loginFailed(re *realm, cl *client, u *user, name, reason string, answer reply) reply {
	if err := s.loginEvent(re, cl, u, name, "", reason); err != nil {
		return unknownError()
	}
	return answer
}

// logout ends the session of a refresh token. There are no sessions to end, but a token that is none of ours is refused.
func (s *Server) logout(r *http.Request, realmName string) reply {
	body, refusal := s.body(r)
	if refusal != nil {
		return *refusal
	}
	form, _ := url.ParseQuery(string(body)) // what cannot be read is missing
	s.mu.Lock()
	defer s.mu.Unlock()
	re := s.realms[realmName]
	if re == nil {
		return fail(404, plainError{"Realm does not exist"})
	}
	if _, refused := re.authenticate(r, form); refused != nil {
		return *refused
	}
	token := form.Get("refresh_token")
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return fail(400, oauthError{"invalid_grant", "Invalid refresh token"})
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || subtle.ConstantTimeCompare(signature, s.mac(token[:dot])) != 1 {
		return fail(400, oauthError{"invalid_grant", "Invalid refresh token"})
	}
	return reply{status: 204}
}

// rehash stores a password that was right under the realm's policy, as the real server does: same credential, same date, no event.
func (s *Server) rehash(u *user, held credential, p hashPolicy, password string) *reply {
	s.mu.Lock()
	salt := s.draw()
	s.mu.Unlock()
	data, secret := p.hash(password, salt[:16])
	s.mu.Lock()
	defer s.mu.Unlock()
	current := u.password()
	if u.has(deleted) || current == nil || current.id != held.id || current.secret != held.secret {
		return nil // changed meanwhile
	}
	if err := s.record(entry{Kind: "rehash", Drawn: s.drawn, User: u.id, Data: data, Secret: secret}, nil); err != nil {
		refused := unknownError()
		return &refused
	}
	s.applyRehash(u, data, secret)
	return nil
}

func (s *Server) applyRehash(u *user, data, secret string) {
	c := u.password()
	c.data, c.secret = s.intern(data), secret
}
