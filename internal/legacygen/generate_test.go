package legacygen

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"testing"
	"time"
)

func generate(t *testing.T, c Config) ([]byte, *Counts) {
	t.Helper()
	var buf bytes.Buffer
	counts, err := Generate(&buf, c)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), counts
}

func TestSmoke(t *testing.T) {
	start := time.Now()
	b, counts := generate(t, Config{})
	t.Logf("%d bytes in %v", len(b), time.Since(start))
	j, _ := json.MarshalIndent(counts, "", " ")
	t.Logf("%s", j)
	_ = sha256.Sum256(b)
	_ = io.Discard
}
