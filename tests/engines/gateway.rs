//! The gateway under test, on a thread of its own, with all that it writes down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use shuntyard_adapter::{Exit, Handle, Notice, Options};
use shuntyard_core::address::Address;
use shuntyard_core::config::Config;
use shuntyard_core::fields::FieldName;
use shuntyard_core::record::{EndRecord, Record};

/// Which event loop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    Mio,
    Tokio,
}

/// A gateway that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: Handle,
    thread: JoinHandle<Exit>,
    ended: Arc<Mutex<Vec<EndRecord>>>,
}

impl Running {
    /// One worker in front of these endpoints.
    pub(crate) fn start(adapter: Adapter, endpoints: Vec<Address>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(endpoints);
        config.records = true;
        change(&mut config);
        let ended = Arc::<Mutex<Vec<EndRecord>>>::default();
        let account = Arc::clone(&ended);
        let observer = Arc::new(move |notice| {
            if let Notice::Record { record, .. } = notice
                && let Record::Ended(record) = *record
            {
                account.lock().unwrap().push(record);
            }
        });
        let listen = vec![Address::Inet(([127, 0, 0, 1], 0).into())];
        let options = Options { observer: Some(observer), ..Options::new(listen) };
        let (address, handle, thread) = match adapter {
            Adapter::Mio => {
                let server = shuntyard_mio::Server::bind(config, options).unwrap();
                let (address, handle) = (server.local_addrs()[0].clone(), server.handle());
                (address, handle, std::thread::spawn(|| server.run().unwrap()))
            }
            Adapter::Tokio => {
                let server = shuntyard_tokio::Server::bind(config, options).unwrap();
                let (address, handle) = (server.local_addrs()[0].clone(), server.handle());
                (address, handle, std::thread::spawn(|| server.run().unwrap()))
            }
        };
        let Address::Inet(address) = address else { panic!("{address} is no port") };
        Self { address, handle, thread, ended }
    }

    /// Drains it, and gives the end record of each request by its path. No request may have two.
    pub(crate) fn end(self) -> BTreeMap<String, EndRecord> {
        self.handle.drain(Duration::from_secs(30));
        assert_eq!(self.thread.join().unwrap(), Exit { cut: 0 });
        let records = std::mem::take(&mut *self.ended.lock().unwrap());
        let count = records.len();
        let path = |record: &EndRecord| {
            String::from_utf8_lossy(record.field(FieldName::Path).unwrap_or_default()).into_owned()
        };
        let by_path: BTreeMap<_, _> = records.into_iter().map(|record| (path(&record), record)).collect();
        assert_eq!(by_path.len(), count, "one record a request");
        by_path
    }
}
