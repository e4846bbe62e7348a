// Package sandbox is two gateways to test against: [http.Handler]s that keep payments, check signatures, enforce the
// gateways' refund rules, move (pretended) money, and misbehave on demand. It owns the ledger, which says how often
// money was moved for a request; it refuses to know the clients it serves, and shares no line with them: signing,
// amounts and codes are written here a second time, so that a mistake in one of the two shows as a disagreement.
//
// Its invariant: an answer leaves only after the ledger entry it rests on is durable, and an entry is never changed or
// taken back. What [Server.Ledger] shows is what happened, whatever the client was told.
//
// # Antom
//
// [Server.Antom] serves refund and inquiryRefund under /ams/api/v1/payments and under /ams/sandbox/api/v1/payments.
// The rules follow the public pages; the address is given where a rule is written down. Where the pages are silent the
// behaviour is a field of [Config] or [Payment]. Money moves at most once per refundRequestId.
//
// # eftPay
//
// [Server.EftPay] serves the Refund and Query services of the qrcode scene, six wallet families of each, at
// /VMP/Servlet/JSAPIService.do. Much is not public here; [EftPayConfig] chooses between what the real gateway may do:
// for a refund_no that is sent twice (one choice moves the money twice), for one that Query does not know, for the
// error codes. The gateway never learns the request ID of its client, only the refund_no made of it, and so ledger, call
// log, summary and rules go by refund_no where they say request ID.
//
// # Faults
//
// A [Rule] says which calls are hit (a script per request ID, a count, or a seeded probability) and a [Fault] says how.
// The kinds are a closed list, see [Kind]; some exist at one gateway only. Faults touch only calls that the gateway
// would have served: a refused signature does not use one up. Chance is a hash of seed, operation, request ID and call
// number, so that the order in which goroutines arrive does not change who is hit.
//
// # Keys
//
// [Server.Rotate] replaces the keys of both sides while calls are under way.
//
// # Admin
//
// [Server.Admin] offers the same in JSON for a sandbox in a process of its own:
//
//	POST   /payments            a Payment, or a list of them
//	POST   /funds               {"clientId", "currency", "minor"}: adds to what Antom's merchant can refund from
//	POST   /faults              a Rule; answers {"id"}
//	GET    /faults              the rules, in the order in which they are asked
//	DELETE /faults              all of them;  DELETE /faults/{id}  one
//	GET    /ledger              the entries; ?requestId= narrows (at eftPay a refund_no, here and below)
//	GET    /summary             refunds per request ID, money per payment and per currency
//	GET    /calls?requestId=    the call log of one request
//	GET    /overlaps            how many refund calls were open at the same time
//
// It has no authentication; bind it to a loopback address.
package sandbox
