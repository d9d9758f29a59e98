module github.com/sandpool/sandpool/cmd/sandpool

go 1.26.0

require (
	github.com/fxamacker/cbor/v2 v2.10.0
	github.com/sandpool/sandpool v0.0.0
	// cobra and not kong or urfave/cli: it never exits by itself, returns every
	// error, completes in four shells, and links nothing but pflag.
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.10
)

require (
	github.com/rogpeppe/go-internal v1.16.0
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/tetratelabs/wazero v1.12.0 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)

replace github.com/sandpool/sandpool => ../..
