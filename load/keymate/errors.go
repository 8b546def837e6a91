package keymate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/parallelrun/parallelrun/load"
)

// cutOff is a reply that broke off or is not what it should be.
type cutOff struct{ err error }

func (e *cutOff) Error() string { return "the reply is cut off or no JSON: " + e.err.Error() }
func (e *cutOff) Unwrap() error { return e.err }

func asCutOff(err error, target **cutOff) bool { return errors.As(err, target) }

func orUnexpected(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// isSyntax tells a broken reply from an error of whoever consumes it.
func isSyntax(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var network net.Error
	return errors.As(err, &syntax) || errors.As(err, &kind) || errors.As(err, &network) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*load.Error](err)
	return ok && e.Status == status
}

func isClass(err error, class load.ErrorClass) bool {
	e, ok := errors.AsType[*load.Error](err)
	return ok && e.Class == class
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &authority)
}

// noAnswer is the error of a request that nobody answered. Only one that never
// got a connection is known not to have happened.
func (c *client) noAnswer(k call, err error, sent bool) error {
	e := &load.Error{Op: k.op, Endpoint: c.endpoint(k), Err: plainCause(err)}
	switch {
	case isCertificate(err):
		e.Class, e.Hint = load.Setup, "the target's certificate is not trusted here: check the url and the machine's certificate authorities"
	case !sent:
		e.Class, e.Hint = load.Transient, "the target can't be reached: check the url, and that the server is up"
	default:
		e.Class, e.Hint = load.Unknown, "it may have been carried out: read the rows back before sending anything else for them"
	}
	return e
}

// plainCause drops the URL, with its query, from a client error.
func plainCause(err error) error {
	type urlError interface{ Unwrap() error }
	if strings.Contains(err.Error(), "://") {
		if u, ok := err.(urlError); ok && u.Unwrap() != nil {
			return plainCause(u.Unwrap())
		}
	}
	return err
}

// broken is the error of a 2xx answer whose body can't be used.
func (c *client) broken(k call, status int, err error, class load.ErrorClass) error {
	return &load.Error{Class: class, Op: k.op, Endpoint: c.endpoint(k), Status: status, Err: err,
		Message: "the reply is cut off or not the JSON that was expected", Hint: "check for a proxy between here and the target"}
}

// refusal turns an answer other than 2xx into what the loader acts on.
func (c *client) refusal(k call, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e := &load.Error{Op: k.op, Endpoint: c.endpoint(k), Status: resp.StatusCode, RetryAfter: retryAfter(resp),
		Message: serverMessage(body, k.private)}
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized:
		e.Class, e.Hint = load.Setup, "the token is refused: check the client, its realm and the clocks"
	case s == http.StatusForbidden:
		e.Class, e.Hint = load.Setup, "the client lacks a right: give its service account the realm-management roles manage-users, manage-realm and manage-organizations"
	case s == http.StatusNotFound && strings.HasPrefix(e.Message, "Realm not found"):
		e.Class, e.Hint = load.Setup, "check the target's realm"
	case s/100 == 3:
		e.Class, e.Hint = load.Setup, "the target's url leads elsewhere: use the address that it redirects to"
	case e.Busy():
		e.Class, e.Hint = load.Transient, "the target is busy: try again later"
	case s == http.StatusRequestEntityTooLarge:
		e.Class, e.Hint = load.Permanent, "the request is larger than the server takes (10 MiB): leave out large attributes or raise QUARKUS_HTTP_LIMITS_MAX_BODY_SIZE"
	case s == http.StatusConflict && k.write():
		e.Class, e.Hint = load.Unknown, "something with that id, name or e-mail is there, perhaps from an earlier try: read the rows back"
	case s >= 500 && k.write():
		e.Class, e.Hint = load.Unknown, "the server's log has the reason; read the rows back before sending anything else for them"
	case s >= 500:
		e.Class, e.Hint = load.Transient, "the server's log has the reason"
	default:
		e.Class, e.Hint = load.Permanent, "the target refuses this row: mend it in the source or the mapping"
	}
	return e
}

var emailLike = regexp.MustCompile(`[^\s"'<>]+@[^\s"'<>]+`)

// serverMessage is the server's own message without the values that it
// repeats. Parameters of validation errors are left out: they hold the value.
func serverMessage(body []byte, private []string) string {
	var r struct {
		ErrorMessage, Error, Field string
		Description                string `json:"error_description"`
		Errors                     []struct{ Field, ErrorMessage string }
	}
	if json.Unmarshal(body, &r) != nil {
		return ""
	}
	for _, e := range r.Errors {
		r.ErrorMessage += fmt.Sprintf("; %s: %s", e.Field, e.ErrorMessage)
	}
	r.ErrorMessage = strings.TrimPrefix(r.ErrorMessage, "; ")
	m := r.ErrorMessage
	switch {
	case m == "" && r.Description != "":
		m = r.Error + ": " + r.Description
	case m == "":
		m = r.Error
	case r.Field != "" && len(r.Errors) == 0:
		m = r.Field + ": " + m
	}
	return redact(m, private)
}

func redact(m string, private []string) string {
	for _, p := range private {
		if len(p) > 1 {
			m = strings.ReplaceAll(m, p, "(redacted)")
		}
	}
	m = emailLike.ReplaceAllString(m, "(redacted)")
	if r := []rune(m); len(r) > 300 {
		m = string(r[:300]) + "…"
	}
	return m
}
