package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"casemate"
	"casemate/catalog"
	"casemate/deploy/bundle"
	"casemate/deploy/manifest"
	"casemate/shield"
)

// fitting is a contract that can be compared with the route it is for.
type fitting interface {
	Fits(r *casemate.Route) (errs, warnings []string)
}

// warning is a contract that has something to say to whoever deploys it.
type warning interface{ Warnings() []string }

var errContract = errors.New("the contract does not hold")

// contract compiles the contract that stands at ptr, keeps its document in docs, and gives its id. route is nil for a
// function's. What is wrong goes to found, what is doubtful to the manifest's warnings.
func contract(docs map[string][]byte, b *bundle.Contents, c *manifest.Contract, ptr string, route *casemate.Route, found *manifest.Problems) (string, error) {
	m, doc, where := b.Manifest, b.Files[c.File], c.Where()
	compiled, err := shield.Compile(doc, where, c.File)
	if err != nil {
		found.Add(m.At(ptr), ptr, casemate.AsError(err).Hint, "%s", err)
		return "", err
	}
	if f, ok := compiled.(fitting); ok && route != nil {
		errs, warnings := f.Fits(route)
		for _, text := range errs {
			found.Add(m.At(ptr), ptr, "make the operation and the route agree", "%s: %s", c.File, text)
			err = errContract
		}
		warn(m, ptr, c.File, warnings)
	}
	if w, ok := compiled.(warning); ok {
		warn(m, ptr, c.File, w.Warnings())
	}
	sum := sha256.Sum256(doc)
	digest := hex.EncodeToString(sum[:])
	docs[digest] = doc
	return catalog.ContractID(digest, where), err
}

func warn(m *manifest.Manifest, ptr, file string, texts []string) {
	at := m.At(ptr)
	for _, text := range texts {
		m.Warnings = append(m.Warnings, manifest.Problem{Line: at.Line, Column: at.Column, Path: ptr, Message: file + ": " + text})
	}
}
