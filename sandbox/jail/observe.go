package jail

import "casemate/sandbox/jail/opened"

// unwatched are the mounts whose files are nothing to tell: the jail's own scratch, and devices that reach nothing.
var unwatched = []string{"/tmp", "/dev"}

// CanObserve says whether Observe may be expected to work on this node.
func CanObserve() bool {
	l, err := theLauncher()
	return err == nil && l.root
}

// Observe begins to see which files the jail's programs open, anew at each call. What lies at or beneath the directories
// of except is left out, and so are /tmp and /dev; those of the first call count. It fails where the node is not root:
// then nothing is seen. It must not be called by two at once.
func (c *Child) Observe(except ...string) error {
	if c.opens == nil {
		w, err := opened.Start(c.Pid(), append(except, unwatched...))
		if err != nil {
			return err
		}
		c.opens = w
	}
	return c.opens.Begin()
}

// Opened lists the files that were opened since the last Observe, each once, at most opened.MaxPaths of them; more says
// that there were others. Opening one that is not there, or may not be opened, is not seen.
func (c *Child) Opened() (paths []string, more bool) {
	if c.opens == nil {
		return nil, false
	}
	return c.opens.Seen()
}
