package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sort"
	"time"

	"golang.org/x/net/http2"
)

const anything = "/.well-known/masque/ip/*/*/"

// What is asked of a relay, and a page.
var kinds = []struct{ name, protocol, method, path string }{
	{"page", "", "GET", "/"},
	{"nothing", "", "GET", "/nothing"},
	{"template as a page", "", "GET", anything},
	{"connect-ip", "connect-ip", "CONNECT", anything},
	{"connect-udp", "connect-udp", "CONNECT", "/.well-known/masque/udp/192.0.2.1/53/"},
	{"websocket", "websocket", "CONNECT", anything},
	{"connect", "", "CONNECT", "192.0.2.1:80"},
}

type answered struct {
	Status int         `json:"status"`
	Head   http.Header `json:"head"`
	Body   string      `json:"body"`
	Error  string      `json:"error"`
}

// {kind: {"answers": what differs in anything but its date, "seconds": [...]}}
func askAll(config *tls.Config, address, name, protocol, authorization string, count int, told map[string]any) {
	for _, kind := range kinds {
		var all []answered
		var seconds []float64
		for i := 0; i < count; i++ {
			answer, took := askOnce(config, address, name, protocol, authorization, kind.protocol, kind.method, kind.path)
			answer.Head.Del("Date")
			seconds = append(seconds, took)
			if len(all) == 0 || fmt.Sprint(all[len(all)-1]) != fmt.Sprint(answer) {
				all = append(all, answer)
			}
		}
		sort.Float64s(seconds)
		told[kind.name] = map[string]any{"answers": all, "seconds": seconds}
	}
}

func askOnce(config *tls.Config, address, name, version, authorization, protocol, method, path string) (told answered, seconds float64) {
	told.Head = http.Header{}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		told.Error = err.Error()
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var answer *http.Response
	var began time.Time
	if version == "h2" {
		session, failed := (&http2.Transport{}).NewClientConn(conn)
		if failed != nil {
			told.Error = failed.Error()
			return
		}
		session.Ping(context.Background()) // its SETTINGS are here
		request := &http.Request{Method: method, Host: name, URL: &url.URL{Scheme: "https", Host: name, Path: path}, Header: http.Header{}}
		if method == "CONNECT" && protocol == "" {
			request.Host, request.URL = path, &url.URL{Scheme: "https", Host: path}
		} else if method == "CONNECT" {
			request.URL = &url.URL{Scheme: "https", Host: name, Opaque: path}
			request.Header = http.Header{":protocol": {protocol}, "Capsule-Protocol": {"?1"}}
			body, up := io.Pipe()
			defer up.Close()
			request.Body, request.ContentLength = body, -1
		}
		if protocol == "websocket" {
			request.Header.Set("Sec-Websocket-Version", "13")
		}
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		began = time.Now()
		answer, err = session.RoundTrip(request)
	} else {
		text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, name)
		if protocol != "" {
			text = fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\nCapsule-Protocol: ?1\r\n", path, name, protocol)
		}
		if protocol == "websocket" {
			text += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		}
		if authorization != "" {
			text += "Authorization: " + authorization + "\r\n"
		}
		began = time.Now()
		io.WriteString(conn, text+"\r\n")
		answer, err = http.ReadResponse(bufio.NewReader(conn), nil)
	}
	seconds = time.Since(began).Seconds()
	if err != nil {
		if failed, is := err.(net.Error); is && failed.Timeout() {
			told.Error = "timeout"
		} else {
			told.Error = err.Error()
		}
		return
	}
	told.Status, told.Head = answer.StatusCode, answer.Header
	if answer.StatusCode != 101 && (answer.StatusCode != 200 || method != "CONNECT") {
		body, _ := io.ReadAll(answer.Body)
		told.Body = string(body)
	}
	return
}
