package function

import (
	"context"
	"fmt"
	"io"
)

// command serves one event of a program that ends after it, and gives its exit status.
func command(in io.Reader, out, errs io.Writer) int {
	event, err := io.ReadAll(in)
	if err != nil {
		fmt.Fprintln(errs, "error: reading the event:", err)
		return 1
	}
	answer, err := serve(context.Background(), event)
	if err != nil {
		fmt.Fprintln(errs, "error:", err)
		return 1
	}
	if _, err := out.Write(answer); err != nil {
		return 1
	}
	return 0
}
