//! gRPC between grpcio and grpcio.

use crate::runner::Peers;
use crate::scripts::{ADAPTERS, Backend, fine, python};

/// Calls of all four kinds, metadata, messages of 4 MiB, errors, cancellation and deadlines.
pub(crate) fn calls(peers: &Peers) {
    let backend = Backend::start(python(peers, "grpc_calls.py").arg("serve"));
    for adapter in ADAPTERS {
        let program = backend.behind("h2c", adapter);
        let place = format!("127.0.0.1:{}", program.port());
        fine(adapter, python(peers, "grpc_calls.py").arg("call").arg(place));
        program.end();
    }
}
