package fetch

import (
	"net/netip"
	"net/url"
)

// CheckAddress reports why an address is refused.
func CheckAddress(a netip.Addr, allowed ...netip.Prefix) error { return checkAddress(a, allowed) }

// Admit parses a URL, checks it and returns it as it would be asked.
func (f *Fetcher) Admit(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil {
		return nil, err
	}
	return u, f.admit(u)
}
