package fetch_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/hostlib/fetch"
	"github.com/sandpool/sandpool/hostlib/hostapi"
)

// local allows a port of 127.0.0.1, and whatever else the policy has.
func local(port string, p fetch.Policy) fetch.Policy {
	p.Hosts = append(p.Hosts, fetch.Host{Name: "127.0.0.1:" + port, HTTP: true})
	p.AllowAddresses = append(p.AllowAddresses, loopback...)
	return p
}

func at(port, path string) string { return "http://127.0.0.1:" + port + path }

func TestFetch(t *testing.T) {
	t.Parallel()
	var seen atomic.Pointer[http.Request]
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r)
		body, _ := io.ReadAll(r.Body)
		w.Header()["X-Odd"] = []string{"a\xffb"}
		w.Header().Set("Set-Cookie", "session=1")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(append([]byte("got "), body...))
	})
	f := newFetcher(t, local(port, fetch.Policy{Methods: []string{"GET", "POST", "HEAD"}}))
	for range 2 {
		r, err := f.Fetch(t.Context(), hostapi.Request{
			Method: "POST", URL: at(port, "/path?q=1#fragment"), Body: []byte("body"),
			Header: map[string][]string{"x-one": {"1", "2"}, "Authorization": {"Bearer x"}},
		})
		require.NoError(t, err)
		require.Equal(t, http.StatusTeapot, r.Status)
		require.Equal(t, "got body", string(r.Body))
		require.Equal(t, []string{"a\uFFFDb"}, r.Header["X-Odd"])
		require.Equal(t, at(port, "/path?q=1"), r.URL)
		q := seen.Load()
		require.Equal(t, []string{"1", "2"}, q.Header.Values("X-One"))
		require.Equal(t, "Bearer x", q.Header.Get("Authorization"))
		require.Equal(t, "sandpool", q.UserAgent())
		require.Equal(t, "127.0.0.1:"+port, q.Host)
		require.Empty(t, q.Cookies(), "the server's cookie is not kept")
		require.Empty(t, q.Header.Get("Accept-Encoding"))
	}
	r, err := f.Fetch(t.Context(), hostapi.Request{Method: "HEAD", URL: at(port, "/")})
	require.NoError(t, err)
	require.Empty(t, r.Body)
}

func TestFetch_refuses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	port := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	f := newFetcher(t, local(port, fetch.Policy{RequestBody: 10, Header: 1000, Methods: []string{"GET", "POST"}}))
	header := func(name, value string) hostapi.Request {
		return hostapi.Request{URL: at(port, "/"), Header: map[string][]string{name: {value}}}
	}
	for text, requests := range map[string][]hostapi.Request{
		"method":             {{Method: "DELETE", URL: at(port, "/")}, {Method: "get", URL: at(port, "/")}, {Method: "GET / HTTP/1.1\r\n", URL: at(port, "/")}},
		"longer than 10":     {{Method: "POST", URL: at(port, "/"), Body: make([]byte, 11)}},
		"a GET has no body":  {{URL: at(port, "/"), Body: []byte("x")}},
		"not allowed":        {{URL: "http://127.0.0.2:" + port}, {URL: "https://example.com/"}},
		"no name of a":       {header("", "x"), header("a b", "x"), header("a:b", "x"), header("a\r\nb", "x"), header("é", "x")},
		"control character":  {header("X-A", "a\r\nHost: b"), header("X-A", "\x00"), header("X-A", "\x7f")},
		"1000 bytes long":    {header("X-A", strings.Repeat("x", 1000)), {URL: at(port, "/"), Header: map[string][]string{"X": make([]string, 300)}}},
		"not the guest's to": {header("host", "x"), header("Connection", "close"), header("Transfer-Encoding", "chunked"), header("content-length", "1"), header("TE", "trailers"), header("Upgrade", "x"), header("Proxy-Authorization", "x"), header("proxy-x", "x"), header("Expect", "100-continue"), header("Keep-Alive", "1"), header("Trailer", "x")},
	} {
		for _, r := range requests {
			_, err := f.Fetch(t.Context(), r)
			require.ErrorContains(t, err, text, "%+v", r)
		}
	}
	require.Zero(t, asked.Load(), "nothing was sent")
}

