// Command client is an unmodified Go program that a test runs behind a door.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

func main() {
	for _, what := range os.Args[1:] {
		fmt.Println(get(what))
	}
	c, err := net.Dial("tcp", "echo.example.com:7")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(c, "ping")
	back := make([]byte, 4)
	_, err = io.ReadFull(c, back)
	fmt.Println(string(back), err)
}

func get(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return "no: " + err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
