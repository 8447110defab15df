package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/x509util"
)

// The authority that step-ca embeds, with its default template for leaves. It checks the request's signature itself.
func stepCA() sign {
	rootKey, issuerKey := newKey(), newKey()
	root := signer("root", nil, rootKey, rootKey)
	issuer := signer("issuer", root, rootKey, issuerKey)
	ca := must(authority.NewEmbedded(
		authority.WithX509RootCerts(root), authority.WithX509Signer(issuer, issuerKey), authority.WithQuietInit()))
	data := x509util.NewTemplateData()
	data.SetSANs([]string{id})
	template := must(provisioner.TemplateOptions(nil, data))
	ctx := context.Background()
	return func(request *x509.CertificateRequest) []*x509.Certificate {
		return must(ca.SignWithContext(ctx, request, provisioner.SignOptions{}, template, hour{}))
	}
}

type hour struct{}

func (hour) Modify(certificate *x509.Certificate, _ provisioner.SignOptions) error {
	certificate.NotBefore = time.Now().Add(-time.Minute)
	certificate.NotAfter = time.Now().Add(time.Hour)
	return nil
}

func signer(name string, parent *x509.Certificate, parentKey, key *ecdsa.PrivateKey) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if parent == nil {
		parent = template
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey))))
}
