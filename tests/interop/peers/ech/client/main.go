// A client of Go's crypto/tls with Encrypted ClientHello: asks for / over HTTP and prints one line of JSON. With -tunnel it asks for a tunnel by an upgrade of
// HTTP/1.1, and with -hold it stays, and says in another line that the tunnel has ended.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	address := flag.String("connect", "", "ADDRESS:PORT")
	list := flag.String("ech", "", "ECHConfigList, base64")
	name := flag.String("name", "", "server name inside")
	certificate := flag.String("certificate", "", "PEM of certificate and key, with one name")
	protocol := flag.String("alpn", "h2", "h2 or http/1.1")
	curve := flag.Uint("curve", 0, "the only group, by number; 0: as Go likes it")
	tunnel := flag.Bool("tunnel", false, "ask for CONNECT-IP")
	authorization := flag.String("authorization", "", "value of that field")
	hold := flag.Bool("hold", false, "stay in the tunnel")
	flag.Parse()
	told := map[string]any{}
	config := &tls.Config{ServerName: *name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{*protocol},
		EncryptedClientHelloRejectionVerify: func(tls.ConnectionState) error { return nil },
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if leaf, err := x509.ParseCertificate(raw[0]); err == nil {
				told["subject"] = leaf.Subject.CommonName
			}
			return nil
		}}
	if *curve != 0 {
		config.CurvePreferences = []tls.CurveID{tls.CurveID(*curve)}
	}
	if *list != "" {
		config.EncryptedClientHelloConfigList, _ = base64.StdEncoding.DecodeString(*list)
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate+".crt", *certificate+".key")
		if err != nil {
			panic(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { told["asked"] = true; return &pair, nil }
	}
	if *tunnel {
		config.NextProtos = []string{"http/1.1"}
		upgrade(*address, config, *authorization, *hold, told)
		return
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: *protocol == "h2",
		DialContext: func(_ context.Context, network, _ string) (net.Conn, error) { return net.Dial("tcp", *address) }}
	answer, err := (&http.Client{Transport: transport}).Get("https://" + *name + "/")
	if err != nil {
		var rejected *tls.ECHRejectionError
		told["error"] = err.Error()
		if errors.As(err, &rejected) {
			told["retry"] = base64.StdEncoding.EncodeToString(rejected.RetryConfigList)
		}
	} else {
		body, _ := io.ReadAll(answer.Body)
		told["protocol"], told["status"], told["accepted"], told["body"] = answer.Proto, answer.StatusCode, answer.TLS.ECHAccepted, string(body)
	}
	json.NewEncoder(os.Stdout).Encode(told)
}

func upgrade(address string, config *tls.Config, authorization string, hold bool, told map[string]any) {
	connection, err := tls.Dial("tcp", address, config)
	if err != nil {
		told["error"] = err.Error()
		json.NewEncoder(os.Stdout).Encode(told)
		return
	}
	fmt.Fprintf(connection, "GET /.well-known/masque/ip/*/*/ HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: connect-ip\r\nCapsule-Protocol: ?1\r\n", config.ServerName)
	if authorization != "" {
		fmt.Fprintf(connection, "Authorization: %s\r\n", authorization)
	}
	fmt.Fprint(connection, "\r\n")
	reader := bufio.NewReader(connection)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil {
		told["error"] = err.Error()
	} else {
		told["status"] = answer.StatusCode
		told["head"] = answer.Header
		if answer.StatusCode != 101 {
			body, _ := io.ReadAll(answer.Body)
			told["body"] = string(body)
		}
	}
	told["accepted"] = connection.ConnectionState().ECHAccepted
	json.NewEncoder(os.Stdout).Encode(told)
	if hold {
		io.Copy(io.Discard, reader)
		fmt.Println("ended")
	}
}
