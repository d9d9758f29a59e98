package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/fetch"
	"github.com/sandpool/sandpool/hostlib/kv"
)

// httpScheme in front of a host allows requests to it that are not encrypted.
const httpScheme = "http://"

// A lent is what the flags of run lend to the guest.
type lent struct {
	hosts []string
	kv    bool

	names   []string       // of the host functions
	fetcher *fetch.Fetcher // nil for none
}

func (l *lent) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&l.hosts, "allow-http", nil, "let the guest GET and HEAD from `HOST` over HTTPS, as in api.example.com, *.example.com or example.com:8443; with http:// in front, over HTTP too. May be repeated. Addresses that are not public are refused")
	f.BoolVar(&l.kv, "kv", false, "lend the guest an empty key-value store in memory, for this run")
}

// module returns the host functions, or nil for none.
func (l *lent) module() (*executor.HostModule, error) {
	var functions []executor.HostFunction
	if l.kv {
		functions = append(functions, kv.KeyValue(new(kv.Memory))...)
	}
	if len(l.hosts) > 0 {
		var p fetch.Policy
		for _, h := range l.hosts {
			name, plain := strings.CutPrefix(h, httpScheme)
			p.Hosts = append(p.Hosts, fetch.Host{Name: name, HTTP: plain})
		}
		f, err := fetch.New(p)
		if err != nil {
			return nil, l.flagError(err)
		}
		l.fetcher = f
		functions = append(functions, f.Function())
	}
	if len(functions) == 0 {
		return nil, nil //nolint:nilnil // documented above
	}
	m, err := executor.NewHostModule(functions...)
	if err != nil {
		l.close()
		return nil, err
	}
	l.names = m.Names()
	return m, nil
}

// flagError names the flag for the host that the policy names by number.
func (l *lent) flagError(err error) error {
	e, ok := errors.AsType[*executor.OptionError](err)
	if !ok {
		return err
	}
	for i, h := range l.hosts {
		if e.Option == fmt.Sprintf("Policy.Hosts[%d]", i) {
			return usagef("--allow-http=%s: %s", h, e.Reason)
		}
	}
	return err
}

// close ends the requests and closes their connections.
func (l *lent) close() {
	if l.fetcher != nil {
		l.fetcher.Close()
	}
}
