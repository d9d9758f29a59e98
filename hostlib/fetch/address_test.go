package fetch_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/hostlib/fetch"
)

// TestCheckAddress: what stands at both ends of each range and just beside it.
func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "127.255.255.255",
		"169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.1",
		"192.88.99.1", "192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.255",
		"224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.254", "255.255.255.255",
		"::", "::1", "::7f00:1", "::8.8.8.8", "::ffff:0:8.8.8.8", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1", "ff02::1", "ff0e::1",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::", "2001:db8::1",
		"3fff::1", "5f00::1", "4000::1", "1fff::1", "fe80::1%eth0", "2606:4700::1%eth0",
	} {
		require.Error(t, fetch.CheckAddress(netip.MustParseAddr(s)), s)
	}
	for _, s := range []string{
		"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255",
		"169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
		"198.20.0.0", "8.8.8.8", "223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00::1", "3ffe::1",
	} {
		require.NoError(t, fetch.CheckAddress(netip.MustParseAddr(s)), s)
	}
	require.Error(t, fetch.CheckAddress(netip.Addr{}))
}

// TestCheckAddress_embedded: an address that carries one of IPv4 is as good as
// that, in each form.
func TestCheckAddress_embedded(t *testing.T) {
	t.Parallel()
	for s, public := range map[string]bool{
		"127.0.0.1": false, "10.1.2.3": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false,
		"255.255.255.255": false, "224.0.0.1": false, "8.8.8.8": true, "1.1.1.1": true,
	} {
		v4 := netip.MustParseAddr(s).As4()
		mapped := netip.AddrFrom16(netip.AddrFrom4(v4).As16())
		nat64 := netip.MustParseAddr("64:ff9b::").As16()
		copy(nat64[12:], v4[:])
		sixTo4 := netip.MustParseAddr("2002::1").As16()
		copy(sixTo4[2:], v4[:])
		teredo := netip.MustParseAddr("2001::").As16()
		binary.BigEndian.PutUint32(teredo[12:], ^binary.BigEndian.Uint32(v4[:]))
		for _, a := range []netip.Addr{mapped, netip.AddrFrom16(nat64), netip.AddrFrom16(sixTo4)} {
			err := fetch.CheckAddress(a)
			require.Equal(t, public, err == nil, "%v of %s: %v", a, s, err)
		}
		require.Error(t, fetch.CheckAddress(netip.AddrFrom16(teredo)), s)
	}
}

func TestCheckAddress_allowed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		addr, prefix string
		ok           bool
	}{
		{"127.0.0.1", "127.0.0.1/32", true},
		{"::ffff:127.0.0.1", "127.0.0.1/32", true},
		{"127.0.0.2", "127.0.0.1/32", false},
		{"10.2.3.4", "10.2.0.0/16", true},
		{"10.3.3.4", "10.2.0.0/16", false},
		{"64:ff9b::a02:304", "10.2.0.0/16", false},
		{"64:ff9b::a02:304", "64:ff9b::/96", true},
		{"::1", "::1/128", true},
		{"fe80::1%eth0", "fe80::/10", false},
	} {
		err := fetch.CheckAddress(netip.MustParseAddr(tc.addr), netip.MustParsePrefix(tc.prefix))
		require.Equal(t, tc.ok, err == nil, "%s in %s: %v", tc.addr, tc.prefix, err)
	}
}
