// A client that says hello as a browser does: asks for / over HTTP and prints one line of JSON, with what went over the wire.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	utls "github.com/refraction-networking/utls"
	"golang.org/x/net/http2"
)

// What went each way, and the first flight.
type tap struct {
	net.Conn
	sent, received, first bytes.Buffer
}

func (t *tap) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.sent.Write(p[:n])
	if t.received.Len() == 0 {
		t.first.Write(p[:n])
	}
	return n, err
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.received.Write(p[:n])
	return n, err
}

func digest(b *bytes.Buffer) string {
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:])
}

func ask(conn *utls.UConn, name string, told map[string]any) error {
	request, err := http.NewRequest("GET", "https://"+name+"/", nil)
	if err != nil {
		return err
	}
	var answer *http.Response
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		session, err := (&http2.Transport{}).NewClientConn(conn)
		if err != nil {
			return err
		}
		answer, err = session.RoundTrip(request)
		if err != nil {
			return err
		}
	} else {
		request.Close = true
		if err := request.Write(conn); err != nil {
			return err
		}
		if answer, err = http.ReadResponse(bufio.NewReader(conn), request); err != nil {
			return err
		}
	}
	body, err := io.ReadAll(answer.Body)
	told["protocol"], told["status"], told["body"] = answer.Proto, answer.StatusCode, string(body)
	return err
}

func main() {
	address := flag.String("connect", "", "ADDRESS:PORT")
	list := flag.String("ech", "", "ECHConfigList, base64; empty: GREASE")
	name := flag.String("name", "", "server name, inside where there is an inside")
	browser := flag.String("browser", "chrome", "chrome or firefox")
	certificate := flag.String("certificate", "", "PEM of certificate and key, with one name")
	flag.Parse()
	told := map[string]any{}
	config := &utls.Config{ServerName: *name, InsecureSkipVerify: true,
		EncryptedClientHelloRejectionVerify: func(utls.ConnectionState) error { return nil }}
	if *list != "" {
		config.EncryptedClientHelloConfigList, _ = base64.StdEncoding.DecodeString(*list)
		config.MinVersion, config.MaxVersion = utls.VersionTLS13, utls.VersionTLS13
	}
	if *certificate != "" {
		pair, err := utls.LoadX509KeyPair(*certificate+".crt", *certificate+".key")
		if err != nil {
			panic(err)
		}
		config.GetClientCertificate = func(*utls.CertificateRequestInfo) (*utls.Certificate, error) { told["asked"] = true; return &pair, nil }
	}
	config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		if leaf, err := x509.ParseCertificate(raw[0]); err == nil {
			told["subject"] = leaf.Subject.CommonName
		}
		return nil
	}
	id := map[string]utls.ClientHelloID{"chrome": utls.HelloChrome_133, "chrome-120": utls.HelloChrome_120, "firefox": utls.HelloFirefox_120}[*browser]
	raw, err := net.DialTimeout("tcp", *address, 10*time.Second)
	if err != nil {
		panic(err)
	}
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	wire := &tap{Conn: raw}
	conn := utls.UClient(wire, config, id)
	err = conn.Handshake()
	if err == nil {
		told["accepted"] = conn.ConnectionState().ECHAccepted
		err = ask(conn, *name, told)
	}
	if err != nil {
		var rejected *utls.ECHRejectionError
		told["error"] = err.Error()
		if told["rejected"] = errors.As(err, &rejected); rejected != nil {
			told["retry"] = base64.StdEncoding.EncodeToString(rejected.RetryConfigList)
		}
	}
	raw.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, wire)
	told["hello"] = base64.StdEncoding.EncodeToString(wire.first.Bytes())
	told["sent"], told["received"], told["length"] = digest(&wire.sent), digest(&wire.received), wire.sent.Len()
	json.NewEncoder(os.Stdout).Encode(told)
}
