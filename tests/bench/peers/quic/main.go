// Bulk over one QUIC stream, as a program inside the tunnel would do it; the command line and the answer are those of pump.c.
//
//	quic KIND listen|connect ADDRESS PORT send|receive FLOWS SECONDS    KIND and FLOWS are not looked at
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	period = 65537
	chunk  = 131072
)

type answer struct {
	State    string  `json:"state"`
	Sent     uint64  `json:"sent"`
	Received uint64  `json:"received"`
	Seconds  float64 `json:"seconds"`
	Wrong    int     `json:"wrong"`
	Flows    []int   `json:"flows"`
}

func pattern() []byte {
	data := make([]byte, period+chunk)
	x := uint64(0x9e3779b97f4a7c15)
	for i := range data {
		if i >= period {
			data[i] = data[i-period]
			continue
		}
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x >> 32)
	}
	return data
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"bench"}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func meet(listening bool, at string) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	config := &quic.Config{MaxIdleTimeout: 10 * time.Second, MaxStreamReceiveWindow: 16 << 20, MaxConnectionReceiveWindow: 16 << 20}
	if !listening {
		return quic.DialAddr(ctx, at, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"bench"}}, config)
	}
	own, err := certificate()
	if err != nil {
		return nil, err
	}
	listener, err := quic.ListenAddr(at, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"bench"}}, config)
	if err != nil {
		return nil, err
	}
	fmt.Println(`{"state":"ready"}`)
	return listener.Accept(ctx)
}

func send(conn *quic.Conn, data []byte, seconds float64, a *answer) error {
	stream, err := conn.OpenUniStream()
	if err != nil {
		return err
	}
	for end := time.Now().Add(time.Duration(seconds * float64(time.Second))); time.Now().Before(end); {
		n, err := stream.Write(data[a.Sent%period:][:chunk])
		a.Sent += uint64(n)
		if err != nil {
			return err
		}
	}
	if err := stream.Close(); err != nil {
		return err
	}
	<-conn.Context().Done() // the other side has read everything
	return nil
}

func receive(conn *quic.Conn, data []byte, a *answer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream, err := conn.AcceptUniStream(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	for room := make([]byte, chunk); ; {
		n, err := stream.Read(room)
		if !bytes.Equal(room[:n], data[a.Received%period:][:n]) {
			a.Wrong = 1
		}
		a.Received += uint64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	a.Seconds = time.Since(start).Seconds()
	err = conn.CloseWithError(0, "")
	time.Sleep(100 * time.Millisecond) // until the word is out
	return err
}

func run() error {
	if len(os.Args) != 8 {
		return errors.New("usage: see the beginning of the source")
	}
	seconds, err := strconv.ParseFloat(os.Args[7], 64)
	if err != nil {
		return err
	}
	conn, err := meet(os.Args[2] == "listen", net.JoinHostPort(os.Args[3], os.Args[4]))
	if err != nil {
		return err
	}
	a := answer{State: "over", Flows: []int{}}
	if os.Args[5] == "send" {
		err = send(conn, pattern(), seconds, &a)
	} else {
		err = receive(conn, pattern(), &a)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(a)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "quic:", err)
		os.Exit(1)
	}
}
