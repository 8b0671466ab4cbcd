//! What each worker begins with: its gateway, its share of the addresses, and what both know of each other.

use shuntyard_core::address::Address;
use shuntyard_core::config::{Config, ConfigError, ListenerConfig, NameGroups, Protocol};
use shuntyard_core::gateway::Gateway;
use shuntyard_transport::FrontTls;

use crate::recording::{Preamble, Recorder, discard, may_begin, publish};
use crate::{Backs, BindError, Clock, Listener, Options, Recorded, RecordingOptions, wall_clock};

/// What one worker begins with.
#[derive(Debug)]
pub struct Equipment {
    /// Its number, counted from 0.
    pub worker: usize,
    /// Its gateway.
    pub gateway: Recorded,
    /// Its share of every address.
    pub listeners: Vec<Listener>,
    /// The clock of all workers.
    pub clock: Clock,
    /// How upstreams are spoken to by TLS.
    pub backs: Backs,
}

/// Takes the addresses and makes the gateways: what every worker begins with.
///
/// A loop of one's own that accepts by itself, and would have what its gateway is told recorded, has it from here too, by options without addresses: each
/// [`Equipment::gateway`] has the verbs of a [`Gateway`], and writes each call of them down where [`Options::recording`] says so. Of listeners the
/// configuration says nothing then: to more than is listened on here it is refused.
///
/// # Errors
/// A value of the configuration outside its range, or one that contradicts the options; an address that is taken. Nothing stays bound then.
pub fn equip(config: &Config, options: &Options) -> Result<Vec<Equipment>, BindError> {
    config.validate().map_err(BindError::Config)?;
    options.backs.cover(config).map_err(BindError::Config)?;
    let mut config = config.clone();
    let wanted = wanted(&mut config, options).map_err(BindError::Config)?;
    let mut shares: Vec<Vec<Listener>> = Vec::new();
    shares.resize_with(options.workers.get(), Vec::new);
    for Wanted { address, tls, said } in wanted {
        let opened = options.opened.iter().find(|opened| opened.address == *address);
        let listeners = match opened {
            Some(opened) => opened.share(options.workers.get()),
            None => Listener::bind(address, options.workers.get()),
        };
        let listeners = listeners.map_err(|error| BindError::Listen { address: address.clone(), error })?;
        let said = said.and_then(|at| config.listeners.get_mut(at));
        let introduced = said.as_ref().is_some_and(|said| said.introduced);
        // The kernel may have picked the port.
        if let (Some(said), Some(listener)) = (said, listeners.first()) {
            said.address = listener.address.clone();
        }
        for (share, listener) in shares.iter_mut().zip(listeners) {
            share.push(Listener { tls: tls.cloned(), introduced, ..listener });
        }
    }
    let clock = Clock::start();
    let equip = |(number, listeners)| {
        let gateway = gateway(&config, options, number, clock)?;
        Ok(Equipment { worker: number, gateway, listeners, clock, backs: options.backs.clone() })
    };
    let equip_all = || (0..).zip(shares).map(equip).collect();
    match &options.recording {
        Some(recording) => record(recording, options.workers.get() as u64, equip_all),
        None => equip_all(),
    }
}

/// Makes what begins recordings. Until all of them are there, none has taken the place of a former one: a process that cannot start, and is started
/// again and again, must not destroy what shows why.
fn record<T>(
    recording: &RecordingOptions,
    workers: u64,
    make: impl FnOnce() -> Result<T, BindError>,
) -> Result<T, BindError> {
    let failed = |error| BindError::Recording { file: recording.file.clone(), error };
    may_begin(recording, workers).map_err(failed)?;
    let made = make().and_then(|made| publish(recording, workers).map(|()| made).map_err(failed));
    if made.is_err() {
        discard(recording, workers);
    }
    made
}

/// An address to listen on.
struct Wanted<'a> {
    address: &'a Address,
    tls: Option<&'a FrontTls>,
    /// Where in [`Config::listeners`] more is said of it.
    said: Option<usize>,
}

