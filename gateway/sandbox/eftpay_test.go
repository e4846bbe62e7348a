package sandbox_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"refundworker/gateway/sandbox"
)

func TestTheClientOfTheseTestsSignsByTheRecipe(t *testing.T) {
	t.Parallel()
	// A worked example of the recipe. No example of the vendor's comes with its secret.
	got := vmpSum("TESTSECRET0123456789", map[string]string{
		"service": "service.alipay.qrcode.Refund", "user_confirm_key": "S0003469", "transaction_amount": "10.01",
		"out_trade_no": "20190823191819", "paytype": "Alipay", "buyertype": "others", "payment_type": "ALIPAYHK",
		"refund_no": "RF20260101000001", "time": "20260101120000",
	}, false)
	if want := "24e28c88288c648e1ec63e7f2f4ba46ee1b170a46423060ee13393f88e8914cb"; got != want {
		t.Errorf("sign %s, want %s", got, want)
	}
}

func TestEachWalletHasARefundAndAQuery(t *testing.T) {
	t.Parallel()
	wallets := []struct{ service, payType, wallet string }{
		{"service.alipay.qrcode", "Alipay", "ALIPAYCN"},
		{"service.alipay.qrcode", "Alipay", "ALIPAYHK"},
		{"service.alipay.qrcode", "Alipay", "ALIPAYBOTH"},
		{"service.wechat.qrcode", "WeChat", "WECHATCN"},
		{"service.wechat.qrcode", "WeChat", "WECHATHK"},
		{"service.atome.v1.qrcode", "ATOME", "ATOME"},
		{"service.unionpay.qrcode.csb", "UnionPay", "UNIONPAY"},
		{"api.service.gbpay.qrcode.cash", "GBPAY", "GBPAY"},
		{"service.payme.qrcode", "PAYME", "PAYME"},
	}
	for i, own := range wallets {
		b := setupVMP(t, func(cfg *sandbox.Config) { cfg.Payments[0].Wallet = own.wallet })
		b.client.service, b.client.payType, b.client.wallet = own.service, own.payType, own.wallet
		wantSigned(t, b.client.refundOne(t, "R1"), "00 TRADE_REFUND", true)
		got := b.client.query(t, "R1", sale)
		wantSigned(t, got, "00 TRADE_REFUND", true)
		if got.fields["payment_type"] != own.wallet {
			t.Errorf("payment_type %q, want %q", got.fields["payment_type"], own.wallet)
		}
		// The next row of another family does not go with this service.
		for _, other := range wallets[i:] {
			if other.service == own.service {
				continue
			}
			mixed := b.client
			mixed.wallet = other.wallet
			wantSigned(t, mixed.refundOne(t, "R2"), "-13", false)
			mixed = b.client
			mixed.payType = other.payType
			wantSigned(t, mixed.query(t, "R1", sale), "-13", false)
			break
		}
		wantVMPMoved(t, b, "R2", 0)
	}
}

func TestAnUnknownServiceIsRefusedUnsigned(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"service.alipayplus.qrcode", "service.fps.qrcode", "service.alipay.web", ""} {
		b := setupVMP(t, nil)
		b.client.service = family
		wantSigned(t, b.client.refundOne(t, "R1"), "-13", false)
		wantVMPMoved(t, b, "R1", 0)
		if calls := b.server.Calls("R1"); len(calls) != 1 || calls[0].Code != "-13" || calls[0].Operation != sandbox.AnyOperation {
			t.Errorf("calls %+v", calls)
		}
	}
}

func TestTheClockMustBeThatOfHongKong(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		edit func(*vmpBundle)
		want string
	}{
		{"right", func(*vmpBundle) {}, "00 TRADE_REFUND"},
		{"slow, inside", func(b *vmpBundle) { b.client.clock = -5 * time.Minute }, "00 TRADE_REFUND"},
		{"fast, inside", func(b *vmpBundle) { b.client.clock = 5 * time.Minute }, "00 TRADE_REFUND"},
		{"slow, outside", func(b *vmpBundle) { b.client.clock = -5*time.Minute - time.Second }, "12"},
		{"fast, outside", func(b *vmpBundle) { b.client.clock = 5*time.Minute + time.Second }, "12"},
		{"UTC", func(b *vmpBundle) { b.client.clock = -8 * time.Hour }, "12"},
		{"no time", func(b *vmpBundle) { b.client.edit = func(f map[string]any) { delete(f, "time") } }, "12"},
		{"another form", func(b *vmpBundle) { b.client.edit = func(f map[string]any) { f["time"] = "2026-01-01 12:00:00" } }, "12"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bubbleVMP(t, nil, func(b vmpBundle) {
				tc.edit(&b)
				wantSigned(t, b.client.refundOne(b.t, "R1"), tc.want, tc.want != "12")
				wantVMPMoved(t, b, "R1", map[string]int{"00 TRADE_REFUND": 1}[tc.want])
			})
		})
	}
}

