// Package kv lends guests a key-value store of the host's, as the host functions
// kv_get, kv_put and, where the store can, kv_delete. See hostapi for their types.
package kv

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/sandpool/sandpool/executor"
	"github.com/sandpool/sandpool/hostlib/hostapi"
)

// A Store holds values by key. Several guests may use it at once. ctx is that of
// the host function: it ends with the guest's call, and executor.CallerTenant tells
// on whose behalf that runs. The text of an error reaches the guest.
type Store interface {
	// Get returns a key's value, which the caller does not change, and whether there
	// is one.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Put sets a key's value, which is the store's from then on.
	Put(ctx context.Context, key string, value []byte) error
}

// A Deleter is a Store that can also forget.
type Deleter interface {
	// Delete removes a key. It is no error if there is none.
	Delete(ctx context.Context, key string) error
}

// Limits bound what guests may store. Zero means the default, a negative value no
// limit beyond that of the call: executor.Limits.Output.
type Limits struct {
	Key   int // bytes of a key; 1 KiB by default
	Value int // bytes of a value; 1 MiB by default
}

const (
	defaultKey   = 1 << 10
	defaultValue = 1 << 20
)

// KeyValue returns the host functions of a store, under the default limits: kv_get,
// kv_put, and kv_delete if the store is a Deleter.
//
// All guests share the store's keys; PerTenant parts them.
func KeyValue(store Store) []executor.HostFunction { return Limits{}.KeyValue(store) }

// KeyValue is the function of that name under other limits.
func (l Limits) KeyValue(store Store) []executor.HostFunction {
	s := &served{store: store, key: resolve(l.Key, defaultKey), value: resolve(l.Value, defaultValue)}
	functions := []executor.HostFunction{
		executor.HostFunc(hostapi.KVGet, s.get),
		executor.HostFunc(hostapi.KVPut, s.put),
	}
	if _, ok := store.(Deleter); ok {
		functions = append(functions, executor.HostFunc(hostapi.KVDelete, s.delete))
	}
	return functions
}

func resolve(v, base int) int {
	if v == 0 {
		return base
	}
	return v
}

// A served is a store as guests see it.
type served struct {
	store      Store
	key, value int // bytes at most; negative for no limit
}

func (s *served) checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case s.key >= 0 && len(key) > s.key:
		return fmt.Errorf("a key of %d bytes is longer than %d", len(key), s.key)
	case !utf8.ValidString(key):
		return errors.New("the key is not UTF-8")
	}
	return nil
}

func (s *served) get(ctx context.Context, key string) (*[]byte, error) {
	if err := s.checkKey(key); err != nil {
		return nil, err
	}
	value, ok, err := s.store.Get(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	if value == nil {
		value = []byte{} // or the guest would be told that there is none
	}
	return &value, nil
}

func (s *served) put(ctx context.Context, p hostapi.Pair) (none struct{}, err error) {
	if err := s.checkKey(p.Key); err != nil {
		return none, err
	}
	if s.value >= 0 && len(p.Value) > s.value {
		return none, fmt.Errorf("a value of %d bytes is longer than %d", len(p.Value), s.value)
	}
	return none, s.store.Put(ctx, p.Key, p.Value)
}

func (s *served) delete(ctx context.Context, key string) (none struct{}, err error) {
	if err := s.checkKey(key); err != nil {
		return none, err
	}
	d, ok := s.store.(Deleter)
	if !ok {
		return none, errors.ErrUnsupported
	}
	return none, d.Delete(ctx, key)
}

// PerTenant returns a store in which each tenant has keys of its own: store sees
// them behind the tenant's name and its length, as "5:alice:key". It is a Deleter
// if store is one. Outside a guest's call, where there is no tenant, its methods fail.
func PerTenant(store Store) Store {
	if d, ok := store.(Deleter); ok {
		return &deletingTenants{tenants{store}, d}
	}
	return &tenants{store}
}

type tenants struct{ store Store }

type deletingTenants struct {
	tenants

	deleter Deleter
}

var errNoTenant = errors.New("kv: not called by a guest, so for no tenant")

// tenantKey puts the tenant in front; with its length no two tenants' keys meet.
func tenantKey(ctx context.Context, key string) (string, error) {
	tenant, ok := executor.CallerTenant(ctx)
	if !ok {
		return "", errNoTenant
	}
	return strconv.Itoa(len(tenant)) + ":" + tenant + ":" + key, nil
}

// Get implements Store.
func (t *tenants) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if key, err = tenantKey(ctx, key); err != nil {
		return nil, false, err
	}
	return t.store.Get(ctx, key)
}

// Put implements Store.
func (t *tenants) Put(ctx context.Context, key string, value []byte) error {
	key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	return t.store.Put(ctx, key, value)
}

// Delete implements Deleter.
func (t *deletingTenants) Delete(ctx context.Context, key string) error {
	key, err := tenantKey(ctx, key)
	if err != nil {
		return err
	}
	return t.deleter.Delete(ctx, key)
}
