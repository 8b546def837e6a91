package ldif

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/parallelrun/parallelrun/extract"
	"github.com/parallelrun/parallelrun/extract/sourcetest"
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, people []sourcetest.Person, sealer extract.Sealer) (extract.Source, error) {
		dir := t.TempDir()
		half := len(people) / 2
		for i, part := range [][]sourcetest.Person{people[:half], people[half:]} {
			if len(part) == 0 && len(people) > 0 {
				continue
			}
			var b strings.Builder
			for _, p := range part {
				fmt.Fprintf(&b, "dn: cn=%s,o=x\nobjectClass: person\nentryUUID: %s\nname: %s\n", p.ID, p.ID, p.Name)
				for _, m := range p.Mail {
					fmt.Fprintf(&b, "mail: %s\n", m)
				}
				if p.Password != "" {
					fmt.Fprintf(&b, "userPassword: %s\n", p.Password)
				}
				b.WriteString("\n")
			}
			text := b.String()
			if err := os.WriteFile(fmt.Sprintf("%s/people-%d.ldif", dir, i), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return Open(Config{Files: []string{dir + "/people-*.ldif"}, Tables: []TableConfig{{Name: "people", Key: "entryUUID", Columns: []ColumnConfig{
			{Name: "name"}, {Name: "mail", Type: "strings"}, {Name: "userPassword", Type: "secrets"}}}}}, Options{Namespace: sourcetest.Namespace, Sealer: sealer})
	})
}
