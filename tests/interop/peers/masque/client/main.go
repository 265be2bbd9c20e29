// A client of the relay's proxy over HTTP/3: CONNECT-UDP on masque-go, CONNECT on quic-go. One line of JSON an event.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/quic-go/masque-go"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/yosida95/uritemplate/v3"
)

func say(event string, fields map[string]any) {
	if fields == nil {
		fields = map[string]any{}
	}
	fields["event"] = event
	text, _ := json.Marshal(fields)
	fmt.Println(string(text))
}

func fail(err error, answer *http.Response) {
	fields := map[string]any{"error": err.Error()}
	if answer != nil {
		fields["status"], fields["proxy_status"] = answer.StatusCode, answer.Header.Get("Proxy-Status")
	}
	say("refused", fields)
	os.Exit(1)
}

func main() {
	relay := flag.String("relay", "", "NAME:PORT")
	cert := flag.String("cert", "", "own certificate")
	key := flag.String("key", "", "its key")
	ca := flag.String("ca", "", "CA of the relay")
	udp := flag.String("udp", "", "HOST:PORT to echo datagrams with")
	tcp := flag.String("tcp", "", "HOST:PORT to echo bytes with")
	count := flag.Int("count", 100, "datagrams")
	size := flag.Int("size", 1200, "bytes of one; or of the stream")
	ech := flag.String("ech", "", "ECHConfigList in base64: the name is encrypted")
	hold := flag.Bool("hold", false, "stay until the tunnel ends")
	flag.Parse()

	pem, err := os.ReadFile(*ca)
	if err != nil {
		fail(err, nil)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		fail(err, nil)
	}
	config := &tls.Config{RootCAs: roots, NextProtos: []string{http3.NextProtoH3}, MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	if *ech != "" {
		if config.EncryptedClientHelloConfigList, err = base64.StdEncoding.DecodeString(*ech); err != nil {
			fail(err, nil)
		}
	}
	transport := &quic.Config{EnableDatagrams: true, InitialPacketSize: 1350, KeepAlivePeriod: 5 * time.Second}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if *udp != "" {
		template := uritemplate.MustNew("https://" + *relay + "/.well-known/masque/udp/{target_host}/{target_port}/")
		request, err := masque.NewRequest(ctx, template, *udp)
		if err != nil {
			fail(err, nil)
		}
		conn, answer, err := (&masque.Transport{TLSClientConfig: config, QUICConfig: transport}).Dial(request)
		if err != nil {
			fail(err, answer)
		}
		say("opened", map[string]any{"status": answer.StatusCode, "remote": conn.RemoteAddr().String()})
		datagrams(conn, *count, *size, *hold)
		return
	}
	conn, err := quic.DialAddr(ctx, *relay, config, transport)
	if err != nil {
		fail(err, nil)
	}
	client := (&http3.Transport{EnableDatagrams: true}).NewClientConn(conn)
	stream, err := client.OpenRequestStream(ctx)
	if err != nil {
		fail(err, nil)
	}
	if err = stream.SendRequestHeader(&http.Request{Method: http.MethodConnect, Host: *tcp, URL: &url.URL{Host: *tcp}, Header: http.Header{}}); err != nil {
		fail(err, nil)
	}
	answer, err := stream.ReadResponse()
	if err != nil {
		fail(err, nil)
	}
	if answer.StatusCode != 200 {
		fail(fmt.Errorf("status %d", answer.StatusCode), answer)
	}
	say("opened", map[string]any{"status": answer.StatusCode, "proxy_status": answer.Header.Get("Proxy-Status")})
	bytesBoth(stream, *size, *hold)
}

func datagrams(conn *masque.Conn, count, size int, hold bool) {
	same, payload, buffer := 0, make([]byte, size), make([]byte, 65536)
	rand.Read(payload)
	for i := 0; i < count; i++ {
		payload[0], payload[1] = byte(i), byte(i>>8)
		if _, err := conn.WriteTo(payload, nil); err != nil {
			say("ended", map[string]any{"error": err.Error()})
			return
		}
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, _, err := conn.ReadFrom(buffer)
		if err == nil && bytes.Equal(buffer[:n], payload) {
			same++
		} else if err != nil && !os.IsTimeout(err) {
			say("ended", map[string]any{"error": err.Error(), "same": same})
			return
		}
	}
	say("echoed", map[string]any{"same": same})
	if hold {
		conn.SetReadDeadline(time.Time{})
		_, _, err := conn.ReadFrom(buffer)
		say("ended", map[string]any{"error": fmt.Sprint(err)})
	}
	conn.Close()
}

func bytesBoth(stream *http3.RequestStream, size int, hold bool) {
	sent := make([]byte, size)
	rand.Read(sent)
	go func() {
		stream.Write(sent)
		if !hold {
			stream.Close()
		}
	}()
	if hold {
		got := make([]byte, size)
		n, err := io.ReadFull(stream, got)
		say("echoed", map[string]any{"same": bytes.Equal(got[:n], sent), "error": fmt.Sprint(err)})
		_, err = stream.Read(got)
		say("ended", map[string]any{"error": fmt.Sprint(err)})
		return
	}
	got, err := io.ReadAll(stream)
	say("echoed", map[string]any{"same": bytes.Equal(got, sent), "bytes": len(got), "error": fmt.Sprint(err)})
}
