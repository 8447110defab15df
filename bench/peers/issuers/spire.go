package main

import (
	"context"
	"crypto/x509"
	"io"

	"github.com/sirupsen/logrus"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/spire/pkg/common/health"
	"github.com/spiffe/spire/pkg/common/telemetry"
	"github.com/spiffe/spire/pkg/common/x509util"
	"github.com/spiffe/spire/pkg/server/ca"
	"github.com/spiffe/spire/pkg/server/credtemplate"
	"github.com/spiffe/spire/pkg/server/credvalidator"
)

// What SPIRE's service does between a request and its answer (pkg/server/api/svid/v1, newX509SVID).
func spire() sign {
	trustDomain := spiffeid.RequireTrustDomainFromString("bank.example")
	workload := spiffeid.RequireFromString(id)
	log := logrus.New()
	log.SetOutput(io.Discard)
	builder := must(credtemplate.NewBuilder(credtemplate.Config{TrustDomain: trustDomain}))
	authority := ca.NewCA(ca.Config{
		Log: log, Metrics: telemetry.Blackhole{}, TrustDomain: trustDomain, CredBuilder: builder,
		CredValidator: must(credvalidator.New(credvalidator.Config{TrustDomain: trustDomain})),
		HealthChecker: health.NewChecker(health.Config{}, log),
	})
	ctx := context.Background()
	key := newKey()
	template := must(builder.BuildSelfSignedX509CATemplate(ctx, credtemplate.SelfSignedX509CAParams{PublicKey: key.Public()}))
	root := must(x509util.CreateCertificate(template, template, key.Public(), key))
	authority.SetX509CA(&ca.X509CA{Signer: key, Certificate: root})
	return func(request *x509.CertificateRequest) []*x509.Certificate {
		if err := request.CheckSignature(); err != nil {
			panic(err)
		}
		params := ca.WorkloadX509SVIDParams{PublicKey: request.PublicKey, SPIFFEID: workload}
		return must(authority.SignWorkloadX509SVID(ctx, params))
	}
}
