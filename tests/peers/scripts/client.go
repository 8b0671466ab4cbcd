// Go's net/http: client HOST:PORT FOLDER. Ends with `fine` on its last line.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

func main() {
	place, folder := "http://"+os.Args[1], os.Args[2]
	page, large := read(folder+"/page"), read(folder+"/large")
	var all sync.WaitGroup
	for range [20]int{} {
		all.Add(1)
		go func() {
			defer all.Done()
			check(page)(http.Get(place + "/page"))
		}()
	}
	all.Wait()
	check(page)(http.Post(place+"/upload", "text/plain", bytes.NewReader(page)))
	// A reader that is no more than that has no length beforehand: chunks.
	check(page)(http.Post(place+"/upload", "text/plain", io.MultiReader(bytes.NewReader(page))))
	check(large)(http.Get(place + "/large"))
	fmt.Println("fine")
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
}

func check(expected []byte) func(*http.Response, error) {
	return func(response *http.Response, err error) {
		if err != nil {
			panic(err)
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 || response.ProtoMajor != 1 || !bytes.Equal(content, expected) {
			panic(fmt.Sprint(response, err, len(content)))
		}
	}
}
