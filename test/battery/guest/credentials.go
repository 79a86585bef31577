package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// credentials are told to somebody else, and used by somebody else.
func credentials() map[string]func(*api, order) answer {
	return map[string]func(*api, order) answer{"tell credentials": tell, "use credentials": use, "read secret": readSecret}
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
	stolen := strings.Fields(o["credentials"])
	if len(stolen) != len(variables()) {
		return failed(fmt.Errorf("credentials of %d parts", len(stolen)))
	}
	text, err := ask("sts", "", "application/x-www-form-urlencoded; charset=utf-8", "Action=GetCallerIdentity&Version=2011-06-15", stolen)
	if err != nil {
		return failed(err)
	}
	return worked("%s", text)
}

// readSecret reads a secret as SDKs do, and tells no more of it than its digest. It says a word to its log, so that a
// search for what is kept can be seen to find something.
func readSecret(_ *api, o order) answer {
	fmt.Println(o["said"])
	var own []string
	for _, name := range variables() {
		own = append(own, os.Getenv(name))
	}
	text, err := ask("secretsmanager", "secretsmanager.GetSecretValue", "application/x-amz-json-1.1", `{"SecretId":"`+o["secret"]+`"}`, own)
	if err != nil {
		return failed(err)
	}
	var secret struct{ SecretString string }
	if err := json.Unmarshal(text, &secret); err != nil {
		return failed(err)
	}
	return worked("%s", sum(secret.SecretString))
}

// ask sends one signed request to the endpoint.
func ask(service, target, kind, body string, credentials []string) ([]byte, error) {
	r, err := http.NewRequest("POST", os.Getenv("AWS_ENDPOINT_URL")+"/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	if target != "" {
		r.Header.Set("X-Amz-Target", target)
	}
	sign(r, service, body, credentials[0], credentials[1], credentials[2], time.Now().UTC())
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", resp.Status, text)
	}
	return text, err
}

// sign makes the signature of an SDK (AWS Signature Version 4).
func sign(r *http.Request, service, body, id, secret, token string, now time.Time) {
	region := os.Getenv("AWS_REGION")
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Security-Token", token)
	signed := []string{"content-type", "host", "x-amz-date", "x-amz-security-token"}
	if r.Header.Get("X-Amz-Target") != "" {
		signed = append(signed, "x-amz-target")
	}
	canonical := "POST\n/\n\n"
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		canonical += name + ":" + value + "\n"
	}
	names := strings.Join(signed, ";")
	canonical += "\n" + names + "\n" + sum(body)
	scope := strings.Join([]string{day, region, service, "aws4_request"}, "/")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, sum(canonical)}, "\n")))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", id, scope, names, signature))
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
