// A CONNECT-IP server on connect-ip-go: one TUN for everybody, the next address of each pool for each tunnel.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"

	connectip "github.com/quic-go/connect-ip-go"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/yosida95/uritemplate/v3"

	"gatehouse.example/interop/connect_ip/tun"
)

type server struct {
	device *os.File
	routes []connectip.IPRoute
	assign bool
	refuse int

	mu    sync.RWMutex
	next  []netip.Addr // of each pool
	conns map[netip.Addr]*connectip.Conn
}

// lastOf is the highest address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

func prefixes(text string) []netip.Prefix {
	found := []netip.Prefix{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			tun.Fail("error", err, nil)
		}
		found = append(found, prefix)
	}
	return found
}

func (s *server) lease() []netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	leased := []netip.Prefix{}
	for i := range s.next {
		leased = append(leased, netip.PrefixFrom(s.next[i], s.next[i].BitLen()))
		s.next[i] = s.next[i].Next()
	}
	return leased
}

// answerRequests gives the leased address of the family that is asked for, when no other one is wanted.
func answerRequests(conn *connectip.Conn, leased []netip.Prefix) {
	for {
		request, err := conn.ReceiveAddressRequest(context.Background())
		if err != nil {
			return
		}
		answers := make([]netip.Prefix, len(request.Prefixes))
		given := map[netip.Prefix]bool{}
		for i, wish := range request.Prefixes {
			for _, prefix := range leased {
				if wish.Addr().Is4() == prefix.Addr().Is4() && !given[prefix] && (wish.Addr().IsUnspecified() || wish == prefix) {
					answers[i] = prefix
					given[prefix] = true
				}
			}
		}
		rest := []netip.Prefix{}
		for _, prefix := range leased {
			if !given[prefix] {
				rest = append(rest, prefix)
			}
		}
		if err := request.Respond(answers, rest); err != nil {
			tun.Say("error", map[string]any{"error": err.Error()})
		}
	}
}

func (s *server) serve(conn *connectip.Conn, who string) {
	leased := s.lease()
	texts := []string{}
	s.mu.Lock()
	for _, prefix := range leased {
		s.conns[prefix.Addr()] = conn
		texts = append(texts, prefix.String())
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		for _, prefix := range leased {
			delete(s.conns, prefix.Addr())
		}
		s.mu.Unlock()
		conn.Close()
	}()
	if s.assign {
		if err := conn.AssignAddresses(leased); err != nil {
			return
		}
	}
	if err := conn.AdvertiseRoute(s.routes); err != nil {
		return
	}
	if s.assign {
		go answerRequests(conn, leased)
	}
	tun.Say("tunnel", map[string]any{"who": who, "addresses": texts})
	buffer := make([]byte, 65536)
	for {
		n, err := conn.ReadPacket(buffer)
		if err != nil {
			tun.Say("ended", map[string]any{"who": who, "error": err.Error()})
			return
		}
		if _, err := s.device.Write(buffer[:n]); err != nil {
			tun.Say("write", map[string]any{"error": err.Error()})
		}
	}
}

// fromDevice gives each packet to the tunnel of its destination.
func (s *server) fromDevice() {
	buffer := make([]byte, 65536)
	for {
		n, err := s.device.Read(buffer)
		if err != nil {
			tun.Fail("error", err, nil)
		}
		packet := buffer[:n]
		var dst netip.Addr
		switch {
		case n >= 20 && packet[0]>>4 == 4:
			dst = netip.AddrFrom4([4]byte(packet[16:20]))
		case n >= 40 && packet[0]>>4 == 6:
			dst = netip.AddrFrom16([16]byte(packet[24:40]))
		default:
			continue
		}
		s.mu.RLock()
		conn := s.conns[dst]
		s.mu.RUnlock()
		if conn == nil {
			continue
		}
		icmp, err := conn.WritePacket(packet)
		if err == nil && len(icmp) > 0 {
			s.device.Write(icmp)
		}
	}
}

func main() {
	listen := flag.String("listen", ":4433", "UDP address")
	url := flag.String("url", "", "the tunnel's URL, without variables")
	cert := flag.String("cert", "", "own certificate")
	key := flag.String("key", "", "its key")
	ca := flag.String("ca", "", "CA of the clients; they must have a certificate of it")
	device := flag.String("tun", "cip0", "name of the device")
	mtu := flag.String("mtu", "1280", "its MTU")
	pool := flag.String("pool", "10.101.0.0/24,fd00:101::/64", "networks of the clients; the server is the first address")
	route := flag.String("route", "0.0.0.0/0,::/0", "networks to advertise")
	assign := flag.Bool("assign", true, "assign addresses unasked")
	refuse := flag.Int("refuse", 0, "answer every request with this status")
	flag.Parse()

	roots, pairs := tun.Credentials(*ca, *cert, *key)
	template, err := uritemplate.New(*url)
	if err != nil {
		tun.Fail("error", err, nil)
	}
	s := &server{conns: map[netip.Addr]*connectip.Conn{}, assign: *assign, refuse: *refuse}
	if s.device, err = tun.Open(*device); err != nil {
		tun.Fail("error", err, nil)
	}
	if err := tun.IP("link", "set", *device, "up", "mtu", *mtu); err != nil {
		tun.Fail("error", err, nil)
	}
	for _, prefix := range prefixes(*pool) {
		own := prefix.Masked().Addr().Next()
		args := []string{"address", "add", netip.PrefixFrom(own, prefix.Bits()).String(), "dev", *device}
		if own.Is6() {
			args = append(args, "nodad")
		}
		if err := tun.IP(args...); err != nil {
			tun.Fail("error", err, nil)
		}
		s.next = append(s.next, own.Next())
	}
	for _, prefix := range prefixes(*route) {
		s.routes = append(s.routes, connectip.IPRoute{StartIP: prefix.Masked().Addr(), EndIP: lastOf(prefix)})
	}
	go s.fromDevice()

	proxy := connectip.Proxy{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := connectip.ParseProxyRequest(r, template)
		if err != nil {
			var refused *connectip.ProxyRequestParseError
			status := http.StatusBadRequest
			if errors.As(err, &refused) {
				status = refused.HTTPStatus
			}
			tun.Say("refused", map[string]any{"status": status, "error": err.Error()})
			w.WriteHeader(status)
			return
		}
		if s.refuse != 0 {
			tun.Say("refused", map[string]any{"status": s.refuse})
			w.WriteHeader(s.refuse)
			return
		}
		who := ""
		if certs := r.TLS.PeerCertificates; len(certs) > 0 && len(certs[0].URIs) > 0 {
			who = certs[0].URIs[0].String()
		}
		tun.Say("request", map[string]any{"who": who, "path": r.URL.EscapedPath()})
		conn, err := proxy.Proxy(w, request)
		if err != nil {
			tun.Say("error", map[string]any{"error": err.Error()})
			return
		}
		s.serve(conn, who)
	})
	packets, err := net.ListenPacket("udp", *listen)
	if err != nil {
		tun.Fail("error", err, nil)
	}
	h3 := http3.Server{
		Handler:         handler,
		EnableDatagrams: true,
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{
			Certificates: pairs, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
		}),
		QUICConfig: &quic.Config{EnableDatagrams: true, InitialPacketSize: 1350},
	}
	tun.Say("ready", nil)
	tun.Fail("over", h3.Serve(packets), nil)
}
