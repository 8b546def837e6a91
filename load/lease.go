package load

import "context"

type leaseKey struct{}

// UnderLease returns a context whose requests may be sent only as long as check
// returns nil. A dialect asks LeaseErr before each request that it sends, and
// again once it has a connection for it: one operation can take several
// requests, and a process can be paused between any two of them.
func UnderLease(ctx context.Context, check func(context.Context) error) context.Context {
	return context.WithValue(ctx, leaseKey{}, check)
}

// LeaseErr says why nothing more may be sent; nil: it may, or ctx is under no
// lease.
func LeaseErr(ctx context.Context) error {
	check, ok := ctx.Value(leaseKey{}).(func(context.Context) error)
	if !ok {
		return nil
	}
	return check(ctx)
}
