package keymate

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/parallelrun/parallelrun/load"
)

// Login asks for a token with a person's name and password, and ends the
// session that a success opens. A wrong password counts against a person's
// brute-force limit.
func (t *Target) Login(ctx context.Context, username, password string) (load.LoginResult, error) {
	if t.cfg.ProofClientID == "" {
		return load.LoginImpossible, nil
	}
	k := call{op: "prove a login", method: http.MethodPost, path: serverPath(t.cfg.TokenURL)}
	g, status, err := t.http.postForm(ctx, k, t.cfg.TokenURL, t.proofForm(url.Values{
		"grant_type": {"password"}, "scope": {"openid"}, "username": {username}, "password": {password},
	}))
	if err != nil {
		return "", err
	}
	switch {
	case status/100 == 2 && g.AccessToken != "":
		return load.LoginOK, t.logout(ctx, g.RefreshToken)
	case g.Error == "invalid_grant" && strings.HasPrefix(g.Description, "Account is not fully set up"):
		return load.LoginPending, nil
	case g.Error == "invalid_grant" && strings.HasPrefix(g.Description, "Account disabled"):
		return load.LoginDisabled, nil
	case g.Error == "invalid_grant":
		return load.LoginRefused, nil
	case status == http.StatusTooManyRequests || status >= 500:
		return "", &load.Error{Class: load.Transient, Op: k.op, Endpoint: t.http.endpoint(k), Status: status, Hint: "the token endpoint is not ready: try again later"}
	}
	return "", &load.Error{Class: load.Setup, Op: k.op, Endpoint: t.http.endpoint(k), Status: status,
		Message: redact(strings.TrimSpace(g.Error+" "+g.Description), []string{username, password}),
		Hint:    "check the proof client: its secret, and that direct access grants are on"}
}

func (t *Target) logout(ctx context.Context, refresh string) error {
	address := strings.TrimSuffix(t.cfg.TokenURL, "/token") + "/logout"
	k := call{op: "end the session of a login proof", method: http.MethodPost, path: serverPath(address)}
	_, status, err := t.http.postForm(ctx, k, address, t.proofForm(url.Values{"refresh_token": {refresh}}))
	if err == nil && status/100 != 2 {
		err = &load.Error{Class: load.Transient, Op: k.op, Endpoint: t.http.endpoint(k), Status: status, Hint: "the session ends by itself after the realm's idle time"}
	}
	return err
}

func (t *Target) proofForm(form url.Values) url.Values {
	form.Set("client_id", t.cfg.ProofClientID)
	if t.cfg.ProofClientSecret != "" {
		form.Set("client_secret", t.cfg.ProofClientSecret)
	}
	return form
}
