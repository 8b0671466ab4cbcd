//! The program between real clients and real servers (curl, nghttp2's tools, httpwg, wrk; Python, Node, Java, Go, a
//! browser; grpcio, WebSockets), and in the eyes of those who watch it (promtool, Python's parser of metrics, Chromium).
//!
//! `cargo test --test peers` runs what finds its peers in PATH, in `$SHUNTYARD_PEERS/bin`, or, as packages of Python
//! (`python:NAME`), in `$SHUNTYARD_PEERS/python`, and skips the rest.
//! `REQUIRE_PEERS=1` makes a missing peer a failure; `SHUNTYARD_LARGE=1` sends 1 GiB where 64 MiB do otherwise.

#[path = "../../core/transport/tests/common/mod.rs"]
mod authority;
mod budgets;
mod certificates;
mod clients;
mod content;
mod failures;
mod figures;
mod grpc;
mod http1;
mod httpwg;
mod idle;
mod load;
mod nghttpd;
#[path = "../process/mod.rs"]
mod process;
mod proxy_protocol;
mod recording;
mod requests;
mod runner;
mod scripts;
mod servers;
mod tls;
mod trailers;
mod websockets;

use runner::{Case, case};

const CASES: &[Case] = &[
    case("requests::curl_get", &["curl", "nghttpd"], requests::curl_get),
    case("requests::curl_head", &["curl", "nghttpd"], requests::curl_head),
    case("requests::curl_post", &["curl", "nghttpd"], requests::curl_post),
    case("requests::curl_not_found", &["curl", "nghttpd"], requests::curl_not_found),
    case("requests::many_curls", &["curl", "nghttpd"], requests::many_curls),
    case("requests::curl_over_a_unix_socket", &["curl", "nghttpd"], requests::curl_over_a_unix_socket),
    case("requests::nghttp_get", &["nghttp", "nghttpd"], requests::nghttp_get),
    case("requests::nghttp_head", &["nghttp", "nghttpd"], requests::nghttp_head),
    case("requests::nghttp_post", &["nghttp", "nghttpd"], requests::nghttp_post),
    case("http1::requests", &["curl", "nghttpd", "python3"], http1::requests),
    case("http1::large_content", &["curl", "nghttpd", "python3"], http1::large_content),
    case("http1::expect_continue", &["curl", "nghttpd", "python3"], http1::expect_continue),
    case("http1::load", &["h2load", "nghttpd", "python3", "wrk"], http1::load),
    case("http1::events", &["curl", "node", "python3"], http1::events),
    case("clients::python_http_client", &["nghttpd", "python3"], clients::python_http_client),
    case(
        "clients::python_httpx",
        &["nghttpd", "python3", "python:httpx", "python:h2"],
        clients::python_httpx,
    ),
    case("clients::node", &["nghttpd", "node", "python3"], clients::node),
    case("clients::java", &["java", "nghttpd", "python3"], clients::java),
    case("clients::go", &["go", "nghttpd", "python3"], clients::go),
    case("clients::browser", &["chromium", "nghttpd", "python3"], clients::browser),
    case("grpc::calls", &["python3", "python:grpc"], grpc::calls),
    case(
        "websockets::all_pairs",
        &["node", "python3", "python:h2", "python:websockets"],
        websockets::all_pairs,
    ),
    case(
        "websockets::browser",
        &["chromium", "node", "python3", "python:h2", "python:websockets"],
        websockets::browser,
    ),
    case("content::large_download", &["curl", "nghttpd"], content::large_download),
    case("content::large_upload", &["curl", "nghttpd"], content::large_upload),
    case("content::large_content_with_nghttp", &["nghttp", "nghttpd"], content::large_content_with_nghttp),
    case("trailers::of_a_response", &["nghttp", "nghttpd"], trailers::of_a_response),
    case("trailers::of_a_request", &["nghttp", "nghttpd"], trailers::of_a_request),
    case("load::streams_share_connections", &["h2load", "nghttpd"], load::streams_share_connections),
    case("load::one_client_needs_one_connection", &["h2load", "nghttpd"], load::one_connection),
    case("load::posts", &["h2load", "nghttpd"], load::posts),
    case("load::several_workers", &["h2load", "nghttpd"], load::several_workers),
    case("budgets::loads", &["h2load", "nghttpd"], budgets::loads),
    case("budgets::large_content", &["curl", "nghttpd"], budgets::large_content),
    case("budgets::grpc", &["python3", "python:grpc"], budgets::grpc),
    case("budgets::browser", &["chromium", "nghttpd"], budgets::browser),
    case("failures::killed_client", &["curl", "nghttpd"], failures::killed_client),
    case("failures::killed_backend", &["curl", "nghttpd"], failures::killed_backend),
    case("failures::backend_lost_in_mid_request", &["curl"], failures::backend_lost_in_mid_request),
    case("failures::drain_in_mid_download", &["curl", "nghttpd"], failures::drain_in_mid_download),
    case("servers::nginx", &["curl", "h2load", "nginx"], servers::nginx),
    case("servers::apache", &["apache2", "curl", "h2load"], servers::apache),
    case(
        "servers::apache_with_websockets",
        &["apache2", "python3", "python:h2", "python:websockets"],
        servers::apache_with_websockets,
    ),
    case(
        "idle::makes_no_system_calls",
        &["curl", "nghttpd", "strace", "timeout"],
        idle::makes_no_system_calls,
    ),
    case("figures::promtool", &["promtool", "h2load", "nghttpd"], figures::promtool),
    case("figures::python", &["prometheus-parse", "h2load", "nghttpd"], figures::python),
    case("figures::browser", &["chromium", "h2load", "nghttpd"], figures::browser),
    case(
        "recording::recordings_replay_to_the_same",
        &["curl", "h2load", "nghttpd"],
        recording::recordings_replay_to_the_same,
    ),
    case("tls::curl", &["curl", "nghttpd"], tls::curl),
    case("tls::nghttp", &["nghttp", "nghttpd"], tls::nghttp),
    case("tls::openssl", &["nghttpd", "openssl"], tls::openssl),
    case("tls::python_ssl", &["nghttpd", "python3"], tls::python_ssl),
    case("tls::node", &["nghttpd", "node"], tls::node),
    case("tls::java", &["java", "nghttpd"], tls::java),
    case("tls::go", &["go", "nghttpd"], tls::go),
    case("tls::browser", &["chromium", "nghttpd"], tls::browser),
    case("tls::nghttpd_behind", &["curl", "nghttpd"], tls::nghttpd_behind),
    case("tls::nginx_behind", &["curl", "nginx"], tls::nginx_behind),
    case("tls::apache_behind", &["apache2", "curl"], tls::apache_behind),
    case(
        "certificates::replaced_under_load",
        &["curl", "h2load", "nghttpd"],
        certificates::replaced_under_load,
    ),
    case("certificates::of_clients", &["curl", "nghttpd", "openssl"], certificates::of_clients),
    case(
        "certificates::misdirected_call",
        &["nghttpd", "python3", "python:grpc"],
        certificates::misdirected_call,
    ),
    case("proxy_protocol::senders", &["curl", "haproxy", "nghttpd"], proxy_protocol::senders),
    case("httpwg::conformance", &["httpwg", "nghttpd"], httpwg::conformance),
];

fn main() -> std::process::ExitCode {
    runner::run(CASES)
}
