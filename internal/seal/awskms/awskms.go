// Package awskms wraps a store's keys with keys of AWS KMS, which never leave it.
//
// Nouns: a key is named by its ARN, its id, or an alias; what is wrapped is bound
// to a store and to one of its keys by KMS's encryption context. Start with New;
// package seal takes a Service under the word Scheme.
package awskms

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/parallelrun/parallelrun/internal/seal"
)

// Scheme is what recipients of this service begin with.
const Scheme = "aws-kms"

// Options say how KMS is spoken to. Region, endpoint and credentials else come
// from the SDK's chain (variables, shared files, the machine's role).
type Options struct {
	// Region of keys that are not named by an ARN, which says its own.
	Region   string
	Profile  string // of the shared configuration files
	Endpoint string // URL of a server of somebody else's
	// Timeout is how long one answer may take, retries included; zero: 20 seconds.
	Timeout time.Duration
}

// Service is AWS KMS. It speaks to nobody before it is asked to.
type Service struct {
	o Options

	mu      sync.Mutex
	clients map[string]*kms.Client // by region
}

var _ seal.Service = (*Service)(nil)

// New returns the service.
func New(o Options) *Service {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	return &Service{o: o, clients: map[string]*kms.Client{}}
}

// Wrap implements seal.Service. An alias is resolved: what it stands for later
// does not matter.
func (s *Service) Wrap(ctx context.Context, key string, plain []byte, about map[string]string) (id string, wrapped []byte, err error) {
	asked, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	c, err := s.client(asked, key)
	if err != nil {
		return "", nil, s.said("wrap with", key, err, ctx.Err())
	}
	out, err := c.Encrypt(asked, &kms.EncryptInput{KeyId: aws.String(key), Plaintext: plain, EncryptionContext: about})
	if err != nil {
		return "", nil, s.said("wrap with", key, err, ctx.Err())
	}
	return aws.ToString(out.KeyId), out.CiphertextBlob, nil
}

// Unwrap implements seal.Service.
func (s *Service) Unwrap(ctx context.Context, id string, wrapped []byte, about map[string]string) ([]byte, error) {
	asked, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	c, err := s.client(asked, id)
	if err != nil {
		return nil, s.said("unwrap with", id, err, ctx.Err())
	}
	out, err := c.Decrypt(asked, &kms.DecryptInput{KeyId: aws.String(id), CiphertextBlob: wrapped, EncryptionContext: about})
	if err != nil {
		return nil, s.said("unwrap with", id, err, ctx.Err())
	}
	return out.Plaintext, nil
}

// client speaks to the region of a key.
func (s *Service) client(ctx context.Context, key string) (*kms.Client, error) {
	region := s.o.Region
	if r := regionOf(key); r != "" {
		region = r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[region]; c != nil {
		return c, nil
	}
	var load []func(*awsconfig.LoadOptions) error
	if region != "" {
		load = append(load, awsconfig.WithRegion(region))
	}
	if s.o.Profile != "" {
		load = append(load, awsconfig.WithSharedConfigProfile(s.o.Profile))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if cfg.Region == "" && s.o.Endpoint != "" {
		cfg.Region = "us-east-1" // some region must be signed for
	}
	c := kms.NewFromConfig(cfg, func(o *kms.Options) {
		if s.o.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.o.Endpoint)
		}
	})
	s.clients[region] = c
	return c, nil
}

// regionOf is the region in an ARN, empty for another name.
func regionOf(key string) string {
	if part := strings.SplitN(key, ":", 6); len(part) == 6 && part[0] == "arn" && part[2] == "kms" {
		return part[3]
	}
	return ""
}
