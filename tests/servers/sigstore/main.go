// Command sigstore runs sigstore's own services for the tests: Fulcio with a CT log, and Rekor of both generations, each on a
// free loopback port, with keys made at the start.
//
// All but Rekor v2 run in this process, put together from the packages of the real programs; Rekor v2 (its packages are
// internal to it) is the real program, started as a child. The first line on standard output is JSON: the addresses, and
// what a client must trust. It ends when its standard input does, so nothing outlives the tests, whatever happens to them.
package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"flag"
	"os"
	"strings"

	"countersign.test/servers/shared"
)

// What the services are, where they listen, and the keys and certificates that they answer with, PEM.
type report struct {
	Fulcio            string `json:"fulcio"`
	FulcioChain       string `json:"fulcio_chain"`
	CertificateLog    string `json:"certificate_log"`
	CertificateLogKey string `json:"certificate_log_key"`
	RekorV1           string `json:"rekor_v1"`
	RekorV1Key        string `json:"rekor_v1_key"`
	RekorV2           string `json:"rekor_v2"`
	RekorV2Key        string `json:"rekor_v2_key"`
}

// The token issuers that Fulcio trusts: `-issuer email=http://…`.
type issuers []string

func (i *issuers) String() string { return strings.Join(*i, " ") }

func (i *issuers) Set(value string) error {
	*i = append(*i, value)
	return nil
}

func main() {
	var trusted issuers
	flags := flag.NewFlagSet("sigstore", flag.ExitOnError)
	flags.Var(&trusted, "issuer", "an issuer that Fulcio trusts, as TYPE=URL; it must answer already")
	tiles := flags.String("rekor-tiles", "rekor-tiles", "the program of Rekor v2")
	shared.Check(flags.Parse(os.Args[1:]))

	folder := shared.Must(os.MkdirTemp("", "sigstore-"))
	ctx := context.Background()
	keys := newKeys()
	trees := startTrillian(ctx)
	certificates := startCertificateLog(ctx, trees, keys, folder)
	second := startRekorV2(*tiles, keys, folder)
	shared.Check(json.NewEncoder(os.Stdout).Encode(report{
		Fulcio:            startFulcio(ctx, keys, certificates, trusted),
		FulcioChain:       keys.fulcio.PEM(),
		CertificateLog:    certificates,
		CertificateLogKey: shared.Public(keys.certificateLog),
		RekorV1:           startRekorV1(ctx, trees, keys, folder),
		RekorV1Key:        shared.Public(keys.rekorV1),
		RekorV2:           second.address,
		RekorV2Key:        shared.Public(keys.rekorV2),
	}))
	shared.EndWithInput(func() {
		second.stop()
		_ = os.RemoveAll(folder)
	})
}

// The keys of all services, made at the start.
type keys struct {
	fulcio         shared.Chain
	certificateLog crypto.Signer
	rekorV1        crypto.Signer
	rekorV2        crypto.Signer
}

func newKeys() *keys {
	_, rekorV2, err := ed25519.GenerateKey(rand.Reader)
	shared.Check(err)
	fulcio := shared.NewRoot("fulcio").Below(&x509.Certificate{
		Subject: shared.Name("fulcio"), IsCA: true, MaxPathLenZero: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	return &keys{fulcio: fulcio, certificateLog: shared.New(), rekorV1: shared.New(), rekorV2: rekorV2}
}
