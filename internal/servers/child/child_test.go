package child_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers/child"
)

// TestMain lets the test binary play a program that starts a child and is then killed.
func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_VICTIM") == "1" {
		victim()
		return
	}
	os.Exit(m.Run())
}

func victim() {
	s, err := child.NewScratch("childtest")
	if err != nil {
		panic(err)
	}
	p, err := s.Start(child.Spec{Name: "sleeper", Path: "/bin/sh", Args: []string{"-c", "sleep 300 & sleep 300; :"}})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d %s\n", p.Pid(), s.Dir)
	select {}
}

func groupAlive(pid int) bool { return !errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not after 20 s: %s", what)
}

func TestCloseLeavesNothing(t *testing.T) {
	s, err := child.NewScratch("childtest")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Start(child.Spec{Name: "sleeper", Path: "/bin/sh", Args: []string{"-c", "sleep 300 & sleep 300; :"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the group is gone", func() bool { return !groupAlive(p.Pid()) })
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder %s is still there: %v", s.Dir, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := s.Start(child.Spec{Name: "late", Path: "/bin/true"}); err == nil {
		t.Error("a closed scratch started a process")
	}
}

func TestKilledParentLeavesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHILD_TEST_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	if _, err := fmt.Sscan(line, &pid, &dir); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if !groupAlive(pid) {
		t.Fatal("the child does not run")
	}
	cmd.Process.Kill()
	io.Copy(io.Discard, out)
	cmd.Wait()
	eventually(t, "the child's group is gone", func() bool { return !groupAlive(pid) })
	eventually(t, "the folder is gone", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
}

func TestAwaitShowsTheLog(t *testing.T) {
	s, err := child.NewScratch("childtest")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	never := func(context.Context) error { return errors.New("nobody there") }
	for name, tc := range map[string]struct{ script, want string }{
		"ends":  {"echo cannot bind; exit 7", "exit status 7"},
		"hangs": {"echo cannot bind; sleep 100", "nobody there"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := s.Start(child.Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", tc.script}})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Await(t.Context(), time.Second, never)
			if err == nil || !strings.Contains(err.Error(), "cannot bind") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v should hold the log's end and %q", err, tc.want)
			}
			p.Stop()
		})
	}
}
