// A client of the tunnel's handler behind a door: ECH over TCP, then CONNECT or CONNECT-UDP on HTTP/1.1 or HTTP/2; echoes and prints JSON.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/websocket"
)

// One DATAGRAM capsule of context 0 (RFC 9297, section 3.5); its length takes two bytes.
func capsule(payload []byte) []byte {
	n := len(payload) + 1
	return append([]byte{0, 0x40 | byte(n>>8), byte(n), 0}, payload...)
}

func readCapsule(r io.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := int(head[1])
	if n >= 0x40 {
		if _, err := io.ReadFull(r, head[:1]); err != nil {
			return nil, err
		}
		n = (n&0x3f)<<8 | int(head[0])
	}
	value := make([]byte, n)
	_, err := io.ReadFull(r, value)
	return value, err
}

func main() {
	address := flag.String("connect", "", "ADDRESS:PORT")
	list := flag.String("ech", "", "ECHConfigList, base64")
	name := flag.String("name", "", "server name inside")
	certificate := flag.String("certificate", "", "PEM of certificate and key, with one name")
	protocol := flag.String("alpn", "h2", "h2 or http/1.1")
	tcp := flag.String("tcp", "", "HOST:PORT to CONNECT to")
	udp := flag.String("udp", "", "HOST:PORT to CONNECT-UDP to")
	socket := flag.Bool("websocket", false, "CONNECT-IP in a WebSocket")
	size := flag.Int("size", 100000, "bytes to echo by TCP")
	authorization := flag.String("authorization", "", "value of that field")
	count := flag.Int("ask", 0, "only ask for / and for each kind of tunnel, so many times, on a connection each, and tell the answers and how long they took")
	flag.Parse()
	told := map[string]any{}
	defer func() { json.NewEncoder(os.Stdout).Encode(told) }()
	config := &tls.Config{ServerName: *name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{*protocol}}
	config.EncryptedClientHelloConfigList, _ = base64.StdEncoding.DecodeString(*list)
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate+".crt", *certificate+".key")
		if err != nil {
			panic(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if *count > 0 {
		askAll(config, *address, *name, *protocol, *authorization, *count, told)
		return
	}
	var err error
	path := ""
	if *udp != "" {
		host, port, _ := net.SplitHostPort(*udp)
		path = "/.well-known/masque/udp/" + url.PathEscape(host) + "/" + port + "/"
	}
	if *socket {
		overWebSocket(config, *address, *name, *protocol, told)
		return
	}
	var up io.WriteCloser
	var down io.Reader
	if *protocol == "h2" {
		up, down, err = overH2(config, *address, *name, *tcp, path, told)
	} else {
		up, down, err = overH1(config, *address, *name, *tcp, path, told)
	}
	if err != nil {
		told["error"] = err.Error()
		return
	}
	if told["status"] != 200 && told["status"] != 101 {
		return
	}
	if path != "" {
		same := 0
		for i := 0; i < 50; i++ {
			payload := make([]byte, 1000)
			rand.Read(payload)
			up.Write(capsule(payload))
			got, err := readCapsule(down)
			if err == nil && len(got) > 0 && bytes.Equal(got[1:], payload) {
				same++
			}
		}
		told["same"] = same
		return
	}
	sent := make([]byte, *size)
	rand.Read(sent)
	go func() { up.Write(sent); up.Close() }()
	got, err := io.ReadAll(down)
	told["same"], told["bytes"], told["end"] = bytes.Equal(got, sent), len(got), fmt.Sprint(err)
}

// The first capsules of a tunnel, then our close and the relay's.
func overWebSocket(config *tls.Config, address, name, protocol string, told map[string]any) {
	const path = "/.well-known/masque/ip/*/*/"
	types := []int{}
	if protocol != "h2" {
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			panic(err)
		}
		c, _ := websocket.NewConfig("wss://"+name+path, "https://"+name)
		c.Protocol = []string{"chat", "gatehouse-connect-ip"}
		ws, err := websocket.NewClient(c, conn)
		if err != nil {
			told["error"] = err.Error()
			return
		}
		told["status"], told["chosen"] = 101, ws.Config().Protocol
		ws.PayloadType = websocket.BinaryFrame
		for len(types) < 2 {
			var message []byte
			if err = websocket.Message.Receive(ws, &message); err != nil {
				told["error"] = err.Error()
				return
			}
			types = append(types, int(message[0]))
		}
		told["capsules"] = types
		told["closed"] = fmt.Sprint(ws.Close())
		return
	}
	transport := &http2.Transport{TLSClientConfig: config,
		DialTLSContext: func(_ context.Context, network, _ string, c *tls.Config) (net.Conn, error) {
			return tls.Dial("tcp", address, c)
		}}
	body, up := io.Pipe()
	answer, err := transport.RoundTrip(&http.Request{Method: http.MethodConnect, Host: name, Body: body, ContentLength: -1,
		URL: &url.URL{Scheme: "https", Host: name, Opaque: path}, Header: http.Header{":protocol": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Protocol": {"gatehouse-connect-ip"}}})
	if err != nil {
		told["error"] = err.Error()
		return
	}
	told["status"], told["chosen"] = answer.StatusCode, []string{answer.Header.Get("Sec-Websocket-Protocol")}
	for len(types) < 2 && answer.StatusCode == 200 {
		head := make([]byte, 2)
		io.ReadFull(answer.Body, head)
		n := int(head[1])
		if n == 126 {
			io.ReadFull(answer.Body, head)
			n = int(head[0])<<8 | int(head[1])
		}
		message := make([]byte, n)
		if _, err = io.ReadFull(answer.Body, message); err != nil {
			told["error"] = err.Error()
			return
		}
		types = append(types, int(message[0]))
	}
	told["capsules"] = types
	up.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8})
	rest, err := io.ReadAll(answer.Body)
	told["rest"], told["closed"] = base64.StdEncoding.EncodeToString(rest), fmt.Sprint(err)
}

func overH2(config *tls.Config, address, name, target, path string, told map[string]any) (io.WriteCloser, io.Reader, error) {
	transport := &http2.Transport{TLSClientConfig: config,
		DialTLSContext: func(_ context.Context, network, _ string, c *tls.Config) (net.Conn, error) {
			return tls.Dial("tcp", address, c)
		}}
	body, up := io.Pipe()
	request := &http.Request{Method: http.MethodConnect, Host: target, URL: &url.URL{Scheme: "https", Host: name}, Header: http.Header{}, Body: body, ContentLength: -1}
	if path != "" {
		request.Host = name
		request.URL.Opaque = path
		request.Header = http.Header{":protocol": {"connect-udp"}, "Capsule-Protocol": {"?1"}}
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	told["status"], told["protocol"], told["proxy_status"] = answer.StatusCode, answer.Proto, answer.Header.Get("Proxy-Status")
	return up, answer.Body, nil
}

type halfClosed struct{ *tls.Conn }

func (c halfClosed) Close() error { return c.CloseWrite() }

func overH1(config *tls.Config, address, name, target, path string, told map[string]any) (io.WriteCloser, io.Reader, error) {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, nil, err
	}
	if path != "" {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n", path, name)
	} else {
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	}
	reader := bufio.NewReader(conn)
	line, err := reader.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	status := 0
	fmt.Sscanf(line, "HTTP/1.1 %d", &status)
	told["status"], told["protocol"] = status, "HTTP/1.1"
	for {
		line, err = reader.ReadString('\n')
		if err != nil || line == "\r\n" {
			break
		}
		if value, found := strings.CutPrefix(strings.ToLower(line), "proxy-status: "); found {
			told["proxy_status"] = strings.TrimSpace(value)
		}
	}
	return halfClosed{conn}, reader, err
}
