// A client of an echo over WebSocket: client URL ADDRESS:PORT; prints what it met as one line of JSON.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

var sizes = []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20}

func dial() *websocket.Conn {
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}, EnableCompression: true,
		Subprotocols: []string{"other.test", "echo.test"}, HandshakeTimeout: 20 * time.Second,
		NetDialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, os.Args[2])
		}}
	conn, answer, err := dialer.Dial(os.Args[1], nil)
	if err != nil {
		panic(err)
	}
	told["protocol"], told["extensions"], told["status"] = conn.Subprotocol(), answer.Header.Get("Sec-WebSocket-Extensions"), answer.StatusCode
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	return conn
}

var told = map[string]any{}

func echo(conn *websocket.Conn, kind int, data []byte) bool {
	if err := conn.WriteMessage(kind, data); err != nil {
		panic(err)
	}
	got, back, err := conn.ReadMessage()
	if err != nil {
		panic(err)
	}
	return got == kind && bytes.Equal(back, data)
}

// What a connection ends with after <last> was said.
func end(last string) int {
	conn := dial()
	defer conn.Close()
	if last == "" {
		conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "enough"))
	} else {
		conn.WriteMessage(websocket.TextMessage, []byte(last))
	}
	_, _, err := conn.ReadMessage()
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code
	}
	return websocket.CloseAbnormalClosure
}

func main() {
	conn := dial()
	same := 0
	for _, size := range sizes {
		data := make([]byte, size)
		rand.Read(data)
		if echo(conn, websocket.BinaryMessage, data) {
			same++
		}
		if echo(conn, websocket.TextMessage, []byte(hex.EncodeToString(data))) {
			same++
		}
	}
	pongs := 0
	conn.SetPongHandler(func(text string) error {
		if text == "are you there" {
			pongs++
		}
		return nil
	})
	conn.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(10*time.Second))
	many := 0
	go func() {
		for i := 0; i < 2000; i++ {
			conn.WriteMessage(websocket.BinaryMessage, []byte{byte(i), byte(i >> 8)})
		}
	}()
	for ; many < 2000; many++ {
		_, data, err := conn.ReadMessage()
		if err != nil || len(data) != 2 || int(data[0])|int(data[1])<<8 != many {
			break
		}
	}
	conn.Close()
	told["same"], told["many"], told["pongs"] = same, many, pongs
	told["ends"] = []int{end(""), end("close"), end("abort")}
	json.NewEncoder(os.Stdout).Encode(told)
}
