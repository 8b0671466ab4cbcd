import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.stream.IntStream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Java's HttpClient over TLS: TlsClient HOST:PORT CA FOLDER. Ends with `fine` on its last line. */
public class TlsClient {
    public static void main(String[] args) throws Exception {
        var page = Files.readAllBytes(Path.of(args[2], "page"));
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var file = new FileInputStream(args[1])) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        for (var version : HttpClient.Version.values()) {
            var client = HttpClient.newBuilder().version(version).sslContext(context).build();
            var get = HttpRequest.newBuilder(URI.create("https://" + args[0] + "/page")).build();
            var all = IntStream.range(0, 20).mapToObj(n -> client.sendAsync(get, BodyHandlers.ofByteArray())).toList();
            var post = HttpRequest.newBuilder(URI.create("https://" + args[0] + "/upload"));
            var echoed = client.sendAsync(post.POST(BodyPublishers.ofByteArray(page)).build(), BodyHandlers.ofByteArray());
            for (var one : all) check(one.get().version() == version && Arrays.equals(one.get().body(), page), one);
            check(Arrays.equals(echoed.get().body(), page), echoed.get());
        }
        System.out.println("fine");
    }

    static void check(boolean fine, Object what) {
        if (!fine) throw new AssertionError(what);
    }
}
