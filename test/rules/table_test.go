package rules

// rule is one rule of the product, how it is switched off, and the test that must notice.
type rule struct {
	// hole is what happens without the rule.
	hole string
	// text is the rule.
	text string
	// file holds old, once; with new in its place the rule is off.
	file, old, new string
	// pkg and test are what must go red; test is a pattern as for go test -run.
	pkg, test string
}

// rules are the ways in which money was moved twice, lost, or called failed in earlier designs.
func rules() []rule {
	return []rule{
		{
			"a sale's record is read as a refund that is not there, and the refund is sent again",
			"only a configured, signed code proves absence; a sale's record proves nothing",
			"gateway/eftpay/verdict.go", "	res.ShowsNone = a.showsNone(req)\n	switch {", "	if a.showsNone(req) {\n		res.Verdict = refund.Absent\n		return res\n	}\n	switch {",
			"./gateway/eftpay", "^TestInquiryAnswersProveWhatTheyProve$",
		},
		{
			"the record of another refund of the payment is read as ours",
			"success needs our refund number, or a sloppy echo while no other refund of the payment is known",
			"gateway/eftpay/verdict.go", "echo := a.refundNo == req.PaymentID && !req.OthersKnown", "echo := a.refundNo == req.PaymentID",
			"./gateway/eftpay", "^TestARecordWithoutOurNumberMayBeThatOfAnotherRefund$",
		},
		{
			"the gateway key depends on the configuration: an account is renamed, and the refund goes out under another",
			"the account is frozen at the first claim",
			"refund/pass.go", "if rec.Account != acct.Name {", "if false {",
			"./refund", "^TestTheFrozenAccountIsKeptWhenTheDefaultChanges$",
		},
		{
			"the gateway key that a build computes is not the one the refund was sent under",
			"another key than the frozen one goes to review",
			"refund/pass.go", "if acct.KeyFunc(in.cmd.RequestID) != rec.GatewayKey {", "if false {",
			"./refund", "^TestAnotherGatewayKeyThanTheFrozenOneGoesToReview$",
		},
		{
			"a request ID comes back that is older than the outcome's bytes",
			"a tombstone outlives the outcome",
			"dedupe/record_claim.lua", "  return answer('tombstone', raw)\nelseif", "  f[STATE] = CLAIMED\nelseif",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^M6",
		},
		{
			"a refund that may have been sent is sent again when the gateway has forgotten it",
			"past the resend window nothing is sent; not found means review",
			"refund/pass.go", "&& c.Now.Sub(c.Record.FirstSeen) < acct.ResendWindow", "",
			"./refund", "^TestAbsentAfterTheResendWindowIsNeverSentAgain$",
		},
		{
			"Redis has forgotten the request, and eftPay is sent a refund that it has carried out already",
			"an inquiry goes before every first send at eftPay",
			"refund/pass.go", "if maybeSent || acct.InquireFirst || in.notified() || unsure.doubtful {", "if maybeSent || in.notified() || unsure.doubtful {",
			"./refund", "^TestAGatewayThatIsInquiredFirstIsSentOnlyWhatItDoesNotShow$",
		},
		{
			"a process that was frozen wakes and writes, after another worker took over",
			"the deadline is looked at again right before the first byte",
			"gateway/call.go", "if now := time.Now(); c.late(now, now.Round(0)) {", "if false {",
			"./gateway", "^TestAFrozenProcessWritesNothing$",
		},
		{
			"a throttled answer, perhaps from a proxy behind which the work was done, is read as not sent",
			"not sent means that not one byte was written",
			"gateway/errors.go", "	return refund.Unknown\n}", "	return refund.NotSent\n}",
			"./gateway", "^TestAFailureAfterWritingIsUnknown$",
		},
		{
			"the decline of a resend, caused by our own first send, is called failed",
			"a decline of what may have been sent before needs an inquiry that agrees",
			"refund/decide.go", "case ev.sent && ev.send.Verdict == Declined && !earlier:", "case ev.sent && ev.send.Verdict == Declined:",
			"./refund", "^TestDecideNeverBreaksAMoneyRule$",
		},
		{
			"what may have been sent expires by its deadline and is called failed",
			"our own refusals fail only what was never sent",
			"refund/pass.go", "	case c.Record.MaybeSent:\n		return \"\", \"\"\n", "",
			"./refund", "^TestLocalRefusalsFailOnlyWhatWasNeverSent$",
		},
		{
			"a revoked key turns an unknown outcome into a failure",
			"answers that concern our account are unknown, and raise an alarm",
			"gateway/antom/codes.go", "code: code, verdict: refund.Unknown, ours: schemas.CodeAccountRejected,", "code: code, verdict: refund.Declined, ours: schemas.CodeAccountRejected,",
			"./gateway/antom", "^TestTheTablesSayWhatTheySaidWhenTheyWereChecked$|^TestRefundAnswersProveWhatTheyProve$",
		},
		{
			"a new build validates more strictly than the one that sent the refund, and calls it failed",
			"content is refused on a fresh record only",
			"refund/pass.go", "	if (c.Fresh || unsure.doubtful) && !c.Record.MaybeSent {", "	if true {",
			"./refund", "^TestLocalRefusalsFailOnlyWhatWasNeverSent$",
		},
		{
			"an unknown account fails a refund that was sent",
			"a command whose account is not configured is parked",
			"refund/processor.go", "		return true, p.parkUnknownAccount(ctx, in, in.accountName(), err)", "		return true, p.reject(ctx, in, &schemas.DecodeError{Code: schemas.CodeSchemaViolation, Detail: err.Error()})",
			"./refund", "^TestACommandWithoutItsAccountIsParkedNotFailed$",
		},
		{
			"a key that the gateway knows with other content fails the refund that it belongs to, or succeeds for it",
			"that answer is review, whatever an inquiry by the key finds",
			"refund/decide.go", "	if ev.sent && ev.send.Review {", "	if false {",
			"./refund", "^TestDecideByTable$/^a_contradicted_send",
		},
		{
			"and later answers by that key close it all the same",
			"a contradicted request is closed to every answer",
			"refund/signal.go", "	if rec.Contradicted {", "	if false {",
			"./refund", "^TestAContradictedRequestIsClosedToEveryAnswer$",
		},
		{
			"two commands differ in the wallet and are taken for one",
			"the fingerprint covers every field that reaches a gateway",
			"refund/fingerprint.go", "		field(e.PaymentType)\n", "",
			"./refund", "^TestEveryFieldThatReachesAGatewayIsInTheFingerprint$",
		},
		{
			"a build with another recipe finds a conflict in every redelivery",
			"a fingerprint is compared in the version it was stored in",
			"dedupe/common.lua", "if ARGV[i] == f[FPV] then", "if true then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^M14",
		},
		{
			"another bucket count makes every record absent",
			"another layout than the stored one refuses to start",
			"dedupe/layout.go", "case stored != layoutText:", "case false:",
			"./dedupe", "^TestM15AnotherLayoutRefusesToStart$",
		},
		{
			"a copy is dropped because its record was rolled back below it",
			"a copy above its record is granted, as maybe sent",
			"dedupe/record_claim.lua", "  if hop < tonumber(f[HOP]) and not signal then", "  if hop ~= tonumber(f[HOP]) and not signal then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^L1",
		},
		{
			"a copy whose record is gone is taken for a first send",
			"a copy without a record is adopted as maybe sent",
			"dedupe/record_claim.lua", "  local maybe = '1'\n", "  local maybe = '0'\n",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^L1",
		},
		{
			"a lost copy, or a removed tier, is a silent grave",
			"the store's schedule drives open requests again",
			"dedupe/record_wait.lua", "  redis.call('ZADD', KEYS[3], ARGV[13], ARGV[11])\n", "",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^L2",
		},
		{
			"a duplicate of a waiting request does nothing, and its copy is lost",
			"a duplicate of a waiting request writes the copy again",
			"dedupe/record_claim.lua", "    if kind == '0' or via == f[VIA] or f[VIA] == '' then", "    if false then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^L2",
		},
		{
			"copies that wait in a tier that is no longer configured are never read",
			"tiers that still exist are read",
			"internal/worker/worker.go", "append(slices.Clone(w.topics.Tiers), former...)", "slices.Clone(w.topics.Tiers)",
			"./internal/worker", "^TestTiersThatAreNoLongerConfiguredAreStillConsumed$",
		},
		{
			"a progress event has the final's ID, and the ledger drops the final",
			"terminals are <request ID>/final, progress carries hop and claim token",
			"schemas/outcome.go", `return requestID + "/" + strconv.Itoa(hop) + "/" + claimToken`, `return requestID + "/" + strconv.Itoa(hop)`,
			"./schemas", "^TestEventIDsAreTheContracts$",
		},
		{
			"a message that cannot be read poses as a failed outcome of a request",
			"rejections are an event type of their own, and settle nothing",
			"schemas/headers.go", "return eventHeaders(TypeRejected, ", "return eventHeaders(TypeOutcome, ",
			"./schemas", "^TestRejectionHeadersNameTheMessagesPlace$",
		},
		{
			"somebody who can write to the signals topic closes a refund with a forged notification",
			"a notification is verified where it is acted on, and proves nothing else",
			"gateway/antom/notification.go", "	if err := c.signer.Load().verifyAt(n.Path, headerRequestTime, header, n.Body); err != nil {", "	if err := c.signer.Load().verifyAt(n.Path, headerRequestTime, header, n.Body); err != nil && false {",
			"./gateway/antom", "^TestANotificationThatIsNotAntomsOrNotOursIsRefused$",
		},
		{
			"a verified success is dropped because the claim was lost meanwhile",
			"proof settles over any unsettled owner, and over an absent record",
			"dedupe/record_settle.lua", "  if not proof and not own then", "  if not own then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^L6",
		},
		{
			"a replica is promoted with the epoch and without a claim, and what was sent looks like a first send",
			"an epoch is that of one server, and the claim looks whether it is this one",
			"dedupe/common.lua", "if type(info) == 'string' and string.find(info, 'master_replid:', 1, true) and", "if false and",
			"./dedupe", "^TestAFailoverThatKeepsTheEpochIsNoticed$",
		},
		{
			"Redis was flushed, and what had failed before is sent again, after the producer has replaced it",
			"without an epoch nothing is claimed, until a refill has begun one",
			"dedupe/common.lua", "  if not raw then\n    return nil\n  end\n  local id", "  if not raw then\n    return '0', '0'\n  end\n  local id",
			"./dedupe", "^TestWhereTheReplicationIDIsNotToldTheEpochsPresenceCounts$",
		},
		{
			"Redis was flushed in mid-send, a duplicate finds nothing at eftPay, where the refund does not show yet, and sends",
			"in a new epoch eftPay is only asked, until everything that can have been sent must show",
			"refund/pass.go", "if unsure.quarantined || unsure.refused ||", "if unsure.refused ||",
			"./refund", "^TestAfterAmnesiaAGatewayWithoutPromisesIsOnlyAskedUntilItMustHaveShown$",
		},
		{
			"a refill beside workers loses to a claim that was just made, and the request gets a second outcome",
			"a published outcome wins over every unsettled state",
			"dedupe/record_restore.lua", "or f[STATE] == SETTLED) then\n  return {'kept', raw}\nend\nlocal first", "or f[STATE] == SETTLED or f[STATE] == CLAIMED) then\n  return {'kept', raw}\nend\nlocal first",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^a_final_outcome_wins_over_a_claim",
		},
		{
			"an open request comes back from the results as if nothing had been sent",
			"open requests and reviews come back as maybe sent",
			"dedupe/record_restore.lua", "local mark = '1'", "local mark = '0'",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^an_open_request_comes_back_waiting",
		},
		{
			"a worker that was overtaken stores its proof and dies: the store says success, and nobody ever tells",
			"what an owner that had lost its claim has settled stays on the schedule until it is announced",
			"dedupe/record_settle.lua", "if own then\n", "if true then\n",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^a_success_proved_by_an_owner_that_had_lost_the_claim_is_overdue",
		},
		{
			"a signal that looked before takes up a review that only a person closes, and leaves it claimed for ever",
			"a contradicted review is taken up by nobody",
			"dedupe/record_claim.lua", "if not signal or f[MAYBE] == '2' then", "if not signal then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^a_contradicted_review_is_taken_up_by_nobody",
		},
		{
			"a retry-pending that was late lies behind the final, and compaction keeps only it",
			"a results topic that is compacted is refused",
			"internal/kafka/check.go", `if s.policy != "delete" {`, "if false {",
			"./internal/kafka", "^TestCheckNamesEveryUnfitTopicAtOnce$",
		},
		{
			"a script of an earlier attempt, replayed by the driver, moves the record under the later one",
			"every write is compared with the claim's random token",
			"dedupe/record_wait.lua", "if f[VERSION] ~= FORMAT or f[STATE] == SETTLED or f[TOKEN] ~= token then", "if f[VERSION] ~= FORMAT or f[STATE] == SETTLED then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^L9",
		},
		{
			"two refunds of one payment are at the gateway together",
			"the payment's lease serialises the fleet",
			"dedupe/payment_acquire.lua", "  if lease_end > now then", "  if false then",
			"./dedupe", "^TestEveryStoreConforms$/^miniredis$/^a_payment_is_at_the_gateway_once",
		},
		{
			"a claim whose other half is late holds a payment that was taken from it meanwhile, and so does another request",
			"a payment is not taken from a claim whose lease runs, not even for the same request",
			"dedupe/memory_payment.go", "		if p.lease > now {", "		if p.lease > now && !own.heldBy(p.token) {",
			"./dedupe", "^TestAPaymentIsNotTakenFromAClaimWhoseOtherHalfIsStillOnItsWay$",
		},
		{
			"an outcome is published before it is stored, and a crash makes another",
			"settled before it is published",
			"refund/finish.go", "	req := SettleRequest{", "	_ = p.publishFinal(ctx, in, out, value, in.memo(c.Record), false)\n	req := SettleRequest{",
			"./refund", "^TestALateDeclineDoesNotContradictTheOutcomeOfTheNewOwner$",
		},
	}
}
