// Package eftpay is the client of eftPay VMP's qrcode scene: Refund and Query
// (https://vmp.eftpay.com.cn/vmp-docs/en/api-reference/scene/qrcode/Refund.html and .../qrcode/Query.html). It owns the
// bodies that are sent, signing and verifying, the refund number and the one verdict for each answer; it refuses to
// know when a refund is sent again and what becomes of a verdict.
//
// eftPay documents no idempotency: what a second Refund with the same refund_no does is not known. So the client never
// calls a resend safe, and its invariant is: only an answer signed with the account's secret, that carries our
// refund_no, our out_trade_no and our amount, makes a verdict Succeeded or Declined. A record of the sale, or a number
// echoed wrongly as on the vendor's own page, proves neither success nor absence.
//
// Where an address stands beside a statement, the statement is the vendor's. Third parties, whose live traffic is the
// only source of some facts, are cited by repository: github.com/cre8torwork/CardTrain at 7300c26 (eftPay's sibling
// product OAPM), github.com/richard38999/RSM-Backend at 9091dd5 (a tester's tool) and github.com/CHI-KEKE/joy_ at
// 0533c74 (a shop's notes of real answers). Neither the vendor's page on signatures nor its two appendices of codes
// could be read.
package eftpay
