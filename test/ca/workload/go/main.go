// A workload that knows the SPIFFE Workload API by go-spiffe alone. It says what it was given, a line each.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Second)
	defer stop()
	command, address, rest := os.Args[1], os.Args[2], os.Args[3:]
	var err error
	switch command {
	case "watch":
		err = watch(ctx, address, rest[0])
	case "jwt":
		err = jwt(ctx, address, rest)
	case "validate":
		err = validate(ctx, address, rest[0], rest[1])
	case "codes":
		err = codes(ctx, address)
	case "talk":
		err = talk(ctx, address, rest[0])
	case "call":
		err = call(ctx, address, rest[0], rest[1])
	case "federation":
		err = bundles(ctx, address, rest)
	case "fetch":
		err = fetch(ctx, address, rest[0], rest[1], rest[2])
	case "publish":
		err = publish(ctx, address, rest[0], rest[1])
	default:
		err = fmt.Errorf("no command %s", command)
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

type watcher struct {
	updates chan *workloadapi.X509Context
}

func (w *watcher) OnX509ContextUpdate(c *workloadapi.X509Context) { w.updates <- c }
func (w *watcher) OnX509ContextWatchError(err error) {
	if status.Code(err).String() != "Canceled" {
		fmt.Println("watch error", status.Code(err))
	}
}

// Prints each state that comes, and ends after some of them. Every key has to be the one of its certificate,
// and every chain, whose length comes last, has to verify.
func watch(ctx context.Context, address, count string) error {
	wanted, _ := strconv.Atoi(count)
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := &watcher{updates: make(chan *workloadapi.X509Context, 16)}
	go client.WatchX509Context(ctx, w)
	for seen := 0; seen < wanted; seen++ {
		select {
		case update := <-w.updates:
			for _, svid := range update.SVIDs {
				bundle, err := update.Bundles.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
				if err != nil {
					return err
				}
				id, _, err := x509svid.Verify(svid.Certificates, bundle)
				if err != nil {
					return err
				}
				fmt.Printf("svid %s %x %s %d of %d\n",
					id, svid.Certificates[0].SerialNumber, svid.Hint, update.Bundles.Len(), len(svid.Certificates))
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Fetches a JWT-SVID for one audience or more, and validates it with the bundles of the API.
func jwt(ctx context.Context, address string, audiences []string) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return err
	}
	defer client.Close()
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audiences[0], ExtraAudiences: audiences[1:]})
	if err != nil {
		return err
	}
	bundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	for _, audience := range audiences {
		again, err := jwtsvid.ParseAndValidate(svid.Marshal(), jwtbundle.NewSet(bundles.Bundles()...), []string{audience})
		if err != nil {
			return err
		}
		fmt.Println("local", again.ID, audience)
		remote, err := client.ValidateJWTSVID(ctx, svid.Marshal(), audience)
		if err != nil {
			return err
		}
		fmt.Println("remote", remote.ID, remote.Claims["sub"])
	}
	_, err = client.ValidateJWTSVID(ctx, svid.Marshal(), "somebody-else")
	fmt.Println("other audience", status.Code(err))
	_, err = client.FetchJWTSVID(ctx, jwtsvid.Params{
		Audience: "a", Subject: spiffeid.RequireFromString("spiffe://bank.example/not-me"),
	})
	fmt.Println("other id", status.Code(err))
	_, err = client.FetchJWTSVID(ctx, jwtsvid.Params{})
	fmt.Println("no audience", status.Code(err))
	fmt.Println("token", svid.Marshal())
	return nil
}

func validate(ctx context.Context, address, token, audience string) error {
	svid, err := workloadapi.ValidateJWTSVID(ctx, token, audience, workloadapi.WithAddr(address))
	if err != nil {
		return err
	}
	fmt.Println("valid", svid.ID)
	return nil
}

// What a client sees that breaks the rules or asks for what is optional.
func codes(ctx context.Context, address string) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	header := func(value string) context.Context {
		return metadata.NewOutgoingContext(ctx, metadata.Pairs("workload.spiffe.io", value))
	}
	try := func(what string, ctx context.Context, method string) {
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/SpiffeWorkloadAPI/"+method)
		if err == nil {
			err = stream.SendMsg(&emptypb.Empty{})
		}
		if err == nil {
			err = stream.CloseSend()
		}
		if err == nil {
			err = stream.RecvMsg(&emptypb.Empty{})
		}
		fmt.Println(what, method, status.Code(err))
	}
	for _, method := range []string{"FetchX509SVID", "FetchX509Bundles", "FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID"} {
		try("no header", ctx, method)
		try("TRUE", header("TRUE"), method)
	}
	for _, method := range []string{"FetchX509SVID", "FetchX509Bundles", "FetchJWTBundles"} {
		try("header", header("true"), method)
	}
	for _, method := range []string{"FetchWITSVID", "FetchWITBundles", "Surprise"} {
		try("header", header("true"), method)
	}
	return nil
}

