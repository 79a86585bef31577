package sandbox

import (
	"testing"
)

func TestItem16NodeAsyncHandler(t *testing.T) {
	b := newBench(t)
	b.want(b.node("index.handler", `exports.handler = async (e) => ({ got: e.a })`), `{"a":1}`, `{"got":1}`)
	b.want(b.node("index.handler", `exports.handler = async () => undefined`), `{}`, `null`)
	b.want(b.node("index.handler", `exports.handler = () => {}`), `{}`, `null`)
}
