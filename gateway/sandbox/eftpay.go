package sandbox

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"
)

// vmpPath is where every service of the qrcode scene is:
// https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/BaseInfo.html
const vmpPath = "/VMP/Servlet/JSAPIService.do"

// EftPay is the gateway of eftPay's qrcode scene. It serves /VMP/Servlet/JSAPIService.do; anything else is HTTP 404.
func (s *Server) EftPay() http.Handler { return http.HandlerFunc(s.serveEftPay) }

func (s *Server) serveEftPay(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != vmpPath {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		writePage(w, http.StatusMethodNotAllowed, 0)
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		writePage(w, http.StatusUnsupportedMediaType, 0)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writePage(w, http.StatusRequestEntityTooLarge, 0)
		return
	}
	req, err := parseVMP(body)
	if err != nil {
		writePage(w, http.StatusBadRequest, 0)
		return
	}
	merchant, signed := s.credentials.Load().signer(req)
	op, refused := s.admitVMP(req, signed, time.Now())

	call := s.calls.begin(op, req.refundNo, req.outTradeNo)
	defer call.leave()
	// A client that has hung up waits for nothing any more, whatever the handler still does.
	defer context.AfterFunc(r.Context(), call.leave)()
	t := &vmpTurn{s: s, op: op, req: req, merchant: merchant}
	if refused != nil {
		t.ans = *refused
		said := t.result()
		call.note(None, &said)
		t.write(w, behaviour{})
		return
	}
	t.oddities = s.eftpay.nextOddities(op, req)
	s.act(w, r, call, s.faults.next(gatewayEftPay, op, req.refundNo), t)
}

// admitVMP applies the rules of the interface as such, which leave no trace: service, signature, clock. A non-nil answer
// is a refusal. signed says that a merchant's secret has signed the request.
func (s *Server) admitVMP(req vmpRequest, signed bool, now time.Time) (Operation, *vmpAnswer) {
	op, matches := operationOf(req)
	at, err := time.ParseInLocation(stampLayout, req.time, inHongKong(now).Location())
	switch {
	case !matches:
		return op, &vmpAnswer{result: result{code: returnService}, text: "service not found", unsigned: true}
	case !signed:
		return op, &vmpAnswer{result: result{code: s.cfg.EftPay.Codes.BadSign}, text: "签名错误", unsigned: true}
	case err != nil || now.Sub(at).Abs() > s.cfg.EftPay.ClockWindow:
		return op, &vmpAnswer{result: result{code: returnClock}, text: "时间不匹配", unsigned: !s.cfg.EftPay.SignClock}
	}
	return op, nil
}

// vmpTurn is an admitted call of this side.
type vmpTurn struct {
	s        *Server
	op       Operation
	req      vmpRequest
	merchant Merchant
	oddities oddities
	ans      vmpAnswer
}

func (t *vmpTurn) process(does behaviour, now time.Time) error {
	if t.op == Inquiry {
		t.ans = t.s.eftpay.query(t.merchant, t.req, now)
	} else {
		t.ans = t.s.eftpay.refund(t.merchant, t.req, does, now)
	}
	return t.s.ledger.flush(t.ans.seq)
}

// replace takes the place of what processing came to: the head, and with a trade_status what the request says of itself.
func (t *vmpTurn) replace(instead result) {
	t.ans = vmpAnswer{result: instead, text: "退款失败,SYSTEM_EXCEPTION"}
	if instead.code != returnChannel {
		t.ans.text = "sandbox: return_status " + instead.code
	}
	if instead.status == "" {
		return
	}
	view := vmpRecord{
		status: instead.status, kind: typeRefund, outTradeNo: t.req.outTradeNo, wallet: t.req.wallet,
		refundNo: t.req.refundNo, currency: t.merchant.Currency,
	}
	if minor, err := parseMajor(t.req.amount); err == nil {
		view.minor = minor
	}
	t.ans.record = &view
}

func (t *vmpTurn) result() result { return t.ans.result }

func (t *vmpTurn) write(w http.ResponseWriter, does behaviour) {
	ans := t.ans
	if does.text != "" {
		ans.text = does.text
	}
	now := time.Now()
	signed := isSigned(ans.code) && !ans.unsigned
	out := ans.body(t.merchant, signed, now)
	if signed {
		out = t.oddities.edit(out)
	}
	if does.editVMP != nil {
		out = does.editVMP(out)
	}
	if signed && !does.unsigned {
		secret := t.merchant.Secret
		if does.badSign {
			secret += " "
		}
		out = out.signed(secret, t.s.cfg.EftPay.KeepEmpty)
	}
	writeBody(w, out.encode(), does.truncate)
}
