package fetch_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/hostlib/fetch"
	"github.com/sandpool/sandpool/hostlib/hostapi"
	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(m))
}

// hang is how long a test waits for what must happen.
const hang = time.Minute

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// serve runs a server on 127.0.0.1 and returns its port.
func serve(t *testing.T, handler http.HandlerFunc) (port string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return portOf(t, s.URL)
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Port()
}

// newFetcher returns one that the test closes.
func newFetcher(t *testing.T, p fetch.Policy) *fetch.Fetcher {
	t.Helper()
	f, err := fetch.New(p)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

func get(t *testing.T, f *fetch.Fetcher, address string) (hostapi.Response, error) {
	t.Helper()
	return f.Fetch(t.Context(), hostapi.Request{URL: address})
}

// names is a name server: each name has a list of answers, of which the last one
// stays. Real lookups go through it, by package net's own resolver.
type names struct {
	mu      sync.Mutex // guards answers
	answers map[string][][]netip.Addr
}

// resolver starts the server and returns what asks it.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { // exits when conn is closed
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := n.answer(buf[:size]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer returns the answer to a question of one name.
func (n *names) answer(q []byte) []byte {
	const header, typeA, typeAAAA = 12, 1, 28
	if len(q) < header {
		return nil
	}
	var labels strings.Builder
	at := header
	for at < len(q) && q[at] != 0 {
		end := at + 1 + int(q[at])
		if end >= len(q) {
			return nil
		}
		labels.Write(q[at+1 : end])
		labels.WriteByte('.')
		at = end
	}
	name := labels.String()
	end := at + 5 // the root label, type and class
	if end > len(q) {
		return nil
	}
	kind := binary.BigEndian.Uint16(q[at+1:])
	var addrs []netip.Addr
	known := false
	n.mu.Lock()
	if list := n.answers[name]; len(list) > 0 {
		known = true
		for _, a := range list[0] {
			if kind == typeA && a.Is4() || kind == typeAAAA && a.Is6() {
				addrs = append(addrs, a)
			}
		}
		if len(list) > 1 && kind == typeA {
			n.answers[name] = list[1:]
		}
	}
	n.mu.Unlock()
	b := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0}, q[header:end]...)
	if !known {
		b[3] |= 3 // no such name
	}
	for _, a := range addrs {
		b = append(b, 0xc0, header, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(a.BitLen()/8))
		b = append(b, a.AsSlice()...)
	}
	return b
}

func addrs(list ...string) []netip.Addr {
	var as []netip.Addr
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}
