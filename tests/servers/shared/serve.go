package shared

import (
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

// Serve serves `handler` on a free loopback port; says where.
func Serve(handler http.Handler) string {
	listener := Must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { log.Fatal(http.Serve(listener, handler)) }()
	return listener.Addr().String()
}

// EndWithInput ends the program, after `last`, when its standard input does: nothing outlives the tests.
func EndWithInput(last func()) {
	_, _ = io.Copy(io.Discard, os.Stdin)
	last()
	os.Exit(0)
}
