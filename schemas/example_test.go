package schemas_test

import (
	"errors"
	"fmt"
	"time"

	"refundworker/schemas"
)

func ExampleDecodeCommand() {
	cmd, err := schemas.DecodeCommand([]byte(`{
		"schemaVersion": 1, "requestId": "rf_1", "gateway": "antom", "paymentId": "20260101194010800100188000000000001",
		"amount": {"currency": "HKD", "value": "1001"}
	}`))
	fmt.Println(cmd.RequestID, cmd.Amount, err)

	_, err = schemas.DecodeCommand([]byte(`{
		"schemaVersion": 1, "requestId": "rf_1", "gateway": "antom", "paymentId": "20260101194010800100188000000000001",
		"amount": {"currency": "HKD", "value": "10.01"}
	}`))
	if refused, ok := errors.AsType[*schemas.DecodeError](err); ok {
		fmt.Println(refused.Code, refused.Pointer, refused.RequestID)
	}
	// Output:
	// rf_1 HKD 1001 (minor units) <nil>
	// SCHEMA_VIOLATION /amount/value rf_1
}

func ExampleEncodeOutcome() {
	raw, err := schemas.EncodeOutcome(schemas.Outcome{
		RequestID: "rf_1", Status: schemas.Failed, Final: true, Code: schemas.CodeExpired,
		Gateway: schemas.Antom, Account: "hk-stores", PaymentID: "20260101194010800100188000000000001",
		Amount: schemas.Money{Minor: 1001, Currency: "HKD"}, Origin: schemas.Origin{Topic: "refunds.commands"},
		OccurredAt: schemas.Time{Time: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := schemas.DecodeOutcome(raw)
	fmt.Println(out.Status, out.Code, out.Amount, err)
	// Output:
	// failed EXPIRED HKD 1001 (minor units) <nil>
}

func ExampleCode_Info() {
	info, _ := schemas.CodeBalanceNotEnough.Info()
	fmt.Println(info.Status, info.WhoActs, info.NewRequestID)
	// Output:
	// failed merchant later
}
