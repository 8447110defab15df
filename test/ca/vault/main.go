// Vault's PKI secrets engine behind its HTTP paths, without the rest of Vault. Its argument is the token.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/sdk/logical"
)

func main() {
	storage := &logical.InmemStorage{}
	system := logical.TestSystemView()
	system.MaxLeaseTTLVal = 10 * 8760 * time.Hour
	config := &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: system, StorageView: storage, BackendUUID: "test"}
	backend, err := pki.Factory(context.Background(), config)
	if err == nil {
		err = backend.Initialize(context.Background(), &logical.InitializationRequest{Storage: storage})
	}
	if err != nil {
		panic(err)
	}
	handle := func(w http.ResponseWriter, r *http.Request) {
		fail := func(status int, why string) {
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(map[string]any{"errors": []string{why}})
		}
		path, mounted := strings.CutPrefix(r.URL.Path, "/v1/pki/")
		if r.Header.Get("X-Vault-Token") != os.Args[1] {
			fail(403, "permission denied")
			return
		}
		if !mounted {
			fail(404, "no handler for route")
			return
		}
		data := map[string]any{}
		json.NewDecoder(r.Body).Decode(&data)
		response, err := backend.HandleRequest(r.Context(), &logical.Request{
			Operation: logical.UpdateOperation, Path: path, Data: data, Storage: storage, MountPoint: "pki/",
		})
		if err == nil && response.IsError() {
			err = response.Error()
		}
		switch {
		case errors.Is(err, logical.ErrUnsupportedPath):
			fail(404, err.Error())
		case err != nil:
			fail(400, err.Error())
		default:
			json.NewEncoder(w).Encode(map[string]any{"data": response.Data, "warnings": response.Warnings})
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(handle))
}
