package store

import (
	"context"
	"time"

	"casemate"
	"casemate/store/commit"
)

// nodeStream is a journal as a Stream. Its records are JetStream's to keep: deletion and purge are denied there.
//
// A Written append returns the sequence it will have for good. Read, Last and Wait show Written records at once; after a
// power cut those that no Durable append followed may be gone, so whoever seals or exports a stream ends with a Durable
// append first.
type nodeStream struct{ j *commit.Journal }

func (s nodeStream) Append(ctx context.Context, data []byte, w casemate.Wait) (uint64, error) {
	if err := checkSize(len(data)); err != nil {
		return 0, err
	}
	if w != casemate.Written {
		w = casemate.Durable
	}
	return s.j.Append(ctx, w, func(uint64) ([]byte, []byte, error) { return nil, data, nil })
}

func (s nodeStream) Read(ctx context.Context, from uint64, max int) ([]Message, error) {
	if err := ctx.Err(); err != nil || max <= 0 {
		return nil, err
	}
	if from == 0 {
		from = 1
	}
	rs, err := s.j.Read(ctx, from, max)
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	out := make([]Message, len(rs))
	for i, r := range rs {
		data := make([]byte, len(r.Data))
		copy(data, r.Data)
		out[i] = Message{Seq: r.Seq, At: time.Unix(0, r.At).UTC(), Data: data}
	}
	return out, nil
}

func (s nodeStream) Last(ctx context.Context) (uint64, error) {
	s.j.Lock()
	defer s.j.Unlock()
	return s.j.Visible(), ctx.Err()
}

func (s nodeStream) Wait(ctx context.Context, from uint64) error {
	return s.j.Await(ctx, func() (bool, error) { return s.j.Visible() >= from, nil })
}
