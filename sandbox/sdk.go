package sandbox

import (
	"os"
	"path/filepath"
	"syscall"

	"casemate"
	"casemate/sandbox/jail"
)

// sdkDir is where functions of Node find the AWS SDK for JavaScript: in a folder above their code, where both require and import
// look; import does not look at NODE_PATH. The runtime's own node_modules leads there, for layers.
const sdkDir = "/var/node_modules"

// nodeSDK finds the packages that Config.NodeSDK offers: the node_modules below the folder that it names, as npm makes it, or
// that folder itself. Nobody but root and the node's user may be able to change it, and every function reads it.
func nodeSDK(dir string) (string, error) {
	bad := func(message, hint string) (string, error) {
		return "", &casemate.Error{Code: casemate.Invalid, Field: "--node-sdk", Message: message, Hint: hint}
	}
	const install = "npm install --prefix DIR @aws-sdk/client-s3 ..., then --node-sdk DIR"
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return bad("the folder of the AWS SDK cannot be read: "+err.Error(), install)
	}
	if below := filepath.Join(real, "node_modules"); isFolder(below) {
		real = below
	}
	found := false
	for _, part := range []string{"", "@aws-sdk", "@smithy", "aws-sdk"} {
		p := filepath.Join(real, part)
		info, err := os.Lstat(p)
		if err != nil {
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch mode := info.Mode(); {
		case !mode.IsDir():
			return bad(p+" is no folder", install)
		case mode.Perm()&0o022 != 0 || !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid():
			return bad(p+" can be changed by other users of this machine", "make it root's or the node's own, and chmod go-w")
		case mode.Perm()&0o005 != 0o005:
			return bad(p+" cannot be read by functions, which have users of their own", "chmod -R o+rX")
		}
		found = found || part == "@aws-sdk" || part == "aws-sdk"
	}
	if !found {
		return bad("there is no AWS SDK for JavaScript in "+real, install)
	}
	return real, nil
}

func isFolder(p string) bool {
	info, err := os.Lstat(p)
	return err == nil && info.IsDir()
}

// sdk shows the SDK to a function of Node; without one there is nothing, and its runtime says how to have it.
func (p *Pool) sdk() []jail.Mount {
	if p.cfg.NodeSDK == "" {
		return nil
	}
	return []jail.Mount{{Source: p.cfg.NodeSDK, Target: sdkDir}}
}
