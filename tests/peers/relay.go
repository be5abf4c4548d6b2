package main

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// chunk is what was read at once; no data means that the sender is done.
type chunk struct {
	due  time.Time
	data []byte
}

// underWay is how many chunks may be under way in one direction, and chunkSize their size: more
// than any answer here needs, so that the relay limits nothing but time.
const (
	underWay  = 4096
	chunkSize = 64 << 10
)

// relay passes connections on, byte for byte: TLS is between the client and the API server. It
// prints where each one listens, and serves until it is killed.
func relay(roundTrip string, targets []string) error {
	delay, err := time.ParseDuration(roundTrip)
	if err != nil {
		return err
	}
	for _, target := range targets {
		name, address, found := strings.Cut(target, "=")
		if !found {
			return fmt.Errorf("%q is not NAME=ADDRESS", target)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(name, listener.Addr())
		go accept(listener, delay, func() (net.Conn, error) { return net.Dial("tcp", address) })
	}
	select {}
}

func accept(listener net.Listener, roundTrip time.Duration, dial func() (net.Conn, error)) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go pass(near, roundTrip, dial)
	}
}

// pass carries one connection: half the round trip in each direction. The client's TCP handshake
// ended on this machine, at once: its round trip is made up for by the client's first bytes.
func pass(near net.Conn, roundTrip time.Duration, dial func() (net.Conn, error)) {
	accepted := time.Now()
	far, err := dial()
	if err != nil {
		near.Close()
		return
	}
	done := make(chan struct{})
	go func() {
		carry(far, near, roundTrip/2, accepted.Add(roundTrip))
		close(done)
	}()
	carry(near, far, roundTrip/2, accepted)
	<-done
	near.Close()
	far.Close()
}

// carry is a delay line: whatever arrives leaves after the delay, however much is under way, and
// counts as arrived at `opened` if it came before.
func carry(to, from net.Conn, delay time.Duration, opened time.Time) {
	line := make(chan chunk, underWay)
	go func() {
		defer close(line)
		for {
			data := make([]byte, chunkSize)
			count, err := from.Read(data)
			arrived := time.Now()
			if arrived.Before(opened) {
				arrived = opened
			}
			if count > 0 {
				line <- chunk{arrived.Add(delay), data[:count]}
			}
			if err != nil {
				line <- chunk{due: arrived.Add(delay)}
				return
			}
		}
	}()
	for next := range line {
		time.Sleep(time.Until(next.due))
		if next.data == nil {
			if half, can := to.(interface{ CloseWrite() error }); can {
				half.CloseWrite()
			}
			continue
		}
		if _, err := to.Write(next.data); err != nil {
			// Nobody reads any more: what is still under way is lost, as it would be.
			from.Close()
			for range line {
				continue
			}
			return
		}
	}
}
