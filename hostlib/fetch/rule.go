package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxURL bounds a URL, in bytes.
const maxURL = 8 << 10

// A Host is one entry of a Policy's allow-list.
type Host struct {
	// Name is a host name, "api.example.com", or "*." and one for all names below it,
	// itself not included, or an IP address. A port may follow, "api.example.com:8443",
	// "[2001:db8::1]:443"; without one, the port is the scheme's own.
	// Names are ASCII: one with other letters is written as its punycode, xn--….
	Name string
	// HTTP allows unencrypted requests as well as HTTPS.
	HTTP bool
}

// A rule is a Host that was parsed.
type rule struct {
	host    string // lower case; an address in its canonical form
	below   bool   // the names below host
	port    uint16 // 0 for the scheme's own
	http    bool
	address bool
}

// parseRule parses an entry of the allow-list.
func parseRule(h Host) (rule, error) {
	name, below := strings.CutPrefix(h.Name, "*.")
	r := rule{below: below, http: h.HTTP}
	host, port, err := splitPort(name)
	if err != nil {
		return rule{}, err
	}
	r.port = port
	if r.host, r.address, err = canonicalHost(host); err != nil {
		return rule{}, err
	}
	if r.below && r.address {
		return rule{}, errors.New("there are no names below an address")
	}
	return r, nil
}

// matches reports whether the rule allows a target.
func (r rule) matches(t target) bool {
	if t.scheme == "http" && !r.http || r.address != t.address {
		return false
	}
	if want := r.port; want == 0 && t.port != defaultPort(t.scheme) || want != 0 && t.port != want {
		return false
	}
	if r.below {
		return strings.HasSuffix(t.host, "."+r.host)
	}
	return t.host == r.host
}

func defaultPort(scheme string) uint16 {
	if scheme == "http" {
		return 80
	}
	return 443
}

// A target is where a URL leads.
type target struct {
	scheme  string // http or https
	host    string // as in a rule
	port    uint16
	address bool
}

// targetOf returns where a URL leads, or what is wrong with it.
func targetOf(u *url.URL) (target, error) {
	t := target{scheme: u.Scheme}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return target{}, fmt.Errorf("the URL's scheme is %.20q, not https or http", u.Scheme)
	case u.Opaque != "" || u.Host == "":
		return target{}, errors.New("the URL names no host")
	case u.User != nil:
		return target{}, errors.New("the URL has a user in it")
	}
	host, port, err := splitPort(u.Host)
	if err != nil {
		return target{}, fmt.Errorf("the URL's host: %w", err)
	}
	if t.host, t.address, err = canonicalHost(host); err != nil {
		return target{}, fmt.Errorf("the URL's host: %w", err)
	}
	if t.port = port; port == 0 {
		t.port = defaultPort(t.scheme)
	}
	return t, nil
}

// parseURL parses a guest's URL.
func parseURL(s string) (*url.URL, error) {
	if len(s) > maxURL {
		return nil, fmt.Errorf("a URL of %d bytes is longer than %d", len(s), maxURL)
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed") // the parser's text repeats it, user and all
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// allowed reports why a URL is not on the allow-list.
func (f *Fetcher) allowed(u *url.URL) (target, error) {
	t, err := targetOf(u)
	if err != nil {
		return t, err
	}
	if !slices.ContainsFunc(f.rules, func(r rule) bool { return r.matches(t) }) {
		return t, fmt.Errorf("%s to host %s, port %d is not allowed", t.scheme, t.host, t.port)
	}
	return t, nil
}

// splitPort takes a port off a host; 0 is none. An address of IPv6 loses its brackets.
func splitPort(s string) (host string, port uint16, err error) {
	text, found := "", false
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", 0, errors.New("a bracket is not closed")
		}
		host = s[1:end]
		if !strings.Contains(host, ":") {
			return "", 0, errors.New("brackets are for addresses of IPv6")
		}
		if rest := s[end+1:]; rest != "" {
			if text, found = strings.CutPrefix(rest, ":"); !found {
				return "", 0, errors.New("something other than a port follows the address")
			}
		}
	} else if host, text, found = strings.Cut(s, ":"); strings.Contains(text, ":") {
		return "", 0, errors.New("an address of IPv6 stands in brackets")
	}
	if !found {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '+' || text[0] == '0' {
		return "", 0, errors.New("the port is no number from 1 to 65535")
	}
	return host, uint16(n), nil
}

// canonicalHost returns a host name in lower case, or an address in the one form
// that all its spellings have.
func canonicalHost(s string) (host string, address bool, err error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" {
			return "", false, errors.New("an address with a zone")
		}
		return a.Unmap().String(), true, nil
	}
	if len(s) > 253 {
		return "", false, errors.New("a host name is at most 253 bytes long")
	}
	lower := []byte(s)
	label := 0
	for i, c := range lower {
		switch {
		case c >= 'A' && c <= 'Z':
			lower[i] = c + 'a' - 'A'
		case c == '.' && label > 0:
			label = -1
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return "", false, fmt.Errorf("%.80q is no host name", s)
		}
		if label++; label > 63 {
			return "", false, errors.New("a part of a host name is at most 63 bytes long")
		}
	}
	if label == 0 {
		return "", false, fmt.Errorf("%.80q is no host name", s) // empty, or a dot at its end
	}
	return string(lower), false, nil
}
