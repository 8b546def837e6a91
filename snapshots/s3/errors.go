package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/parallelrun/parallelrun/snapshots"
)

var (
	// ErrRefused: the server, or the configuration, does not let us. Do what the
	// error's hint says.
	ErrRefused = errors.New("refused")
	// ErrUnreachable: nobody answered, or only with errors of the server's own,
	// and nothing was changed. Try again later.
	ErrUnreachable = errors.New("the bucket can't be reached")
)

// Error is what went wrong with one request. Err is one of this package's
// errors or of package snapshots.
type Error struct {
	Op     string // "create", "open", "list", "configure"
	Object string // s3://bucket/key
	Status int    // of HTTP, zero without an answer
	Code   string // the server's, "AccessDenied"
	// Message is the server's own text, or what was met on the way.
	Message string
	Err     error
	hint    string
	cause   error // of the context; may be nil

	disorder bool
}

// Disordered: a list was not in the order that was asked for.
func (e *Error) Disordered() bool { return e.disorder }

func (e *Error) Error() string {
	s := e.Op + " " + e.Object + ": "
	if e.Err != nil {
		s += e.Err.Error() + ": "
	}
	if e.Status != 0 {
		s += fmt.Sprintf("%d ", e.Status)
	}
	if e.Code != "" {
		s += e.Code + " "
	}
	s = strings.TrimSuffix(strings.TrimSpace(s+e.Message), ":")
	if e.hint != "" {
		s += " (" + e.hint + ")"
	}
	return s
}

// Unwrap returns what the error means to callers.
func (e *Error) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Err, e.cause} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// Hint says what to do.
func (e *Error) Hint() string { return e.hint }

// said makes an Error of what the SDK returned, without judging it.
func (b *Backend) said(op, key string, err error) *Error {
	e := &Error{Op: op, Object: b.name(key), Message: "no answer"}
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok && r.Response != nil {
		e.Status, e.Message = r.HTTPStatusCode(), ""
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		e.Code, e.Message = api.ErrorCode(), oneLine(api.ErrorMessage())
		e.hint = hints[e.Code]
	} else if e.Status == 0 {
		e.Message = oneLine(innermost(err))
	}
	return e
}

// writeError judges a write by what is known. asker is the error of the
// caller's context. sent: the request may have reached the server.
func (b *Backend) writeError(op, key string, err, asker error, sent bool) error {
	e := b.said(op, key, err)
	e.cause = asker
	switch {
	case e.Status == http.StatusPreconditionFailed:
		e.Err = snapshots.ErrExists
	case !sent:
		b.notSent(e, err)
	case e.Status == 0, e.Status == http.StatusNotImplemented && e.Code == "", unsettled(e):
		e.Err = snapshots.ErrUnknownOutcome
	default:
		e.Err = ErrRefused
	}
	return e
}

// unsettled: the answer does not say that the write did not happen and never
// will. A conflict with a racing write settles nothing either.
func unsettled(e *Error) bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	case http.StatusConflict:
		return e.Code == "ConditionalRequestConflict" || e.Code == "OperationAborted" || e.Code == ""
	case http.StatusBadRequest:
		return e.Code == "RequestTimeout" || e.Code == "IncompleteBody"
	case http.StatusNotImplemented:
		return false
	}
	return e.Status >= 500 || e.Status < 400
}

// notSent is about requests that never left: nothing has happened.
func (b *Backend) notSent(e *Error, err error) {
	_, network := errors.AsType[net.Error](err)
	switch {
	case e.cause != nil:
		e.Err = nil
	case network:
		e.Err, e.hint = ErrUnreachable, "is the network up, and the endpoint right?"
	default:
		e.Err, e.hint = ErrRefused, "give credentials, as the AWS command line takes them: AWS_PROFILE, AWS_ACCESS_KEY_ID, or the machine's role"
	}
}

// readError judges a read. Reads change nothing, so there is no doubt.
func (b *Backend) readError(op, key string, err, asker error) error {
	e := b.said(op, key, err)
	e.cause = asker
	_, network := errors.AsType[net.Error](err)
	switch {
	case asker != nil:
	case missing(e):
		e.Err, e.hint = snapshots.ErrNotFound, ""
	case e.Status >= 500, e.Status == http.StatusTooManyRequests, e.Status == 0 && (network || errors.Is(err, context.DeadlineExceeded)):
		e.Err = ErrUnreachable
		if e.hint == "" {
			e.hint = "is the network up, and the endpoint right?"
		}
	case e.Status == 0:
		b.notSent(e, err)
	default:
		e.Err = ErrRefused
	}
	return e
}

// missing: the server says that there is no such object, in its own words. A
// bare 404 may come from anybody on the way, save for a HEAD, which never has a
// body.
func missing(e *Error) bool {
	return e.Status == http.StatusNotFound && (e.Code == "NoSuchKey" || e.Op == "stat" && e.Code == "NotFound")
}

// hints are the next steps by the server's codes.
var hints = map[string]string{
	"AccessDenied":                 "give the identity the permissions that docs/store.md lists; without ListBucket a missing key looks like this as well",
	"AllAccessDisabled":            "give the identity the permissions that docs/store.md lists",
	"InvalidAccessKeyId":           "the credentials are of another account or server: see AWS_PROFILE and the endpoint",
	"XAdminUserNotFound":           "the credentials are of another account or server: see AWS_PROFILE and the endpoint", // versitygw
	"NotFound":                     "is that the URL of an S3 server?",
	"SignatureDoesNotMatch":        "the secret key is not the access key's, or a proxy changes requests on the way",
	"ExpiredToken":                 "renew the session's credentials",
	"NoSuchBucket":                 "make the bucket first, or correct store: in the configuration",
	"PermanentRedirect":            "the bucket is in another region: set s3.region",
	"AuthorizationHeaderMalformed": "the bucket is in another region: set s3.region",
	"RequestTimeTooSkewed":         "set this machine's clock",
	"NotImplemented":               "the server lacks what a store needs: `parallelrun store doctor` says more",
	"BadDigest":                    "the bytes were damaged on the way: run the command again",
	"XAmzContentSHA256Mismatch":    "the bytes were damaged on the way: run the command again",
	"SlowDown":                     "the server asks for less: wait, or share the bucket with fewer programs",
}

// innermost is the last error's text: the SDK wraps one sentence in many.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		if _, ok := next.(net.Error); ok && !slices.Contains([]string{"EOF", "unexpected EOF"}, next.Error()) {
			return next.Error()
		}
		err = next
	}
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
