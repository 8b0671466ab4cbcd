import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Java's HttpClient: Client HOST:PORT FOLDER. Ends with `fine` on its last line. */
public class Client {
    public static void main(String[] args) throws Exception {
        var page = Files.readAllBytes(Path.of(args[1], "page"));
        var large = Files.readAllBytes(Path.of(args[1], "large"));
        // Over cleartext it begins with HTTP/1.1; asked for HTTP/2, it says `Upgrade: h2c`, which is not taken.
        for (var version : HttpClient.Version.values()) {
            var client = HttpClient.newBuilder().version(version).build();
            var get = HttpRequest.newBuilder(URI.create("http://" + args[0] + "/page")).build();
            var all = IntStream.range(0, 20).mapToObj(n -> client.sendAsync(get, BodyHandlers.ofByteArray())).toList();
            for (var one : all) check(one.get(), page);
            var post = HttpRequest.newBuilder(URI.create("http://" + args[0] + "/upload"));
            check(client.send(post.POST(BodyPublishers.ofByteArray(page)).build(), BodyHandlers.ofByteArray()), page);
            var chunks = BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(page));
            check(client.send(post.POST(chunks).build(), BodyHandlers.ofByteArray()), page);
            var download = HttpRequest.newBuilder(URI.create("http://" + args[0] + "/large")).build();
            check(client.send(download, BodyHandlers.ofByteArray()), large);
        }
        System.out.println("fine");
    }

    static void check(HttpResponse<byte[]> response, byte[] content) {
        if (response.statusCode() != 200
                || response.version() != HttpClient.Version.HTTP_1_1
                || !Arrays.equals(response.body(), content)) {
            throw new AssertionError(response + " with " + response.body().length + " octets");
        }
    }
}
