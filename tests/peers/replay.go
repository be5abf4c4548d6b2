package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// serverName is what the certificate of replayed API servers is for.
const serverName = "kubernetes"

// answer is what the real API server said.
type answer struct {
	code        int
	contentType string
	body        []byte
}

// replayed is the API server of many edges: one real edge's answers, each asked for once. They
// differ in what tells clusters apart.
type replayed struct {
	upstream string
	lock     sync.Mutex
	answers  map[string]answer
}

// replay serves COUNT edges that answer reads as the API server behind `upstream` (a `kubectl
// proxy`) does, and refuse writes: two processors cannot run that many control planes, and a run
// that has nothing to change only reads. It writes a kubeconfig with contexts edge-1, edge-2 …, and
// serves until it is killed.
func replay(upstream, roundTrip, count, file string) error {
	delay, err := time.ParseDuration(roundTrip)
	if err != nil {
		return err
	}
	edges, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	certificate, authority, err := issued()
	if err != nil {
		return err
	}
	all := &replayed{upstream: upstream, answers: map[string]answer{}}
	var clusters, contexts []object
	for number := 1; number <= edges; number++ {
		address, err := all.serve(number, delay, certificate)
		if err != nil {
			return err
		}
		name := fmt.Sprint("edge-", number)
		clusters = append(clusters, object{"name": name, "cluster": object{
			"server": "https://" + address, "tls-server-name": serverName,
			"certificate-authority-data": authority,
		}})
		contexts = append(contexts, object{"name": name, "context": object{"cluster": name, "user": "nobody"}})
	}
	config, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts,
		"users": []object{{"name": "nobody", "user": object{}}},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".part", config, 0o600); err != nil {
		return err
	}
	// Whoever waits for the file finds all of it.
	if err := os.Rename(file+".part", file); err != nil {
		return err
	}
	select {}
}

// serve begins to answer for one edge; gives the address with the longer way.
func (all *replayed) serve(number int, roundTrip time.Duration, certificate tls.Certificate) (string, error) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	near, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		all.answer(writer, request, number)
	})
	// As Kubernetes does, HTTP/2 for those that can.
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}}
	quiet := log.New(io.Discard, "", 0)
	serving := http.Server{Handler: handler, TLSConfig: secure, ErrorLog: quiet}
	go serving.ServeTLS(server, "", "")
	address := server.Addr().String()
	go accept(near, roundTrip, func() (net.Conn, error) { return net.Dial("tcp", address) })
	return near.Addr().String(), nil
}

func (all *replayed) answer(writer http.ResponseWriter, request *http.Request, number int) {
	if request.Method != http.MethodGet || request.URL.Query().Get("watch") != "" {
		http.Error(writer, "replayed edges are only read", http.StatusMethodNotAllowed)
		return
	}
	found, err := all.ask(request.URL.RequestURI())
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	body := found.body
	if request.URL.Path == "/api/v1/namespaces/kube-system" {
		body = renamed(body, number)
	}
	writer.Header().Set("Content-Type", found.contentType)
	writer.WriteHeader(found.code)
	writer.Write(body)
}

func (all *replayed) ask(uri string) (answer, error) {
	all.lock.Lock()
	defer all.lock.Unlock()
	if known, is := all.answers[uri]; is {
		return known, nil
	}
	response, err := http.Get(all.upstream + uri)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	found := answer{response.StatusCode, response.Header.Get("Content-Type"), body}
	all.answers[uri] = found
	return found, nil
}

// renamed is the namespace that a cluster is known by, with an id of its own.
func renamed(body []byte, number int) []byte {
	var namespace object
	if json.Unmarshal(body, &namespace) != nil {
		return body
	}
	uid, _ := namespace["metadata"].(object)["uid"].(string)
	return bytes.ReplaceAll(body, []byte(uid), fmt.Appendf(nil, "%s-%d", uid, number))
}

// issued is a server's certificate, and that of the authority which signed it.
func issued() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := func(name string, number int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber:          big.NewInt(number),
			Subject:               pkix.Name{CommonName: name},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(24 * time.Hour),
			BasicConstraintsValid: true,
		}
	}
	authority := template("replayed edges", 1)
	authority.IsCA = true
	authority.KeyUsage = x509.KeyUsageCertSign
	trusted, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	// A client may refuse an authority's certificate as a server's: it signs another one.
	server := template(serverName, 2)
	server.DNSNames = []string{serverName}
	made, err := x509.CreateCertificate(rand.Reader, server, authority, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted})
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, text, nil
}
