package attacks

import (
	"embed"
	"io/fs"
)

//go:embed data/deployment/*.yaml
var deployments embed.FS

// Deployments holds attacks on whole deployments, in the folder data/deployment: package deployment reads and runs them.
func Deployments() fs.FS { return deployments }
