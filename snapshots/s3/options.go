package s3

import (
	"crypto/md5" // the protocol asks for the key's
	"encoding/base64"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/parallelrun/parallelrun/snapshots"
)

// Options say which bucket, and how it is spoken to. Only Bucket is needed:
// region, endpoint and credentials else come from the SDK's chain (variables,
// shared files, the machine's role).
type Options struct {
	Bucket string
	Prefix string // of all keys, segments joined by slashes; empty: none

	Region   string
	Profile  string // of the shared configuration files
	Endpoint string // URL of a server of somebody else's
	// PathStyle puts the bucket into the path and not into the host name; nil:
	// if there is an endpoint.
	PathStyle  *bool
	Checksums  Checksums
	Encryption Encryption
	// Timeout is how long an answer may take; zero: one minute.
	Timeout time.Duration
	// Concurrency is how many requests run at once; zero: 32.
	Concurrency int
}

// Checksums say when a write carries a checksum that the server compares and
// keeps.
type Checksums string

// With WhenRequired the bytes are still covered by the request's signature.
const (
	WhenSupported Checksums = "when_supported" // SHA-256, the default
	WhenRequired  Checksums = "when_required"  // none: for servers that stumble over it
)

// Encryption is done by the server. Secrets are sealed before they reach it
// anyway; this covers the rest. The zero value leaves it to the bucket.
type Encryption struct {
	// KMSKey is a key's id, ARN or alias (SSE-KMS); "aws/s3": the account's own.
	KMSKey string
	// CustomerKey is 32 bytes (SSE-C): the server keeps none of it, and every
	// reader needs it.
	CustomerKey []byte
}

// accountKey stands for the account's own KMS key, which has no id to send.
const accountKey = "aws/s3"

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

func (o *Options) location() string {
	return strings.TrimSuffix("s3://"+o.Bucket+"/"+o.Prefix, "/")
}

// checked fills in defaults and refuses what can't work.
func (o Options) checked() (Options, error) {
	refuse := func(what, next string) error {
		return &Error{Op: "configure", Object: o.location(), Message: what, Err: ErrRefused, hint: next}
	}
	switch {
	case !bucketName.MatchString(o.Bucket):
		return o, refuse("not the name of a bucket", "write s3://BUCKET/PREFIX; a name has 3 to 63 lower-case letters, digits, dots and dashes")
	case strings.HasSuffix(o.Bucket, "--x-s3"):
		return o, refuse("a directory bucket does not list its keys in order", "use a general purpose bucket")
	case o.Encryption.KMSKey != "" && o.Encryption.CustomerKey != nil:
		return o, refuse("a KMS key and a customer key exclude each other", "keep one of them")
	case o.Encryption.CustomerKey != nil && len(o.Encryption.CustomerKey) != 32:
		return o, refuse("the customer key does not have 32 bytes", "make one with: openssl rand -base64 32")
	case o.Checksums != "" && o.Checksums != WhenSupported && o.Checksums != WhenRequired:
		return o, refuse("no such checksum mode", "write "+string(WhenSupported)+" or "+string(WhenRequired))
	case o.Endpoint != "" && !isEndpoint(o.Endpoint):
		return o, refuse("the endpoint is not the URL of a server", "write http:// or https://, host and port, without user and password")
	}
	o.Prefix = strings.Trim(o.Prefix, "/")
	if o.Prefix != "" {
		if err := snapshots.CheckKey(o.Prefix); err != nil {
			return o, refuse("not a prefix for a store: "+err.Error(), "use letters, digits and ._=-, joined by slashes")
		}
		if len(o.Prefix) > maxPrefix {
			return o, refuse("the prefix is too long", "use a shorter one")
		}
		o.Prefix += "/"
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 32
	}
	return o, nil
}

// maxPrefix leaves room for the longest key: names in a bucket have 1024 bytes.
const maxPrefix = 500

func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

func isLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// sse is what requests carry for encryption; nil fields are not sent.
type sse struct {
	mode                                  types.ServerSideEncryption
	kmsKey                                *string
	customerAlgorithm, customerKey, keyMD *string
}

func (e *Encryption) headers() sse {
	switch {
	case e.KMSKey == accountKey:
		return sse{mode: types.ServerSideEncryptionAwsKms}
	case e.KMSKey != "":
		return sse{mode: types.ServerSideEncryptionAwsKms, kmsKey: aws.String(e.KMSKey)}
	case e.CustomerKey != nil:
		sum := md5.Sum(e.CustomerKey)
		return sse{
			customerAlgorithm: aws.String("AES256"),
			customerKey:       aws.String(base64.StdEncoding.EncodeToString(e.CustomerKey)),
			keyMD:             aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		}
	}
	return sse{}
}
