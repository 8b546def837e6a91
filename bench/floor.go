package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"golang.org/x/sync/errgroup"
)

// floor runs what no check of a store's files can do without: f over each file
// below a folder that is Parquet, or over all, on all cores.
func floor(dir string, parquet bool, f func(string) (int64, error)) error {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && (!parquet || isParquet(path)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	start := time.Now()
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	sums := make([]int64, len(files))
	for i, path := range files {
		g.Go(func() (err error) {
			sums[i], err = f(path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	total := int64(0)
	for _, n := range sums {
		total += n
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"seconds": time.Since(start).Seconds(), "files": len(files), "total": total})
}

func isParquet(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "PAR1"
}

// hashFile is one pass of SHA-256.
func hashFile(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.CopyBuffer(sha256.New(), struct{ io.Reader }{f}, make([]byte, 1<<20))
}

// decodeFile decodes all columns and rows by arrow v17 alone.
func decodeFile(path string) (int64, error) {
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	in, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: 8192}, memory.DefaultAllocator)
	if err != nil {
		return 0, err
	}
	batches, err := in.GetRecordReader(context.Background(), nil, nil)
	if err != nil {
		return 0, err
	}
	defer batches.Release()
	rows := int64(0)
	for {
		rec, err := batches.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return rows, fmt.Errorf("%s: %w", path, err)
		}
		rows += rec.NumRows()
	}
}
