package plug

import (
	"context"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sandpool/sandpool/bench/internal/kernels"
)

// maxMessage bounds messages; gRPC's own default is 4 MiB.
const maxMessage = 1 << 30

const (
	serviceName = "sandpool.bench.Plugin"
	pluginName  = "bench"
)

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "SANDPOOL_BENCH_PLUGIN", MagicCookieValue: "go-plugin"}

// A method is one function of the plugin. Messages are protobuf's BytesValue, which
// has what a service with one bytes field would have generated.
type method func(ctx context.Context, input []byte) ([]byte, error)

// methods are the functions of the plugin, by their names.
var methods = map[string]method{
	"Echo": func(_ context.Context, input []byte) ([]byte, error) { return input, nil },
	"Work": func(_ context.Context, input []byte) ([]byte, error) { return kernels.Run(input) },
	"Spin": func(context.Context, []byte) ([]byte, error) {
		for { //nolint:staticcheck // to be ended is its purpose
		}
	},
}

// service implements plugin.GRPCPlugin.
type service struct{ plugin.NetRPCUnsupportedPlugin }

// GRPCServer registers the functions.
func (service) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	desc := &grpc.ServiceDesc{ServiceName: serviceName, HandlerType: (*any)(nil)}
	for name, f := range methods {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: name, Handler: handler(f)})
	}
	s.RegisterService(desc, struct{}{})
	return nil
}

// GRPCClient returns the connection.
func (service) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

func handler(f method) grpc.MethodHandler {
	return func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.BytesValue)
		if err := decode(in); err != nil {
			return nil, err
		}
		out, err := f(ctx, in.GetValue())
		if err != nil {
			return nil, err
		}
		return wrapperspb.Bytes(out), nil
	}
}

// Serve is the plugin's process. It does not return.
func Serve() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{pluginName: service{}},
		Logger:          hclog.NewNullLogger(),
		GRPCServer: func(options []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(options, grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage))...)
		},
	})
}

// A Plugin is a plugin that runs.
type Plugin struct {
	client *plugin.Client
	conn   *grpc.ClientConn
}

// Start starts the program of that path as the plugin.
func Start(path string) (*Plugin, error) {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugin.PluginSet{pluginName: service{}},
		Cmd:              exec.Command(path), //nolint:noctx // Kill ends it
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		},
	})
	protocol, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, err
	}
	raw, err := protocol.Dispense(pluginName)
	if err != nil {
		client.Kill()
		return nil, err
	}
	return &Plugin{client, raw.(*grpc.ClientConn)}, nil //nolint:forcetypeassert,errcheck // GRPCClient's
}

// Call calls a function by its name: Echo, Work or Spin, which never returns.
func (p *Plugin) Call(ctx context.Context, name string, input []byte) ([]byte, error) {
	out := new(wrapperspb.BytesValue)
	err := p.conn.Invoke(ctx, "/"+serviceName+"/"+name, wrapperspb.Bytes(input), out)
	return out.GetValue(), err
}

// PID is the process's.
func (p *Plugin) PID() int { return p.client.ReattachConfig().Pid }

// Kill ends the process; go-plugin waits two seconds first for one that does not end
// by itself.
func (p *Plugin) Kill() { p.client.Kill() }
