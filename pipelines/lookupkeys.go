package pipelines

import (
	"context"
	"fmt"

	"github.com/parallelrun/parallelrun/schemas"
	"github.com/parallelrun/parallelrun/transform"
)

// whereabouts is where a row was found.
type whereabouts struct {
	extracted, now bool
	before         bool // under its newest key, at the last load
	// aliased is where the row's newest alias stands, empty for none.
	aliased string
	// again: another person has the key now.
	again bool
	// strayed is the alias that makes the row another's, empty for none.
	strayed string
}

// sought are the rows that a legacy key may be the key of.
type sought map[string][]*whereabouts

// seek lists the keys under which legacy may have a row. newest are those of
// rows with aliases.
func (l *lookup) seek(row string, w *whereabouts, all, newest sought) {
	aliases := l.r.Aliases
	keys := aliases.LegacyKeys(schemas.Users, row)
	if places := aliases.Places(schemas.Users, row); len(places) > 0 {
		w.aliased = fmt.Sprintf("%s at %s", row, places[0])
		newest[keys[0]] = append(newest[keys[0]], w)
	} else if former, is := transform.FormerKey(row); is {
		w.again = true
		keys = append(keys, aliases.LegacyKeys(schemas.Users, former)...)
	}
	for _, k := range keys {
		all[k] = append(all[k], w)
	}
}

// stray notes an alias that leads away from a row of base to one that base does
// not have: a merge of two accounts leads to one that is there.
func (l *lookup) stray(ctx context.Context, row string, w *whereabouts) error {
	to, place, decided, aliased := l.r.Aliases.Leads(schemas.Users, row)
	if !aliased || decided || l.base == nil {
		return nil
	}
	there, err := get(ctx, l.base, schemas.Users, schemas.NewRowID(l.r.Namespace, schemas.Users, to))
	if err == nil && there == nil {
		w.strayed = fmt.Sprintf("%s at %s", row, place)
	}
	return err
}
