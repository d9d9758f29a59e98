// Package plug is the plugin of the benchmark for hashicorp/go-plugin: its service by
// gRPC, which is the host's and the plugin's.
package plug
