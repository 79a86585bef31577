package manifest

// Log is how the log of a function is written.
type Log struct {
	Format   string `key:"format" need:"" one:"text json" doc:"text: a line an entry, as AWS does it by default. json: an object an entry, from the console of Node and the logging of Python, and from the platform."`
	Level    string `key:"level" one:"trace debug info warn error fatal" doc:"Of json: the least that the function writes (default info)."`
	Platform string `key:"platform" one:"debug info warn" doc:"Of json: the least of the platform's own: the start, end and report of runs (default info)."`
}

// log checks that levels are given where they count.
func (c *checker) log(ptr string, f *Function, family string) {
	l := f.Log
	if l == nil {
		return
	}
	if family == "wasm" && l.Format == "json" {
		c.bad(ptr+"/log/format", "leave it out, and write JSON to standard output", "WebAssembly has no logging of its own")
	}
	for key, said := range map[string]string{"level": l.Level, "platform": l.Platform} {
		if said != "" && l.Format != "json" {
			c.bad(ptr+"/log/"+key, "format: json", "only JSON has levels, as on AWS")
		}
	}
}
