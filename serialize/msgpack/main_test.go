package msgpack_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sandpool/sandpool/internal/census"
	"github.com/sandpool/sandpool/wasmworker"
)

func TestMain(m *testing.M) {
	wasmworker.Main()
	goleak.VerifyTestMain(census.Checked(m))
}