/// The addresses of the options, each with what the configuration says of it. What the gateway must know of TLS there is added: it refuses requests
/// for names of another group, and asks those to leave who have shown certificates.
fn wanted<'a>(config: &mut Config, options: &'a Options) -> Result<Vec<Wanted<'a>>, ConfigError> {
    let in_clear = options.listen.iter().map(|address| (address, None));
    let tls = options.listen_tls.iter().map(|(address, tls)| (address, Some(tls)));
    let mut left: Vec<usize> = (0..config.listeners.len()).collect();
    let spoken = (config.http1, config.http2);
    let mut wanted = Vec::new();
    for (address, tls) in in_clear.chain(tls) {
        let is_said = |at: &usize| config.listeners.get(*at).is_some_and(|said| said.address == *address);
        let mut said = left.iter().position(is_said).map(|place| left.remove(place));
        if said.is_none() && tls.is_some() {
            said = Some(config.listeners.len());
            config.listeners.push(ListenerConfig::new(address.clone()));
        }
        if let Some(listener) = said.and_then(|at| config.listeners.get_mut(at)) {
            agree_on_groups(listener, tls)?;
            agree_on_protocols(listener, spoken, tls)?;
        }
        wanted.push(Wanted { address, tls, said });
    }
    // What is said of it would protect nobody: that only a balancer is believed, say.
    let said = left.first().and_then(|&at| config.listeners.get(at)).map(|said| &said.address);
    // Whoever comes to that socket would wait for ever.
    let is_unheard = |address: &&Address| !wanted.iter().any(|wanted| wanted.address == *address);
    let opened = || options.opened.iter().map(|opened| &opened.address).find(is_unheard);
    match said.or_else(opened) {
        Some(unknown) => Err(ConfigError::ListenerUnknown { address: unknown.clone() }),
        None => Ok(wanted),
    }
}

/// What TLS offers at a listener where nothing else is said of what may be spoken: it may be no more than is spoken at all.
#[derive(Debug)]
pub(crate) struct Offer {
    address: Address,
    protocols: Vec<Protocol>,
}

impl Offer {
    /// Those of a server that was made of these.
    pub(crate) fn all(config: &Config, options: &Options) -> Vec<Self> {
        let mut config = config.clone();
        let wanted = wanted(&mut config, options).unwrap_or_default();
        let said = |wanted: &Wanted<'_>| wanted.said.and_then(|at| config.listeners.get(at));
        let offer = |wanted: &Wanted<'_>| {
            let tls = wanted.tls.filter(|_| said(wanted).is_none_or(|said| said.only.is_none()))?;
            Some(Self { address: wanted.address.clone(), protocols: tls.protocols().to_vec() })
        };
        wanted.iter().filter_map(offer).collect()
    }

    /// Whether the configuration has them spoken.
    ///
    /// # Errors
    /// Not all of them.
    pub(crate) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        agree_on_offer((&self.address, None), (config.http1, config.http2), &self.protocols)
    }
}

/// Who asks for certificates by name and who refuses requests for other names must mean the same names, or a client without a certificate is
/// served what asks for one.
fn agree_on_groups(listener: &mut ListenerConfig, tls: Option<&FrontTls>) -> Result<(), ConfigError> {
    let none = NameGroups::default();
    let groups = tls.map_or(&none, FrontTls::groups);
    if listener.groups.is_empty() {
        listener.groups = groups.clone();
    }
    if listener.groups == *groups {
        Ok(())
    } else {
        Err(ConfigError::ListenerGroups { address: listener.address.clone() })
    }
}

/// What TLS has agreed on with a client is spoken: nothing may be offered that is not to be.
fn agree_on_protocols(
    listener: &ListenerConfig,
    spoken: (bool, bool),
    tls: Option<&FrontTls>,
) -> Result<(), ConfigError> {
    let offered = tls.map_or(&[][..], FrontTls::protocols);
    agree_on_offer((&listener.address, listener.only), spoken, offered)
}

