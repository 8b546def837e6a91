package iceberg

import (
	"context"

	"github.com/parallelrun/parallelrun/snapshots"
	"github.com/parallelrun/parallelrun/snapshots/parts"
)

// placer finds where parts lie; neighbours in a history share most of them.
type placer struct {
	s     *snapshots.Store
	known map[string]string
}

func (p *placer) of(ctx context.Context, o parts.Object) (string, error) {
	if there, ok := p.known[o.Name()]; ok {
		return there, nil
	}
	where, err := p.s.Place(ctx, o)
	if err != nil {
		return "", err
	}
	where, err = uri(where)
	if err == nil {
		p.known[o.Name()] = where
	}
	return where, err
}
