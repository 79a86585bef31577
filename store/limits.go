package store

import (
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"casemate"
	"casemate/store/commit"
)

// Bounds that both implementations keep. Passing one is an *casemate.Error of code TooLarge or Invalid.
const (
	MaxRecord    = commit.MaxRecord // bytes of one message, value or queued item
	MaxKey       = 512              // bytes of a key
	MaxName      = 64               // bytes of a bucket's, stream's or queue's name
	DefaultLease = 16 * time.Minute // longest run (15 min) and a minute to say so
	DedupWindow  = 2 * time.Minute  // a queue refuses a known id for this long
)

const recordCost = 24 // bytes that a journal adds to a record

// recheck bounds how long a blocked Next trusts a timer: the clock is injected, so time may jump under it.
const recheck = 250 * time.Millisecond

func checkName(kind, name string) error {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return casemate.Errorf(casemate.Invalid, "use 1 to 64 bytes of UTF-8", "%s name %q is not usable", kind, name)
	}
	return nil
}

func checkKey(key string) error {
	if key == "" || len(key) > MaxKey || !utf8.ValidString(key) {
		return casemate.Errorf(casemate.Invalid, "use 1 to 512 bytes of UTF-8", "key of %d bytes is not usable", len(key))
	}
	return nil
}

func checkSize(n int) error {
	if n > MaxRecord {
		return casemate.Errorf(casemate.TooLarge, "put large content into the blobs and store its digest",
			"%d bytes are over the bound of %d for one record", n, MaxRecord)
	}
	return nil
}

func checkDigest(digest string) error {
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != 32 || strings.ToLower(digest) != digest {
		return casemate.Errorf(casemate.Invalid, "a digest is 64 lower-case hex digits", "blob digest is malformed")
	}
	return nil
}

func noKey(bucket, key string) error {
	return casemate.Errorf(casemate.NotFound, "list the bucket to see what is there", "no key %q in bucket %s", key, bucket)
}

func noBlob(digest string) error {
	return casemate.Errorf(casemate.NotFound, "deploy or upload the content again", "no blob %s", digest)
}

func movedOn(bucket, key string) error {
	return casemate.Errorf(casemate.Conflict, "read it again and repeat the change", "key %q in bucket %s has changed", key, bucket)
}

func leaseLost(queue, id string) error {
	return casemate.Errorf(casemate.Conflict, "another worker may have the item now",
		"the lease on item %q of queue %s is over", id, queue)
}

// expected judges a writer's expectation against the current revision, 0 when the key is not there.
func expected(bucket, key string, current, expect uint64) error {
	if expect == AnyRevision || expect == current {
		return nil
	}
	return movedOn(bucket, key)
}