func TestTheClockWindowAndTheSignatureOfItsAnswerCanBeSet(t *testing.T) {
	t.Parallel()
	bubbleVMP(t, func(cfg *sandbox.Config) {
		cfg.EftPay.ClockWindow, cfg.EftPay.SignClock = time.Second, true
	}, func(b vmpBundle) {
		b.client.clock = 2 * time.Second
		wantSigned(b.t, b.client.refundOne(b.t, "R1"), "12", true)
		b.client.clock = time.Second
		wantSigned(b.t, b.client.refundOne(b.t, "R1"), "00 TRADE_REFUND", true)
	})
}

func TestABadSignatureIsRefusedUnsigned(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*vmpClient){
		"another secret":   func(c *vmpClient) { c.secret = "TESTSECRET0123456780" },
		"a changed amount": func(c *vmpClient) { c.tamper = func(f map[string]any) { f["transaction_amount"] = "10.01" } },
		"an added field":   func(c *vmpClient) { c.tamper = func(f map[string]any) { f["eft_trade_no"] = "1" } },
		"capitals": func(c *vmpClient) {
			c.tamper = func(f map[string]any) { f["sign"] = strings.ToUpper(fmt.Sprint(f["sign"])) }
		},
		"no sign":           func(c *vmpClient) { c.tamper = func(f map[string]any) { delete(f, "sign") } },
		"another merchant":  func(c *vmpClient) { c.edit = func(f map[string]any) { f["user_confirm_key"] = "S0003470" } },
		"a bad clock, also": func(c *vmpClient) { c.secret, c.clock = "X", time.Hour },
	}
	for name, spoil := range cases {
		for code, codes := range map[string]sandbox.EftPayCodes{"-1": {}, "31": {BadSign: "31"}} {
			b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.Codes = codes })
			good := b.client
			spoil(&b.client)
			got := b.client.refundOne(t, "R1")
			if got.says() != code || got.fields["sign"] != "" || got.fields["time"] != "" {
				t.Errorf("%s: %s", name, got.raw)
			}
			wantVMPMoved(t, b, "R1", 0)
			wantVMP(t, good.refundOne(t, "R1"), "00 TRADE_REFUND")
		}
	}
}

func TestEmptyFieldsMayBeSignedOrSkipped(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		b := setupVMP(t, func(cfg *sandbox.Config) { cfg.EftPay.KeepEmpty = keep })
		for _, signs := range []bool{false, true} {
			c := b.client
			c.keepEmpty = signs
			c.edit = func(f map[string]any) { f["tid"], f["buyer_id"] = "", nil }
			got := c.refund(t, map[bool]string{false: "R1", true: "R2"}[signs], sale, "1.00")
			wantVMP(t, got, "00 TRADE_REFUND")
			// The answer is signed as the server has it, whatever the request did.
			if verifies := got.verified == nil; verifies != (signs == keep) {
				t.Errorf("server keeps %t, client keeps %t: verified is %t in %s", keep, signs, verifies, got.raw)
			}
		}
	}
}

func TestNumbersAreSignedAsTheyStand(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	b.client.edit = func(f map[string]any) { f["transaction_amount"] = 10.5 }
	got := b.client.refundOne(t, "R1")
	wantSigned(t, got, "00 TRADE_REFUND", true)
	if got.fields["transaction_amount"] != "10.50" {
		t.Errorf("answer %s", got.raw)
	}
}

func TestWhatIsNotTheInterfaceIsAPage(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	base := strings.TrimSuffix(b.client.url, vmpPath)
	cases := []struct {
		method, path, media, body string
		want                      int
	}{
		{http.MethodPost, "/VMP/Servlet/QRcodeTradeQuery.do", "application/json", `{}`, http.StatusNotFound},
		{http.MethodPost, "/Servlet/JSAPIService.do", "application/json", `{}`, http.StatusNotFound},
		{http.MethodGet, vmpPath, "application/json", ``, http.StatusMethodNotAllowed},
		{http.MethodPost, vmpPath, "application/x-www-form-urlencoded", `a=b`, http.StatusUnsupportedMediaType},
		{http.MethodPost, vmpPath, "", `{}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, vmpPath, "application/json", `[]`, http.StatusBadRequest},
		{http.MethodPost, vmpPath, "application/json; charset=UTF-8", `{`, http.StatusBadRequest},
		{http.MethodPost, vmpPath, "application/json", `"` + strings.Repeat("x", 70_000) + `"`, http.StatusRequestEntityTooLarge},
	}
	for _, tc := range cases {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, base+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		if tc.media != "" {
			req.Header.Set("Content-Type", tc.media)
		}
		if got := b.client.do(t, req); got.http != tc.want || got.err != nil {
			t.Errorf("%s %s %.20s: HTTP %d %v, want %d", tc.method, tc.path, tc.body, got.http, got.err, tc.want)
		}
	}
}

func TestTestSecretsAreFresh(t *testing.T) {
	t.Parallel()
	one, two := sandbox.NewTestSecret(), sandbox.NewTestSecret()
	if one == two || len(one) < 20 {
		t.Errorf("secrets %q and %q", one, two)
	}
}
