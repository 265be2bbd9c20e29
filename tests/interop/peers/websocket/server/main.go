// An echo over WebSocket: repeats messages, ends when it is asked to.
package main

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{EnableCompression: true, Subprotocols: []string{"echo.test"}}

func serve(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		switch {
		case kind == websocket.TextMessage && string(data) == "close":
			conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4002, "as asked"), time.Now().Add(10*time.Second))
			conn.ReadMessage()
			return
		case kind == websocket.TextMessage && string(data) == "abort":
			return
		}
		if conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(serve))
}
