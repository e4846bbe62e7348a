package schemas

import (
	"strings"
	"testing"
)

func TestServiceAndPayTypeFollowFromThePaymentType(t *testing.T) {
	t.Parallel()
	for _, w := range EftPayWallets() {
		got := EftPayFields{PaymentType: w.PaymentType}.withDefaults()
		want := EftPayFields{Service: w.Service, PayType: w.PayType, PaymentType: w.PaymentType, BuyerType: "others"}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for _, fields := range []EftPayFields{got, {PaymentType: w.PaymentType}, {PaymentType: w.PaymentType, PayType: w.PayType}} {
			if text := fields.Conflict(); text != "" {
				t.Errorf("%+v: %s", fields, text)
			}
		}
	}
}

func TestWhatIsGivenIsKept(t *testing.T) {
	t.Parallel()
	given := EftPayFields{Service: "s", PayType: "p", PaymentType: "PAYME", BuyerType: "ios"}
	if got := given.withDefaults(); got != given {
		t.Errorf("got %+v", got)
	}
}

func TestFieldsThatContradictEachOtherAreNamed(t *testing.T) {
	t.Parallel()
	for field, fields := range map[string]EftPayFields{
		"eftpay.service":     {PaymentType: "WECHATHK", Service: "service.alipay.qrcode.Refund"},
		"eftpay.payType":     {PaymentType: "WECHATHK", PayType: "Alipay"},
		"eftpay.paymentType": {PaymentType: "OCTOPUS", Service: "s", PayType: "p"},
	} {
		if text := fields.Conflict(); !strings.HasPrefix(text, field+" ") {
			t.Errorf("%+v: %q, want it to name %s", fields, text, field)
		}
	}
}
