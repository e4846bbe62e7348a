package secure

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"refundworker/internal/realtest"
)

// built is what the tests share: certificates, in a folder that goes with the process.
var built struct {
	dir string
	// ours is trusted by every server and client here, theirs by none.
	ours, theirs *authority
	// server is the certificate of every server, client the worker's.
	server, client pair
}

func TestMain(m *testing.M) {
	code := 1
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if shared.kafka != nil {
		if err := shared.kafka.Kill(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	_ = os.RemoveAll(built.dir)
	os.Exit(code)
}

// build makes the certificates.
func build() error {
	var err error
	if built.dir, err = os.MkdirTemp("", "refund-worker-secure-"); err != nil {
		return err
	}
	var faults [4]error
	built.ours, faults[0] = newAuthority(built.dir, "ours")
	built.theirs, faults[1] = newAuthority(built.dir, "theirs")
	if err := errors.Join(faults[:]...); err != nil {
		return err
	}
	built.server, faults[2] = built.ours.issue("server")
	built.client, faults[3] = built.ours.issue(documentedUser)
	return errors.Join(faults[:]...)
}

// binary is the worker, built by the first test that runs it.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built.dir, "worker")
	out, err := exec.Command("go", "build", "-o", path, "refundworker/cmd/worker").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the worker: %w\n%s", err, out)
	}
	return path, nil
})

// shared is the broker of this package.
var shared struct {
	once  sync.Once
	kafka *realtest.Kafka
}
