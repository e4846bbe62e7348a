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

// A gateway that pays again when a refund_no is sent again, as eftPay may: what a worker must never find out.
func ExampleServer_EftPay() {
	secret := sandbox.NewTestSecret()
	server, err := sandbox.New(sandbox.Config{
		Merchants: []sandbox.Merchant{{Key: "S0000001", Secret: secret, Currency: "HKD"}},
		Payments:  []sandbox.Payment{{ID: "20260101000001", Minor: 5000, Currency: "HKD", Wallet: "ALIPAYHK"}},
		EftPay:    sandbox.EftPayConfig{Duplicate: sandbox.RefundAgain, Unknown: sandbox.AnswerSale},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fault := sandbox.Fault{Kind: sandbox.DropAfter, HideQueries: 2}
	if err := server.Script(sandbox.Refund, "R1", fault); err != nil {
		fmt.Println(err)
	}
	web := httptest.NewServer(server.EftPay())

	// Here a worker with the secret refunds R1 against web.URL + "/VMP".

	web.Close()
	fmt.Println("moved twice:", server.Summary().Twice())
	if err := server.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: moved twice: []
}
