package confirm

import (
	"regexp"
	"sync"
)

// calls is a value that is, as a whole, a call of something that runs code, programs or files: in PHP, Python, JavaScript,
// Ruby, Perl or Java, with what breaks out of a string before it. A program that is talked about is longer, or goes on.
const calls = `(?is)^[\s"'\x60;,)}\]{(+.|&!=-]*(?:<\?(?:php|=)?\s*|\$\{\s*|#\{\s*|@|print\s*\(*\s*|echo\s+|return\s+|die\s*\(\s*|var_dump\s*\(\s*|new\s+|[a-z_]\w{0,20}\s*=\s*)*` +
	`@?(?:eval|assert|system|exec|execfile|execsync|spawn|spawnsync|shell_exec|passthru|popen|proc_open|pcntl_exec|phpinfo|file_get_contents|file_put_contents|readfile|fopen|show_source|highlight_file|` +
	`base64_decode|create_function|call_user_func(?:_array)?|preg_replace|unserialize|compile|__import__|getattr|globals|` +
	`(?:java\.lang\.)?(?:runtime(?:\.getruntime)?|processbuilder)|(?:os|posix|subprocess|commands|shutil|pty)\.\w+|require|include(?:_once)?|function|settimeout|` +
	`(?:global\.)?process\.(?:mainmodule|binding|exit|kill|env)[\w.]*|this\.constructor[\w.]*|constructor\.constructor|kernel\.\w+|io\.popen|child_process\.\w+)` +
	`\s*(?:\(|\[|\s+['"][^'"]{1,80}['"]).*[)\]}'"][\s;)}\]"'\x60#/*?>%-]*$`

// whole is a file's name and nothing else.
const whole = `(?is)^[\s"'\x60]*(?:file:/{0,3}|php://[^\s]*=)?(?:[a-z]:)?[./\\][^\s]{2,250}(?:\x00[^\s]{0,20})?\s*$`

// Code reports whether a value as a whole is code that is run.
func (c *Confirmer) Code(s string) bool {
	return len(s) <= maxCode && c.code().MatchString(s)
}

// Path reports whether a value as a whole is the name of a file, as a rule about system files asks.
func (c *Confirmer) Path(s string) bool {
	return len(s) <= maxCode && c.path().MatchString(s)
}

// maxCode bounds the values that count as one call, in bytes.
const maxCode = 600

func compiled(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
