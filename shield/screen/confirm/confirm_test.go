package confirm

import (
	"strings"
	"testing"
)

func TestSQL(t *testing.T) {
	for _, s := range []string{"1 OR 1=1", "' or 'a'='a", "admin'--", "admin' #", "1; DROP TABLE users", "x' AND 1=(SELECT COUNT(*) FROM t); --", "1' ORDER BY 3-- -",
		"1 UNION ALL SELECT NULL,NULL--", "') or ('1'='1", "1/**/or/**/1=1", "1 and sleep(5)", "'||(select version())||'", "1 having 1=1--", "' OR 1 -- ", "' OR TRUE LIMIT 1 -- ", "1 RLIKE (SELECT 1)",
		"'; exec xp_cmdshell('dir')--", "x'; UPDATE users SET admin=1 WHERE 'a'='a", "1 or true--", "-1' UnIoN/*!50000SeLeCt*/1,2,3--", "1)) OR 1=1--", "' or ''='",
		"1' and extractvalue(1,concat(0x7e,version()))-- -", "1 procedure analyse()", "' || pg_sleep(10)--", "1 and 1=2", "%' or 1=1 --", "1' RLIKE SLEEP(5)-- -", "' GROUP BY users.id HAVING 1=1--",
		strings.Repeat("don't ", 40) + "' UNION SELECT password FROM users--", strings.Repeat(`a"b'`, 5000) + "' or 1=1 -- " + strings.Repeat("it's ", 300)} {
		if !SQL(s) {
			t.Errorf("no SQL is seen in %q", s)
		}
	}
	for _, s := range []string{"", "O'Neil and Sons = fine", "it's or 5", "The 'small' or 'large' one", "rock 'n' roll and more", "don't drop; select one", "5' 10\" and 6' 2\"",
		"select one from the list", "We're open 9-5; and that's it -- really", "union select committee", "order by 5pm", "a 'b' and 'c'", "if x = 'a' or x = 'b' then",
		"\"x\" or \"y\"", "(1 or 2) and 3", "name like 'a'", "1 or 2 items", "Tom's, or Jerry's = cat", "l'amour ou l'argent", "SELECT a FROM b WHERE c='d' OR e='f'",
		"size > 5 and color = 'red'", "title:'foo' AND author:'bar'", "Executive summary: sleep(ing) 8 hours is good", "sleep (5 tips)", strings.Repeat("We don't select (all) from O'Neil's list, or drop 'em; it's fine -- 'really'. ", 200), "it's a group by age having fun", "it's 'a' or true limit 1", "don't or true limit 3 each"} {
		if SQL(s) {
			t.Errorf("injected SQL is seen in %q", s)
		}
	}
}

func TestMarkup(t *testing.T) {
	c := New()
	for _, s := range []string{"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\" onmouseover=\"alert(1)", "<a href=\"jav&#x09;ascript:alert(1)\">", "<svg/onload=alert(1)>",
		"';alert(1)//", "<iframe srcdoc=x>", "javascript:alert(1)", "[x](javascript:alert(1))", "<ScRiPt src=//e>", "<b style=\"x:expression(alert(1))\">"} {
		if !c.Markup(s) {
			t.Errorf("nothing active is seen in %q", s)
		}
	}
	for _, s := range []string{"", "<table style=\"color:red\">", "<?xml version=\"1.0\"?><a/>", "a < b and c > d", "an alert was sent", "I use <b>bold</b> and <a href=\"https://x.example\">links</a>",
		"on = off", "the script tag"} {
		if c.Markup(s) {
			t.Errorf("something active is seen in %q", s)
		}
	}
}

func TestCodeAndPath(t *testing.T) {
	c := New()
	for _, s := range []string{"eval(compile('x','y','exec'))", "${@print(system('id'))}", "<?php system($_GET[0]); ?>", "require('child_process').exec('id')", "__import__('os').system('id')",
		"java.lang.Runtime.getRuntime().exec(\"id\")", "phpinfo()"} {
		if !c.Code(s) {
			t.Errorf("no code is seen in %q", s)
		}
	}
	for _, s := range []string{"", "open (9 to 5)", "the eval() function runs code, so do not use it", "try { x(); } catch (e) { console.error(e); }", "import os\nprint(os.environ['HOME'])\n",
		strings.Repeat("eval(", 200)} {
		if c.Code(s) {
			t.Errorf("code is seen in %q", s)
		}
	}
	if !c.Path("/etc/passwd") || !c.Path(`C:\Windows\win.ini`) || c.Path("look at /etc/passwd") || c.Path("see /etc") {
		t.Error("paths are told wrongly")
	}
}

func FuzzConfirm(f *testing.F) {
	for _, s := range []string{"1' or '1'='1", "/*!50000 x*/", "'", "\"\\", "--", "<a b='", "eval("} {
		f.Add(s)
	}
	c := New()
	f.Fuzz(func(_ *testing.T, s string) {
		SQL(s)
		c.Markup(s)
		c.Code(s)
		c.Path(s)
	})
}
