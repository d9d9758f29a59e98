// Command hostfunctions lends a guest functions of the host: one of the program's own
// with types, a key-value store with keys for each tenant, and one that has another
// call answer. It also shows what a guest gets that was granted less.
//
//	$ GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o shop.wasm ./guest
//	$ go run . shop.wasm
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/hostapi"
	"github.com/sandpool/sandpool/hostlib/kv"
	"github.com/sandpool/sandpool/serialize"
	"github.com/sandpool/sandpool/wasmworker"
)

// order and price are the guest's.
type order struct {
	Item  string `cbor:"item"`
	Count int    `cbor:"count"`
}

type price struct {
	Cents    int    `cbor:"cents"`
	Currency string `cbor:"currency"`
}

func main() {
	wasmworker.Main() // a worker process serves here and exits; otherwise this returns at once
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hostfunctions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: hostfunctions MODULE")
	}
	mod, err := serialize.LoadModule(args[0])
	if err != nil {
		return err
	}
	s := &shop{
		words:  executor.Func[string, map[string]int]{Module: mod, Name: "words"},
		prices: map[string]price{"apple": {35, "EUR"}, "melon": {250, "EUR"}},
	}
	host, err := s.host()
	if err != nil {
		return err
	}
	for _, signature := range host.Signatures() {
		fmt.Println("lends", signature)
	}
	// One worker is enough: while a guest waits for a call that its host submits, its worker
	// does not count.
	if s.ex, err = executor.New(&executor.Options{Workers: 1, Host: host, Limits: executor.Limits{HostCalls: 100}}); err != nil {
		return err
	}
	defer s.ex.Close()
	return errors.Join(s.total(ctx, mod), s.remember(ctx, mod), s.report(ctx, mod))
}

// A shop is what the host functions work on.
type shop struct {
	ex     *executor.Executor
	words  executor.Func[string, map[string]int]
	prices map[string]price
}

func (s *shop) host() (*executor.HostModule, error) {
	functions := []executor.HostFunction{
		executor.HostFunc("price", s.price),
		executor.HostFunc("count_words", s.countWords),
	}
	functions = append(functions, kv.KeyValue(kv.PerTenant(new(kv.Memory)))...)
	return executor.NewHostModule(functions...)
}

// price is called by guests, several at a time.
func (s *shop) price(_ context.Context, item string) (price, error) {
	p, ok := s.prices[item]
	if !ok {
		return price{}, fmt.Errorf("no price for %q", item)
	}
	return p, nil
}

// countWords submits a call with the ctx it was given, which makes that a nested one:
// it goes first and ends with the call that asked.
func (s *shop) countWords(ctx context.Context, text string) (map[string]int, error) {
	return executor.Submit(ctx, s.ex, s.words, text).Wait(ctx)
}

func (s *shop) total(ctx context.Context, mod *serialize.Module) error {
	total := executor.Func[[]order, string]{Module: mod, Name: "total", Grants: executor.Grants{Host: []string{"price"}}}
	f := executor.Submit(ctx, s.ex, total, []order{{"apple", 6}, {"melon", 1}})
	text, err := f.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("total: %s, after %d calls of the host\n", text, f.Usage().HostCalls)

	_, err = executor.Submit(ctx, s.ex, total, []order{{"kiwi", 1}}).Wait(ctx)
	fmt.Println("without a price:", err)
	total.Grants = executor.Grants{}
	_, err = executor.Submit(ctx, s.ex, total, []order{{"apple", 1}}).Wait(ctx)
	fmt.Println("without a grant:", err)
	total.Grants.Host = []string{"price"}
	_, err = executor.Submit(ctx, s.ex, total, slices.Repeat([]order{{"apple", 1}}, 101)).Wait(ctx)
	fmt.Println("too many:", err)
	return nil
}

func (s *shop) remember(ctx context.Context, mod *serialize.Module) error {
	remember := executor.Func[string, string]{Module: mod, Name: "remember", Grants: executor.Grants{Host: []string{hostapi.KVGet, hostapi.KVPut}}}
	for _, step := range []struct{ tenant, value string }{{"alice", "red"}, {"alice", "green"}, {"bob", "blue"}} {
		remember.Tenant = step.tenant
		before, err := executor.Submit(ctx, s.ex, remember, step.value).Wait(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s remembers %s, before it was %q\n", step.tenant, step.value, before)
	}
	return nil
}

func (s *shop) report(ctx context.Context, mod *serialize.Module) error {
	report := executor.Func[string, string]{Module: mod, Name: "report", Grants: executor.Grants{Host: []string{"count_words"}}}
	text, err := executor.Submit(ctx, s.ex, report, "to be or not to be").Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println("report:", text)
	return nil
}
