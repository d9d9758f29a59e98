module github.com/sandpool/sandpool/serialize/msgpack

go 1.26.0

require (
	github.com/sandpool/sandpool v0.0.0
	github.com/shamaton/msgpack/v3 v3.1.0
)

require (
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/fxamacker/cbor/v2 v2.10.0 // indirect
	github.com/tetratelabs/wazero v1.12.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/sandpool/sandpool => ../..
