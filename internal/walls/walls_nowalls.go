//go:build nowalls

package walls

// Up is false: nothing keeps a function in. For the battery alone.
const Up = false
