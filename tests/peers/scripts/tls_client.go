// Go's net/http over TLS: tls_client HOST:PORT CA FOLDER. Ends with `fine` on its last line.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	place, folder := "https://"+os.Args[1], os.Args[3]
	page, roots := read(folder+"/page"), x509.NewCertPool()
	roots.AppendCertsFromPEM(read(os.Args[2]))
	for _, h2 := range []bool{true, false} {
		config := &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
		major := map[bool]int{true: 2, false: 1}[h2]
		for turn := range [2]int{} {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: h2}}
			check := func(response *http.Response, err error) {
				if err != nil {
					panic(err)
				}
				content, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != 200 || response.ProtoMajor != major || !bytes.Equal(content, page) {
					panic(fmt.Sprint(response, err, len(content)))
				}
				if turn == 1 && !response.TLS.DidResume {
					panic("the session was not taken up again")
				}
			}
			for range [5]int{} {
				check(client.Get(place + "/page"))
			}
			check(client.Post(place+"/upload", "text/plain", bytes.NewReader(page)))
			client.CloseIdleConnections()
		}
	}
	fmt.Println("fine")
}

func read(path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
}
