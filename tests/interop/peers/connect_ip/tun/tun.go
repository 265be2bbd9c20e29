// Package tun opens a plain TUN device, prints events, and loads certificates: what both peers need.
package tun

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"golang.org/x/sys/unix"
)

// Open makes the device: one packet a system call, no offloads.
func Open(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, fmt.Errorf("TUNSETIFF %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// IP runs the ip program.
func IP(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

var printing sync.Mutex

// Say prints one event as a line of JSON.
func Say(event string, fields map[string]any) {
	line := map[string]any{"event": event}
	for key, value := range fields {
		line[key] = value
	}
	text, _ := json.Marshal(line)
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// Fail prints an event and ends the program.
func Fail(event string, err error, fields map[string]any) {
	if fields == nil {
		fields = map[string]any{}
	}
	fields["error"] = err.Error()
	Say(event, fields)
	os.Exit(1)
}

// Credentials reads the CAs that vouch for the other side, and the own certificate with its key: without a name there is none.
// Ends the program when it cannot.
func Credentials(ca, cert, key string) (*x509.CertPool, []tls.Certificate) {
	text, err := os.ReadFile(ca)
	if err != nil {
		Fail("error", err, nil)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		Fail("error", fmt.Errorf("%s: no certificate", ca), nil)
	}
	if cert == "" {
		return pool, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		Fail("error", err, nil)
	}
	return pool, []tls.Certificate{pair}
}
