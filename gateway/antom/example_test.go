package antom_test

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"refundworker/gateway"
	"refundworker/gateway/antom"
	"refundworker/refund"
	"refundworker/schemas"
)

// A key that cannot be read is found before anything starts; the error says what to do and does not show the key.
func ExampleConfig_Validate() {
	err := antom.Config{
		Name: "hk-stores", BaseURL: "https://open-sea-global.alipay.com", ClientID: "YOUR_CLIENT_ID",
		PrivateKey: "hunter2!",
	}.Validate()
	fmt.Println(err)
	// Output:
	// private key: unusable key: is neither PEM nor base64; write the key as one of them
	// antom public keys: there is none; write the public key that Antom shows in its dashboard
}

// One client per account. Refund may be called again with the same request: the body is the same bytes.
func ExampleNew() {
	cfg := antom.Config{
		Name: "hk-stores", BaseURL: "https://open-sea-global.alipay.com", ClientID: "YOUR_CLIENT_ID",
		PrivateKey: "the text of the key file", AntomPublicKeys: []antom.Secret{"the text of Antom's key file"},
	}
	client, err := antom.New(cfg, zerolog.Nop(), gateway.NewMetrics(prometheus.NewRegistry(), []string{cfg.Name}))
	if err != nil {
		fmt.Println("these are no keys")
		return
	}
	defer client.Close()
	res, err := client.Refund(context.Background(), refund.Request{
		RequestID: "rf_0001", GatewayKey: antom.Key("rf_0001"), PaymentID: "2026",
		Amount: schemas.Money{Minor: 1001, Currency: "HKD"},
	})
	fmt.Println(res.Verdict, err)
	// Output: these are no keys
}
