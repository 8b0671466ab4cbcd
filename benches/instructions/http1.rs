//! A client of HTTP/1.1: it asks when it was answered.

use crate::work::Work;

pub(crate) struct Client {
    /// What it sends in turn.
    requests: Vec<Vec<u8>>,
    next_request: usize,
    /// Octets of the content of each response.
    content: usize,
    outbox: Vec<u8>,
    awaits: bool,
}

impl Client {
    pub(crate) fn new(work: &Work) -> Self {
        Self {
            requests: work.request.http1_heads(),
            next_request: 0,
            content: work.response,
            outbox: Vec::new(),
            awaits: false,
        }
    }

    pub(crate) fn transmit(&self) -> &[u8] {
        &self.outbox
    }

    pub(crate) fn sent(&mut self, n: usize) {
        self.outbox.drain(..n);
    }

    /// Takes the response from `inbox` if it is whole, and asks again as long as there are requests `left`. Says how many
    /// responses it took.
    pub(crate) fn react(&mut self, inbox: &mut Vec<u8>, left: &mut usize) -> usize {
        let answered = self.take_response(inbox);
        if *left > 0 && !self.awaits {
            *left -= 1;
            self.awaits = true;
            self.outbox.extend_from_slice(&self.requests[self.next_request]);
            self.next_request = (self.next_request + 1) % self.requests.len();
        }
        usize::from(answered)
    }

    fn take_response(&mut self, inbox: &mut Vec<u8>) -> bool {
        const END: &[u8] = b"\r\n\r\n";
        let Some(head) = inbox.windows(END.len()).position(|window| window == END) else { return false };
        let whole = head + END.len() + self.content;
        if inbox.len() < whole {
            return false;
        }
        assert!(inbox.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(inbox));
        assert!(self.awaits && inbox.len() == whole, "a response that nobody asked for");
        inbox.clear();
        self.awaits = false;
        true
    }
}
