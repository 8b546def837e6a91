package keycloak

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/parallelrun/parallelrun/internal/servers"
)

// Version is the Keycloak that the project tests against.
const Version = "26.7.4"

// buildArgs are the build-time options; a cached distribution built with others is built anew.
var buildArgs = []string{"build", "--db=postgres", "--health-enabled=true"}

// Distribution returns the folder of an unpacked and built Keycloak, making it in the user's cache if need be.
// Two processes that ask at once do the work once. The folder is shared: nobody writes into it afterwards.
func Distribution(ctx context.Context) (string, error) {
	if _, err := javaProgram(); err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder for Keycloak: %w", err)
	}
	root := filepath.Join(cache, "parallelrun")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder for Keycloak: %w", err)
	}
	home := filepath.Join(root, "keycloak-"+Version)
	if built(home) {
		return home, nil
	}
	unlock, err := servers.Lock(home + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if built(home) { // by whoever held the lock
		return home, nil
	}
	if err := build(ctx, root, home); err != nil {
		return "", err
	}
	return home, nil
}

const markerName = ".parallelrun-build"

func marker() []byte { return []byte(strings.Join(buildArgs, " ") + "\n") }

func built(home string) bool {
	b, err := os.ReadFile(filepath.Join(home, markerName))
	return err == nil && bytes.Equal(b, marker())
}

// build unpacks and builds beside home and renames at the end, so that home is whole or absent.
func build(ctx context.Context, root, home string) (err error) {
	zipPath, err := fetchZip(ctx)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(root, ".keycloak-"+Version+"-")
	if err != nil {
		return fmt.Errorf("make a folder to build Keycloak in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := unzip(zipPath, tmp); err != nil {
		return fmt.Errorf("unpack %s: %w", zipPath, err)
	}
	dist := filepath.Join(tmp, "keycloak-"+Version)
	cmd := exec.CommandContext(ctx, filepath.Join(dist, "bin", "kc.sh"), buildArgs...)
	cmd.Dir = dist
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kc.sh %s: %w\n%s", strings.Join(buildArgs, " "), err, lastBytes(out, 4<<10))
	}
	if err := os.WriteFile(filepath.Join(dist, markerName), marker(), 0o644); err != nil {
		return fmt.Errorf("mark the built Keycloak: %w", err)
	}
	if err := os.RemoveAll(home); err != nil { // one built with other options
		return fmt.Errorf("remove the old Keycloak: %w", err)
	}
	if err := os.Rename(dist, home); err != nil {
		return fmt.Errorf("put the built Keycloak in place: %w", err)
	}
	return nil
}

// fetchZip returns the path of the server's archive in the local Maven repository, asking Maven for it if it is not there.
func fetchZip(ctx context.Context) (string, error) {
	userHome, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the local Maven repository: %w", err)
	}
	name := "keycloak-quarkus-dist-" + Version + ".zip"
	path := filepath.Join(userHome, ".m2", "repository", "org", "keycloak", "keycloak-quarkus-dist", Version, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", &servers.Unavailable{Missing: "mvn", Hint: "install Maven, or put " + name + " at " + path, Cause: err}
	}
	coordinates := "org.keycloak:keycloak-quarkus-dist:" + Version + ":zip"
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "dependency:get", "-Dartifact="+coordinates, "-Dtransitive=false")
	cmd.Dir = os.TempDir()
	out, err := cmd.CombinedOutput()
	if _, serr := os.Stat(path); serr == nil && err == nil {
		return path, nil
	}
	return "", &servers.Unavailable{
		Missing: "keycloak zip", Hint: "mvn dependency:get -Dartifact=" + coordinates + " -Dtransitive=false has to bring it",
		Cause: fmt.Errorf("mvn: %v: %s", err, lastBytes(out, 1<<10)),
	}
}

func javaProgram() (string, error) {
	name := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name = filepath.Join(home, "bin", "java")
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", &servers.Unavailable{Missing: "java", Hint: "Keycloak " + Version + " runs on Java 17, 21 or 25; Debian: apt-get install openjdk-17-jre-headless", Cause: err}
	}
	return p, nil
}

// unzip unpacks an archive, keeping the executable bit. os.Root refuses names that lead out of the folder.
func unzip(path, dir string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer z.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range z.File {
		name := filepath.FromSlash(strings.TrimSuffix(f.Name, "/"))
		if f.FileInfo().IsDir() {
			if err := root.MkdirAll(name, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := unzipFile(root, name, f); err != nil {
			return err
		}
	}
	return nil
}

func unzipFile(root *os.Root, name string, f *zip.File) error {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644|f.Mode().Perm()&0o111)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func lastBytes(b []byte, n int) []byte {
	b = bytes.TrimSpace(b)
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return b
}
