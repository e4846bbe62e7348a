package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"refundworker/gateway/sandbox"
	"refundworker/internal/config"
	"refundworker/internal/kafka/kafkatest"
)

// call runs a command of the worker in this process, with files and variables of its own.
func call(t *testing.T, files, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, config.Source{
		LookupEnvFunc: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
		ReadFileFunc: func(name string) ([]byte, error) {
			text, ok := files[filepath.Base(name)]
			if !ok {
				return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
			}
			return []byte(text), nil
		},
	}, &out, &errs)
	return code, out.String(), errs.String()
}

const goodAccount = `
accounts:
  - {name: hk, gateway: antom, base_url: "http://127.0.0.1:1", client_id: C1, private_key: "file:merchant.key", antom_public_key: "file:antom.key"}
`

func files(t *testing.T, yaml string) map[string]string {
	t.Helper()
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"w.yaml": yaml, "merchant.key": keys.MerchantPrivate, "antom.key": keys.GatewayPublic, "bad.key": "c2VjcmV0IGJ1dCBubyBrZXk=",
	}
}

// Every kind of bad usage and configuration: exit 2, one line for each fault, each saying what, where and what to do.
func TestBadUsageAndConfigurationExitWith2AndOneLineEach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		yaml string
		env  map[string]string
		// want are the parts of each line, in order.
		want [][]string
	}{
		"no command":             {args: []string{}, want: [][]string{{"run", "init", "check", "version"}}},
		"unknown command":        {args: []string{"walk"}, want: [][]string{{"walk"}}},
		"unknown flag":           {args: []string{"run", "--fast"}, want: [][]string{{"--fast"}}},
		"missing file":           {args: []string{"run", "--config", "nowhere.yaml"}, want: [][]string{{"nowhere.yaml"}}},
		"not YAML":               {args: []string{"run", "--config", "w.yaml"}, yaml: "kafka: [", want: [][]string{{"w.yaml"}}},
		"unknown key":            {args: []string{"run", "--config", "w.yaml"}, yaml: "kafka: {borkers: []}" + goodAccount, want: [][]string{{"borkers", "w.yaml:1"}}},
		"key twice":              {args: []string{"run", "--config", "w.yaml"}, yaml: "log: {level: info}\nlog: {level: info}" + goodAccount, want: [][]string{{"log", "w.yaml:2"}}},
		"no accounts":            {args: []string{"run", "--config", "w.yaml"}, yaml: "log: {level: info}\n", want: [][]string{{"accounts"}}},
		"bad number":             {args: []string{"run", "--config", "w.yaml"}, yaml: "limits: {in_flight: many}" + goodAccount, want: [][]string{{"limits.in_flight", "w.yaml:1"}}},
		"bad duration":           {args: []string{"run", "--config", "w.yaml"}, yaml: "limits: {lease: soon}" + goodAccount, want: [][]string{{"limits.lease"}}},
		"lease too short":        {args: []string{"run", "--config", "w.yaml"}, yaml: "limits: {lease: 20s}" + goodAccount, want: [][]string{{"limits.lease"}}},
		"bad variable":           {args: []string{"run", "--config", "w.yaml"}, yaml: goodAccount, env: map[string]string{"REFUND_WORKER_LIMITS_IN_FLIGHT": "x"}, want: [][]string{{"limits.in_flight", "REFUND_WORKER_LIMITS_IN_FLIGHT"}}},
		"bad flag value":         {args: []string{"run", "--config", "w.yaml", "--limits-in-flight", "x"}, yaml: goodAccount, want: [][]string{{"--limits-in-flight"}}},
		"secret in clear":        {args: []string{"run", "--config", "w.yaml"}, yaml: strings.Replace(goodAccount, "file:merchant.key", "hunter2", 1), want: [][]string{{"accounts[0].private_key", "w.yaml:3"}}},
		"missing secret":         {args: []string{"run", "--config", "w.yaml"}, yaml: strings.Replace(goodAccount, "merchant.key", "gone.key", 1), want: [][]string{{"accounts[0].private_key", "gone.key"}}},
		"key is no key":          {args: []string{"run", "--config", "w.yaml"}, yaml: strings.Replace(goodAccount, "merchant.key", "bad.key", 1), want: [][]string{{"accounts[0] hk", "private key"}}},
		"key is no key, checked": {args: []string{"check", "--config", "w.yaml"}, yaml: strings.Replace(goodAccount, "merchant.key", "bad.key", 1), want: [][]string{{"accounts[0] hk", "private key"}}},
		"http to the world":      {args: []string{"run", "--config", "w.yaml"}, yaml: strings.Replace(goodAccount, "127.0.0.1:1", "example.com", 1), want: [][]string{{"accounts[0].base_url", "https"}}},
		"two faults":             {args: []string{"run", "--config", "w.yaml"}, yaml: "log: {level: loud, format: xml}" + goodAccount, want: [][]string{{"log.level"}, {"log.format"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := call(t, files(t, tc.yaml), tc.env, tc.args...)
			if code != exitUnfit || stdout != "" {
				t.Errorf("exit %d, want 2; stdout %q, stderr %q", code, stdout, stderr)
			}
			lines := strings.Split(strings.TrimRight(stderr, "\n"), "\n")
			if len(lines) != len(tc.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(tc.want), stderr)
			}
			for i, parts := range tc.want {
				for _, part := range append(parts, "worker: ") {
					if !strings.Contains(strings.ToLower(lines[i]), strings.ToLower(part)) {
						t.Errorf("line %d does not say %q: %s", i+1, part, lines[i])
					}
				}
			}
			if strings.Contains(stderr, "hunter2") || strings.Contains(stderr, "c2VjcmV0") {
				t.Errorf("a secret is in the error: %s", stderr)
			}
		})
	}
}

