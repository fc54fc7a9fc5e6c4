package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/sigstore/fulcio/pkg/ca"
	"github.com/sigstore/fulcio/pkg/ca/baseca"
	"github.com/sigstore/fulcio/pkg/config"
	gateway "github.com/sigstore/fulcio/pkg/generated/protobuf"
	first "github.com/sigstore/fulcio/pkg/generated/protobuf/legacy"
	"github.com/sigstore/fulcio/pkg/identity"
	"github.com/sigstore/fulcio/pkg/server"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"countersign.test/servers/shared"
)

// Headers of a request that make this Fulcio answer otherwise than it should.
const (
	// How long the certificate is valid, as Go writes durations. Fulcio's own number is ten minutes.
	lifetimeHeader = "Test-Certificate-Lifetime"
	// What is wrong with the certificate: its identity, its key, or its signed certificate timestamp (sct).
	wrongHeader = "Test-Wrong"
)

func startFulcio(ctx context.Context, keys *keys, certificateLog string, trusted issuers) string {
	issuers := map[string]any{}
	for _, it := range trusted {
		kind, address, _ := strings.Cut(it, "=")
		issuers[address] = map[string]string{"IssuerURL": address, "ClientID": "sigstore", "Type": kind}
	}
	configuration := shared.Must(config.Read(shared.Must(json.Marshal(map[string]any{"OIDCIssuers": issuers}))))
	log := shared.Must(client.New("http://"+certificateLog, http.DefaultClient, jsonclient.Options{PublicKey: shared.Public(keys.certificateLog)}))
	algorithms := shared.Must(signature.NewAlgorithmRegistryConfig([]common.PublicKeyDetails{
		common.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		common.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		common.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
		common.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
		common.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		common.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
		common.PublicKeyDetails_PKIX_ED25519,
	}))
	chain := &ca.SignerCerts{Certs: keys.fulcio.Certificates, Signer: keys.fulcio.Key}
	authority := &authority{baseca.BaseCA{SignerWithChain: chain}}
	mux := runtime.NewServeMux(runtime.WithMetadata(func(_ context.Context, request *http.Request) metadata.MD {
		token := strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")
		return metadata.Pairs(server.MetadataOIDCTokenKey, token)
	}), runtime.WithForwardResponseOption(created))
	service := server.NewGRPCCAServer(log, authority, algorithms, server.NewIssuerPool(configuration))
	shared.Check(gateway.RegisterCAHandlerServer(ctx, mux, service))
	shared.Check(first.RegisterCAHandlerServer(ctx, mux, server.NewLegacyGRPCCAServer(service)))
	return shared.Serve(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		ctx := config.With(request.Context(), configuration)
		mux.ServeHTTP(writer, request.WithContext(context.WithValue(ctx, ordersKey{}, ordersOf(request))))
	}))
}

// The status that the first API, which cosign 2 speaks, answers with.
func created(ctx context.Context, writer http.ResponseWriter, _ proto.Message) error {
	sent, _ := runtime.ServerMetadataFromContext(ctx)
	if codes := sent.HeaderMD.Get(server.HTTPResponseCodeMetadataKey); len(codes) > 0 {
		code, err := strconv.Atoi(codes[0])
		if err != nil {
			return err
		}
		writer.Header().Del("Grpc-Metadata-" + server.HTTPResponseCodeMetadataKey)
		writer.WriteHeader(code)
	}
	return nil
}

// What a request wants this Fulcio to do wrong.
type orders struct {
	lifetime time.Duration
	wrong    string
}

type ordersKey struct{}

func ordersOf(request *http.Request) orders {
	lifetime, _ := time.ParseDuration(request.Header.Get(lifetimeHeader))
	return orders{lifetime, request.Header.Get(wrongHeader)}
}

func ordersIn(ctx context.Context) orders {
	orders, _ := ctx.Value(ordersKey{}).(orders)
	return orders
}

// Fulcio's authority with a key in memory, which obeys orders.
type authority struct{ baseca.BaseCA }

func (a *authority) CreatePrecertificate(ctx context.Context, who identity.Principal, key crypto.PublicKey) (*ca.CodeSigningPreCertificate, error) {
	if ordersIn(ctx).wrong == "key" {
		key = shared.New().Public()
	}
	return a.BaseCA.CreatePrecertificate(ctx, principal{who}, key)
}

func (a *authority) IssueFinalCertificate(ctx context.Context, before *ca.CodeSigningPreCertificate, sct *ct.SignedCertificateTimestamp) (*ca.CodeSigningCertificate, error) {
	if ordersIn(ctx).wrong == "sct" {
		// The signature is over the time too.
		sct.Timestamp--
	}
	return a.BaseCA.IssueFinalCertificate(ctx, before, sct)
}

// An identity that is put into a certificate as ordered.
type principal struct{ identity.Principal }

func (p principal) Embed(ctx context.Context, certificate *x509.Certificate) error {
	if err := p.Principal.Embed(ctx, certificate); err != nil {
		return err
	}
	orders := ordersIn(ctx)
	if orders.lifetime > 0 {
		certificate.NotAfter = certificate.NotBefore.Add(orders.lifetime)
	}
	if orders.wrong == "identity" {
		certificate.EmailAddresses, certificate.URIs = []string{"mallory@example.com"}, []*url.URL{}
	}
	return nil
}
