package eftpay

import (
	"testing"

	"refundworker/gateway"
)

func TestEveryScalarIsTakenAsItIsWritten(t *testing.T) {
	t.Parallel()
	obj, err := gateway.ParseObject([]byte(`{"s":"\u9000\"&","e":"","n":null,"d":1.50,"x":1E2,"t":true,"f":false,"o":{"a":[1]},"l":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"s": "退\"&", "e": "", "n": "", "d": "1.50", "x": "1E2", "t": "true", "f": "false"} {
		if got, ok := scalar(obj[name]); got != want || !ok {
			t.Errorf("%s: %q, %v, want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"o", "l"} {
		if got, ok := scalar(obj[name]); ok {
			t.Errorf("%s was taken for %q", name, got)
		}
	}
}
