package refund

import (
	"testing"

	"refundworker/schemas"
)

// A field that reaches a gateway and is not in the fingerprint makes two commands one: the second is answered with the
// first one's outcome, or inquired at the wrong wallet.
func TestEveryFieldThatReachesAGatewayIsInTheFingerprint(t *testing.T) {
	t.Parallel()
	base := func() schemas.Command {
		return schemas.Command{
			RequestID: "rf-1", Gateway: schemas.EftPay, Account: "hk", PaymentID: "pay-1", Amount: schemas.Money{Minor: 1001, Currency: "HKD"},
			EftPay: &schemas.EftPayFields{Service: "s", PayType: "p", PaymentType: "ALIPAYHK", BuyerType: "others"},
		}
	}
	seen := map[string]string{fingerprints(base())[0].Sum: "nothing"}
	for field, change := range map[string]func(*schemas.Command){
		"gateway":           func(c *schemas.Command) { c.Gateway = schemas.Antom },
		"account":           func(c *schemas.Command) { c.Account = "sg" },
		"paymentId":         func(c *schemas.Command) { c.PaymentID = "pay-2" },
		"currency":          func(c *schemas.Command) { c.Amount.Currency = "USD" },
		"amount":            func(c *schemas.Command) { c.Amount.Minor = 1002 },
		"reason":            func(c *schemas.Command) { c.Reason = "returned" },
		"referenceRefundId": func(c *schemas.Command) { c.ReferenceRefundID = "returned" },
		"service":           func(c *schemas.Command) { c.EftPay.Service = "s2" },
		"payType":           func(c *schemas.Command) { c.EftPay.PayType = "s2" },
		"paymentType":       func(c *schemas.Command) { c.EftPay.PaymentType = "ALIPAYCN" },
		"buyerType":         func(c *schemas.Command) { c.EftPay.BuyerType = "ios" },
		"no eftpay fields":  func(c *schemas.Command) { c.EftPay = nil },
		"fields that run into each other": func(c *schemas.Command) {
			c.EftPay.Service, c.EftPay.PayType = "sp", ""
		},
	} {
		cmd := base()
		change(&cmd)
		sum := fingerprints(cmd)[0].Sum
		if other, taken := seen[sum]; taken {
			t.Errorf("a change of %s and of %s have one fingerprint", field, other)
		}
		seen[sum] = field
	}
	free := base()
	free.Deadline, free.BatchID, free.Metadata = &schemas.Time{}, "b", map[string]string{"a": "b"}
	free.OriginalAmount = &schemas.Money{Minor: 1, Currency: "HKD"}
	if seen[fingerprints(free)[0].Sum] != "nothing" {
		t.Error("a field that reaches no gateway changes the fingerprint")
	}
}