func TestHelpAndVersionExitWith0(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"init", "--help"}, {"check", "--help"}, {"version"}} {
		code, stdout, stderr := call(t, nil, nil, args...)
		if code != exitDone || stdout == "" || stderr != "" {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

func TestInitThenCheckExitWith0AndCheckAloneWith2(t *testing.T) {
	t.Parallel()
	broker, redis := kafkatest.Start(t), miniredis.RunT(t)
	yaml := fmt.Sprintf("kafka: {brokers: [%q], replication: 1, min_insync: 1}\nredis: {addresses: [%q]}\n", broker.Addr, redis.Addr()) + goodAccount
	in := files(t, yaml)
	for _, step := range []struct {
		command string
		want    int
		says    string
	}{
		{"check", exitUnfit, "refunds.commands: missing"},
		{"run", exitUnfit, "worker init"},
		{"init", exitDone, "refunds.commands"},
		{"init", exitDone, "exists"},
		{"check", exitDone, "kafka   ok"},
		{"rebuild", exitDone, "nothing to do"},
		{"rebuild --all", exitDone, "read 0 events"},
	} {
		args := append(strings.Fields(step.command), "--config", "w.yaml")
		if step.command == "run" {
			args = append(args, "--http-listen", "127.0.0.1:0")
		}
		code, stdout, stderr := call(t, in, nil, args...)
		if code != step.want || !strings.Contains(stdout+stderr, step.says) {
			t.Fatalf("%s: exit %d, want %d and %q\n%s%s", step.command, code, step.want, step.says, stdout, stderr)
		}
	}
}

func TestCheckExitsWith1WhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	yaml := fmt.Sprintf("kafka: {brokers: [%q]}\nredis: {addresses: [%q]}\n", closed, closed) + goodAccount
	for _, command := range []string{"init", "check"} {
		code, stdout, stderr := call(t, files(t, yaml), nil, command, "--config", "w.yaml")
		if code != exitFailed || !strings.Contains(stderr, closed) {
			t.Errorf("%s: exit %d, want 1 and the address %s\n%s%s", command, code, closed, stdout, stderr)
		}
	}
}

func TestRunStopsWhenTold(t *testing.T) {
	t.Parallel()
	broker, redis := kafkatest.Start(t), miniredis.RunT(t)
	yaml := fmt.Sprintf("kafka: {brokers: [%q], replication: 1, min_insync: 1}\nredis: {addresses: [%q]}\nhttp: {listen: \"127.0.0.1:0\"}\n",
		broker.Addr, redis.Addr()) + goodAccount
	in := files(t, yaml)
	if code, _, stderr := call(t, in, nil, "init", "--config", "w.yaml"); code != exitDone {
		t.Fatal(stderr)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs bytes.Buffer
	code := run(ctx, []string{"run", "--config", "w.yaml"}, config.Source{
		LookupEnvFunc: func(string) (string, bool) { return "", false },
		ReadFileFunc: func(name string) ([]byte, error) {
			if text, ok := in[filepath.Base(name)]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("no such file")
		},
	}, &out, &errs)
	if code != exitDone {
		t.Errorf("exit %d after a stop: %s", code, errs.String())
	}
}
