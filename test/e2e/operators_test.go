package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// totp is an authenticator app: "totp URI PASSWORD FILE [STEP]" writes what casemate login reads, the password and the code
// of the otpauth URI in the file URI, into FILE; a step other than 0 is of the code before or after this one.
func totp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: totp URI PASSWORD FILE [STEP]")
	}
	u, err := url.Parse(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	ts.Check(err)
	step := int64(0)
	if len(args) > 3 {
		step, err = strconv.ParseInt(args[3], 10, 64)
		ts.Check(err)
	}
	h := hmac.New(sha1.New, secret)
	ts.Check(binary.Write(h, binary.BigEndian, time.Now().Unix()/30+step))
	sum := h.Sum(nil)
	code := binary.BigEndian.Uint32(sum[sum[19]&15:]) & 0x7fffffff % 1_000_000
	password := ""
	if args[1] != "-" {
		password = strings.TrimSpace(ts.ReadFile(args[1])) + "\n"
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), fmt.Appendf(nil, "%s%06d\n", password, code), 0o600))
}
