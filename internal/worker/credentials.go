package worker

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/segmentio/kafka-go/sasl"

	"refundworker/internal/config"
	"refundworker/internal/kafka"
	"refundworker/internal/reload"
)

// Names of settings, in metrics and logs.
const (
	kafkaTLS      = "kafka.tls"
	kafkaPassword = "kafka.sasl.password" //nolint:gosec // a setting's name
	redisTLS      = "redis.tls"
	redisPassword = "redis.password"
	accountKeys   = "accounts"
)

// credentials are what new connections to Kafka and Redis are made with. Connections that are open keep theirs.
type credentials struct {
	kafkaTLS, redisTLS *certificates
	kafkaLogin         atomic.Pointer[sasl.Mechanism]
	redisPassword      atomic.Pointer[string]

	sources []reload.Source
}

// newCredentials reads what the files hold now. Every fault is of the configuration.
func newCredentials(cfg config.Config, reg prometheus.Registerer) (*credentials, error) {
	expiry := promauto.With(reg).NewGaugeVec(prometheus.GaugeOpts{
		Name: "refund_worker_certificate_expiry_timestamp_seconds",
		Help: "When our client certificate ends, by setting, in seconds since 1970; 0 where there is none.",
	}, []string{"setting"})
	c := &credentials{}
	var errs [3]error
	c.kafkaTLS, errs[0] = newCertificates(cfg.Kafka.TLS, expiry.WithLabelValues(kafkaTLS))
	c.redisTLS, errs[1] = newCertificates(cfg.Redis.TLS, expiry.WithLabelValues(redisTLS))
	login, err := cfg.Kafka.SASL.Build()
	errs[2] = err
	for i, part := range []string{"kafka", "redis", "kafka"} {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("%s: %w", part, errs[i])
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	c.kafkaLogin.Store(&login)
	password := cfg.Redis.Password.Reveal()
	c.redisPassword.Store(&password)

	c.sources = append(c.kafkaTLS.source(kafkaTLS), c.redisTLS.source(redisTLS)...)
	c.sources = append(c.sources, secretSource(kafkaPassword, "", func(read []string) (string, error) {
		login, err := cfg.Kafka.SASL.BuildWith(read[0])
		if err == nil {
			c.kafkaLogin.Store(&login)
		}
		return "", err
	}, cfg.Kafka.SASL.Password)...)
	c.sources = append(c.sources, secretSource(redisPassword, "", func(read []string) (string, error) {
		c.redisPassword.Store(&read[0])
		return "", nil
	}, cfg.Redis.Password)...)
	return c, nil
}

// secretSource is one source of all the secrets, or none where no file is among them.
func secretSource(setting, account string, use func([]string) (string, error), secrets ...config.Secret) []reload.Source {
	files := false
	inUse := make([]string, len(secrets))
	for i, secret := range secrets {
		inUse[i] = secret.Reveal()
		files = files || secret.InFile()
	}
	if !files {
		return nil
	}
	return []reload.Source{{
		Setting: setting, Account: account, InUse: inUse, UseFunc: use,
		ReadFunc: func() ([]string, error) {
			read := make([]string, len(secrets))
			for i, secret := range secrets {
				read[i] = inUse[i]
				if !secret.InFile() {
					continue
				}
				var err error
				if read[i], err = secret.Again(); err != nil {
					return nil, err
				}
			}
			return read, nil
		},
	}}
}

// secure puts the credentials into the way to the brokers.
func (c *credentials) secure(conn *kafka.Config) {
	if c.kafkaTLS.now.Load() != nil {
		conn.TLSFunc = c.kafkaTLS.now.Load
	}
	if *c.kafkaLogin.Load() != nil {
		conn.SASLFunc = func() sasl.Mechanism { return *c.kafkaLogin.Load() }
	}
}

// certificates are the authorities and our own certificate on one side; now is nil for plaintext.
type certificates struct {
	section config.TLS
	files   []string
	now     atomic.Pointer[tls.Config]
	expiry  prometheus.Gauge
}

func newCertificates(section config.TLS, expiry prometheus.Gauge) (*certificates, error) {
	c := &certificates{section: section, expiry: expiry}
	files, err := section.Read()
	if err != nil {
		return nil, err
	}
	conf, err := section.Parse(files)
	if err != nil {
		return nil, err
	}
	c.files = files
	c.store(conf)
	return c, nil
}

func (c *certificates) store(conf *tls.Config) {
	c.now.Store(conf)
	if conf != nil && len(conf.Certificates) > 0 {
		c.expiry.Set(float64(conf.Certificates[0].Leaf.NotAfter.Unix()))
	}
}

func (c *certificates) source(setting string) []reload.Source {
	if !c.section.InFiles() {
		return nil
	}
	return []reload.Source{{Setting: setting, InUse: c.files, ReadFunc: c.section.Read, UseFunc: c.use}}
}

// use takes what was read for new connections, unless our own certificate does not count today: the one in use may.
func (c *certificates) use(files []string) (string, error) {
	conf, err := c.section.Parse(files)
	if err != nil {
		return "", err
	}
	shown := "system authorities"
	if conf.RootCAs != nil {
		shown = fmt.Sprintf("authorities sha256 %.8x", sha256.Sum256([]byte(files[0])))
	}
	if len(conf.Certificates) > 0 {
		leaf := conf.Certificates[0].Leaf
		until := leaf.NotAfter.UTC().Format(time.RFC3339)
		if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return "", fmt.Errorf("cert_file: the certificate counts from %s to %s only; write one that counts now",
				leaf.NotBefore.UTC().Format(time.RFC3339), until)
		}
		shown += fmt.Sprintf(", certificate serial %x until %s", leaf.SerialNumber, until)
	}
	c.store(conf)
	return shown, nil
}
