package config

import (
	"crypto/tls"
	"crypto/x509"
)

// systemAuthorities is the ca_file that stands for the host's own authorities.
const systemAuthorities = "system"

// Build reads the files and returns the client configuration, at least TLS 1.2; nil without an error means plaintext.
// The error is a [*FaultError] whose path is relative to the TLS section.
func (t TLS) Build() (*tls.Config, error) {
	conf, fault := t.build(Host())
	if fault != nil {
		return nil, fault
	}
	return conf, nil
}

func (t TLS) build(src Source) (*tls.Config, *FaultError) {
	if t == (TLS{}) {
		return nil, nil
	}
	if fault := t.pairs(); fault != nil {
		return nil, fault
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != systemAuthorities {
		raw, fault := readBounded(src, t.CAFile)
		if fault != nil {
			fault.Path = "ca_file"
			return nil, fault
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(raw) {
			return nil, &FaultError{Path: "ca_file", What: "the file " + show(t.CAFile) + " holds no PEM certificate", Fix: "name a PEM file of the authorities"}
		}
	}
	if t.CertFile == "" {
		return conf, nil
	}
	cert, fault := readBounded(src, t.CertFile)
	if fault != nil {
		fault.Path = "cert_file"
		return nil, fault
	}
	key, fault := readBounded(src, t.KeyFile)
	if fault != nil {
		fault.Path = "key_file"
		return nil, fault
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// The parser's text is left out: it may quote what it found in the key's file.
		return nil, &FaultError{Path: "cert_file", What: "certificate and key_file are not a PEM pair", Fix: "name the certificate and the private key that belong together"}
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}

// pairs checks what can be checked without reading: which of the three names are there.
func (t TLS) pairs() *FaultError {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		return &FaultError{Path: "key_file", What: "is missing beside cert_file", Fix: "name the certificate's private key"}
	case t.KeyFile != "" && t.CertFile == "":
		return &FaultError{Path: "cert_file", What: "is missing beside key_file", Fix: "name the key's certificate"}
	case t.CertFile != "" && t.CAFile == "":
		return &FaultError{Path: "ca_file", What: "is missing beside cert_file", Fix: "name the authorities' PEM file, or write system"}
	}
	return nil
}
