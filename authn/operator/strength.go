package operator

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"casemate"
)

// Bounds of a password: NIST SP 800-63B section 5.1.1.2, with a longer minimum. Nothing is demanded of its characters.
const (
	minPassword = 12  // characters
	maxPassword = 128 // bytes
	minStrength = 12  // see strength
)

// common is what passwords are made of by people who do not think long: our own list, one a line.
//
//go:embed common.txt
var common string

// checkPassword refuses a password that is too short, holds the operator's name, or is soon guessed.
func checkPassword(name, password string) error {
	bad := func(message, hint string) error {
		return &casemate.Error{Code: casemate.Invalid, Field: "password", Message: message, Hint: hint}
	}
	const words = "four words that have nothing to do with each other are easy to keep in mind"
	if !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl) {
		return bad("a password is text, without control characters", words)
	}
	if len(password) > maxPassword {
		return bad("a password has 128 bytes at most", "a shorter one is as good")
	}
	plain := norm.NFKC.String(password)
	switch {
	case utf8.RuneCountInString(plain) < minPassword:
		return bad("a password has 12 characters at least", words)
	case len(name) > 2 && strings.Contains(strings.ToLower(plain), strings.ToLower(name)):
		return bad("the password holds the name", words)
	case strength(plain) < minStrength:
		return bad("the password is among those that are tried first", words)
	}
	return nil
}

// strength reckons how much of a password is not soon guessed: two points for a letter, one for a digit or sign, four for a
// common word whichever way it is spelled, nothing for what continues a row (1234, aaaa) or repeats the whole.
func strength(password string) int {
	s := period([]rune(strings.ToLower(password)))
	letters := []rune{}
	for _, r := range s {
		if unicode.IsLetter(r) {
			letters = append(letters, r)
		}
	}
	words := strings.Fields(common)
	n := cheapest(s, words)
	if l := cheapest(letters, words); len(letters) > 0 && l <= 4 { // one word or phrase, with signs strewn in
		n = min(n, l+(len(s)-len(letters))/2)
	}
	return n
}

// period is what s is copies of: itself, mostly.
func period(s []rune) []rune {
	for n := 1; n <= len(s)/2; n++ {
		same := true
		for i := n; i < len(s) && same; i++ {
			same = s[i] == s[i-n]
		}
		if same {
			return s[:n]
		}
	}
	return s
}

// cheapest is the least that s costs, cut into words and single characters in any way.
func cheapest(s []rune, words []string) int {
	cost := make([]int, len(s)+1)
	for i := 1; i <= len(s); i++ {
		cost[i] = cost[i-1] + single(s, i-1)
		for _, w := range words {
			if j := i - utf8.RuneCountInString(w); j >= 0 && spelled(s[j:i], w) {
				cost[i] = min(cost[i], cost[j]+4)
			}
		}
	}
	return cost[len(s)]
}

func single(s []rune, i int) int {
	if i > 0 && s[i]-s[i-1] >= -1 && s[i]-s[i-1] <= 1 {
		return 0
	}
	if unicode.IsLetter(s[i]) {
		return 2
	}
	return 1
}

// spelled reports whether s is the word w, with digits and signs for letters as is the custom.
func spelled(s []rune, w string) bool {
	i := 0
	for _, c := range w {
		if s[i] != c && !strings.ContainsRune(custom(c), s[i]) {
			return false
		}
		i++
	}
	return true
}

func custom(letter rune) string {
	switch letter {
	case 'a':
		return "4@"
	case 'e':
		return "3"
	case 'g':
		return "9"
	case 'i':
		return "1!|"
	case 'l':
		return "1|"
	case 'o':
		return "0"
	case 's':
		return "5$"
	case 't':
		return "7+"
	}
	return ""
}
