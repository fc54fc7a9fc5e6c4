// Command ociregistry is a registry in memory with the referrers API of OCI 1.1, by go-containerregistry.
//
// It listens on a free loopback port, says which on its first line (or takes an address as its argument), and ends when its
// standard input does. REFERRERS=0 turns the referrers API off.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/google/go-containerregistry/pkg/registry"

	"countersign.test/servers/shared"
)

func main() {
	address := "127.0.0.1:0"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	handler := registry.New(
		registry.WithReferrersSupport(os.Getenv("REFERRERS") != "0"),
		registry.Logger(log.New(os.Stderr, "", 0)),
	)
	go func() { log.Fatal(http.Serve(listener, handler)) }()
	shared.EndWithInput(func() {})
}