// TestFetch_addresses names hosts that are allowed and lead into the host's network.
func TestFetch_addresses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	port := serve(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	n := &names{answers: map[string][][]netip.Addr{}}
	var p fetch.Policy
	for i, a := range []string{"127.0.0.1", "127.0.0.2", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"} {
		name := fmt.Sprintf("h%d.test", i)
		n.answers[name+"."] = [][]netip.Addr{addrs(a)}
		p.Hosts = append(p.Hosts, fetch.Host{Name: name + ":" + port, HTTP: true})
	}
	for _, a := range []string{"127.0.0.1", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"} {
		p.Hosts = append(p.Hosts, fetch.Host{Name: a + ":" + port, HTTP: true})
	}
	p.Resolver = n.resolver(t)
	f := newFetcher(t, p)
	for _, h := range p.Hosts {
		_, err := get(t, f, "http://"+h.Name+"/")
		require.EqualError(t, err, "the host's name leads to an address that is not allowed", h.Name)
	}
	require.Zero(t, asked.Load())
}

// TestFetch_rebinding has a name lead to an allowed address first and to a forbidden
// one later, where a server waits too.
func TestFetch_rebinding(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "public") }))
	s.Config.SetKeepAlivesEnabled(false) // each request resolves the name anew
	s.Start()
	t.Cleanup(s.Close)
	port := portOf(t, s.URL)
	var reached atomic.Int32
	if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.2:"+port); err == nil { // not on every system
		inner := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
		_ = inner.Listener.Close()
		inner.Listener = l
		inner.Start()
		t.Cleanup(inner.Close)
	}
	n := &names{answers: map[string][][]netip.Addr{
		"rebind.test.": {addrs("127.0.0.1"), addrs("127.0.0.2")},
		"both.test.":   {addrs("127.0.0.2", "127.0.0.1")},
	}}
	f := newFetcher(t, fetch.Policy{
		Hosts:    []fetch.Host{{Name: "*.test:" + port, HTTP: true}},
		Resolver: n.resolver(t), AllowAddresses: loopback,
	})
	r, err := get(t, f, "http://rebind.test:"+port)
	require.NoError(t, err)
	require.Equal(t, "public", string(r.Body))
	_, err = get(t, f, "http://rebind.test:"+port)
	require.EqualError(t, err, "the host's name leads to an address that is not allowed")
	r, err = get(t, f, "http://both.test:"+port)
	require.NoError(t, err, "the address that is allowed is used")
	require.Equal(t, "public", string(r.Body))
	_, err = get(t, f, "http://unknown.test:"+port)
	require.EqualError(t, err, "the host's name does not exist")
	require.Zero(t, reached.Load())
}

