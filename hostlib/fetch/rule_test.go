package fetch_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/fetch"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	f := newFetcher(t, fetch.Policy{Hosts: []fetch.Host{
		{Name: "API.Example.com"},
		{Name: "*.wild.example"},
		{Name: "port.example:8443"},
		{Name: "plain.example", HTTP: true},
		{Name: "plain.example:8080", HTTP: true},
		{Name: "*.sub.example:8443"},
		{Name: "192.0.2.7"},
		{Name: "[2001:DB8:0::1]:444"},
	}})
	for from, want := range map[string]string{
		"https://api.example.com/a?b=c#d":   "https://api.example.com/a?b=c",
		"https://api.example.com:443/":      "https://api.example.com/",
		"HTTPS://aPi.eXample.COM":           "https://api.example.com",
		"https://a.wild.example/":           "https://a.wild.example/",
		"https://b.a.wild.example/":         "https://b.a.wild.example/",
		"https://port.example:8443/":        "https://port.example:8443/",
		"https://plain.example":             "https://plain.example",
		"http://plain.example":              "http://plain.example",
		"http://plain.example:8080/x":       "http://plain.example:8080/x",
		"https://plain.example:8080/x":      "https://plain.example:8080/x",
		"https://x.sub.example:8443":        "https://x.sub.example:8443",
		"https://192.0.2.7/":                "https://192.0.2.7/",
		"https://[::ffff:192.0.2.7]/":       "https://192.0.2.7/",
		"https://[2001:db8::0:1]:444/":      "https://[2001:db8::1]:444/",
		"https://api.example.com/a\u00e9 b": "https://api.example.com/a%C3%A9%20b",
	} {
		u, err := f.Admit(from)
		require.NoError(t, err, from)
		require.Equal(t, want, u.String())
	}
	for from, want := range map[string]string{
		"http://api.example.com/":                               "not allowed",
		"https://api.example.com:8443/":                         "not allowed",
		"https://example.com/":                                  "not allowed",
		"https://api.example.com.evil.test/":                    "not allowed",
		"https://evilapi.example.com/":                          "not allowed",
		"https://wild.example/":                                 "not allowed",
		"https://evilwild.example/":                             "not allowed",
		"https://.wild.example/":                                "no host name",
		"https://a..wild.example/":                              "no host name",
		"https://port.example/":                                 "not allowed",
		"https://port.example:443/":                             "not allowed",
		"http://plain.example:443/":                             "not allowed",
		"https://plain.example:80/":                             "not allowed",
		"https://sub.example:8443":                              "not allowed",
		"https://192.0.2.8/":                                    "not allowed",
		"https://3221225991/":                                   "not allowed", // 192.0.2.7 to some parsers
		"https://0xc0.0.2.7/":                                   "not allowed",
		"https://192.0.2.07/":                                   "not allowed",
		"https://[2001:db8::1]/":                                "not allowed",
		"https://[fe80::1%25eth0]/":                             "zone",
		"https://api.example.com./":                             "no host name",
		"https://user@api.example.com/":                         "user",
		"https://user:pass@api.example.com/":                    "user",
		"https://@api.example.com/":                             "user",
		"https://evil.test\\@api.example.com/":                  "cannot be parsed",
		"https://api.example.com\\.evil.test/":                  "cannot be parsed",
		"https://api.example.com%2eevil.test/":                  "cannot be parsed",
		"https://api.example.com%00.evil/":                      "cannot be parsed",
		"https://api.example.com :443/":                         "cannot be parsed",
		"https://\u0430pi.example.com/":                         "no host name", // a Cyrillic letter
		"https://api\u3002example\uff0ecom/":                    "no host name", // dots to some parsers
		"https:///path":                                         "names no host",
		"https:api.example.com":                                 "names no host",
		"//api.example.com/":                                    "scheme",
		"api.example.com":                                       "scheme",
		"":                                                      "scheme",
		"file:///etc/passwd":                                    "scheme",
		"gopher://api.example.com/":                             "scheme",
		"unix://api.example.com/":                               "scheme",
		"https://api.example.com:0/":                            "port",
		"https://api.example.com:/":                             "port",
		"https://api.example.com:65536/":                        "port",
		"https://api.example.com:0443/":                         "port",
		"https://api.example.com/\x00":                          "cannot be parsed",
		"https://api.example.com/\r\nHost: x":                   "cannot be parsed",
		"https://api.example.com/" + strings.Repeat("x", 8<<10): "longer than 8192",
		"https://" + strings.Repeat("x", 64) + ".wild.example/": "63 bytes",
	} {
		_, err := f.Admit(from)
		require.ErrorContains(t, err, want, from)
	}
	none := newFetcher(t, fetch.Policy{})
	_, err := none.Admit("https://example.com/")
	require.ErrorContains(t, err, "not allowed", "nothing is the default")
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for option, list := range map[string][]fetch.Policy{
		"Policy.Hosts[0]": hostPolicies("", "*", "*.", "**.example", "a.*.example", "exa mple", "example.com/path", "https://example.com", "user@example.com",
			"example.com:", "example.com:0", "example.com:99999", "example.com:x", "::1", "[::1", "[::1]x", "[example.com]", "[fe80::1%eth0]", "*.127.0.0.1", "*.[::1]", ".example", "example.", "b\u00fccher.example", strings.Repeat("x.", 127)+"xx"),
		"Policy.Methods":        {{Methods: []string{"GET", "CONNECT"}}, {Methods: []string{"TRACE"}}, {Methods: []string{"get"}}, {Methods: []string{""}}, {Methods: []string{"A B"}}},
		"Policy.AllowAddresses": {{AllowAddresses: []netip.Prefix{{}}}, {AllowAddresses: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.1/128")}}},
		"Policy.Header":         {{Header: -1}, {Header: 2 << 20}},
		"Policy.Concurrency":    {{Concurrency: -1}},
	} {
		for _, p := range list {
			_, err := fetch.New(p)
			var oe *executor.OptionError
			require.ErrorAs(t, err, &oe, "%+v", p)
			require.Equal(t, option, oe.Option)
		}
	}
}

func hostPolicies(names ...string) []fetch.Policy {
	var list []fetch.Policy
	for _, name := range names {
		list = append(list, fetch.Policy{Hosts: []fetch.Host{{Name: name}}})
	}
	return list
}

// FuzzAdmit: a URL that is admitted leads, as package url reads it anew, to a host
// that was allowed, and is admitted again as what it is.
func FuzzAdmit(f *testing.F) {
	for _, s := range []string{
		"https://api.example.com/", "http://plain.example:8080/?q#f", "https://a.wild.example", "https://[::ffff:192.0.2.7]/",
		"https://user@api.example.com/", "https://api.example.com%2e/", "https:\\\\api.example.com", "HTTPS://API.EXAMPLE.COM:443/../x",
	} {
		f.Add(s)
	}
	fetcher, err := fetch.New(fetch.Policy{Hosts: []fetch.Host{
		{Name: "api.example.com"}, {Name: "*.wild.example"}, {Name: "plain.example:8080", HTTP: true}, {Name: "192.0.2.7"},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(fetcher.Close)
	f.Fuzz(func(t *testing.T, s string) {
		u, err := fetcher.Admit(s)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("the error shows what the guest wrote: %q", err)
			}
			return
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host || again.Scheme != u.Scheme || again.User != nil {
			t.Fatalf("%q is asked as %v, which is %+v (%v)", s, u, again, err)
		}
		host := again.Hostname()
		ok := host == "192.0.2.7" && again.Port() == "" || host == "api.example.com" && again.Port() == "" ||
			strings.HasSuffix(host, ".wild.example") && again.Port() == "" || host == "plain.example" && again.Port() == "8080"
		if !ok || again.Scheme != "https" && host != "plain.example" {
			t.Fatalf("%q leads to %v", s, again)
		}
		if same, err := fetcher.Admit(u.String()); err != nil || same.String() != u.String() {
			t.Fatalf("%q is admitted as %v, and that as %v (%v)", s, u, same, err)
		}
	})
}

// FuzzHost: whatever the allow-list may hold, a rule matches the host it names.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"example.com", "*.example.com:8443", "[::1]:1", "127.0.0.1", "EXAMPLE.com", "[::ffff:1.2.3.4]", "a_b-c.d:65535"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		fetcher, err := fetch.New(fetch.Policy{Hosts: []fetch.Host{{Name: name}}})
		if err != nil {
			return
		}
		defer fetcher.Close()
		at, below := strings.CutPrefix(name, "*.")
		if below {
			at = "x." + at
		}
		if _, err := fetcher.Admit("https://" + at + "/"); err != nil && len(at) <= 253 {
			t.Fatalf("%q does not match itself: %v", name, err)
		}
		if _, err := fetcher.Admit("https://not." + strings.TrimPrefix(at, "x.") + ".example/"); err == nil {
			t.Fatalf("%q matches too much", name)
		}
	})
}
