// Speaks gRPC with itself: `serve` says where it listens, `call ADDRESS` prints what came of each call.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type echo struct{}

func (echo) say(_ context.Context, in *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	if in.Value == "fail" {
		return nil, status.Error(9, "as asked")
	}
	return wrapperspb.String("echo " + in.Value), nil
}

func (echo) talk(stream grpc.ServerStream) error {
	stream.SetTrailer(metadata.Pairs("x-last", "word"))
	for {
		in := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(wrapperspb.String("echo " + in.Value)); err != nil {
			return err
		}
	}
}

func say(srv any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.StringValue)
	if err := read(in); err != nil {
		return nil, err
	}
	return srv.(echo).say(ctx, in)
}

func talk(srv any, stream grpc.ServerStream) error { return srv.(echo).talk(stream) }

var service = grpc.ServiceDesc{
	ServiceName: "shop.Echo",
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Say", Handler: say}},
	Streams:     []grpc.StreamDesc{{StreamName: "Talk", Handler: talk, ServerStreams: true, ClientStreams: true}},
}

func main() {
	if os.Args[1] == "serve" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		server := grpc.NewServer()
		server.RegisterService(&service, echo{})
		fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
		must(server.Serve(listener))
	}
	connection, err := grpc.NewClient("passthrough:///"+os.Args[2],
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("orders"))
	must(err)
	unary := func(name, value string, limit time.Duration) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		out := new(wrapperspb.StringValue)
		err := connection.Invoke(ctx, "/shop.Echo/"+name, wrapperspb.String(value), out)
		fmt.Println(name, value, status.Code(err), out.Value)
	}
	unary("Say", "hello", 20*time.Second)
	unary("Say", "fail", 20*time.Second)
	unary("Denied", "x", 20*time.Second)

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stream, err := connection.NewStream(ctx, &service.Streams[0], "/shop.Echo/Talk")
	must(err)
	for i := range 100 {
		must(stream.SendMsg(wrapperspb.String(fmt.Sprint(i))))
		out := new(wrapperspb.StringValue)
		must(stream.RecvMsg(out))
		if out.Value != fmt.Sprint("echo ", i) {
			panic(out.Value)
		}
	}
	must(stream.CloseSend())
	err = stream.RecvMsg(new(wrapperspb.StringValue))
	fmt.Println("Talk", 100, err == io.EOF, stream.Trailer()["x-last"])
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
