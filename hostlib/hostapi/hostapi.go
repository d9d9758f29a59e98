// Package hostapi has the names and types of the ready-made host functions, for
// both sides: the host's packages hostlib/kv and hostlib/fetch, and guests in Go,
// which import nothing heavy with it. A guest declares what it calls:
//
//	var (
//		get   = guest.HostFunc[string, *[]byte](hostapi.KVGet)
//		put   = guest.HostFunc[hostapi.Pair, struct{}](hostapi.KVPut)
//		fetch = guest.HostFunc[hostapi.Request, hostapi.Response](hostapi.HTTPFetch)
//	)
package hostapi

// Names of the host functions, with their types.
const (
	KVGet     = "kv_get"     // string -> *[]byte: a key's value, nil where there is none
	KVPut     = "kv_put"     // Pair -> struct{}
	KVDelete  = "kv_delete"  // string -> struct{}: fine for a key that is not there
	HTTPFetch = "http_fetch" // Request -> Response
)

// A Pair is a key with its value.
type Pair struct {
	Key   string `cbor:"key"`
	Value []byte `cbor:"value"`
}

// A Request is an HTTP request.
type Request struct {
	Method string              `cbor:"method,omitempty"` // GET when empty
	URL    string              `cbor:"url"`
	Header map[string][]string `cbor:"header,omitempty"`
	Body   []byte              `cbor:"body,omitempty"`
}

// A Response is the answer to a Request, whatever its status.
type Response struct {
	Status int                 `cbor:"status"`
	URL    string              `cbor:"url"`    // that answered, after redirects
	Header map[string][]string `cbor:"header"` // names in their canonical form, as Content-Type
	Body   []byte              `cbor:"body"`
}
