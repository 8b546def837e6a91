// Package child runs a server as a child process that cannot outlive us.
//
// A [Scratch] is one temporary folder with a guard: a small shell process that waits on a pipe from us. When we end in any
// way, kill -9 included, the pipe closes, and the guard ends the processes started under that scratch and
// removes the folder. [Scratch.Close] does the same in the ordinary way, and then dismisses the guard.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// guardScript reads "pid N" lines, one per process group, and "done". At the end of its input without "done" it ends the groups
// and removes the folder. SIGQUIT first: PostgreSQL's backends are sessions of their own, and its
// parent ends them on SIGQUIT.
const guardScript = `
pids=
while read -r verb arg; do
	case "$verb" in
	pid) pids="$pids $arg" ;;
	done) exit 0 ;;
	esac
done
for p in $pids; do kill -QUIT "$p" 2>/dev/null; done
sleep 1
for p in $pids; do kill -KILL -"$p" 2>/dev/null; kill -KILL "$p" 2>/dev/null; done
n=0
while [ $n -lt 50 ]; do
	rm -rf -- "$1" 2>/dev/null
	[ -e "$1" ] || exit 0
	n=$((n + 1))
	sleep 0.1
done
`

// Scratch is a guarded temporary folder. Make one with [NewScratch].
type Scratch struct {
	Dir string

	mu    sync.Mutex
	procs []*Process
	guard *exec.Cmd
	pipe  io.WriteCloser
}

// NewScratch makes a folder under os.TempDir and its guard. The caller closes it.
func NewScratch(prefix string) (*Scratch, error) {
	dir, err := os.MkdirTemp("", "parallelrun-"+prefix+"-")
	if err != nil {
		return nil, fmt.Errorf("make a scratch folder: %w", err)
	}
	guard := exec.Command("/bin/sh", "-c", guardScript, "guard", dir)
	// A session of its own: a Ctrl-C at the terminal must not end the guard before it has done its work.
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	guard.Dir = "/"
	pipe, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the guard of %s: %w", dir, err), os.RemoveAll(dir))
	}
	return &Scratch{Dir: dir, guard: guard, pipe: pipe}, nil
}

// Close ends every process started under the scratch, in reverse order, and removes the folder. A second call does nothing.
func (s *Scratch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard == nil {
		return nil
	}
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].Stop()
	}
	err := os.RemoveAll(s.Dir)
	if _, werr := io.WriteString(s.pipe, "done\n"); werr != nil {
		err = errors.Join(err, fmt.Errorf("dismiss the guard of %s: %w", s.Dir, werr))
	}
	s.pipe.Close()
	s.guard.Wait() // its exit code says nothing that RemoveAll has not said
	s.guard = nil
	return err
}

// Spec says what to run.
type Spec struct {
	Name string // for messages and the log file's name
	Path string
	Args []string
	Env  []string            // nil: our own environment
	Dir  string              // "": the scratch folder
	Cred *syscall.Credential // nil: our own user
	Stop []syscall.Signal    // polite signals, one after the other, before SIGKILL; nil: SIGTERM
	Wait time.Duration       // how long to wait after each polite signal; 0: 10 s
}

// Process is one running child. Its output goes to a log file in the scratch folder.
type Process struct {
	spec   Spec
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
	err    error // valid once exited is closed
}

// Start starts a process in a group of its own.
func (s *Scratch) Start(spec Spec) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.guard == nil {
		return nil, fmt.Errorf("start %s: the scratch folder is closed", spec.Name)
	}
	logPath := filepath.Join(s.Dir, spec.Name+".log")
	logFile, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer logFile.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir = spec.Env, spec.Dir
	if cmd.Dir == "" {
		cmd.Dir = s.Dir
	}
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: spec.Cred}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, cmd: cmd, log: logPath, exited: make(chan struct{})}
	if _, err := fmt.Fprintf(s.pipe, "pid %d\n", cmd.Process.Pid); err != nil {
		err = fmt.Errorf("tell the guard of %s: %w", spec.Name, err)
		cmd.Process.Kill()
		cmd.Wait()
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	s.procs = append(s.procs, p)
	return p, nil
}

// Pid is the process id, which is also the id of its group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed once the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Stop ends the process and its group, and returns once the process is gone. A second call does nothing.
func (p *Process) Stop() {
	signals := p.spec.Stop
	if signals == nil {
		signals = []syscall.Signal{syscall.SIGTERM}
	}
	wait := p.spec.Wait
	if wait == 0 {
		wait = 10 * time.Second
	}
	for _, sig := range signals {
		syscall.Kill(-p.Pid(), sig)
		select {
		case <-p.exited:
		case <-time.After(wait):
			continue
		}
		break
	}
	// Also when the leader is gone: a group member may have stayed.
	syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.exited
}

// Tail returns the last lines of the log, for an error message.
func (p *Process) Tail(lines int) string {
	f, err := os.Open(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	defer f.Close()
	const most = 64 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		f.Seek(-most, io.SeekEnd)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return fmt.Sprintf("(log unreadable: %v)", err)
	}
	all := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(b, []byte("?")))), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// Await polls ready until it returns nil, the process ends, ctx is done or the time is up. The error carries the log's tail.
func (p *Process) Await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for {
		if last = ready(ctx); last == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended before it was ready (%v); end of its log:\n%s", p.spec.Name, p.err, p.Tail(30))
		case <-ctx.Done():
			return fmt.Errorf("%s not ready after %s: %w; last answer: %v; end of its log:\n%s",
				p.spec.Name, time.Since(start).Round(time.Second), context.Cause(ctx), last, p.Tail(30))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
