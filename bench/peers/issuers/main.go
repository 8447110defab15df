// X509-SVIDs by the authorities of step-ca and SPIRE, from a request in DER to a signed chain, for bench/identity.ts: neither
// HTTP nor gRPC, no proof of who asks and no database, as Writ's own row is measured. Prints certificates per CPU-second,
// a batch a line: issuers step-ca|spire <batches> <certificates in each>.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"
)

const id = "spiffe://bank.example/ns/shop/sa/orders"

type sign func(request *x509.CertificateRequest) []*x509.Certificate

func main() {
	issue := map[string]func() sign{"step-ca": stepCA, "spire": spire}[os.Args[1]]()
	batches, count := must(strconv.Atoi(os.Args[2])), must(strconv.Atoi(os.Args[3]))
	requests := make([][]byte, 64)
	template := &x509.CertificateRequest{URIs: []*url.URL{must(url.Parse(id))}}
	for i := range requests {
		requests[i] = must(x509.CreateCertificateRequest(rand.Reader, template, newKey()))
	}
	for i := 0; i <= batches; i++ {
		before := cpu()
		for j := 0; j < count; j++ {
			chain := issue(must(x509.ParseCertificateRequest(requests[j%len(requests)])))
			if len(chain[0].URIs) != 1 || chain[0].URIs[0].String() != id {
				panic(fmt.Sprintf("a certificate for %v", chain[0].URIs))
			}
		}
		if i > 0 { // The first is for warming up.
			fmt.Println(float64(count) / (cpu() - before).Seconds())
		}
	}
}

func newKey() *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
