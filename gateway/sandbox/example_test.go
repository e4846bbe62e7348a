package sandbox_test

import (
	"fmt"
	"net/http/httptest"

	"refundworker/gateway/sandbox"
)

// A gateway whose answer to the first try of rf_1 is lost after the money has moved.
func Example() {
	keys, err := sandbox.NewTestKeys()
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := sandbox.New(sandbox.Config{
		PrivateKey: keys.GatewayPrivate,
		Clients:    []sandbox.Client{{ID: "SANDBOX_1", PublicKey: keys.MerchantPublic}},
		PaymentFunc: func(string) (sandbox.Payment, bool) {
			return sandbox.Payment{Minor: 5000, Currency: "HKD"}, true
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Script(sandbox.Refund, "rf_1", sandbox.Fault{Kind: sandbox.DropAfter}); err != nil {
		fmt.Println(err)
	}
	web := httptest.NewServer(server.Antom())

	// Here a worker with keys.MerchantPrivate and keys.GatewayPublic refunds against web.URL.

	web.Close()
	fmt.Println("moved twice:", server.Summary().Twice())
	if err := server.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: moved twice: []
}
