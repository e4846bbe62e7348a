package kafka

import (
	"context"
	"fmt"
	"io"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// freshMetadata is a metadata request that kafka-go's transport carries to a broker. One of the driver's own type it
// would answer from its cache, which never holds the authorized operations.
type freshMetadata struct {
	*metadata.Request
	clientID string
	// version is what the connection has agreed on.
	version int16
}

var _ protocol.RawExchanger = (*freshMetadata)(nil)

// Required is called with the connection's versions, before RawExchange.
func (f *freshMetadata) Required(versions map[protocol.ApiKey]int16) bool {
	f.version = versions[protocol.Metadata]
	return true
}

// RawExchange asks. A connection serves one request at a time, so any correlation ID will do.
func (f *freshMetadata) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	message, err := protocol.RoundTrip(rw, f.version, 1, f.clientID, f.Request)
	if err != nil {
		return nil, err
	}
	response, ok := message.(*metadata.Response)
	if !ok {
		return nil, fmt.Errorf("unexpected answer %T", message)
	}
	// In a type of its own: the transport takes the driver's for an answer to a request of the driver's type.
	return &freshAnswer{response}, nil
}

type freshAnswer struct{ *metadata.Response }

func askFreshMetadata(ctx context.Context, conn Config, transport *kafkago.Transport, request *metadata.Request) (*metadata.Response, error) {
	message, err := transport.RoundTrip(ctx, conn.Addr(), &freshMetadata{Request: request, clientID: conn.ClientID})
	if err != nil {
		return nil, err
	}
	answer, ok := message.(*freshAnswer)
	if !ok {
		return nil, fmt.Errorf("unexpected answer %T", message)
	}
	return answer.Response, nil
}
