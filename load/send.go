package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/parallelrun/parallelrun/internal/pace"
	"github.com/parallelrun/parallelrun/schemas"
)

// stats count requests.
type stats struct {
	requests atomic.Int64
	looks    atomic.Int64
}

// request sends one request, when its turn comes and the lease holds. Once ctx
// is cancelled nothing is sent; what is in flight then has a while to finish.
func (l *loader) request(ctx context.Context, kind workKind, send func(context.Context) error) error {
	slot, err := l.pacer.Acquire(ctx, kind.String())
	if err != nil {
		return err
	}
	if err := l.lease(ctx); err != nil {
		slot.Release(pace.Neutral)
		return err
	}
	if err := ctx.Err(); err != nil {
		slot.Release(pace.Neutral)
		return err
	}
	long, cancel := outlive(ctx, l.policy.Grace)
	defer cancel()
	l.requests.Add(1)
	sent := time.Now()
	err = send(long)
	l.meter.flew(kind, time.Since(sent))
	slot.Release(signal(err))
	if long.Err() != nil && err != nil { // cut off after the grace: nobody knows
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// signal is what an answer tells about the target's load.
func signal(err error) pace.Signal {
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return pace.OK
	case ok && (e.Class == Transient || e.Class == Unknown && e.Status == 0):
		return pace.Busy
	}
	return pace.Neutral
}

// targetError sorts an error: ours, a stop of the run, and the like, are not
// the target's word on the rows and end the load.
func targetError(err error) (*Error, bool) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Class == Setup || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && e.Status == 0 && e.Class != Unknown {
		return nil, false
	}
	return e, true
}

// again waits before another try, or says that the target stays unavailable.
func (l *loader) again(ctx context.Context, attempt int, e *Error) error {
	if attempt >= l.policy.Attempts {
		return fmt.Errorf("%w: %w (check that it is up, then resume)", ErrUnavailable, e)
	}
	return sleep(ctx, l.policy.wait(attempt, e.RetryAfter))
}

// mayBeThere says that a refusal can mean that the change was made before.
func mayBeThere(e *Error) bool {
	return e.Class == Unknown || e.Status == http.StatusConflict || e.Status == http.StatusNotFound || e.Status >= 500
}

// createUsers creates users in one request. When that fails, whoever is there
// already is settled; a batch that the target refuses is bisected down to the
// guilty row, and the others go on.
func (l *loader) createUsers(ctx context.Context, items []item, look bool) error {
	for attempt := 1; ; attempt++ {
		if look {
			var err error
			if items, err = l.settleCreates(ctx, items, attempt); err != nil || len(items) == 0 {
				return err
			}
		}
		err := l.sendCreates(ctx, items)
		if err == nil {
			return l.recordAll(items, Outcome{Result: OutcomeDone, Attempts: attempt})
		}
		e, ok := targetError(err)
		if !ok {
			return err
		}
		look = mayBeThere(e)
		answered := e.Class == Permanent || e.Answered() && e.Class == Unknown
		switch {
		case e.Class == Transient:
			if err := l.again(ctx, attempt, e); err != nil {
				return err
			}
		case answered && len(items) > 1:
			return l.bisect(ctx, items, look)
		case answered && (!look || attempt > 1):
			return l.refused(ctx, items[0], attempt, e, look)
		case attempt >= l.policy.Attempts:
			return l.lost(ctx, items, attempt, e)
		default:
			if err := sleep(ctx, l.policy.wait(attempt, e.RetryAfter)); err != nil {
				return err
			}
		}
	}
}

func (l *loader) sendCreates(ctx context.Context, items []item) error {
	users := make([]schemas.Bundle, len(items))
	for i, it := range items {
		users[i] = schemas.Bundle{User: it.subject.User.User, Credentials: it.subject.User.Credentials}
	}
	return l.request(ctx, workKind{schemas.Users, Create}, func(ctx context.Context) error { return l.in.Target.CreateUsers(ctx, users, l.ids) })
}

func (l *loader) bisect(ctx context.Context, items []item, look bool) error {
	if look {
		var err error
		if items, err = l.settleCreates(ctx, items, 1); err != nil {
			return err
		}
	}
	if len(items) < 2 {
		if len(items) == 0 {
			return nil
		}
		return l.createUsers(ctx, items, false)
	}
	half := len(items) / 2
	if err := l.createUsers(ctx, items[:half], false); err != nil {
		return err
	}
	return l.createUsers(ctx, items[half:], false)
}

