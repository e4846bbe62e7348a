package main

import (
	"fmt"
	"io"
)

// serveNote says how to go on by hand.
func serveNote(out io.Writer, st *stack) {
	prefix := st.cfg.Kafka.TopicPrefix
	_, _ = fmt.Fprintf(out, `
The sandbox stays up until Ctrl-C. Outcomes are printed here as they arrive. With kcat, or any Kafka client:

  kcat -b %[1]s -C -t %[2]s.results -o beginning -f '%%h %%s\n'
  echo '{"schemaVersion":1,"requestId":"my-refund-1","gateway":"antom","account":"hk-stores","paymentId":"my-payment","amount":{"currency":"HKD","value":"1001"}}' \
    | kcat -b %[1]s -P -t %[2]s.commands -k my-payment

Every payment ID is worth 1000000 minor units of HKD, unless it begins with "missing".

`, st.kafkaAddr(), prefix)
}
