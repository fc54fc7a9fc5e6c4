// Command timestamps runs sigstore's timestamp authority for the tests, on a free loopback port, with keys made at the start.
//
// It is put together from the packages of the real program, which cannot share a process with Rekor's: both declare the same
// flags. The first line on standard output is JSON. It ends when its standard input does.
package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"os"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"

	"countersign.test/servers/shared"
)

var (
	extendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	timestamping     = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// Where the authority listens, and its certificates, PEM, its own first.
type report struct {
	TimestampAuthority      string `json:"timestamp_authority"`
	TimestampAuthorityChain string `json:"timestamp_authority_chain"`
}

func main() {
	folder := shared.Must(os.MkdirTemp("", "timestamps-"))
	chain := shared.NewRoot("timestamps").Below(&x509.Certificate{
		Subject: shared.Name("timestamps"), KeyUsage: x509.KeyUsageDigitalSignature,
		// RFC 3161 wants this extension to be critical, which ExtKeyUsage would not be.
		ExtraExtensions: []pkix.Extension{{
			Id: extendedKeyUsage, Critical: true, Value: shared.Must(asn1.Marshal([]asn1.ObjectIdentifier{timestamping})),
		}},
	})
	for key, value := range map[string]any{
		"timestamp-signer":       "file",
		"timestamp-signer-hash":  "sha256",
		"file-signer-key-path":   shared.Write(chain.Key, folder, "key.pem"),
		"certificate-chain-path": shared.WriteFile(folder, "chain.pem", []byte(chain.PEM())),
		"default-policy-oid":     "1.3.6.1.4.1.57264.2",
		"accepted-policy-oids":   []string{"1.3.6.1.4.1.57264.2"},
		"max-request-body-size":  1 << 20,
	} {
		viper.Set(key, value)
	}
	service := server.NewRestAPIServer("127.0.0.1", 0, []string{"http"}, false, time.Minute, time.Minute)
	shared.Check(json.NewEncoder(os.Stdout).Encode(report{
		TimestampAuthority:      shared.Serve(service.GetHandler()),
		TimestampAuthorityChain: chain.PEM(),
	}))
	shared.EndWithInput(func() { _ = os.RemoveAll(folder) })
}
