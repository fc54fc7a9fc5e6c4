// Package shared is what the test servers have in common: keys and certificates, a port, an end.
package shared

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// A Chain is a key with its certificates: its own first, the root last.
type Chain struct {
	Key          crypto.Signer
	Certificates []*x509.Certificate
}

// NewRoot makes a root.
func NewRoot(of string) Chain {
	key := New()
	template := &x509.Certificate{
		Subject: Name(of + " root"), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return Chain{key, []*x509.Certificate{issue(template, nil, key.Public(), key)}}
}

// Below makes a key below this one.
func (c Chain) Below(template *x509.Certificate) Chain {
	key := New()
	certificate := issue(template, c.Certificates[0], key.Public(), c.Key)
	return Chain{key, append([]*x509.Certificate{certificate}, c.Certificates...)}
}

// PEM shows the certificates, its own first.
func (c Chain) PEM() string {
	var text []byte
	for _, it := range c.Certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: it.Raw})...)
	}
	return string(text)
}

func issue(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	template.SerialNumber = Must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)))
	template.NotBefore = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	template.NotAfter = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	template.SubjectKeyId = template.SerialNumber.Bytes()
	if parent == nil {
		parent = template
	}
	return Must(x509.ParseCertificate(Must(x509.CreateCertificate(rand.Reader, template, parent, key, by))))
}

// Name names the owner of a certificate.
func Name(of string) pkix.Name {
	return pkix.Name{Organization: []string{"countersign tests"}, CommonName: of}
}

// New makes a key on P-256.
func New() crypto.Signer {
	return Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

// Public shows the public half, PEM.
func Public(key crypto.Signer) string {
	der := Must(x509.MarshalPKIXPublicKey(key.Public()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Write writes the private key, PKCS#8, for the programs that take nothing but files; says where.
func Write(key crypto.Signer, folder, name string) string {
	der := Must(x509.MarshalPKCS8PrivateKey(key))
	return WriteFile(folder, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// WriteFile writes a file that only we read; says where.
func WriteFile(folder, name string, content []byte) string {
	path := filepath.Join(folder, name)
	Check(os.WriteFile(path, content, 0o600))
	return path
}

// Must returns the value, or ends the program.
func Must[T any](value T, err error) T {
	Check(err)
	return value
}

// Check ends the program on an error.
func Check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
