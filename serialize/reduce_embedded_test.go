package serialize_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandpool/sandpool/serialize"
)

type embeds struct {
	secret //nolint:unused // used by its being embedded: reflection finds it
	N      int
}

type embedsExported struct {
	Secret2
	N int
}

type Secret2 struct{ n int }

type loop struct {
	*loop
	X secret
}

type deepA struct {
	*DeepB
	A secret
}

type DeepB struct {
	*deepA
	B secret
}

func TestReducers_embedded(t *testing.T) {
	t.Parallel()
	r := reducers(t, append(all, serialize.Reduce(func(s Secret2) (int, error) { return s.n, nil }, func(n int) (Secret2, error) { return Secret2{n}, nil }))...)
	eachCodec(t, func(t *testing.T, c serialize.Codec) {
		t.Helper()
		_, err := r.Encode(c, embeds{})
		require.ErrorContains(t, err, "embeds serialize_test.secret, which has a reducer, without exporting it")
		require.Equal(t, embedsExported{Secret2{4}, 5}, through(t, r, c, embedsExported{Secret2{4}, 5}))
		require.Equal(t, loop{X: secret{1}}, through(t, r, c, loop{loop: &loop{X: secret{2}}, X: secret{1}}))
		require.Equal(t, deepA{&DeepB{nil, secret{2}}, secret{1}}, through(t, r, c, deepA{&DeepB{&deepA{}, secret{2}}, secret{1}}))

		b, err := r.Encode(c, struct{ *base }{&base{ID: secret{1}}})
		require.NoError(t, err)
		var out struct{ *base }
		require.ErrorContains(t, r.Decode(c, b, &out, 0), "embedded pointer to unexported")
	})
}
