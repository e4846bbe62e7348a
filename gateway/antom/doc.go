// Package antom is the client of Antom's in-store refund API: POST /v1/payments/refund and /v1/payments/inquiryRefund
// (https://docs.antom.com/ac/ams_zh-cn/refund, https://docs.antom.com/ac/ams/ir). It owns the bodies that are sent,
// signing and verifying, and the one verdict for each answer; it refuses to know when a refund is sent again and what
// becomes of a verdict.
//
// Its invariant: only an answer that Antom has signed, and that speaks of this very refund, its amount and its
// currency, makes a verdict Succeeded, Declined or Absent. Whatever is unsigned, unlisted, ambiguous or about something
// else is Unknown.
//
// Where an address stands beside a statement, the statement is the vendor's. The SDKs are cited by repository:
// github.com/alipay/global-open-sdk-go at b042a77 and github.com/alipay/global-open-sdk-java at 69add42.
package antom
