//! Connections of the crate `h2`, on a runtime of tokio with one thread, which is counted with them.
//!
//! `kept`: messages are clones of some that were made before.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::client::SendRequest;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use shuntyard_hpack_voices::Line;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio_util::io::InspectWriter;

use crate::{CONTENT, Heard, STREAMS, Voice, Work};

/// Octets that one side may write before the other reads.
const PIPE: usize = 1 << 20;

pub(crate) struct Session {
    runtime: Runtime,
    client: SendRequest<Bytes>,
    work: Arc<Work>,
    requests: Vec<Request<()>>,
    asked: usize,
    by_server: Arc<Mutex<Heard>>,
    by_client: Heard,
    octets: [Arc<AtomicUsize>; 2],
}

impl Session {
    pub(crate) fn new(work: Work) -> Self {
        let (work, by_server) = (Arc::new(work), Arc::default());
        let runtime = Builder::new_current_thread().build().expect("a runtime without a driver");
        let (there, back) = tokio::io::duplex(PIPE);
        let octets: [Arc<AtomicUsize>; 2] = Default::default();
        let (there, back) = (counted(there, &octets[0]), counted(back, &octets[1]));
        let client = runtime.block_on(async {
            tokio::spawn(serve(back, work.clone(), Arc::clone(&by_server)));
            let (client, connection) = h2::client::handshake(there).await.expect("a server");
            tokio::spawn(async { connection.await.expect("both speak HTTP/2") });
            client
        });
        let requests = work.requests.iter().map(|lines| request(lines)).collect();
        Self { runtime, client, work, requests, asked: 0, by_server, by_client: Heard::default(), octets }
    }
}

impl Voice for Session {
    fn exchange(&mut self) {
        let Self { runtime, client, work, requests, asked, by_client: heard, .. } = self;
        runtime.block_on(async {
            let mut responses = Vec::with_capacity(STREAMS);
            for _ in 0..STREAMS {
                let which = *asked % requests.len();
                let request =
                    if work.kept { requests[which].clone() } else { request(&work.requests[which]) };
                poll_fn(|context| client.poll_ready(context)).await.expect("so many streams may be open");
                responses.push(client.send_request(request, true).expect("a request").0);
                *asked += 1;
            }
            for response in responses {
                let (head, mut content) = response.await.expect("a response").into_parts();
                let status = ":status".len() + head.status.as_str().len();
                heard.head(std::iter::once(status).chain(sizes(&head.headers)));
                while let Some(data) = content.data().await {
                    let n = data.expect("content").len();
                    heard.content += n;
                    content.flow_control().release_capacity(n).expect("what has come");
                }
                heard.ended += 1;
            }
        });
    }

    fn heard(&self) -> [Heard; 2] {
        [self.by_server.lock().expect("no panic").clone(), self.by_client.clone()]
    }

    fn octets(&self) -> [usize; 2] {
        [0, 1].map(|side| self.octets[side].load(Ordering::Relaxed))
    }
}

/// Answers all requests.
async fn serve<T>(pipe: T, work: Arc<Work>, heard: Arc<Mutex<Heard>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let kept = response(&work.response);
    let mut server = h2::server::Builder::new();
    server.max_concurrent_streams(STREAMS as u32);
    let mut server = server.handshake(pipe).await.expect("a client");
    while let Some(accepted) = server.accept().await {
        let (request, mut answer) = accepted.expect("both speak HTTP/2");
        let (head, content) = request.into_parts();
        {
            let mut heard = heard.lock().expect("no panic");
            heard.head(pseudo(&head).into_iter().chain(sizes(&head.headers)));
            heard.ended += usize::from(content.is_end_stream());
        }
        let response = if work.kept { kept.clone() } else { response(&work.response) };
        let mut content = answer.send_response(response, false).expect("the stream is new");
        content.send_data(Bytes::from_static(&CONTENT), true).expect("the response was begun now");
    }
}

/// The same pipe; what is written to it is counted.
fn counted<T: AsyncRead + AsyncWrite>(
    pipe: T,
    octets: &Arc<AtomicUsize>,
) -> impl AsyncRead + AsyncWrite + use<T> {
    let octets = Arc::clone(octets);
    InspectWriter::new(pipe, move |written: &[u8]| {
        octets.fetch_add(written.len(), Ordering::Relaxed);
    })
}

/// A request of its lines, pseudo-header fields first: method, scheme, authority and path.
fn request(lines: &[Line]) -> Request<()> {
    let [(_, method), (_, scheme), (_, authority), (_, path), fields @ ..] = lines else {
        panic!("no request: {lines:?}")
    };
    let uri = Uri::builder().scheme(&scheme[..]).authority(&authority[..]).path_and_query(&path[..]);
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).expect("a method");
    *request.uri_mut() = uri.build().expect("an address");
    put(fields, request.headers_mut());
    request
}

fn response(lines: &[Line]) -> Response<()> {
    let [(_, status), fields @ ..] = lines else { panic!("no response: {lines:?}") };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_bytes(status).expect("a status");
    put(fields, response.headers_mut());
    response
}

fn put(lines: &[Line], fields: &mut HeaderMap) {
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name).expect("a name");
        fields.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
}

/// Octets of each line.
fn sizes(fields: &HeaderMap) -> impl Iterator<Item = usize> {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len())
}

/// Octets of each pseudo-header field.
fn pseudo(head: &http::request::Parts) -> [usize; 4] {
    let (scheme, authority) = (head.uri.scheme_str(), head.uri.authority());
    [
        ":method".len() + head.method.as_str().len(),
        ":scheme".len() + scheme.map_or(0, str::len),
        ":authority".len() + authority.map_or(0, |authority| authority.as_str().len()),
        ":path".len() + head.uri.path_and_query().map_or(0, |path| path.as_str().len()),
    ]
}
