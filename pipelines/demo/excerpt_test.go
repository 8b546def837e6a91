package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const printed = `run 1: a → b

every row
entity  yielded
users         3
groups        1

reports:
  one
  two
  three

verified: 3 rows
`

func TestExcerpt(t *testing.T) {
	run, table, reports := block{begin: "run "}, block{begin: "every row", keep: rows("users")}, block{begin: "reports", keep: first(1)}
	for _, c := range []struct {
		name string
		show excerpt
		want string
	}{
		{"all of it", excerpt{}, strings.TrimRight(printed, "\n")},
		{"blocks that follow each other stay apart", shows(run, table), "run 1: a → b\n\nevery row\nentity  yielded\nusers         3\n..."},
		{"what is left out between shows", shows(run, block{begin: "verified"}), "run 1: a → b\n...\nverified: 3 rows"},
		{"what is left out before shows", shows(reports), "...\nreports:\n  one\n..."},
		{"dense", briefly(run, reports), "run 1: a → b\nreports:\n  one"},
		{"without titles", briefly(block{begin: "every row", untitled: true, keep: rows("groups")}), "entity  yielded\ngroups        1"},
		{"nothing", nothing, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, strings.Join(c.show.of(printed), "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Commands are shown as they can be typed.
func TestQuoted(t *testing.T) {
	for in, want := range map[string]string{"--apply": "--apply", "a/b.yaml": "a/b.yaml", "two words": "'two words'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := quoted(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
