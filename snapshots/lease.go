package snapshots

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// LeaseOptions say for whom a target is taken. Run is required.
type LeaseOptions struct {
	Run string
	// TTL is how long the lease is believed after its last renewal; zero: one
	// minute. All who use a store must agree on it.
	TTL time.Duration
	// TransactionLimit is how long a request that the target has begun can
	// still commit after its sender is gone.
	TransactionLimit time.Duration
	// Waiting is told when the last holder looks dead and is watched for a TTL
	// to make sure; may be nil.
	Waiting func(Holder, time.Duration)
}

const defaultTTL = time.Minute

// renewals per TTL: a few may fail before the lease is lost.
const renewals = 4

// Lease is a target taken. It is renewed in the background until Release or
// Close; ask Check before every request to the target.
type Lease struct {
	s      *Store
	target string
	epoch  uint64
	holder Holder
	ttl    time.Duration
	wait   time.Duration

	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	renewed time.Time // when the last successful renewal began
	lost    string    // why, once it is
	n       uint64    // number of the last renewal
}

// AcquireLease takes a target for one run. It fails with a *LeaseHeldError
// while another's session is fresh. A session that seems stale is watched for
// one TTL of our own clock before it is taken over, since clocks of two hosts
// may differ; a holder of the same run on this host whose process is gone is
// taken over at once. Before the first request the caller waits for Wait().
func (s *Store) AcquireLease(ctx context.Context, target string, o LeaseOptions) (*Lease, error) {
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	holder := s.process()
	holder.Run, holder.Session = o.Run, uuid.NewString()
	l := &Lease{s: s, target: target, holder: holder, ttl: o.TTL}
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	last := st.Leases[target]
	if l.wait, err = s.mayTake(ctx, target, last, o); err != nil {
		return nil, err
	}
	l.epoch = last.Epoch + 1
	// The first renewal comes before the lease: a lease without one would look
	// dead to others.
	if err := l.renew(ctx); err != nil {
		return nil, l.notTaken(ctx, err)
	}
	if err := l.take(ctx); err != nil {
		return nil, l.notTaken(ctx, err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop, l.done = stop, make(chan struct{})
	go l.keep(run)
	return l, nil
}

func (l *Lease) take(ctx context.Context) error {
	_, err := l.s.Commit(ctx, Change{
		Reason:  "take target " + l.target,
		Run:     l.holder.Run,
		Actions: []Action{LeaseAction{Target: l.target, Epoch: l.epoch, Holder: l.holder}},
	})
	return err
}

// notTaken turns the loss of the lease before we had it into what it is: that
// another was faster.
func (l *Lease) notTaken(ctx context.Context, err error) error {
	var lost *LeaseLostError
	if !errors.As(err, &lost) {
		return fmt.Errorf("take target %q: %w", l.target, err)
	}
	st, stErr := l.s.State(ctx)
	if stErr != nil {
		return stErr
	}
	now := st.Leases[l.target]
	return &LeaseHeldError{Target: l.target, Holder: now.Holder, Since: now.Since, Seen: now.Since}
}

// mayTake decides whether the last holder's lease may be taken over, and how
// long requests of that holder may still commit.
func (s *Store) mayTake(ctx context.Context, target string, last LeaseInfo, o LeaseOptions) (time.Duration, error) {
	if last.Epoch == 0 || last.Released {
		return 0, nil
	}
	if last.Holder.Run == o.Run && last.Holder.gone() {
		return o.TransactionLimit, nil
	}
	seen, err := s.lastRenewal(ctx, last.Holder.Session, 0)
	if err != nil {
		return 0, err
	}
	held := &LeaseHeldError{Target: target, Holder: last.Holder, Since: last.Since, Seen: seen.Time}
	if age := s.o.Now().Sub(seen.Time); 0 <= age && age < o.TTL {
		return 0, held
	}
	if o.Waiting != nil {
		o.Waiting(last.Holder, o.TTL)
	}
	alive, err := s.watch(ctx, last.Holder.Session, seen.N, o.TTL)
	if err != nil {
		return 0, err
	}
	if alive.N > seen.N {
		held.Seen = alive.Time
		return 0, held
	}
	// A renewal that was on its way while we looked can keep the old holder
	// going for one more TTL; then its last requests need to settle.
	return o.TTL + o.TransactionLimit, nil
}

// watch looks for a renewal after number n, for one TTL.
func (s *Store) watch(ctx context.Context, session string, n uint64, ttl time.Duration) (renewal, error) {
	for range renewals {
		if !Sleep(ctx, ttl/renewals) {
			return renewal{}, fmt.Errorf("wait for the last holder's lease to run out: %w", ctx.Err())
		}
		r, err := s.lastRenewal(ctx, session, n)
		if err != nil || r.N > n {
			return r, err
		}
	}
	return renewal{}, nil
}

// renewal is a session file: a sign of life.
type renewal struct {
	Version int       `json:"version"`
	Session string    `json:"session"`
	N       uint64    `json:"n"`
	Time    time.Time `json:"time"`
	Target  string    `json:"target"`
	Epoch   uint64    `json:"epoch"`
	Run     string    `json:"run"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
}

func sessionKey(session string, n uint64) string {
	return fmt.Sprintf("%s%s/%020d.json", sessionsPrefix, session, n)
}

// lastRenewal finds a session's newest file after number n.
func (s *Store) lastRenewal(ctx context.Context, session string, n uint64) (renewal, error) {
	var last string
	for key, err := range s.b.List(ctx, sessionsPrefix+session+"/", sessionKey(session, n)) {
		if err != nil {
			return renewal{}, fmt.Errorf("look at session %s: %w", session, err)
		}
		last = key
	}
	if last == "" {
		return renewal{}, nil
	}
	data, err := readObject(ctx, s.b, last)
	if err != nil {
		return renewal{}, fmt.Errorf("look at session %s: %w", session, err)
	}
	var r renewal
	if err := json.Unmarshal(data, &r); err != nil || sessionKey(session, r.N) != last {
		return renewal{}, &CorruptError{Object: last, What: "not a session file", Advice: "restore it from a backup, or wait until its holder renews", Err: err}
	}
	return r, nil
}

// Epoch is the lease's number: one more than the last holder's. It belongs
// into everything that is written under the lease.
func (l *Lease) Epoch() uint64 { return l.epoch }

// Target is what is held.
func (l *Lease) Target() string { return l.target }

// Holder is this process, as others see it.
func (l *Lease) Holder() Holder { return l.holder }

// Wait is how long after AcquireLease returned requests of the last holder may
// still commit; zero if it released the target in order.
func (l *Lease) Wait() time.Duration { return l.wait }

// Check is nil as long as the lease is ours, else a *LeaseLostError. It costs
// next to nothing: ask before every request.
func (l *Lease) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == "" && l.expired() {
		l.lost = fmt.Sprintf("it could not be renewed for %s", l.ttl)
	}
	if l.lost != "" {
		return &LeaseLostError{Target: l.target, Epoch: l.epoch, Why: l.lost}
	}
	return nil
}

// CheckIn is Check, and that the log as it stands knows no later holder. A
// Change made under the lease asks it, so that it is ours when it is committed.
func (l *Lease) CheckIn(st State) error {
	if err := l.Check(); err != nil {
		return err
	}
	return l.ours(st)
}

func (l *Lease) expired() bool {
	now := l.s.o.Now()
	return tooOld(now.Sub(l.renewed), now.Round(0).Sub(l.renewed.Round(0)), l.ttl)
}

// tooOld looks at the time since a renewal by the monotonic clock, which no one
// sets, and by the wall clock, which goes on while a machine sleeps.
func tooOld(monotonic, wall, ttl time.Duration) bool {
	return monotonic >= ttl || wall >= ttl || wall <= -ttl
}

// Release gives the target back, so that the next run need not wait. Nothing
// may be under way any more. It stops the renewals, also if it fails.
func (l *Lease) Release(ctx context.Context) error {
	l.Close()
	if err := l.Check(); err != nil {
		return err
	}
	_, err := l.s.Commit(ctx, Change{
		Reason:  "release target " + l.target,
		Run:     l.holder.Run,
		Actions: []Action{LeaseAction{Target: l.target, Epoch: l.epoch, Release: true, Holder: l.holder}},
	})
	l.lose("it was released")
	return err
}

// Close stops the renewals and lets the lease run out; Check holds until then.
func (l *Lease) Close() {
	l.stop()
	<-l.done
}

// keep renews until it is stopped or the lease is lost.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.done)
	for Sleep(ctx, l.ttl/renewals) {
		if l.Check() != nil {
			return
		}
		// A failed renewal is tried again at the next turn; if none succeeds in
		// time, Check says so.
		_ = l.renew(ctx)
	}
}

// renew writes the next session file, then looks whether the lease is still
// ours: in this order, so that whoever takes over while we write is seen by us
// or sees us.
func (l *Lease) renew(ctx context.Context) error {
	began := l.s.o.Now()
	ctx, cancel := context.WithTimeout(ctx, l.ttl)
	defer cancel()
	n := l.n + 1 // only one goroutine renews
	data, err := marshal(renewal{Version: 1, Session: l.holder.Session, N: n, Time: began.UTC().Truncate(time.Microsecond),
		Target: l.target, Epoch: l.epoch, Run: l.holder.Run, Host: l.holder.Host, PID: l.holder.PID})
	if err != nil {
		return err
	}
	err = l.s.b.Create(ctx, sessionKey(l.holder.Session, n), bytes.NewReader(data))
	if err != nil && !errors.Is(err, ErrExists) { // ours from a try whose answer was lost
		return err
	}
	l.n = n
	if err := l.stillOurs(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = began
	return nil
}

// stillOurs reads the log for another holder. Before the lease is committed
// there is nothing to compare.
func (l *Lease) stillOurs(ctx context.Context) error {
	st, err := l.s.State(ctx)
	if err != nil {
		return err
	}
	return l.ours(st)
}

func (l *Lease) ours(st State) error {
	now := st.Leases[l.target]
	if now.Epoch >= l.epoch && now.Holder.Session != l.holder.Session {
		l.lose(fmt.Sprintf("run %s on host %s took it over (epoch %d)", now.Holder.Run, now.Holder.Host, now.Epoch))
		return l.Check()
	}
	return nil
}

func (l *Lease) lose(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == "" {
		l.lost = why
	}
}

// ReleaseStale gives a target back in the place of a holder that shows no sign
// of life, and returns the log entry. It is refused with a *LeaseHeldError
// within StaleAfter of the last one: requests of the holder may still commit,
// and a resume, which takes the target over by itself, knows how long to wait.
// A holder that wakes up finds its lease run out by its own clock. Watching for
// a sign takes ttl (zero: one minute), unless its process is known to be gone.
func (s *Store) ReleaseStale(ctx context.Context, target string, ttl time.Duration) (uint64, error) {
	if ttl == 0 {
		ttl = defaultTTL
	}
	st, err := s.State(ctx)
	if err != nil {
		return 0, err
	}
	l, ok := st.Leases[target]
	if !ok || l.Released {
		return 0, fmt.Errorf("target %q: %w", target, ErrNotHeld)
	}
	seen, err := s.lastRenewal(ctx, l.Holder.Session, 0)
	if err != nil && !IsCorrupt(err) {
		return 0, err
	}
	held := &LeaseHeldError{Target: target, Holder: l.Holder, Since: l.Since, Seen: seen.Time}
	if held.Seen.IsZero() {
		held.Seen = l.Since
	}
	if s.o.Now().Sub(held.Seen) < StaleAfter {
		return 0, held
	}
	if !l.Holder.gone() {
		alive, err := s.watch(ctx, l.Holder.Session, seen.N, ttl)
		if err != nil && !IsCorrupt(err) {
			return 0, err
		}
		if alive.N > seen.N {
			held.Seen = alive.Time
			return 0, held
		}
	}
	return s.Commit(ctx, Change{
		Reason:  "release target " + target + " that was left behind",
		Run:     l.Holder.Run,
		Actions: []Action{LeaseAction{Target: target, Epoch: l.Epoch, Release: true, Holder: l.Holder}},
	})
}
