package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// diffCold compares two whole snapshots that lie in a bucket. The tool keeps
// nothing from one command to the next; a proxy counts what it asks for.
func (b *bench) diffCold() error {
	endpoint, bucket := os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("S3_BUCKET")
	const work = "diff of two whole ones in a cold bucket, counts"
	if endpoint == "" || bucket == "" {
		b.add(result{work: work, goal: "under a tenth of the snapshots' bytes", note: "not done: no S3 server (AWS_ENDPOINT_URL_S3, S3_BUCKET)"})
		return nil
	}
	progress("two snapshots into a bucket")
	if err := upload(b.path("nights"), endpoint, bucket); err != nil {
		return err
	}
	p, err := newCounter(endpoint)
	if err != nil {
		return err
	}
	defer p.server.Close()
	var requests, fetched int64
	tool := b.toolOn("migration.yaml", "s3://"+bucket, []string{"AWS_ENDPOINT_URL_S3=" + p.url}, "snapshots", "diff", "first", "source/users/legacy", "--counts", "--json")
	tool.prepare = func() error {
		p.requests.Store(0)
		p.bytes.Store(0)
		return nil
	}
	m, err := b.turns(tool, b.diffSide("--counts", "--json"))
	if err == nil {
		err = b.counted(m[0])
	}
	if err != nil {
		return err
	}
	requests, fetched = p.requests.Load(), p.bytes.Load()
	stored, err := bytesOf(b.path("nights"))
	if err != nil {
		return err
	}
	b.add(result{work: work, side: "the tool, in a folder", tool: m[0], other: m[1], rows: b.data.Rows, bytes: fetched,
		goal: "under a tenth of the snapshots' bytes", met: fetched < stored/10,
		note: fmt.Sprintf("%s of %s fetched (%.1f %%), %d requests", megabytes(fetched), megabytes(stored), 100*float64(fetched)/float64(stored), requests)})
	return nil
}

// upload puts a store's files into a bucket under the names that they have.
func upload(dir, endpoint, bucket string) error {
	ctx := context.Background()
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle, o.BaseEndpoint = true, aws.String(endpoint) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	err = files(dir, func(path string, _ int64) error {
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		g.Go(func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String(filepath.ToSlash(key)), Body: f})
			return err
		})
		return nil
	})
	return errors.Join(err, g.Wait())
}

// files calls f for the files of a store.
func files(dir string, f func(path string, size int64) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return f(path, info.Size())
	})
}

func bytesOf(dir string) (n int64, err error) {
	err = files(dir, func(_ string, size int64) error { n += size; return nil })
	return n, err
}

// counter is a proxy that counts requests and the bytes of their answers.
type counter struct {
	url             string
	server          *http.Server
	requests, bytes atomic.Int64
}

func newCounter(endpoint string) (*counter, error) {
	to, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &counter{url: "http://" + l.Addr().String()}
	proxy := httputil.NewSingleHostReverseProxy(to) // the host stays that of the request, which is signed
	proxy.ModifyResponse = func(r *http.Response) error {
		c.requests.Add(1)
		r.Body = &countedBody{ReadCloser: r.Body, n: &c.bytes}
		return nil
	}
	c.server = &http.Server{Handler: proxy}
	go func() { _ = c.server.Serve(l) }() // ends by Close
	return c, nil
}

// countedBody counts what is read through it.
type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}
