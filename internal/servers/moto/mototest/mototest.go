// Package mototest lends tests a real AWS KMS, with keys of their own.
//
// Start with Start; it puts what the SDK needs into the environment.
package mototest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/parallelrun/parallelrun/internal/servers/moto"
	"github.com/parallelrun/parallelrun/internal/servers/servertest"
)

// Region is where the keys are.
const Region = "eu-central-1"

// KMS is a server with a client of an administrator.
type KMS struct {
	URL    string
	client *kms.Client
}

// Start runs a server until the test ends, and keeps the machine's own AWS configuration out of the environment. It ends the
// test by name if this machine has none.
func Start(t testing.TB) *KMS {
	t.Helper()
	s, err := moto.Start(t.Context())
	servertest.Require(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close moto: %v", err)
		}
	})
	for _, e := range Environment() {
		t.Setenv(e[0], e[1])
	}
	cfg, err := awsconfig.LoadDefaultConfig(t.Context(), awsconfig.WithRegion(Region))
	if err != nil {
		t.Fatal(err)
	}
	return &KMS{URL: s.URL, client: kms.NewFromConfig(cfg, func(o *kms.Options) { o.BaseEndpoint = aws.String(s.URL) })}
}

// Environment is what Start sets, as names and values.
func Environment() [][2]string {
	return [][2]string{
		{"AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"}, {"AWS_SECRET_ACCESS_KEY", "hush-hush-hush"}, {"AWS_SESSION_TOKEN", ""}, {"AWS_REGION", ""}, {"AWS_DEFAULT_REGION", ""},
		{"AWS_PROFILE", ""}, {"AWS_CONFIG_FILE", "/dev/null"}, {"AWS_SHARED_CREDENTIALS_FILE", "/dev/null"}, {"AWS_EC2_METADATA_DISABLED", "true"},
	}
}

// NewKey makes a key, with an alias unless that is empty, and returns its ARN.
func (k *KMS) NewKey(t testing.TB, alias string) string {
	t.Helper()
	out, err := k.client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	if alias != "" {
		if _, err := k.client.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String(alias), TargetKeyId: out.KeyMetadata.KeyId}); err != nil {
			t.Fatal(err)
		}
	}
	return aws.ToString(out.KeyMetadata.Arn)
}
