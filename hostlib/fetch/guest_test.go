package fetch_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/fetch"
	"github.com/sandpool/sandpool/hostlib/hostapi"
	"github.com/sandpool/sandpool/internal/guesttest"
	"github.com/sandpool/sandpool/serialize"
)

// TestGuest has a guest in a worker make requests, and end in the middle of one.
func TestGuest(t *testing.T) {
	t.Parallel()
	s := newStall(t)
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("X-Ask"))
		fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	})
	f := newFetcher(t, local(s.port, local(port, fetch.Policy{})))
	m, err := executor.NewHostModule(f.Function())
	require.NoError(t, err)
	ex, err := executor.New(&executor.Options{Workers: 1, Host: m, CacheDir: guesttest.CodeCache(t), WorkerPath: guesttest.Worker(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	mod, err := serialize.LoadModule(guesttest.Build(t, "hosted"))
	require.NoError(t, err)
	fn := executor.Func[hostapi.Request, hostapi.Response]{Module: mod, Name: "fetch", Grants: executor.Grants{Host: m.Names()}}

	r, err := executor.Submit(t.Context(), ex, fn, hostapi.Request{URL: at(port, "/hello"), Header: map[string][]string{"X-Ask": {"yes"}}}).Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, "GET /hello", string(r.Body))
	require.Equal(t, []string{"yes"}, r.Header["X-Echo"])
	_, err = executor.Submit(t.Context(), ex, fn, hostapi.Request{URL: "https://example.com/"}).Wait(t.Context())
	require.ErrorIs(t, err, &executor.GuestError{Code: executor.CodeError})
	require.ErrorContains(t, err, `host function "http_fetch": https to host example.com, port 443 is not allowed`)

	call := executor.Submit(t.Context(), ex, fn, hostapi.Request{URL: at(s.port, "/")})
	s.enter(t)
	call.Cancel()
	select {
	case <-call.Done():
	case <-time.After(hang):
		t.Fatal("the call does not end")
	}
	closed := make(chan struct{})
	go func() { // which waits for the request: its context ended with the call
		f.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(hang):
		t.Fatal("the request goes on without its call")
	}
}
