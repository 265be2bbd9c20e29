// A client of quic-go with Encrypted ClientHello: asks for / over HTTP/3 and prints one line of JSON.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Asks for a tunnel for everything (RFC 9484, section 4) and tells the first capsule that comes in it.
func open(address, name, authorization string, config *tls.Config, told map[string]any) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	must := func(err error) {
		if err != nil {
			told["error"] = err.Error()
			json.NewEncoder(os.Stdout).Encode(told)
			os.Exit(0)
		}
	}
	conn, err := quic.DialAddr(ctx, address, config, &quic.Config{EnableDatagrams: true})
	must(err)
	client := (&http3.Transport{EnableDatagrams: true}).NewClientConn(conn)
	<-client.ReceivedSettings()
	stream, err := client.OpenRequestStream(ctx)
	must(err)
	request, err := http.NewRequest(http.MethodConnect, "https://"+name+"/.well-known/masque/ip/*/*/", nil)
	must(err)
	request.Proto = "connect-ip"
	request.Header.Set("Capsule-Protocol", "?1")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	must(stream.SendRequestHeader(request))
	answer, err := stream.ReadResponse()
	must(err)
	told["status"], told["accepted"] = answer.StatusCode, conn.ConnectionState().TLS.ECHAccepted
	answer.Header.Del("Date")
	told["head"] = answer.Header
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(stream)
		told["body"] = string(body)
	} else {
		first := make([]byte, 1)
		_, err = io.ReadFull(stream, first)
		must(err)
		told["capsule"] = first[0]
	}
	json.NewEncoder(os.Stdout).Encode(told)
	conn.CloseWithError(0x100, "")
}

func main() {
	address := flag.String("connect", "", "ADDRESS:PORT")
	list := flag.String("ech", "", "ECHConfigList, base64")
	name := flag.String("name", "", "server name inside")
	certificate := flag.String("certificate", "", "PEM of certificate and key, with one name")
	tunnel := flag.Bool("tunnel", false, "ask for a CONNECT-IP tunnel instead")
	authorization := flag.String("authorization", "", "value of that field, for a tunnel")
	version := flag.Uint("version", 1, "of QUIC: 1 or 2")
	small := flag.Bool("small", false, "offer X25519 alone, so that the hello fits one datagram")
	size := flag.Int("size", 0, "bytes to ask for")
	count := flag.Bool("streams", false, "tell how many requests may be open at a time")
	wait := flag.Duration("wait", 10*time.Second, "how long to wait for the handshake")
	flag.Parse()
	told := map[string]any{}
	config := &tls.Config{ServerName: *name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"h3"},
		EncryptedClientHelloRejectionVerify: func(tls.ConnectionState) error { return nil },
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if leaf, err := x509.ParseCertificate(raw[0]); err == nil {
				told["subject"] = leaf.Subject.CommonName
			}
			return nil
		}}
	if *small {
		config.CurvePreferences = []tls.CurveID{tls.X25519}
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
	versions := []quic.Version{quic.Version1}
	if *version == 2 {
		versions = []quic.Version{quic.Version2}
	}
	transport := &http3.Transport{TLSClientConfig: config, QUICConfig: &quic.Config{Versions: versions, HandshakeIdleTimeout: *wait},
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, *address, t, q)
		}}
	if *tunnel {
		open(*address, *name, *authorization, config, told)
		return
	}
	if *count {
		conn, err := quic.DialAddr(context.Background(), *address, config, &quic.Config{})
		if err != nil {
			panic(err)
		}
		streams := 0
		for err == nil {
			if _, err = conn.OpenStream(); err == nil {
				streams++
			}
		}
		told["streams"] = streams
		conn.CloseWithError(0x100, "")
		json.NewEncoder(os.Stdout).Encode(told)
		return
	}
	path := "/"
	if *size > 0 {
		path = "/" + strconv.Itoa(*size)
	}
	answer, err := (&http.Client{Transport: transport}).Get("https://" + *name + path)
	if err != nil {
		var rejected *tls.ECHRejectionError
		told["error"] = err.Error()
		told["rejected"] = errors.As(err, &rejected)
		if rejected != nil {
			told["retry"] = base64.StdEncoding.EncodeToString(rejected.RetryConfigList)
		}
	} else {
		body, _ := io.ReadAll(answer.Body)
		told["protocol"], told["status"], told["accepted"], told["bytes"] = answer.Proto, answer.StatusCode, answer.TLS.ECHAccepted, len(body)
		if len(body) < 1000 {
			told["body"] = string(body)
		}
	}
	transport.Close()
	json.NewEncoder(os.Stdout).Encode(told)
}
