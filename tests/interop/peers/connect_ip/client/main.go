// A CONNECT-IP client on connect-ip-go: makes a TUN, takes what the relay assigns, routes what it is told to.
package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	connectip "github.com/quic-go/connect-ip-go"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/yosida95/uritemplate/v3"

	"gatehouse.example/interop/connect_ip/tun"
)

func main() {
	url := flag.String("url", "", "the tunnel's URL, without variables")
	cert := flag.String("cert", "", "own certificate; shown whatever CA the server names")
	key := flag.String("key", "", "its key")
	ca := flag.String("ca", "", "CA of the server")
	device := flag.String("tun", "cip0", "name of the device")
	mtu := flag.String("mtu", "1280", "its MTU")
	route := flag.String("route", "", "prefixes to route into the tunnel, comma-separated")
	request := flag.String("request", "", "prefixes to ask for, comma-separated")
	ech := flag.String("ech", "", "ECHConfigList in base64: the name is encrypted")
	flag.Parse()

	roots, pairs := tun.Credentials(*ca, *cert, *key)
	tlsConfig := &tls.Config{RootCAs: roots, NextProtos: []string{http3.NextProtoH3}, MinVersion: tls.VersionTLS13}
	if *ech != "" {
		list, err := base64.StdEncoding.DecodeString(*ech)
		if err != nil {
			tun.Fail("error", err, nil)
		}
		tlsConfig.EncryptedClientHelloConfigList = list
	}
	if len(pairs) > 0 {
		tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pairs[0], nil }
	}
	template, err := uritemplate.New(*url)
	if err != nil {
		tun.Fail("error", err, nil)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tunnel, err := connectip.NewRequest(ctx, template)
	if err != nil {
		tun.Fail("error", err, nil)
	}
	transport := &connectip.Transport{
		TLSClientConfig: tlsConfig,
		QUICConfig:      &quic.Config{EnableDatagrams: true, InitialPacketSize: 1350, KeepAlivePeriod: 5 * time.Second},
	}
	conn, answer, err := transport.Dial(tunnel)
	if err != nil {
		status := 0
		if answer != nil {
			status = answer.StatusCode
		}
		tun.Fail("refused", err, map[string]any{"status": status})
	}
	run(ctx, conn, *device, *mtu, *route, *request)
}

func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

func run(ctx context.Context, conn *connectip.Conn, device, mtu, route, request string) {
	file, err := tun.Open(device)
	if err != nil {
		tun.Fail("error", err, nil)
	}
	must := func(err error) {
		if err != nil {
			tun.Fail("error", err, nil)
		}
	}
	must(tun.IP("link", "set", device, "up", "mtu", mtu))
	if request != "" {
		prefixes := []netip.Prefix{}
		for _, text := range split(request) {
			prefix, err := netip.ParsePrefix(text)
			must(err)
			prefixes = append(prefixes, prefix)
		}
		_, err := conn.RequestAddresses(prefixes)
		must(err)
	}
	assigned, err := conn.ReceiveAddressAssignment(ctx)
	must(err)
	addresses := []string{}
	for _, address := range assigned {
		if address.Rejected() {
			tun.Say("rejected", map[string]any{"prefix": address.IPPrefix.String()})
			continue
		}
		addresses = append(addresses, address.IPPrefix.String())
		args := []string{"address", "add", address.IPPrefix.String(), "dev", device}
		if address.IPPrefix.Addr().Is6() {
			args = append(args, "nodad")
		}
		must(tun.IP(args...))
	}
	tun.Say("assigned", map[string]any{"addresses": addresses})

	advertised, err := conn.Routes(ctx)
	must(err)
	routes := []string{}
	for _, r := range advertised {
		text := r.StartIP.String() + "-" + r.EndIP.String()
		if r.IPProtocol != 0 {
			text += fmt.Sprintf("/%d", r.IPProtocol)
		}
		routes = append(routes, text)
	}
	tun.Say("routes", map[string]any{"routes": routes})
	for _, prefix := range split(route) {
		must(tun.IP("route", "add", prefix, "dev", device))
	}

	go func() {
		// A request is answered whenever it is asked again.
		for {
			again, err := conn.ReceiveAddressAssignment(context.Background())
			if err != nil {
				return
			}
			texts := []string{}
			for _, address := range again {
				texts = append(texts, address.IPPrefix.String())
			}
			tun.Say("assigned_again", map[string]any{"addresses": texts})
		}
	}()
	var closing atomic.Bool
	ended := func(err error) {
		if closing.Load() {
			select {} // the other goroutine ends the program when the connection is closed
		}
		tun.Fail("ended", err, nil)
	}
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
		<-signals
		closing.Store(true)
		conn.Close()
		tun.Say("closed", nil)
		os.Exit(0)
	}()
	go func() {
		buffer := make([]byte, 65536)
		for {
			n, err := file.Read(buffer)
			if err != nil {
				tun.Fail("error", err, nil)
			}
			icmp, err := conn.WritePacket(buffer[:n])
			if err != nil {
				ended(err)
			}
			if len(icmp) > 0 {
				file.Write(icmp)
			}
		}
	}()
	tun.Say("ready", nil)
	buffer := make([]byte, 65536)
	for {
		n, err := conn.ReadPacket(buffer)
		if err != nil {
			ended(err)
		}
		if _, err := file.Write(buffer[:n]); err != nil {
			tun.Say("write", map[string]any{"error": err.Error()})
		}
	}
}