func TestFetch_redirects(t *testing.T) {
	t.Parallel()
	var last atomic.Pointer[http.Request]
	var inner atomic.Int32
	secret := serve(t, func(http.ResponseWriter, *http.Request) { inner.Add(1) })
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	})
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last.Store(r)
		if n := len(r.URL.Path); strings.HasPrefix(r.URL.Path, "/x") {
			http.Redirect(w, r, r.URL.Path[:n-1], http.StatusFound)
		} else if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		} else {
			fmt.Fprint(w, "end")
		}
	})
	n := &names{answers: map[string][][]netip.Addr{"inner.test.": {addrs("127.0.0.2")}}}
	p := local(port, local(other, fetch.Policy{Redirects: 3, Methods: []string{"GET", "POST"}, Resolver: n.resolver(t)}))
	p.Hosts = append(p.Hosts, fetch.Host{Name: "inner.test:" + secret, HTTP: true})
	f := newFetcher(t, p)
	ask := func(path string) (hostapi.Response, error) {
		return f.Fetch(t.Context(), hostapi.Request{Method: "POST", URL: at(port, path), Body: []byte("b"), Header: map[string][]string{
			"Authorization": {"secret"}, "X-Api-Key": {"secret"}, "Cookie": {"secret=1"}, "Accept": {"text/plain"},
		}})
	}
	r, err := ask("/?to=/same")
	require.NoError(t, err)
	require.Equal(t, at(port, "/same"), r.URL)
	require.Equal(t, "secret", last.Load().Header.Get("X-Api-Key"), "the host is the same")
	require.Empty(t, last.Load().Referer())

	for _, path := range []string{
		"/?to=" + at(other, "/there"),
		"/?to=" + at(other, "/?to="+at(port, "/back")), // and it is the first host again
	} {
		_, err = ask(path)
		require.NoError(t, err)
		q := last.Load()
		for _, name := range []string{"Authorization", "X-Api-Key", "Cookie", "Referer"} {
			require.Empty(t, q.Header.Get(name), "%s: %s", path, name)
		}
		require.Equal(t, "text/plain", q.Header.Get("Accept"))
	}
	for path, want := range map[string]string{
		"/?to=http://127.0.0.1:" + secret + "/":            "is not allowed",
		"/?to=http://inner.test:" + secret + "/":           "leads to an address that is not allowed",
		"/?to=https://169.254.169.254/latest":              "is not allowed",
		"/?to=file:///etc/passwd":                          "scheme",
		"/?to=http://u:p@127.0.0.1:" + port + "/":          "has a user",
		"/?to=//127.0.0.1:" + secret:                       "is not allowed",
		"/?to=" + at(other, "/"+strings.Repeat("x", 8190)): "longer than 8192",
		"/xxxx": "more than 3 redirects",
	} {
		_, err := ask(path)
		require.ErrorContains(t, err, want, path)
	}
	r, err = ask("/xxx")
	require.NoError(t, err)
	require.Equal(t, "end", string(r.Body))
	require.Zero(t, inner.Load())

	p.Methods = []string{"POST"}
	_, err = newFetcher(t, p).Fetch(t.Context(), hostapi.Request{Method: "POST", URL: at(port, "/xx")})
	require.ErrorContains(t, err, `wants method "GET"`)
	p.Redirects = -1
	r, err = newFetcher(t, p).Fetch(t.Context(), hostapi.Request{Method: "POST", URL: at(port, "/xx")})
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, r.Status)
}

func TestFetch_sizes(t *testing.T) {
	t.Parallel()
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/declared":
			_, _ = w.Write(make([]byte, 1001))
		case "/streamed":
			for range 100 {
				_, _ = w.Write(make([]byte, 100))
				_ = http.NewResponseController(w).Flush()
			}
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 5000))
		case "/headers":
			for i := range 1000 {
				w.Header().Set(fmt.Sprintf("X%d", i), "x")
			}
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("abc"))
		default:
			_, _ = w.Write(make([]byte, 1000))
		}
	})
	f := newFetcher(t, local(port, fetch.Policy{ResponseBody: 1000, Header: 2000}))
	r, err := get(t, f, at(port, "/"))
	require.NoError(t, err)
	require.Len(t, r.Body, 1000)
	for path, want := range map[string]string{
		"/declared": "1001 bytes, more than 1000",
		"/streamed": "more than 1000 bytes",
		"/header":   "header",
		"/headers":  "header",
		"/short":    "EOF",
	} {
		_, err = get(t, f, at(port, path))
		require.ErrorContains(t, err, want, path)
	}
	none := newFetcher(t, local(port, fetch.Policy{ResponseBody: -1, RequestBody: -1}))
	_, err = get(t, none, at(port, "/"))
	require.ErrorContains(t, err, "more than 0")
}

// TestFetch_compressed: nothing is unpacked.
func TestFetch_compressed(t *testing.T) {
	t.Parallel()
	packed := append([]byte{0x1f, 0x8b, 8}, bytes.Repeat([]byte{0}, 50)...)
	port := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed)
	})
	r, err := get(t, newFetcher(t, local(port, fetch.Policy{})), at(port, "/"))
	require.NoError(t, err)
	require.Equal(t, packed, r.Body)
	require.Equal(t, []string{"gzip"}, r.Header["Content-Encoding"])
}

// A stall is a server that answers when it is told to.
type stall struct {
	port    string
	entered chan struct{}
	leave   chan struct{}
}

func newStall(t *testing.T) *stall {
	t.Helper()
	s := &stall{entered: make(chan struct{}, 100), leave: make(chan struct{})}
	s.port = serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "begun")
		_ = http.NewResponseController(w).Flush()
		s.entered <- struct{}{}
		select {
		case <-s.leave:
		case <-r.Context().Done():
		}
	})
	return s
}

