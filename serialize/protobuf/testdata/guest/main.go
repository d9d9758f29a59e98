// Command guest is called by the tests with Protocol Buffers.
package main

import (
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sandpool/sandpool/guest"
	_ "github.com/sandpool/sandpool/serialize/protobuf"
)

func init() {
	guest.Register("upper", func(s *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
		return wrapperspb.String(strings.ToUpper(s.GetValue())), nil
	})
	guest.Register("echo", func(s *structpb.Struct) (*structpb.Struct, error) { return s, nil })
}

func main() {}
