// Package pki makes the certificates of a test cluster. Nothing outlives the
// cluster, so one authority signs everything and its key lies beside it.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is longer than any test and short enough to be no treasure.
const validity = 30 * 24 * time.Hour

// Authority signs the certificates of one cluster.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Subject is who a certificate is for. Kubernetes reads the name as the user
// and the group as one of the user's groups.
type Subject struct {
	Name  string
	Group string
	Hosts []string
	IPs   []net.IP
}

// NewAuthority makes a certificate authority and writes ca.crt and ca.key
// into the folder.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the certificate folder: %w", err)
	}
	template := newTemplate(pkix.Name{CommonName: "telectl-test"})
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the authority's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{dir: dir, cert: cert, key: key}
	return a, a.write("ca", der, key)
}

// Issue writes NAME.crt and NAME.key, good for a server and for a client.
func (a *Authority) Issue(name string, subject Subject) error {
	template := newTemplate(pkix.Name{CommonName: subject.Name})
	if subject.Group != "" {
		template.Subject.Organization = []string{subject.Group}
	}
	template.DNSNames = subject.Hosts
	template.IPAddresses = subject.IPs
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign the certificate %s: %w", name, err)
	}
	return a.write(name, der, key)
}

// TokenKeys writes the pair of keys that sign and verify the tokens of
// service accounts: NAME.key and NAME.pub.
func (a *Authority) TokenKeys(name string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := a.writeKey(name, key); err != nil {
		return err
	}
	return writePEM(filepath.Join(a.dir, name+".pub"), "PUBLIC KEY", public, 0o644)
}

func (a *Authority) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	if err := a.writeKey(name, key); err != nil {
		return err
	}
	return writePEM(filepath.Join(a.dir, name+".crt"), "CERTIFICATE", der, 0o644)
}

func (a *Authority) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(filepath.Join(a.dir, name+".key"), "EC PRIVATE KEY", der, 0o600)
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return key, nil
}

func newTemplate(subject pkix.Name) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("no random numbers: " + err.Error()) // crypto/rand never fails on Linux
	}
	// An hour back, for clocks that a test sets back.
	start := time.Now().Add(-time.Hour)
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: start, NotAfter: start.Add(validity)}
}

func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
