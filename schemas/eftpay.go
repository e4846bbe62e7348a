package schemas

import "fmt"

// BuyerTypeOthers is the buyer type of a command that names none.
const BuyerTypeOthers = "others"

// EftPayWallet is a wallet of eftPay's qrcode scene with the service and pay type that its refunds go to.
// Source: eftPay VMP, Refund of the qrcode scene, table of services.
type EftPayWallet struct {
	PaymentType, Service, PayType string
}

// EftPayWallets lists the wallets of the contract in the order of eftPay's table.
func EftPayWallets() []EftPayWallet {
	return []EftPayWallet{
		{"ALIPAYCN", "service.alipay.qrcode.Refund", "Alipay"},
		{"ALIPAYHK", "service.alipay.qrcode.Refund", "Alipay"},
		{"ALIPAYBOTH", "service.alipay.qrcode.Refund", "Alipay"},
		{"WECHATCN", "service.wechat.qrcode.Refund", "WeChat"},
		{"WECHATHK", "service.wechat.qrcode.Refund", "WeChat"},
		{"ATOME", "service.atome.v1.qrcode.Refund", "ATOME"},
		{"UNIONPAY", "service.unionpay.qrcode.csb.Refund", "UnionPay"},
		{"GBPAY", "api.service.gbpay.qrcode.cash.Refund", "GBPAY"},
		{"PAYME", "service.payme.qrcode.Refund", "PAYME"},
	}
}

// wallets finds a wallet by its payment type.
//
//nolint:gochecknoglobals // a constant table, indexed
var wallets = func() map[string]EftPayWallet {
	byType := make(map[string]EftPayWallet)
	for _, w := range EftPayWallets() {
		byType[w.PaymentType] = w
	}
	return byType
}()

// withDefaults fills service, pay type and buyer type where the command leaves them out, so that a command means the
// same (and has the same fingerprint) whether it spells them out or not.
func (f EftPayFields) withDefaults() EftPayFields {
	w := wallets[f.PaymentType]
	if f.Service == "" {
		f.Service = w.Service
	}
	if f.PayType == "" {
		f.PayType = w.PayType
	}
	if f.BuyerType == "" {
		f.BuyerType = BuyerTypeOthers
	}
	return f
}

// Conflict is a text when the service or the pay type does not go with the payment type, "" when they agree. The
// schema takes such a command; it ends as INVALID_REQUEST, because it is readable and its refund has an outcome.
func (f EftPayFields) Conflict() string {
	w, known := wallets[f.PaymentType]
	f = f.withDefaults()
	switch {
	case !known:
		return fmt.Sprintf("eftpay.paymentType %q is not a wallet of eftPay's qrcode scene", f.PaymentType)
	case f.Service != w.Service:
		return fmt.Sprintf("eftpay.service %q does not go with paymentType %s, which needs %s", f.Service, f.PaymentType, w.Service)
	case f.PayType != w.PayType:
		return fmt.Sprintf("eftpay.payType %q does not go with paymentType %s, which needs %s", f.PayType, f.PaymentType, w.PayType)
	}
	return ""
}