func (s *stall) enter(t *testing.T) {
	t.Helper()
	select {
	case <-s.entered:
	case <-time.After(hang):
		t.Fatal("the server is not asked")
	}
}

// start makes a request in the background.
func start(ctx context.Context, f *fetch.Fetcher, url string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := f.Fetch(ctx, hostapi.Request{URL: url})
		done <- err
	}()
	return done
}

func ended(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(hang):
		t.Fatal("the request does not end")
		return nil
	}
}

func TestFetch_ends(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	f := newFetcher(t, local(s.port, fetch.Policy{Timeout: 50 * time.Millisecond}))
	require.EqualError(t, ended(t, start(t.Context(), f, at(s.port, "/"))), "no whole response within 50ms")
	s.enter(t)

	f = newFetcher(t, local(s.port, fetch.Policy{Timeout: -1}))
	ctx, cancel := context.WithCancelCause(t.Context())
	done := start(ctx, f, at(s.port, "/"))
	s.enter(t)
	cancel(io.ErrClosedPipe)
	require.ErrorIs(t, ended(t, done), io.ErrClosedPipe)

	done = start(t.Context(), f, at(s.port, "/"))
	s.enter(t)
	f.Close()
	require.ErrorIs(t, ended(t, done), fetch.ErrClosed)
	_, err := get(t, f, at(s.port, "/"))
	require.ErrorIs(t, err, fetch.ErrClosed)
	f.Close()
}

func TestFetch_concurrency(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	f := newFetcher(t, local(s.port, fetch.Policy{Concurrency: 2}))
	var all []<-chan error
	for range 2 {
		all = append(all, start(t.Context(), f, at(s.port, "/")))
		s.enter(t)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, ended(t, start(ctx, f, at(s.port, "/"))), context.DeadlineExceeded, "there is no place for a third")
	require.Empty(t, s.entered)
	third := start(t.Context(), f, at(s.port, "/"))
	close(s.leave)
	for _, done := range append(all, third) {
		require.NoError(t, ended(t, done))
	}
}

func TestFetch_unreachable(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = get(t, newFetcher(t, local(port, fetch.Policy{})), at(port, "/"))
	require.ErrorContains(t, err, "connection")
	require.NotContains(t, err.Error(), "127.0.0.1", "addresses are not for guests")
}

func TestFetch_tls(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "private") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	port := portOf(t, s.URL)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	n := &names{answers: map[string][][]netip.Addr{"example.com.": {addrs("127.0.0.1")}, "other.test.": {addrs("127.0.0.1")}}}
	p := fetch.Policy{
		Hosts:    []fetch.Host{{Name: "example.com:" + port}, {Name: "other.test:" + port}},
		Resolver: n.resolver(t), AllowAddresses: loopback, RootCAs: roots,
	}
	f := newFetcher(t, p)
	r, err := get(t, f, "https://example.com:"+port)
	require.NoError(t, err)
	require.Equal(t, "private", string(r.Body))
	_, err = get(t, f, "https://other.test:"+port)
	require.ErrorContains(t, err, "certificate", "the name is verified")
	_, err = get(t, f, "http://example.com:"+port)
	require.ErrorContains(t, err, "is not allowed")
	p.RootCAs = nil
	_, err = get(t, newFetcher(t, p), "https://example.com:"+port)
	require.ErrorContains(t, err, "certificate")
}

// TestFetch_proxy is not asked for by the environment.
func TestFetch_proxy(t *testing.T) {
	var proxied atomic.Int32
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { proxied.Add(1) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, at(proxy, ""))
	}
	port := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") })
	n := &names{answers: map[string][][]netip.Addr{"direct.test.": {addrs("127.0.0.1")}}}
	f := newFetcher(t, fetch.Policy{
		Hosts: []fetch.Host{{Name: "direct.test:" + port, HTTP: true}}, Resolver: n.resolver(t), AllowAddresses: loopback,
	})
	r, err := get(t, f, "http://direct.test:"+port)
	require.NoError(t, err)
	require.Equal(t, "direct", string(r.Body))
	require.Zero(t, proxied.Load())
}
