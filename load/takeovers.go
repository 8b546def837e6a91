package load

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// takeovers carries out the operations of users who take names that others give
// up. They come in an order in which that works, and each waits until those that
// it names are done. New users come last, once no circle can fail any more: whose
// names they take could not give them back.
func (l *loader) takeovers(ctx context.Context, ranges []Range) error {
	for i, r := range ranges {
		ops, err := l.plan.ReadRange(ctx, l.in.Files, r)
		if err != nil {
			return err
		}
		if ops[0].Kind == Create {
			if err := l.unpark(ctx); err != nil {
				return err
			}
			return l.inOrder(ctx, ranges[i:])
		}
		if err := l.inOrder(ctx, ranges[i:i+1]); err != nil {
			return err
		}
	}
	return l.unpark(ctx)
}

// inOrder carries out ranges one after another, of each at once what waits for
// nothing else.
func (l *loader) inOrder(ctx context.Context, ranges []Range) error {
	for _, r := range ranges {
		w := &walk{}
		items, inDoubt, err := l.left(ctx, w, r)
		w.close()
		if err != nil {
			return err
		}
		for len(items) > 0 {
			n := ready(items)
			if err := l.crew(ctx, func(ctx context.Context, tasks chan<- task) error {
				return l.handOut(ctx, l.hindered(items[:n]), inDoubt, tasks)
			}); err != nil {
				return err
			}
			if err := l.secondTries(ctx); err != nil {
				return err
			}
			items = items[n:]
		}
	}
	return nil
}

// ready is how many of the items wait for none of them: at least one, since
// whoever is waited for stands before.
func ready(items []item) int {
	before := map[int64]bool{}
	for i, it := range items {
		if slices.ContainsFunc(it.op.After, func(t Turn) bool { return before[t.Seq] }) {
			return i
		}
		before[it.op.Seq] = true
	}
	return len(items)
}

// hindered looks at the outcomes that operations wait for. Where one is not done,
// the name is left out and the rest is written, so that nobody stays enabled for
// a name's sake; a new user is not made.
func (l *loader) hindered(items []item) []item {
	var out []item
	for _, it := range items {
		columns, why := l.missingTurns(it)
		if len(columns) > 0 {
			it.without = why
			it.op.Columns = minus(it.op.Columns, withVerified(columns))
			if it.op.Kind == Create || len(it.op.Columns) == 0 {
				_ = l.record(it, *why) // a broken ledger stops the next request
				continue
			}
		}
		out = append(out, it)
	}
	return out
}

// missingTurns are the columns that an operation can't take over, and the
// outcome that it has for that.
func (l *loader) missingTurns(it item) (columns []string, why *Outcome) {
	result, how := OutcomeUnknown, "has an unknown outcome"
	for _, t := range it.op.After {
		switch r, _ := l.ledger.Result(&Operation{Seq: t.Seq}); r {
		case OutcomeDone:
			continue
		case OutcomeFailed:
			result, how = OutcomeFailed, "failed"
		}
		columns = append(columns, t.Column)
	}
	if len(columns) == 0 {
		return nil, nil
	}
	columns = asSet(columns)
	message := fmt.Sprintf("not taken over: %s. Another user has it still, whose change %s; all else was written", strings.Join(columns, ", "), how)
	if it.op.Kind == Create || len(minus(it.op.Columns, withVerified(columns))) == 0 {
		message = strings.TrimSuffix(message, "; all else was written")
	}
	return columns, &Outcome{Result: result, Class: Permanent, Message: message}
}
