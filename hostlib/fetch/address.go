package fetch

import (
	"fmt"
	"net/netip"
	"slices"
)

// A special is a range of addresses that no public host has.
type special struct {
	prefix netip.Prefix
	what   string
}

// special4 are the ranges of IPv4 (IANA's registry of special-purpose addresses).
var special4 = []special{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast"},
}

// special6 are the ranges within 2000::/3, beyond which nothing is public anyway:
// not loopback, link-local, unique local (fc00::/7), site-local or multicast.
var special6 = []special{
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001::/23"), "protocol assignments"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // the last 4 bytes are an IPv4 address
	sixTo4  = netip.MustParsePrefix("2002::/16")    // bytes 2 to 5 are one
)

// checkAddress reports why nothing may connect to an address: it is none of the
// public internet's, nor in a prefix that was allowed. An address that carries
// an IPv4 address leads where that does.
func checkAddress(a netip.Addr, allowed []netip.Prefix) error {
	if a.Zone() != "" {
		return &addressError{a, "has a zone"}
	}
	a = a.Unmap()
	if slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return nil
	}
	if what := specialUse(a); what != "" {
		return &addressError{a, "is " + what}
	}
	return nil
}

// specialUse says what an address is for, empty for a public one.
func specialUse(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "not an address"
	case a.Is4():
		return find(special4, a)
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return embedded("NAT64", netip.AddrFrom4([4]byte(b[12:16])))
	case sixTo4.Contains(a):
		return embedded("6to4", netip.AddrFrom4([4]byte(b[2:6])))
	case !global6.Contains(a):
		return "not global"
	default:
		return find(special6, a)
	}
}

func find(ranges []special, a netip.Addr) string {
	for _, s := range ranges {
		if s.prefix.Contains(a) {
			return s.what
		}
	}
	return ""
}

func embedded(how string, a netip.Addr) string {
	if what := find(special4, a); what != "" {
		return how + " of " + what
	}
	return ""
}

// An addressError refuses to connect. Guests do not get to see the address, from
// which they could learn what names mean inside the host's network.
type addressError struct {
	addr netip.Addr
	why  string
}

func (e *addressError) Error() string { return fmt.Sprintf("address %v %s", e.addr, e.why) }
