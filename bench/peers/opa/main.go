// Answers Envoy's ext_authz by OPA within the process, as the opa-envoy-plugin does: the check request as JSON is the
// input, and decisions are logged by OPA's own plugin where its configuration asks for that.
// Usage: opa-envoy OPA-CONFIGURATION DECISION-PATH
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/sdk"
	code "google.golang.org/genproto/googleapis/rpc/code"
	status "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
)

type server struct {
	auth.UnimplementedAuthorizationServer
	opa  *sdk.OPA
	path string
}

func (s *server) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	text, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	var input any
	if err := json.Unmarshal(text, &input); err != nil {
		return nil, err
	}
	result, err := s.opa.Decision(ctx, sdk.DecisionOptions{Path: s.path, Input: input})
	if err != nil {
		return nil, err
	}
	answer := int32(code.Code_PERMISSION_DENIED)
	if result.Result == true {
		answer = int32(code.Code_OK)
	}
	return &auth.CheckResponse{Status: &status.Status{Code: answer}}, nil
}

func main() {
	config, err := os.Open(os.Args[1])
	must(err)
	opa, err := sdk.New(context.Background(), sdk.Options{ID: "bench", Config: config, Logger: logging.NewNoOpLogger()})
	must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	serving := grpc.NewServer()
	auth.RegisterAuthorizationServer(serving, &server{opa: opa, path: os.Args[2]})
	fmt.Println("PORT", listener.Addr().(*net.TCPAddr).Port)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		opa.Stop(context.Background()) // Uploads what waits.
		serving.Stop()
	}()
	must(serving.Serve(listener))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