fn agree_on_offer(
    (address, only): (&Address, Option<Protocol>),
    spoken: (bool, bool),
    offered: &[Protocol],
) -> Result<(), ConfigError> {
    let is_spoken = |protocol: &Protocol| match (only, protocol) {
        (Some(only), _) => only == *protocol,
        (None, Protocol::Http1) => spoken.0,
        (None, Protocol::Http2) => spoken.1,
    };
    match offered.iter().find(|protocol| !is_spoken(protocol)) {
        Some(&protocol) => Err(ConfigError::ListenerProtocol { address: address.clone(), protocol }),
        None => Ok(()),
    }
}

/// The gateway of the worker with this number, and its recorder.
fn gateway(config: &Config, options: &Options, worker: usize, clock: Clock) -> Result<Recorded, BindError> {
    let now = clock.now();
    let number = worker as u64;
    let (seed, wall) = (options.seed.wrapping_add(number), wall_clock(now));
    let mut gateway = Gateway::new(config.clone(), seed, now, wall).map_err(BindError::Config)?;
    if let Some(make) = &options.hooks {
        gateway = gateway.with_hooks(make(worker));
    }
    let record = |recording: &RecordingOptions| {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let content = recording.content;
        let hooked = options.hooks.is_some().then_some(number);
        let preamble = Preamble { version, content, seed, now, wall, config: config.clone(), hooked };
        Recorder::create(recording, number, &preamble, options.observer.clone())
            .map_err(|error| BindError::Recording { file: recording.file.clone(), error })
    };
    Ok(Recorded::new(gateway, options.recording.as_ref().map(record).transpose()?))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use shuntyard_core::config::{Alpn, HostPattern};
    use shuntyard_transport::{BackTls, ClientAuth, Identity, Trust};

    use super::*;

    fn any() -> Address {
        Address::Inet(([127, 0, 0, 1], 0).into())
    }

    fn config(listeners: Vec<ListenerConfig>) -> Config {
        Config { listeners, ..Config::new(vec![any()]) }
    }

    fn admin() -> Vec<HostPattern> {
        vec![HostPattern::Exact("admin.example".into())]
    }

    /// A listener where those who come for `admin.example` show certificates.
    fn by_name() -> Options {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["a.example".into()]).unwrap();
        let (chain, key) = (cert.pem().into_bytes(), signing_key.serialize_pem().into_bytes());
        let required = ClientAuth::Required(chain.clone());
        let identity = Identity::from_pem(&chain, &key).unwrap();
        let protocols = [Protocol::Http2];
        let tls =
            FrontTls::by_name(&[identity], &protocols, &ClientAuth::Off, &[(admin(), required)]).unwrap();
        Options { listen_tls: vec![(any(), tls)], ..Options::new(Vec::new()) }
    }

    /// What the gateway is told of listeners.
    fn listeners_of(config: &Config, options: &Options) -> Vec<ListenerConfig> {
        let mut config = config.clone();
        wanted(&mut config, options).unwrap();
        config.listeners
    }

    fn refused(config: &Config, options: &Options) -> ConfigError {
        match equip(config, options) {
            Err(BindError::Config(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_gateway_knows_the_groups_of_names_that_tls_has() {
        let options = by_name();
        let groups = NameGroups(vec![admin()]);
        for said in [vec![], vec![ListenerConfig::new(any())]] {
            let [listener] = &listeners_of(&config(said), &options)[..] else { panic!("there is one") };
            assert_eq!((&listener.address, &listener.groups), (&any(), &groups));
        }
        let same = ListenerConfig { groups, ..ListenerConfig::new(any()) };
        assert_eq!(listeners_of(&config(vec![same]), &options).len(), 1);
    }

    #[test]
    fn other_groups_than_those_of_tls_are_refused() {
        let groups = NameGroups(vec![vec![HostPattern::Exact("other.example".into())]]);
        let listener = ListenerConfig { groups, ..ListenerConfig::new(any()) };
        for options in [by_name(), Options::new(vec![any()])] {
            let error = refused(&config(vec![listener.clone()]), &options);
            assert_eq!(error, ConfigError::ListenerGroups { address: any() });
        }
    }

    #[test]
    fn what_is_not_to_be_spoken_is_not_offered() {
        let only = |protocol| ListenerConfig { only: Some(protocol), ..ListenerConfig::new(any()) };
        let refuses = ConfigError::ListenerProtocol { address: any(), protocol: Protocol::Http2 };
        assert_eq!(refused(&config(vec![only(Protocol::Http1)]), &by_name()), refuses);
        assert_eq!(refused(&Config { http2: false, ..config(vec![]) }, &by_name()), refuses);
        let spoken = Config { http1: false, ..config(vec![]) };
        assert_eq!(listeners_of(&spoken, &by_name()).len(), 1);
        // What is said of the listener goes before what is said of all.
        let spoken = Config { http2: false, ..config(vec![only(Protocol::Http2)]) };
        assert_eq!(listeners_of(&spoken, &by_name()).len(), 1);
        assert_eq!(listeners_of(&config(vec![only(Protocol::Http1)]), &Options::new(vec![any()])).len(), 1);
    }

    #[test]
    fn what_is_said_of_a_listener_that_is_none_is_refused() {
        let elsewhere = Address::Inet(([127, 0, 0, 2], 0).into());
        let introduced =
            |address: Address| ListenerConfig { introduced: true, ..ListenerConfig::new(address) };
        let error = refused(&config(vec![introduced(elsewhere.clone())]), &Options::new(vec![any()]));
        assert_eq!(error, ConfigError::ListenerUnknown { address: elsewhere });
        // Of one listener it is said once.
        let twice = config(vec![introduced(any()), ListenerConfig::new(any())]);
        assert_eq!(
            refused(&twice, &Options::new(vec![any()])),
            ConfigError::ListenerUnknown { address: any() }
        );
        assert_eq!(listeners_of(&twice, &Options::new(vec![any(), any()])).len(), 2);
    }

    /// Its clients would be accepted by the kernel, and by nobody else.
    #[test]
    fn a_socket_that_was_opened_for_no_listener_is_refused() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::from(socket.local_addr().unwrap());
        let socket = std::sync::Arc::new(crate::ListenSocket::Tcp(socket));
        let opened = vec![crate::Opened { address: address.clone(), socket }];
        let options = Options { opened, ..Options::new(vec![any()]) };
        let error = refused(&config(vec![]), &options);
        assert_eq!(error, ConfigError::ListenerUnknown { address: address.clone() });
        assert!(equip(&config(vec![]), &Options { listen: vec![address], ..options }).is_ok());
    }

    /// As [`equip`] refuses to begin so.
    #[test]
    fn what_tls_offers_is_not_switched_off_later() {
        let desk: crate::Desk = std::sync::Arc::new(|_| ());
        let refuses = ConfigError::ListenerProtocol { address: any(), protocol: Protocol::Http2 };
        let only = ListenerConfig { only: Some(Protocol::Http2), ..ListenerConfig::new(any()) };
        let cases = [
            (vec![], by_name(), Err(refuses)),
            (vec![only], by_name(), Ok(())),
            (vec![], Options::new(vec![any()]), Ok(())),
        ];
        for (listeners, options, outcome) in cases {
            let config = config(listeners);
            let handle = crate::Handle::of(vec![desk.clone()], &config, &options);
            assert_eq!(handle.configure(&Config { http1: false, ..config.clone() }), Ok(()));
            // What it says of listeners is not heeded.
            let without = Config { http2: false, listeners: Vec::new(), ..config };
            assert_eq!(handle.configure(&without), outcome);
        }
    }

    #[test]
    fn an_upstream_that_speaks_tls_needs_somebody_who_knows_how() {
        let mut config = config(vec![]);
        let unknown = ConfigError::UpstreamTls { upstream: "default".into() };
        let mut options = Options::new(vec![any()]);
        for alpn in [Alpn::Either, Alpn::Http2] {
            config.upstreams[0].endpoints[0].tls = Some(alpn);
            assert_eq!(refused(&config, &options), unknown);
        }
        let tls = BackTls::new(&Trust::Nobody, None, None).unwrap();
        options.backs = Backs::new(HashMap::from([("default".into(), tls)]));
        assert!(equip(&config, &options).is_ok());
    }
}
