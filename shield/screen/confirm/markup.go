package confirm

import (
	"html"
	"regexp"
	"strings"
)

// active is markup and script that does something, after entities, control characters and case are out of the way.
const active = `<script[\s/>]|</script` + // a script, or the end of one
	`|<[a-z!/?][^>]*[\s/"'\x60]on[a-z]{3,24}[\s/]*=` + // a handler in a tag
	`|<(?:iframe|frame|frameset|object|embed|applet|base|isindex|xss|bgsound|layer|ilayer)[\s/>]|<(?:meta|link)[\s/][^>]*(?:http-equiv|javascript:|import|data:)` +
	`|<(?:svg|math|animate|set|use|handler|foreignobject)[\s/][^>]*(?:href|values|attributename|begin)[\s]*=[\s"'\x60]*(?:javascript|data:|href|#)` +
	`|(?:href|src|action|formaction|data|srcdoc|background|poster|values?|to|from|dynsrc|lowsrc|code|codebase|content)[\s/]*=[\s"'\x60]*(?:javascript|vbscript|livescript|data:(?:text/html|image/svg|application/x))[:;,+\w]` +
	`|^[\s"']*(?:javascript|vbscript|livescript):|^[\s]*data:text/html|\]\(\s*(?:javascript|vbscript|data:text)` + // an address that runs
	`|style[\s/]*=[^>]*(?:expression[\s]*\(|url[\s]*\([\s"']*(?:javascript|data:)|behaviou?r[\s]*:|-moz-binding)` +
	`|[@]import[\s"'(]+(?:url|javascript|http)[^;]*(?:javascript|\.css)|<style[\s/>][^<]*(?:@import|expression\(|javascript)` +
	`|["'\x60][\s/]*(?:autofocus[\s/]*|style=[^ ]*[\s/]+|[a-z]{2,12}=[^\s]{0,40}[\s/]+){0,3}on[a-z]{3,24}[\s/]*=[\s"'\x60]*\w` + // out of an attribute
	`|^[\s/]*on(?:error|load|click|focus|mouse[a-z]+|blur|toggle|begin|end|key[a-z]+|pointer[a-z]+|animation[a-z]+)[\s/]*=[\s"'\x60]*[\w.]+[\s]*[(\x60=]` +
	`|["'\x60][\s]*[;)}\]+*/%&|^-]+[\s]*(?:alert|confirm|prompt|eval|fetch|import|print|settimeout|setinterval|function|document|window|location|self|top|parent|globalthis|this)[\s]*[(.\x60\[]` + // out of a string
	`|document[\s]*\.[\s]*(?:cookie|write|domain|location)|window[\s]*\[|\b(?:alert|confirm|prompt)[\s]*[(\x60][^)\x60]{0,60}[)\x60][\s]*(?:[;/"'\x60>}]|$)` +
	`|<!entity|<\?xml-stylesheet|<xml[\s>]|<[a-z]+:script`

// Confirmer holds what is compiled once.
type Confirmer struct{ active, code, path func() *regexp.Regexp }

// New makes a Confirmer.
func New() *Confirmer {
	return &Confirmer{compiled(`(?s)` + active), compiled(calls), compiled(whole)}
}

// Markup reports whether a value runs code in a browser when it stands in a page.
func (c *Confirmer) Markup(s string) bool {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r == 0xad || r >= 0x200b && r <= 0x200f:
			return -1
		case r >= 0xff01 && r <= 0xff5e:
			return r - 0xfee0
		}
		return r
	}, s)
	s = strings.ToLower(html.UnescapeString(s))
	if c.active().MatchString(s) {
		return true
	}
	// A scheme may hold blanks: "jav\tascript:" is one.
	tight := strings.ReplaceAll(s, " ", "")
	return tight != s && (strings.Contains(tight, "javascript:") && strings.Contains(tight, "=") || strings.HasPrefix(tight, "javascript:")) && c.active().MatchString(tight)
}
