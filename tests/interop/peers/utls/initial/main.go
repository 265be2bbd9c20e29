// Reads a client's first datagrams of QUIC version 1 (RFC 9001, section 5), a line of base64 each, and prints one line of JSON: the ClientHello in them.
package main

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
)

var salt, _ = hex.DecodeString("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")

func varint(b []byte) (uint64, []byte) {
	n := 1 << (b[0] >> 6)
	v := uint64(b[0] & 0x3f)
	for i := 1; i < n; i++ {
		v = v<<8 | uint64(b[i])
	}
	return v, b[n:]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func expand(secret []byte, label string, length int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(length))
	info = append(append(append(info, byte(len(label))), label...), 0)
	return must(hkdf.Expand(sha256.New, secret, string(info), length))
}

type piece struct {
	at   uint64
	data []byte
}

type seen struct {
	Hello         []byte `json:"hello"`
	Sizes         []int  `json:"sizes"`
	Destination   int    `json:"destination"`
	Source        int    `json:"source"`
	PacketNumbers []int  `json:"packet_numbers"`
	Cryptos       int    `json:"cryptos"`
}

// The Initial packet that the datagram begins with, opened, and the pieces of the handshake in it.
func open(b []byte, told *seen) (pieces []piece) {
	if b[0]&0xf0 != 0xc0 || binary.BigEndian.Uint32(b[1:]) != 1 {
		return nil
	}
	b = append([]byte{}, b...)
	dcid := b[6 : 6+int(b[5])]
	rest := b[6+len(dcid):]
	told.Destination, told.Source = len(dcid), int(rest[0])
	token, rest := varint(rest[1+int(rest[0]):])
	length, rest := varint(rest[token:])
	start := len(b) - len(rest)
	initial := must(hkdf.Extract(sha256.New, dcid, salt))
	secret := expand(initial, "client in", 32)
	block := must(aes.NewCipher(expand(secret, "quic hp", 16)))
	mask := make([]byte, 16)
	block.Encrypt(mask, rest[4:20])
	b[0] ^= mask[0] & 0x0f
	numbers := int(b[0]&3) + 1
	number := uint64(0)
	for i := 0; i < numbers; i++ {
		b[start+i] ^= mask[1+i]
		number = number<<8 | uint64(b[start+i])
	}
	nonce := expand(secret, "quic iv", 12)
	for i := 0; i < 8; i++ {
		nonce[11-i] ^= byte(number >> (8 * i))
	}
	gcm := must(cipher.NewGCM(must(aes.NewCipher(expand(secret, "quic key", 16)))))
	plain := must(gcm.Open(nil, nonce, b[start+numbers:start+int(length)], b[:start+numbers]))
	told.PacketNumbers = append(told.PacketNumbers, int(number))
	for len(plain) > 0 {
		kind := plain[0]
		plain = plain[1:]
		switch kind {
		case 0, 1: // PADDING, PING
		case 6:
			var at, n uint64
			at, plain = varint(plain)
			n, plain = varint(plain)
			pieces = append(pieces, piece{at, plain[:n]})
			plain = plain[n:]
			told.Cryptos++
		default:
			panic(fmt.Sprint("frame ", kind))
		}
	}
	return pieces
}

func main() {
	told := seen{}
	pieces := []piece{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		datagram := must(base64.StdEncoding.DecodeString(lines.Text()))
		told.Sizes = append(told.Sizes, len(datagram))
		pieces = append(pieces, open(datagram, &told)...)
	}
	for more := true; more; {
		more = false
		for _, p := range pieces {
			have := uint64(len(told.Hello))
			if p.at <= have && p.at+uint64(len(p.data)) > have {
				told.Hello = append(told.Hello, p.data[have-p.at:]...)
				more = true
			}
		}
	}
	if len(told.Hello) < 4 || len(told.Hello) < 4+int(binary.BigEndian.Uint32(told.Hello)&0xffffff) {
		panic("the hello is not complete")
	}
	json.NewEncoder(os.Stdout).Encode(told)
}
