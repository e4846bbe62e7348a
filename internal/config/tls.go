package config

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// systemAuthorities is the ca_file that stands for the host's own authorities.
const systemAuthorities = "system"

// Read reads the files of the host: the authorities, our certificate and its key, in this order; "" for one that is not
// named, or is the word system. The error is a [*FaultError] whose path is relative to the TLS section.
func (t TLS) Read() ([]string, error) {
	files, fault := t.read(Host())
	if fault != nil {
		return nil, fault
	}
	return files, nil
}

// Parse makes a client configuration of what Read has read, at least TLS 1.2; nil without an error means plaintext. The
// error is as that of Read.
func (t TLS) Parse(files []string) (*tls.Config, error) {
	conf, fault := t.parse(files)
	if fault != nil {
		return nil, fault
	}
	return conf, nil
}

// InFiles says that there are files that may change.
func (t TLS) InFiles() bool {
	return t.CertFile != "" || t.CAFile != "" && t.CAFile != systemAuthorities
}

func (t TLS) read(src Source) ([]string, *FaultError) {
	if fault := t.pairs(); fault != nil {
		return nil, fault
	}
	files := make([]string, 3)
	for i, file := range []struct{ path, name string }{{"ca_file", t.CAFile}, {"cert_file", t.CertFile}, {"key_file", t.KeyFile}} {
		if file.name == "" || i == 0 && file.name == systemAuthorities {
			continue
		}
		raw, fault := readBounded(src, file.name)
		if fault != nil {
			fault.Path = file.path
			return nil, fault
		}
		files[i] = string(raw)
	}
	return files, nil
}

func (t TLS) parse(files []string) (*tls.Config, *FaultError) {
	if t == (TLS{}) {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	ca, cert, key := files[0], files[1], files[2]
	if t.CAFile != systemAuthorities {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM([]byte(ca)) {
			return nil, &FaultError{Path: "ca_file", What: "the file " + show(t.CAFile) + " holds no PEM certificate", Fix: "name a PEM file of the authorities"}
		}
		if cutOff(ca) {
			return nil, &FaultError{Path: "ca_file", What: "the file " + show(t.CAFile) + " ends in the middle of a PEM block", Fix: "write it whole"}
		}
	}
	if t.CertFile == "" {
		return conf, nil
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil || cutOff(cert) {
		// The parser's text is left out: it may quote what it found in the key's file.
		return nil, &FaultError{Path: "cert_file", What: "certificate and key_file are not a PEM pair", Fix: "name the certificate and the private key that belong together"}
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}

// cutOff says that a PEM text has a block without an end. The parsers of the standard library skip it silently, and a
// bundle that is half-written would lose its last authorities.
func cutOff(text string) bool {
	return strings.Count(text, "-----BEGIN ") != strings.Count(text, "-----END ")
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