// refused records a row that the target does not take. It may have come in by
// an earlier request all the same.
func (l *loader) refused(ctx context.Context, it item, attempt int, e *Error, look bool) error {
	o := Outcome{Result: OutcomeFailed, Class: e.Class, Attempts: attempt, Message: e.Error()}
	if !look {
		return l.record(it, o)
	}
	seen, err := l.lookAtUsers(ctx, []item{it}, true)
	if err != nil {
		return err
	}
	s := seen[it.op.ID]
	switch {
	case s.user != nil:
		return l.settleCreate(ctx, it, s, attempt)
	case s.foreign != "":
		o.Message = fmt.Sprintf("an account with the same %s is already there: %s", s.foreign, o.Message)
	}
	if e.Status == http.StatusConflict {
		l.postpone(it, o)
		return nil
	}
	return l.record(it, o)
}

// lost records rows that nobody answered for, and that are not there.
func (l *loader) lost(ctx context.Context, items []item, attempt int, e *Error) error {
	rest, err := l.settleCreates(ctx, items, attempt)
	if err != nil {
		return err
	}
	return l.recordAll(rest, Outcome{Result: OutcomeUnknown, Class: Unknown, Attempts: attempt, Message: e.Error()})
}

func (l *loader) recordAll(items []item, o Outcome) error {
	for _, it := range items {
		if err := l.record(it, o); err != nil {
			return err
		}
	}
	return nil
}

// apply carries out one operation. What it left unknown is looked for; an
// update that nobody answered is not sent again before it is seen or can no
// longer happen.
func (l *loader) apply(ctx context.Context, it item, look bool) error {
	for attempt := 1; ; attempt++ {
		if look {
			seen, err := l.settleOne(ctx, it, attempt)
			if err != nil || seen {
				return err
			}
		}
		sent := time.Now()
		id, err := l.sendOne(ctx, it)
		if err == nil {
			return l.record(it, Outcome{Result: OutcomeDone, TargetID: id, Attempts: attempt})
		}
		e, ok := targetError(err)
		if !ok {
			return err
		}
		look = mayBeThere(e)
		switch {
		case e.Class == Transient:
			if err := l.again(ctx, attempt, e); err != nil {
				return err
			}
			continue
		case e.Class == Permanent, e.Answered() && !e.Busy() && attempt > 1, attempt >= l.policy.Attempts:
			return l.refusedOne(ctx, it, attempt, e, look)
		case !e.Answered() && (it.op.Kind == Update || it.op.Kind == Adopt):
			done, err := l.awaitUpdate(ctx, it, attempt, sent)
			if err != nil || done {
				return err
			}
			look = false
		}
		if err := sleep(ctx, l.policy.wait(attempt, e.RetryAfter)); err != nil {
			return err
		}
	}
}

func (l *loader) sendOne(ctx context.Context, it item) (id string, err error) {
	if it.op.TargetID == "" {
		it.op.TargetID, _ = l.ids.TargetID(it.op.ID)
	}
	err = l.request(ctx, workKind{it.op.Table, it.op.Kind}, func(ctx context.Context) error {
		id, err = l.in.Target.Apply(ctx, it.op, it.subject, l.ids)
		return err
	})
	return id, err
}

// refusedOne records an operation that the target does not take, unless it
// shows as done.
func (l *loader) refusedOne(ctx context.Context, it item, attempt int, e *Error, look bool) error {
	if look {
		it.absent = e.Status == http.StatusNotFound
		if seen, err := l.settleOne(ctx, it, attempt); err != nil || seen {
			return err
		}
	}
	o := Outcome{Result: OutcomeFailed, Class: e.Class, Attempts: attempt, Message: e.Error()}
	if e.Class == Unknown && !e.Answered() {
		o.Result = OutcomeUnknown
	}
	if e.Status == http.StatusConflict && it.op.Table == schemas.Users {
		l.postpone(it, o)
		return nil
	}
	return l.record(it, o)
}

// awaitUpdate looks for an update that nobody answered, until it is seen or the
// target's transaction limit has passed.
func (l *loader) awaitUpdate(ctx context.Context, it item, attempt int, sent time.Time) (done bool, err error) {
	for {
		if done, err := l.settleOne(ctx, it, attempt); err != nil || done {
			return done, err
		}
		left := l.policy.Settle - time.Since(sent)
		if left <= 0 {
			return false, nil
		}
		if err := sleep(ctx, min(left, l.policy.Poll)); err != nil {
			return false, err
		}
	}
}
