package second

import "golang.org/x/sys/unix"

// limitProcess ends this process where it would hold more writable memory than
// the limit: what the runtime only reserves does not count.
func limitProcess(bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	l := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	return unix.Setrlimit(unix.RLIMIT_DATA, &l)
}
