// Command withversitygw starts a real S3 server with an empty bucket, runs a command that finds it through the AWS environment and
// S3_BUCKET, and stops the server again, with all that is in the bucket:
//
//	go run ./internal/servers/cmd/withversitygw -- parallelrun --store 's3://$S3_BUCKET/store' ...
//
// Its exit code is the command's; 2 for a bad call, 3 if the server cannot be started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/parallelrun/parallelrun/internal/servers"
	"github.com/parallelrun/parallelrun/internal/servers/versitygw"
)

func main() {
	optional := flag.Bool("optional", false, "run the command without the server if this machine lacks something for it")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: withversitygw [-optional] -- command [argument...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(*optional, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "withversitygw:", err)
	}
	os.Exit(code)
}

func run(optional bool, command []string) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	d, err := versitygw.NewDirectory(ctx)
	if optional && errors.Is(err, servers.ErrUnavailable) {
		fmt.Fprintln(os.Stderr, "withversitygw: going on without:", err)
		return servers.Execute(ctx, command, nil)
	}
	if err != nil {
		return 3, err
	}
	defer func() {
		if cerr := d.Close(); cerr != nil {
			code, err = max(code, 1), errors.Join(err, cerr)
		}
	}()
	s, err := d.Serve(ctx)
	if err != nil {
		return 3, err
	}
	bucket, err := d.NewBucket()
	if err != nil {
		return 3, err
	}
	return servers.Execute(ctx, command, []string{
		"AWS_ENDPOINT_URL_S3=" + s.URL, "AWS_REGION=" + versitygw.Region, "AWS_ACCESS_KEY_ID=" + d.AccessKey, "AWS_SECRET_ACCESS_KEY=" + d.SecretKey,
		"S3_BUCKET=" + bucket,
	})
}
