package secrets

import (
	"crypto/sha256"
	"strings"

	"casemate"
)

// maxName is the longest name (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html).
const maxName = 512

// ARN is that of a secret. Secrets Manager ends it with six random characters; here they are made of the name and the
// place, so that a request tells which ARN the policy has to decide on before anything is looked up. A secret that is
// made again under its old name has its old ARN.
func ARN(place casemate.Place, name string) string {
	return prefix(place) + name + "-" + suffix(place, name)
}

func prefix(place casemate.Place) string {
	return "arn:aws:secretsmanager:" + place.Region + ":" + place.Account + ":secret:"
}

func suffix(place casemate.Place, name string) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(prefix(place) + name))
	var b [6]byte
	for i := range b {
		b[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(b[:])
}

// Name reads what a request calls a secret by: its name, its ARN, or its ARN without the six characters.
func Name(place casemate.Place, id string) (string, error) {
	name, arn := strings.CutPrefix(id, prefix(place))
	if !arn && strings.HasPrefix(id, "arn:") {
		return "", notFound() // of another region, account or service
	}
	if cut := len(name) - 7; arn && cut > 0 && name[cut] == '-' && suffix(place, name[:cut]) == name[cut+1:] {
		name = name[:cut]
	}
	return name, checkName(name)
}

func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.HasPrefix(name, "arn:") {
		return parameter("the secret's name must have 1 to 512 characters and not be an ARN")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("/_+=.@-", rune(c)) {
			return parameter("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@")
		}
	}
	return nil
}
