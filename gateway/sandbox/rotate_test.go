package sandbox_test

import (
	"testing"

	"refundworker/gateway/sandbox"
)

func TestAfterARotationOnlyTheNewKeysCountAtAntom(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	next, err := sandbox.NewTestKeys()
	if err != nil {
		t.Fatal(err)
	}
	rotated := newClient(t, b.url, next)
	if err := b.server.Rotate(next.GatewayPrivate, []sandbox.Client{{ID: clientID, PublicKey: next.MerchantPublic}}, nil); err != nil {
		t.Fatal(err)
	}
	if r := b.client.refund(t, "rf-1", payment, "HKD", "100"); r.says() != "F INVALID_SIGNATURE" {
		t.Errorf("signed with the key of before: %s", r.says())
	}
	if r := rotated.refund(t, "rf-1", payment, "HKD", "100"); r.says() != "S SUCCESS" || r.verified != nil {
		t.Errorf("signed with the key of now: %s, verified %v", r.says(), r.verified)
	}
	if err := b.server.Rotate("junk", []sandbox.Client{{ID: clientID, PublicKey: next.MerchantPublic}}, nil); err == nil {
		t.Error("a key that is none was taken")
	}
	if r := rotated.refund(t, "rf-2", payment, "HKD", "100"); r.says() != "S SUCCESS" || r.verified != nil {
		t.Errorf("after a rotation that was refused: %s, verified %v", r.says(), r.verified)
	}
}

func TestAFormerSecretOfEftPayCountsAsLongAsItIsNamed(t *testing.T) {
	t.Parallel()
	b := setupVMP(t, nil)
	next := b.client
	next.secret = "NEXTSECRET9876543210"
	rotate := func(m sandbox.Merchant) {
		t.Helper()
		m.Key, m.Currency = vmpKey, "HKD"
		if err := b.server.Rotate("", nil, []sandbox.Merchant{m}); err != nil {
			t.Fatal(err)
		}
	}
	rotate(sandbox.Merchant{Secret: next.secret, FormerSecret: vmpSecret})
	for name, c := range map[string]vmpClient{"former": b.client, "new": next} {
		if r := c.refund(t, "RF"+name, sale, "1.00"); r.fields["return_status"] != "00" || r.verified != nil {
			t.Errorf("%s secret: %s, verified %v", name, r.says(), r.verified)
		}
	}
	rotate(sandbox.Merchant{Secret: next.secret})
	if r := b.client.refund(t, "RF3", sale, "1.00"); r.fields["return_status"] != "-1" {
		t.Errorf("former secret after its end: %s", r.says())
	}
}
