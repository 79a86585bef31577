package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// credentials are told to somebody else, and used by somebody else.
func credentials() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{"tell credentials": tell, "use credentials": use}
}

// variables are what an SDK takes its credentials from.
func variables() []string {
	return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
}

func tell(*api, order) answer {
	var all []string
	for _, name := range variables() {
		all = append(all, os.Getenv(name))
	}
	return answer{Detail: strings.Join(all, " ")}
}

// use asks the service endpoint of this sandbox who it is talking to, with the credentials of the order.
func use(_ *api, o order) answer {
	body := "Action=GetCallerIdentity&Version=2011-06-15"
	endpoint := os.Getenv("AWS_ENDPOINT_URL")
	r, err := http.NewRequest("POST", endpoint+"/", strings.NewReader(body))
	if err != nil {
		return failed(err)
	}
	stolen := strings.Fields(o["credentials"])
	if len(stolen) != len(variables()) {
		return failed(fmt.Errorf("credentials of %d parts", len(stolen)))
	}
	sign(r, body, stolen[0], stolen[1], stolen[2], time.Now().UTC())
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return failed(err)
	}
	if resp.StatusCode != http.StatusOK {
		return failed(fmt.Errorf("%s %s", resp.Status, text))
	}
	return worked("%s", text)
}

// sign makes the signature of an SDK for the security token service (AWS Signature Version 4).
func sign(r *http.Request, body, id, secret, token string, now time.Time) {
	region := os.Getenv("AWS_REGION")
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Security-Token", token)
	const signed = "content-type;host;x-amz-date;x-amz-security-token"
	canonical := strings.Join([]string{"POST", "/", "", "content-type:" + r.Header.Get("Content-Type"), "host:" + r.URL.Host,
		"x-amz-date:" + stamp, "x-amz-security-token:" + token, "", signed, sum(body)}, "\n")
	scope := strings.Join([]string{day, region, "sts", "aws4_request"}, "/")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, "sts", "aws4_request"} {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, sum(canonical)}, "\n")))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", id, scope, signed, signature))
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
