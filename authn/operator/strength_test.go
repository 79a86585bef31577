package operator

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"casemate"
)

func TestPasswordPolicy(t *testing.T) {
	for password, ok := range map[string]bool{
		"umbrella-lattice-9-quarry": true, "correct zebra battery moon": true, "7Xq!mZ2p#Lw9": true, "größtes Geheimnis": true, "пароль не скажу": true, "我的密碼很長而且沒有人知道它": true,
		"kitchen tulip 44 fog": true, "4shci6wavq4g7xfswqvk": true, "the rain in spain falls": true, strings.Repeat("ab cd! ", 18)[:126] + "xy": true,
		"": false, "short1!": false, "elevenchars": false, "password1234": false, "Password1234!": false, "P@ssw0rd2024!!": false, "passwordpassword": false, "qwertyuiop123": false,
		"123456789012": false, "839201748392": false, "aaaaaaaaaaaaaaaa": false, "abcdefghijklmnop": false, "abcabcabcabcabc": false, "Summer2024!Summer2024!": false, "iloveyou2024!": false,
		"letmeinletmein": false, "ada-lattice-9-quarry": false, "umbrella-ADA-9-quarry": false, "correct horse battery staple": false, "correcthorsebatterystaple": false, "c.o.r.r.e.c.t.horsebatterystaple": false,
		"welcome12345": false, "adminadmin123": false, "tab\tin the middle": false, "nul\x00in the middle": false, "bad\xffutf8-bytes-here": false,
		strings.Repeat("x9 q", 32) + "z": false, "changeme1234": false, "trustno1trustno1": false, "Dr@g0nM0nk3y!!": false, "zyxwvutsrqponmlk": false,
	} {
		if err := checkPassword("ada", password); (err == nil) != ok || err != nil && casemate.CodeOf(err) != casemate.Invalid {
			t.Errorf("%q (%d points): %v", password, strength(password), err)
		}
	}
	if err := checkPassword("a", "umbrella-lattice-9-quarry"); err != nil {
		t.Error("a name of one letter is in everything:", err)
	}
}

func TestDrawnPasswordsHold(t *testing.T) {
	for range 20 {
		_, drawn, err := orDraw("ada", "")
		if err != nil || strength(drawn) < minStrength {
			t.Errorf("%q: %d points, %v", drawn, strength(drawn), err)
		}
	}
}

// TestRFC6238: appendix B, SHA-1, and the first values of RFC 4226 appendix D.
func TestRFC6238(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := code(secret, at/totpStep, 8); got != want {
			t.Errorf("%d: %s, not %s", at, got, want)
		}
	}
	for i, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := code(secret, int64(i), 6); got != want {
			t.Errorf("counter %d: %s, not %s", i, got, want)
		}
	}
	now := time.Unix(20*totpStep+7, 0)
	for step, ok := range map[int64]bool{18: false, 19: true, 20: true, 21: true, 22: false} {
		if got, found := matchStep(secret, code(secret, step, 6), now, 0); found != ok || ok && got != step {
			t.Errorf("step %d: %d, %v", step, got, found)
		}
	}
	if _, ok := matchStep(secret, code(secret, 20, 6), now, 20); ok {
		t.Error("a step is taken twice")
	}
}

func TestHashes(t *testing.T) {
	h := newPHC("pässword", 64)
	read, err := readPHC(h.String())
	if err != nil || hex.EncodeToString(read.derive("pa\u0308ssword")) != hex.EncodeToString(h.hash) {
		t.Error("a password in another composition is another one", err)
	}
	if h := newPHC("x", hashMemory); h.memory < 19<<10 || h.time < 2 || len(h.salt) < 16 {
		t.Errorf("weaker than OWASP says: %v", h)
	}
	if one, other := newPHC("x", 64).String(), newPHC("x", 64).String(); one == other {
		t.Error("two hashes share their salt")
	}
	for _, bad := range []string{"", "$argon2id$v=19$m=19456,t=2,p=1$$", strings.Replace(h.String(), "argon2id", "argon2i", 1), strings.Replace(h.String(), "m=64", "m=99999999", 1),
		strings.Replace(h.String(), "t=2", "t=0", 1), h.String() + "A", h.String()[:len(h.String())-2], strings.Replace(h.String(), "m=64", "m=+64", 1)} {
		if _, err := readPHC(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestRoleNamesOfSets(t *testing.T) {
	all := Policies()
	if RoleOf([]string{RoleView, RoleAudit, RoleView}) != "operator/audit+view" || RoleOf(nil) != "operator/none" || len(all) != 1<<len(RoleNames())+4 {
		t.Errorf("%d roles", len(all))
	}
	if err := quick.Check(func(set uint8) bool {
		names := []string{}
		for i, r := range RoleNames() {
			if set&(1<<i) != 0 {
				names = append(names, r)
			}
		}
		role := RoleOf(names)
		return all[role] != nil && fmt.Sprint(held(role)) == fmt.Sprint(names) && !Broken(role)
	}, nil); err != nil {
		t.Error(err)
	}
	if held("operator") != nil || held("clerk") != nil || len(held(roleEnrol)) > 0 || len(held(roleSignIn)) > 0 {
		t.Error("a role that is none stands for roles")
	}
}

func FuzzHash(f *testing.F) {
	f.Add(newPHC("x", 64).String())
	f.Add("$argon2id$v=19$m=1,t=1,p=1$AAAAAAAAAAA$AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := readPHC(text); err == nil && (h.String() != text || h.memory > 10*hashMemory || h.time > 10*hashTime) {
			t.Fatalf("%q is read as %v", text, h)
		}
	})
}

func FuzzPassword(f *testing.F) {
	f.Add("ada", "umbrella-lattice-9-quarry")
	f.Add("a", "\xff\x00")
	f.Fuzz(func(t *testing.T, name, password string) {
		if checkPassword(name, password) == nil && (len(password) > maxPassword || len([]rune(password)) < 4) {
			t.Fatalf("%q is taken", password)
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add("cs_abcdefghijkl_" + strings.Repeat("a", secretLen))
	f.Add("k1.abc.def")
	f.Add("\xdf0\x9f\xe50000\xad\x91\xeb00\x900\xad\xba\x840\xe70\x87000\xc90\xde00\x80\xa40")
	n := start(f)
	key, err := n.key(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := n.Verify(text, nil); err == nil {
			t.Fatalf("%q opens a session", text)
		}
		if id := n.knownDevice(key, "ada", text); id != "" {
			t.Fatalf("%q is a device", text)
		}
		if c := plainCode(text); len(c) > 64 {
			t.Fatalf("%q is a code of %d", text, len(c))
		}
		if p := network(text); text != "" && p == "" {
			t.Fatal("a place without a name")
		}
	})
}
