// Package fetch lends guests HTTP requests to hosts that the host lists, as the
// host function http_fetch. See hostapi for its types.
//
// What a Policy does not allow is refused before anything is sent. Names are
// resolved as usual; every address is looked at in the moment a connection to it is
// made, so that no answer of a name server, first or later, and no redirect leads into
// the host's own network. There are no proxies, whatever the environment says, no
// cookies are kept, and nothing of the host's goes along: no credentials and no
// referrer.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/hostapi"
)

// ErrClosed is the error of requests that Close has ended, or that come after it.
var ErrClosed = errors.New("fetch: closed")

// A Fetcher makes requests under one Policy. It may be used by several executors, and
// its methods from several goroutines.
type Fetcher struct {
	policy    Policy // resolved
	rules     []rule
	transport *http.Transport
	slots     chan struct{} // one taken by each request that runs

	closed  context.Context //nolint:containedctx // ends with Close
	close   context.CancelFunc
	mu      sync.Mutex // guards that running is not added to once closed
	running sync.WaitGroup
}

// connectTimeout bounds what goes on behind a request that has been given up: making a
// connection that the next one could use.
const connectTimeout = 10 * time.Second

// idleTimeout is how long a connection is kept for the next request.
const idleTimeout = 30 * time.Second

// New returns a Fetcher. Close it when no function uses it any more. The error is an
// *executor.OptionError that names the field of the policy.
func New(p Policy) (*Fetcher, error) {
	p, rules, err := p.resolve()
	if err != nil {
		return nil, err
	}
	f := &Fetcher{policy: p, rules: rules, slots: make(chan struct{}, p.Concurrency)}
	f.closed, f.close = context.WithCancel(context.Background())
	f.transport = &http.Transport{
		Proxy:                  nil, // and not the environment's
		DialContext:            f.dial,
		TLSHandshakeTimeout:    connectTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.RootCAs},
		DisableCompression:     true, // a small body could become a large one
		MaxResponseHeaderBytes: int64(p.Header),
		MaxIdleConns:           p.Concurrency,
		IdleConnTimeout:        idleTimeout,
	}
	return f, nil
}

// Function returns the host function http_fetch.
func (f *Fetcher) Function() executor.HostFunction {
	return executor.HostFunc(hostapi.HTTPFetch, f.Fetch)
}

// Close ends the requests that run, waits for them and closes every connection. It may
// be called again.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.close()
	f.mu.Unlock()
	f.running.Wait()
	f.transport.CloseIdleConnections()
}

// dial makes a connection, if its address is allowed, until Close.
func (f *Fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.closed, cancel)() //nolint:contextcheck // Close ends the dial as well as what ctx inherits
	dialer := net.Dialer{Timeout: connectTimeout, Resolver: f.policy.Resolver, ControlContext: f.control}
	return dialer.DialContext(ctx, network, address)
}

// control lets a connection be made, or does not. The address is the one that
// is connected to, after all resolving.
func (f *Fetcher) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return checkAddress(a.Addr(), f.policy.AllowAddresses)
}

// begin takes a slot and returns a context for one request, and what gives both
// back.
func (f *Fetcher) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed.Err() != nil {
		return nil, nil, ErrClosed
	}
	f.running.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(f.closed, func() { cancel(ErrClosed) })
	release := func() {}
	if f.policy.Timeout > 0 {
		late := fmt.Errorf("no whole response within %v", f.policy.Timeout)
		ctx, release = context.WithTimeoutCause(ctx, f.policy.Timeout, late)
	}
	return ctx, func() {
		release()
		stop()
		cancel(nil)
		f.running.Done()
	}, nil
}

// Fetch is the host function itself. An error's text is for the guest: it names no
// address that the host's names lead to.
func (f *Fetcher) Fetch(ctx context.Context, r hostapi.Request) (hostapi.Response, error) {
	ctx, end, err := f.begin(ctx)
	if err != nil {
		return hostapi.Response{}, err
	}
	defer end()
	q, err := f.request(ctx, r)
	if err != nil {
		return hostapi.Response{}, err
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return hostapi.Response{}, context.Cause(ctx)
	}
	response, err := f.do(q)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // and not what it did to the connection
	}
	return response, err
}
