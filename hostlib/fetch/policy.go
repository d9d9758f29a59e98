package fetch

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/sandpool/sandpool/executor"
)

// A Policy says what guests may fetch. The zero value allows nothing. Of the
// bounds, zero means the default.
type Policy struct {
	// Hosts are what may be asked, by redirects as well. Empty is nothing.
	Hosts []Host
	// Methods that may be used, in capitals; by default GET and HEAD. CONNECT and
	// TRACE cannot be.
	Methods []string
	// AllowAddresses are ranges that names may lead to although they are none of the
	// public internet's: loopback, private, link-local and such are refused otherwise,
	// whatever the name. Whoever can name such a host in Hosts decides what it resolves to.
	AllowAddresses []netip.Prefix

	// RequestBody bounds a request's body, in bytes: 1 MiB by default; negative for
	// none at all.
	RequestBody int64
	// ResponseBody bounds a response's body, in bytes: 8 MiB by default; negative for
	// none at all; 4 GiB at most. A longer one is an error. The call's Limits.Input has to have room for
	// the whole response.
	ResponseBody int64
	// Header bounds the header of a request and that of a response, each, in bytes:
	// 64 KiB by default, at most 1 MiB.
	Header int
	// Timeout bounds a request from its first moment, waiting for others included, to
	// the last byte of the response: 10 s by default; negative for no limit but the call's.
	Timeout time.Duration
	// Redirects is how many are followed: 5 by default; negative for none, which has
	// the guest see the redirecting response itself.
	Redirects int
	// Concurrency is how many requests run at a time, the others wait: 16 by default.
	// As many responses are held in memory.
	Concurrency int

	// RootCAs verify the hosts' certificates; nil for the system's.
	RootCAs *x509.CertPool
	// Resolver resolves names; nil for the system's.
	Resolver *net.Resolver
}

const (
	defaultRequestBody  = 1 << 20
	defaultResponseBody = 8 << 20
	maxBody             = 4 << 30
	defaultHeader       = 64 << 10
	maxHeader           = 1 << 20
	defaultTimeout      = 10 * time.Second
	defaultRedirects    = 5
	defaultConcurrency  = 16
)

// resolve returns p with every bound set, and its rules.
func (p Policy) resolve() (Policy, []rule, error) {
	p.RequestBody = max(cmp.Or(p.RequestBody, defaultRequestBody), 0)
	p.ResponseBody = min(max(cmp.Or(p.ResponseBody, defaultResponseBody), 0), maxBody)
	p.Header = cmp.Or(p.Header, defaultHeader)
	p.Timeout = cmp.Or(p.Timeout, defaultTimeout)
	p.Redirects = cmp.Or(p.Redirects, defaultRedirects)
	p.Concurrency = cmp.Or(p.Concurrency, defaultConcurrency)
	if p.Header < 0 || p.Header > maxHeader {
		return p, nil, &executor.OptionError{Option: "Policy.Header", Reason: fmt.Sprintf("%d is not between 1 and %d", p.Header, maxHeader)}
	}
	if p.Concurrency < 0 {
		return p, nil, &executor.OptionError{Option: "Policy.Concurrency", Reason: strconv.Itoa(p.Concurrency) + " is negative"}
	}
	rules := make([]rule, 0, len(p.Hosts))
	for i, h := range p.Hosts {
		r, err := parseRule(h)
		if err != nil {
			return p, nil, &executor.OptionError{Option: fmt.Sprintf("Policy.Hosts[%d]", i), Reason: err.Error()}
		}
		rules = append(rules, r)
	}
	if p.Methods = slices.Clone(p.Methods); len(p.Methods) == 0 {
		p.Methods = []string{http.MethodGet, http.MethodHead}
	}
	for _, m := range p.Methods {
		if !isMethod(m) || m == http.MethodConnect || m == http.MethodTrace {
			return p, nil, &executor.OptionError{Option: "Policy.Methods", Reason: fmt.Sprintf("%q cannot be allowed", m)}
		}
	}
	p.AllowAddresses = slices.Clone(p.AllowAddresses)
	for _, a := range p.AllowAddresses {
		if !a.IsValid() || a.Addr().Is4In6() || a.Addr().Zone() != "" {
			return p, nil, &executor.OptionError{Option: "Policy.AllowAddresses", Reason: fmt.Sprintf("%v: want a prefix of IPv4 or of IPv6, not one in the other", a)}
		}
	}
	return p, rules, nil
}

// isMethod reports whether s is a method in capitals.
func isMethod(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}
