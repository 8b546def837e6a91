package postgres_test

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/parallelrun/parallelrun/internal/servers/postgres"
	"github.com/parallelrun/parallelrun/internal/servers/servertest"
)

func TestServer(t *testing.T) {
	s, err := postgres.Start(t.Context(), postgres.Options{Database: "it's", NoFsync: true})
	servertest.Require(t, err)
	defer s.Close()
	rows, err := s.Query(t.Context(), `CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'a,"b'), (2, NULL); SELECT a, b, current_database() FROM t ORDER BY a`)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"1", `a,"b`, "it's"}, {"2", `\N`, "it's"}}
	if !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("got %q, want %q", rows, want)
	}
	if _, err := s.Query(t.Context(), "SELECT nothing FROM nowhere"); err == nil {
		t.Error("a wrong statement gave no error")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(s.Port), time.Second); err == nil {
		c.Close()
		t.Error("the port still answers after Close")
	}
}
