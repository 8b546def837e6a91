package awskms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

var (
	// ErrRefused: KMS, or the configuration, does not let us. Do what the error's
	// hint says.
	ErrRefused = errors.New("refused")
	// ErrUnreachable: nobody answered, or only with errors of KMS's own. Try again
	// later, or open the store with another recipient.
	ErrUnreachable = errors.New("AWS KMS can't be reached")
)

// Error is what went wrong with one request.
type Error struct {
	Op      string // "wrap with", "unwrap with"
	Key     string
	Status  int    // of HTTP, zero without an answer
	Code    string // KMS's, "DisabledException"
	Message string // KMS's own text, or what was met on the way
	Err     error  // ErrRefused, ErrUnreachable, or the context's
	hint    string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s AWS KMS key %s: %v:", e.Op, e.Key, e.Err)
	if e.Status != 0 {
		s += fmt.Sprintf(" %d", e.Status)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Message != "" {
		s += " " + e.Message
	}
	s = strings.TrimSuffix(s, ":")
	if e.hint != "" {
		s += " (" + e.hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *Error) Hint() string { return e.hint }

const others = "; any other recipient opens the store as well"

// hints are the next steps by KMS's codes.
var hints = map[string]string{
	"DisabledException":           "enable the key in AWS KMS" + others,
	"KMSInvalidStateException":    "cancel the key's deletion in AWS KMS, or wait until it is ready" + others,
	"AccessDeniedException":       "give the identity kms:Encrypt and kms:Decrypt on the key (docs/keys.md)" + others,
	"NotFoundException":           "no such key there: correct keys.recipients, or the account and region (keys.kms.region, AWS_PROFILE)" + others,
	"IncorrectKeyException":       "the key file was changed: restore it from a backup of the store" + others,
	"InvalidCiphertextException":  "the key file was changed, or is another store's: restore it from a backup of the store" + others,
	"InvalidKeyUsageException":    "take a symmetric key for encryption" + others,
	"UnrecognizedClientException": "the credentials are of another account or server: see AWS_PROFILE and the endpoint",
	"InvalidSignatureException":   "the secret key is not the access key's, or a proxy changes requests on the way",
	"ExpiredTokenException":       "renew the session's credentials",
}

// said makes an Error of what the SDK returned. asker is the error of the
// caller's own context.
func (s *Service) said(op, key string, err, asker error) error {
	e := &Error{Op: op, Key: key, Err: ErrRefused}
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok && r.Response != nil {
		e.Status = r.HTTPStatusCode()
	}
	api, spoke := errors.AsType[smithy.APIError](err)
	if spoke {
		e.Code, e.Message = api.ErrorCode(), strings.Join(strings.Fields(api.ErrorMessage()), " ")
		e.hint = hints[e.Code]
	}
	_, network := errors.AsType[net.Error](err)
	switch {
	case asker != nil:
		e.Err = asker
	case e.Status >= http.StatusInternalServerError, e.Status == http.StatusTooManyRequests, e.Code == "ThrottlingException",
		e.Status == 0 && (network || errors.Is(err, context.DeadlineExceeded)):
		e.Err = ErrUnreachable
		e.hint = "is the network up, and the endpoint right?" + others
	case e.Status == 0:
		e.Message = strings.Join(strings.Fields(innermost(err)), " ")
		e.hint = "give credentials and a region, as the AWS command line takes them: AWS_PROFILE, AWS_REGION, or the machine's role" + others
	case e.hint == "":
		e.hint = "see what AWS KMS says of this code" + others
	}
	return e
}

// innermost is the last error's text: the SDK wraps one sentence in many.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}
