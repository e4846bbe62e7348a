package eftpay_test

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/eftpay"
	"refundworker/refund"
	"refundworker/schemas"
)

// A fault is found before anything starts; the error says what to do and does not show the secret.
func ExampleConfig_Validate() {
	err := eftpay.Config{
		Name: "eftpay-hk", BaseURL: "https://vmp.eftpay.com.cn/VMP", UserConfirmKey: "S0000000", Secret: "hunter2\n", Currency: "JPY",
	}.Validate()
	fmt.Println(err)
	// Output:
	// secret: is not 1 to 256 printable characters without spaces; write the secret code eftPay gave you
	// currency: "JPY" is not a currency with two decimals; write its ISO 4217 code, such as HKD
}

// The refund number is the same for ever.
func ExampleKey() {
	fmt.Println(eftpay.Key("rf_0001"))
	// Output: RNEDFFX7IVCMB3URS72MCCVNX6DG
}

// One client per account. A request that breaks a limit of eftPay's is told by Check, and never sent.
func ExampleNew() {
	cfg := eftpay.Config{
		Name: "eftpay-hk", BaseURL: "https://vmp.eftpay.com.cn/VMP", UserConfirmKey: "S0000000", Secret: "the-secret-code", Currency: "HKD",
	}
	client, err := eftpay.New(cfg, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), []string{cfg.Name}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	req := refund.Request{
		RequestID: "rf_0001", GatewayKey: eftpay.Key("rf_0001"), PaymentID: "20190823191819",
		Amount: schemas.Money{Minor: 10_000_000, Currency: "HKD"},
		EftPay: &schemas.EftPayFields{PaymentType: "ALIPAYHK"}, ClaimedAt: time.Now(),
	}
	fmt.Println(client.Check(req))
	res, _ := client.Refund(context.Background(), req)
	fmt.Println(res.Verdict)
	// Output:
	// amount: is not 1 to 9999999 minor units
	// not-sent
}
