package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/sandpool/sandpool/hostlib/hostapi"
)

// userAgent is what servers see unless the guest says otherwise.
const userAgent = "sandpool"

// notTheGuests are the header fields that are between the host and the server.
var notTheGuests = []string{
	"Connection", "Content-Length", "Expect", "Host", "Http2-Settings", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// harmless are the header fields that go along to another host: no other one can
// be told from a credential.
var harmless = []string{"Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "Range", "User-Agent"}

// request returns the request that a guest asks for, if the policy allows it.
func (f *Fetcher) request(ctx context.Context, r hostapi.Request) (*http.Request, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if !slices.Contains(f.policy.Methods, method) {
		return nil, fmt.Errorf("method %.20q is not allowed", method)
	}
	if size := int64(len(r.Body)); size > f.policy.RequestBody {
		return nil, fmt.Errorf("a body of %d bytes is longer than %d", size, f.policy.RequestBody)
	}
	if len(r.Body) > 0 && (method == http.MethodGet || method == http.MethodHead) {
		return nil, fmt.Errorf("a %s has no body", method)
	}
	u, err := parseURL(r.URL)
	if err != nil {
		return nil, err
	}
	if err := f.admit(u); err != nil {
		return nil, err
	}
	header, err := f.header(r.Header)
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(r.Body))
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	if len(r.Body) == 0 {
		q.Body, q.GetBody = http.NoBody, nil
	}
	q.Header = header
	return q, nil
}

// admit checks a URL against the allow-list, and puts its host into the form in which
// it was compared: what is asked is what was allowed.
func (f *Fetcher) admit(u *url.URL) error {
	t, err := f.allowed(u)
	if err != nil {
		return err
	}
	u.Host = t.host
	if t.address && strings.Contains(t.host, ":") {
		u.Host = "[" + t.host + "]"
	}
	if t.port != defaultPort(t.scheme) {
		u.Host += fmt.Sprintf(":%d", t.port)
	}
	return nil
}

// header checks what a guest wants to send.
func (f *Fetcher) header(from map[string][]string) (http.Header, error) {
	h := make(http.Header, len(from)+1)
	size := 0
	for name, values := range from {
		if !isToken(name) {
			return nil, fmt.Errorf("%.80q is no name of a header field", name)
		}
		name = http.CanonicalHeaderKey(name)
		if slices.Contains(notTheGuests, name) || strings.HasPrefix(name, "Proxy-") {
			return nil, fmt.Errorf("the header field %.80s is not the guest's to set", name)
		}
		for _, v := range values {
			if size += len(name) + len(v) + len(": \r\n"); size > f.policy.Header {
				return nil, fmt.Errorf("a header is at most %d bytes long", f.policy.Header)
			}
			if strings.ContainsFunc(v, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
				return nil, fmt.Errorf("the header field %.80s has a control character", name)
			}
			h[name] = append(h[name], v)
		}
	}
	if len(h["User-Agent"]) == 0 {
		h.Set("User-Agent", userAgent)
	}
	return h, nil
}

// isToken reports whether s can be the name of a header field.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// do sends a request, follows redirects and reads the response.
func (f *Fetcher) do(q *http.Request) (r hostapi.Response, err error) {
	client := &http.Client{Transport: f.transport, CheckRedirect: f.redirect}
	answer, err := client.Do(q)
	if err != nil {
		return r, explain(err)
	}
	defer answer.Body.Close()
	most := f.policy.ResponseBody
	if answer.ContentLength > most && q.Method != http.MethodHead {
		return r, fmt.Errorf("the response has %d bytes, more than %d", answer.ContentLength, most)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err != nil {
		return r, explain(err)
	}
	if int64(len(body)) > most {
		return r, fmt.Errorf("the response has more than %d bytes", most)
	}
	r = hostapi.Response{Status: answer.StatusCode, URL: asText(answer.Request.URL.String()), Header: answer.Header, Body: body}
	for _, values := range r.Header {
		for i, v := range values {
			values[i] = asText(v)
		}
	}
	return r, nil
}

// asText returns what the codec takes for text.
func asText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// A refusal is the policy's no to a redirect.
type refusal string

func (r refusal) Error() string { return string(r) }

// redirect lets a redirect be followed, or does not.
func (f *Fetcher) redirect(next *http.Request, via []*http.Request) error {
	if f.policy.Redirects < 0 {
		return http.ErrUseLastResponse
	}
	if len(via) > f.policy.Redirects {
		return refusal(fmt.Sprintf("there are more than %d redirects", f.policy.Redirects))
	}
	if !slices.Contains(f.policy.Methods, next.Method) {
		return refusal(fmt.Sprintf("a redirect wants method %.20q, which is not allowed", next.Method))
	}
	if len(next.URL.String()) > maxURL {
		return refusal(fmt.Sprintf("a redirect leads to a URL longer than %d bytes", maxURL))
	}
	if err := f.admit(next.URL); err != nil {
		return refusal("a redirect: " + err.Error())
	}
	next.Host = ""             // not that of the request before
	next.Header.Del("Referer") // which says more of the guest's business than it did
	for _, earlier := range append(slices.Clone(via[1:]), next) {
		if earlier.URL.Scheme != via[0].URL.Scheme || earlier.URL.Host != via[0].URL.Host {
			keepHarmless(next.Header)
			break
		}
	}
	return nil
}

// keepHarmless drops what another host than the one it was meant for should not see.
func keepHarmless(h http.Header) {
	for name := range h {
		if !slices.Contains(harmless, name) {
			delete(h, name)
		}
	}
}

// explain says why a request failed, without addresses, and without the URL that
// the guest knows.
func explain(err error) error {
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	if _, ok := errors.AsType[*addressError](err); ok {
		return errors.New("the host's name leads to an address that is not allowed")
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		if e.IsNotFound {
			return errors.New("the host's name does not exist")
		}
		return errors.New("the host's name cannot be resolved")
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errors.New("connection: " + errno.Error())
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = fmt.Errorf("connection: %s", withoutAddresses(e.Err.Error()))
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return errors.New(withoutAddresses(err.Error()))
}

// withoutAddresses drops the words of a text that are addresses.
func withoutAddresses(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		bare := strings.Trim(w, ":,;()->\"")
		_, e1 := netip.ParseAddrPort(bare)
		_, e2 := netip.ParseAddr(bare)
		if e1 == nil || e2 == nil {
			words[i] = "…"
		}
	}
	return strings.Join(words, " ")
}
