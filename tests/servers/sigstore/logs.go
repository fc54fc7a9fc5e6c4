package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-openapi/loads"
	"github.com/google/certificate-transparency-go/trillian/ctfe"
	"github.com/google/certificate-transparency-go/trillian/ctfe/configpb"
	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/crypto/keys/der"
	"github.com/google/trillian/crypto/keyspb"
	"github.com/google/trillian/extension"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/storage"
	_ "github.com/google/trillian/storage/memory"
	"github.com/google/trillian/storage/testonly"
	"github.com/google/trillian/testonly/integration"
	"github.com/sigstore/rekor/pkg/api"
	"github.com/sigstore/rekor/pkg/generated/restapi"
	"github.com/sigstore/rekor/pkg/generated/restapi/operations"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/types/dsse"
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	"github.com/spf13/viper"
	"google.golang.org/protobuf/types/known/anypb"

	cryptokeys "github.com/google/trillian/crypto/keys"

	"countersign.test/servers/shared"
)

// The Merkle trees behind the CT log and Rekor v1: Trillian, in memory.
func startTrillian(ctx context.Context) *integration.LogEnv {
	integration.SequencerInterval = 20 * time.Millisecond
	provider := shared.Must(storage.NewProvider("memory", monitoring.InertMetricFactory{}))
	return shared.Must(integration.NewLogEnvWithRegistry(ctx, 1, extension.Registry{
		AdminStorage: provider.AdminStorage(), LogStorage: provider.LogStorage(), QuotaManager: quota.Noop(),
		MetricFactory: monitoring.InertMetricFactory{},
	}))
}

func newTree(ctx context.Context, trees *integration.LogEnv) int64 {
	request := &trillian.CreateTreeRequest{Tree: testonly.LogTree}
	return shared.Must(client.CreateAndInitTree(ctx, request, trees.Admin, trees.Log)).TreeId
}

func startCertificateLog(ctx context.Context, trees *integration.LogEnv, keys *keys, folder string) string {
	cryptokeys.RegisterHandler(&keyspb.PrivateKey{}, der.FromProto)
	key := shared.Must(x509.MarshalPKCS8PrivateKey(keys.certificateLog))
	validated := shared.Must(ctfe.ValidateLogConfig(&configpb.LogConfig{
		LogId: newTree(ctx, trees), Prefix: "log", PrivateKey: shared.Must(anypb.New(&keyspb.PrivateKey{Der: key})),
		RootsPemFile: []string{shared.WriteFile(folder, "fulcio.pem", []byte(keys.fulcio.PEM()))},
	}))
	instance := shared.Must(ctfe.SetUpInstance(ctx, ctfe.InstanceOptions{
		Validated: validated, Client: trillian.NewTrillianLogClient(trees.ClientConn), Deadline: 10 * time.Second,
		MetricFactory: monitoring.InertMetricFactory{}, RequestLog: new(ctfe.DefaultRequestLog),
	}))
	mux := http.NewServeMux()
	for path, handler := range instance.Handlers {
		mux.Handle(path, handler)
	}
	return shared.Serve(mux) + "/log"
}

func startRekorV1(ctx context.Context, trees *integration.LogEnv, keys *keys, folder string) string {
	host, port, err := net.SplitHostPort(trees.Address)
	shared.Check(err)
	index := shared.Must(miniredis.Run())
	for key, value := range map[string]any{
		"rekor_server.hostname":         "rekor.test",
		"rekor_server.signer":           shared.Write(keys.rekorV1, folder, "rekor-v1.pem"),
		"trillian_log_server.address":   host,
		"trillian_log_server.port":      port,
		"search_index.storage_provider": "redis",
		"redis_server.address":          index.Host(),
		"redis_server.port":             index.Port(),
		"enable_retrieve_api":           true,
		"enabled_api_endpoints": []string{
			"createLogEntry", "getLogEntryByIndex", "getLogEntryByUUID", "getLogInfo", "getLogProof", "getPublicKey",
			"searchIndex", "searchLogQuery",
		},
	} {
		viper.Set(key, value)
	}
	server := restapi.NewServer(operations.NewRekorServerAPI(shared.Must(loads.Embedded(restapi.SwaggerJSON, restapi.FlatSwaggerJSON))))
	types.SetAllowedKindsForSubmission([]string{dsse.KIND, hashedrekord.KIND})
	api.ConfigureAPI(newTree(ctx, trees))
	server.ConfigureAPI()
	return shared.Serve(server.GetHandler())
}

// A running Rekor v2.
type rekorV2 struct {
	address string
	stop    func()
}

// Starts the program on ports that are free just now; where another took one first, on others.
func startRekorV2(program string, keys *keys, folder string) rekorV2 {
	key := shared.Write(keys.rekorV2, folder, "rekor-v2.pem")
	for attempt := range 5 {
		tiles := fmt.Sprintf("%s/tiles-%d", folder, attempt)
		shared.Check(os.Mkdir(tiles, 0o700))
		ports := freePorts()
		command := exec.Command(program, "serve",
			"--http-port", ports[0], "--grpc-port", ports[1], "--http-metrics-port", ports[2],
			"--hostname", "127.0.0.1", "--signer-filepath", key, "--storage-dir", tiles,
			"--checkpoint-interval", "200ms", "--batch-max-age", "20ms", "--log-level", "warn")
		command.Stderr = os.Stderr
		shared.Check(command.Start())
		ended := make(chan struct{})
		go func() {
			_ = command.Wait()
			close(ended)
		}()
		address := "127.0.0.1:" + ports[0]
		if answers("http://"+address+"/healthz", ended) {
			return rekorV2{address, func() { _ = command.Process.Kill() }}
		}
		_ = command.Process.Kill()
	}
	log.Fatal("Rekor v2 does not start")
	return rekorV2{}
}

func answers(url string, ended chan struct{}) bool {
	for range 500 {
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
		if response, err := http.Get(url); err == nil {
			_ = response.Body.Close()
			return response.StatusCode < 500
		}
	}
	return false
}

func freePorts() [3]string {
	var ports [3]string
	for index := range ports {
		listener := shared.Must(net.Listen("tcp", "127.0.0.1:0"))
		defer listener.Close()
		ports[index] = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
