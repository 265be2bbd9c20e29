// A server of quic-go: HTTP/3 on loopback that says its name, or as many bytes as the path asks for. Prints its address.
package main

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

func main() {
	name := flag.String("name", "", "what it says")
	certificate := flag.String("certificate", "", "PEM of certificate and key, with one name")
	retry := flag.Bool("retry", false, "ask for a proof of the address first")
	flag.Parse()
	pair, err := tls.LoadX509KeyPair(*certificate+".crt", *certificate+".key")
	if err != nil {
		panic(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	transport := &quic.Transport{Conn: socket, VerifySourceAddress: func(net.Addr) bool { return *retry }}
	listener, err := transport.ListenEarly(http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}}), &quic.Config{
		Versions: []quic.Version{quic.Version1, quic.Version2}})
	if err != nil {
		panic(err)
	}
	fmt.Println(socket.LocalAddr())
	server := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if size, err := strconv.Atoi(r.URL.Path[1:]); err == nil {
			w.Write(bytes.Repeat([]byte{'x'}, size))
			return
		}
		fmt.Fprint(w, *name)
	})}
	panic(server.ServeListener(listener))
}
