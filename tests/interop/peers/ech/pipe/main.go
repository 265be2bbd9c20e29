// Carries each connection that it takes to a server over TLS, perhaps with Encrypted ClientHello and a certificate: what speaks a protocol byte by byte need not
// speak TLS.
package main

import (
	"crypto/tls"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
)

func copyTo(to, from net.Conn, done chan<- bool) {
	io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	done <- true
}

func carry(near net.Conn, address string, config *tls.Config) {
	defer near.Close()
	far, err := tls.Dial("tcp", address, config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer far.Close()
	heard := make(chan bool, 2)
	go copyTo(far, near, heard)
	copyTo(near, far, make(chan bool, 1)) // when the server ends, that is the end
}

func main() {
	address := flag.String("connect", "", "ADDRESS:PORT")
	list := flag.String("ech", "", "ECHConfigList, base64; empty: none")
	name := flag.String("name", "", "server name, inside where there is an inside")
	certificate := flag.String("certificate", "", "PEM of certificate and key, with one name")
	flag.Parse()
	config := &tls.Config{ServerName: *name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}
	if *list != "" {
		config.EncryptedClientHelloConfigList, _ = base64.StdEncoding.DecodeString(*list)
		config.MinVersion = tls.VersionTLS13
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate+".crt", *certificate+".key")
		if err != nil {
			panic(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	for {
		near, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go carry(near, *address, config)
	}
}