// An HTTPS server on loopback whose callers must be of the trust domain that is named.
func talk(ctx context.Context, address, trustDomain string) error {
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(address)))
	if err != nil {
		return err
	}
	defer source.Close()
	authorize := tlsconfig.AuthorizeMemberOf(spiffeid.RequireTrustDomainFromString(trustDomain))
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(source, source, authorize))
	if err != nil {
		return err
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.TLS.PeerCertificates[0].URIs[0])
	}))
}

func call(ctx context.Context, address, url, server string) error {
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(workloadapi.WithAddr(address)))
	if err != nil {
		return err
	}
	defer source.Close()
	authorize := tlsconfig.AuthorizeID(spiffeid.RequireFromString(server))
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: tlsconfig.MTLSClientConfig(source, source, authorize), DisableKeepAlives: true,
	}}
	reply, err := client.Get(url)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	fmt.Println(reply.StatusCode, string(body))
	return err
}

// Asks a bundle endpoint: by the Web PKI with the roots of a file, or by a SPIFFE ID under the bundle of a file.
func fetch(ctx context.Context, url, trustDomain, file, endpoint string) error {
	td := spiffeid.RequireTrustDomainFromString(trustDomain)
	var option federation.FetchOption
	if endpoint == "web" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		option = federation.WithWebPKIRoots(roots)
	} else {
		known, err := spiffebundle.Load(td, file)
		if err != nil {
			return err
		}
		option = federation.WithSPIFFEAuth(known, spiffeid.RequireFromString(endpoint))
	}
	bundle, err := federation.FetchBundle(ctx, td, url, option)
	if err != nil {
		return err
	}
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	fmt.Println("bundle", bundle.TrustDomain(), len(bundle.X509Authorities()), len(bundle.JWTAuthorities()), sequence, hint)
	return nil
}

// Publishes the bundle of a file, newly read for each request, with a certificate and key in another: either profile.
func publish(ctx context.Context, bundleFile, trustDomain, certificate string) error {
	td := spiffeid.RequireTrustDomainFromString(trustDomain)
	pair, err := tls.LoadX509KeyPair(certificate, certificate)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		bundle, err := spiffebundle.Load(td, bundleFile)
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		handler, err := federation.NewHandler(td, bundle)
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		handler.ServeHTTP(w, r)
	}))
}

// Which trust domains the bundles of the API are of.
func bundles(ctx context.Context, address string, _ []string) error {
	set, err := workloadapi.FetchX509Bundles(ctx, workloadapi.WithAddr(address))
	if err != nil {
		return err
	}
	names := []string{}
	for _, bundle := range set.Bundles() {
		names = append(names, fmt.Sprintf("%s:%d", bundle.TrustDomain().Name(), len(bundle.X509Authorities())))
	}
	sort.Strings(names)
	fmt.Println("bundles", strings.Join(names, " "))
	return nil
}
