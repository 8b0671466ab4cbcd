//! Heads on their way through header rules and hooks.

use core::num::NonZeroU16;

use bytes::Bytes;

use crate::address::Address;
use crate::fields::{FieldName, FieldSection};
use crate::gateway::conn::{self, Side};
use crate::gateway::forward::map_forth;
use crate::gateway::spare::Spare;
use crate::gateway::tunnel::opens_tunnel;
use crate::gateway::{ConnId, Gateway};
use crate::hooks::{Beside, Context, HeadMut, HookFailed, Hooks, Relay, Verdict, answer_head};
use crate::key::EndpointId;
use crate::message::{self, Method, RequestHead, RequestRules, ResponseHead};
use crate::record::{AttemptOutcome, Cause, Record};
use crate::request::{Place, Request, RequestKey};
use crate::routes::Route;
use crate::time::{Instant, imf_fixdate};

/// The hooks of a gateway, if it has any.
#[derive(Default)]
pub(super) struct Hooked {
    hooks: Seat,
    /// Where clients came in, for those whom hooks are told of.
    listeners: Vec<Address>,
}

/// Where the hooks are.
#[derive(Default)]
enum Seat {
    /// There are none.
    #[default]
    Empty,
    There(Box<dyn Hooks>),
    /// They are asked something. Who finds it so in another call comes behind a panic: they may be what checks who may do what.
    Lent,
}

impl Hooked {
    /// Whether there are none, and never were.
    const fn is_none(&self) -> bool {
        matches!(self.hooks, Seat::Empty)
    }

    /// The place of a listener among those that hooks are told of, counted from 1. Without hooks it has none, and costs nothing.
    pub(super) fn place_of(&mut self, listener: &Address) -> Option<NonZeroU16> {
        if self.is_none() {
            return None;
        }
        let before = self.listeners.iter().position(|of| of == listener).unwrap_or(self.listeners.len());
        let place = conn::place(before)?;
        if before == self.listeners.len() {
            self.listeners.push(listener.clone());
        }
        Some(place)
    }

    /// Whether the gateway has any.
    #[cfg(feature = "fork")]
    pub(super) fn is_some(&self) -> bool {
        !self.is_none()
    }
}

impl core::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(if self.is_none() { "None" } else { "Hooked" })
    }
}

/// A request as a backend gets it.
#[derive(Default)]
pub(super) struct Outgoing {
    /// The head, where it differs from the original one.
    pub(super) fields: Option<FieldSection>,
    /// What its content passes through.
    pub(super) relay: Option<Box<Relay>>,
    /// What its trailers do not have.
    pub(super) kept_out: Option<Box<FieldSection>>,
}

/// A response as the client gets it.
pub(super) struct Incoming {
    pub(super) status: u16,
    /// What its content passes through.
    pub(super) relay: Option<Box<Relay>>,
    /// What its trailers do not have.
    pub(super) kept_out: Option<Box<FieldSection>>,
}

/// What a hook has made of a message that does not go on.
pub(super) enum Instead {
    Answer(Box<http::Response<Bytes>>),
    Failure(HookFailed),
}

impl From<HookFailed> for Instead {
    fn from(failed: HookFailed) -> Self {
        Self::Failure(failed)
    }
}

impl Verdict {
    fn go_on(self) -> Result<(), Instead> {
        match self {
            Self::Forward => Ok(()),
            Self::Answer(answer) => Err(Instead::Answer(Box::new(answer))),
        }
    }
}

/// The attempt that a hook is asked about.
type At = (u32, EndpointId);

impl Gateway {
    /// Gives the gateway hooks, before anything happens to it.
    #[must_use]
    pub fn with_hooks(mut self, hooks: Box<dyn Hooks>) -> Self {
        self.hooks.hooks = Seat::There(hooks);
        self
    }

    /// A request came. Says whether a hook has answered it.
    pub(super) fn answered_on_arrival(&mut self, key: RequestKey, now: Instant) -> bool {
        let verdict = self.ask_hooks(key, None, now, |hooks, context, request| match &request.place {
            Place::Frozen(_) => hooks.arrived(context, &request.fields),
            Place::Live(_) | Place::Finished(_) => Verdict::Forward,
        });
        let verdict = verdict.map(Option::unwrap_or_default).map_err(Instead::from);
        match verdict.and_then(Verdict::go_on) {
            Ok(()) => false,
            Err(instead) => {
                self.answer_instead(key, instead, None, now);
                true
            }
        }
    }

    /// The head of an attempt: the original one, changed by the rules of the route and by hooks. `end`: there is no content.
    pub(super) fn outgoing(
        &mut self,
        key: RequestKey,
        endpoint: EndpointId,
        end: bool,
        now: Instant,
    ) -> Result<Outgoing, Instead> {
        let Some(Request { awaiting, fields: original, place: Place::Frozen(_), .. }) =
            self.requests.get(key)
        else {
            return Ok(Outgoing::default());
        };
        let route = awaiting.route.as_deref();
        let Some(mut fields) = changed(&mut self.spare, original, route, !self.hooks.is_none(), self.seed)
        else {
            return Ok(Outgoing::default());
        };
        let (head, at, seed) = (awaiting.head, (awaiting.attempts + 1, endpoint), self.seed);
        let asked = self.ask_hooks(key, Some(at), now, |hooks, context, _| {
            let mut request = HeadMut::new(&mut fields, head, seed);
            let verdict = hooks.request(context, &mut request)?;
            Ok((verdict, request.into_beside()))
        });
        let shaped = match asked {
            Ok(None) => Ok(Outgoing::default()),
            Ok(Some(asked)) => self.checked_request((head, &mut fields), asked, end),
            Err(failed) => Err(failed.into()),
        };
        match shaped {
            Ok(outgoing) => Ok(Outgoing { fields: Some(fields), ..outgoing }),
            Err(instead) => {
                self.keep_section(fields);
                Err(instead)
            }
        }
    }

    /// What goes beside the head that a hook has changed, if that is well-formed.
    fn checked_request(
        &self,
        (head, fields): (RequestHead, &mut FieldSection),
        asked: Result<(Verdict, Beside), HookFailed>,
        end: bool,
    ) -> Result<Outgoing, Instead> {
        let (verdict, Beside { transform, kept_out }) = asked?;
        verdict.go_on()?;
        let authority_required = self.config.front.authority_required;
        let rules = RequestRules { authority_required, extended_connect: head.extended_connect };
        message::request(fields, &rules).map_err(HookFailed::Malformed)?;
        // What goes into a tunnel is no content.
        let has_content = !end && head.method != Method::Connect;
        let relay = transform.filter(|_| has_content).map(|transform| Box::new(Relay::new(transform)));
        if relay.is_some() {
            drop_content_length(fields);
        }
        Ok(Outgoing { fields: None, relay, kept_out: kept_out.filter(|_| !end) })
    }

    /// The head of a final response, changed by hooks. `end`: there is no content.
    pub(super) fn incoming(
        &mut self,
        key: RequestKey,
        head: ResponseHead,
        fields: &mut FieldSection,
        end: bool,
        now: Instant,
    ) -> Result<Incoming, Instead> {
        let unchanged = Ok(Incoming { status: head.status, relay: None, kept_out: None });
        if self.hooks.is_none() {
            return unchanged;
        }
        let seed = self.seed;
        let live = self.requests.get_mut(key).and_then(Request::live_mut).map(|live| live.attempt);
        let at = live.map(|attempt| (attempt.number, attempt.endpoint));
        let asked = self.ask_hooks(key, at, now, |hooks, context, request| {
            let mut response = HeadMut::new(fields, head, seed);
            let verdict = hooks.response(context, &mut response)?;
            Ok::<_, HookFailed>((verdict, response.into_beside(), request.awaiting.head.method))
        });
        let Some(asked) = asked? else { return unchanged };
        let (verdict, Beside { transform, kept_out }, method) = asked?;
        verdict.go_on()?;
        let before = opens_tunnel(method, head.status);
        let head = message::response(fields).map_err(HookFailed::Malformed)?;
        let is_tunnel = opens_tunnel(method, head.status);
        if is_tunnel != before {
            return Err(Instead::Failure(HookFailed::Tunnel));
        }
        let has_content = method != Method::Head && !message::is_bare(head.status) && !is_tunnel;
        // A response to HEAD says the length that one to GET would have, and that one is transformed.
        if transform.is_some() && !(end && has_content) {
            drop_content_length(fields);
        }
        let relay =
            transform.filter(|_| has_content && !end).map(|transform| Box::new(Relay::new(transform)));
        Ok(Incoming { status: head.status, relay, kept_out: kept_out.filter(|_| !end) })
    }

    /// A hook has said the last word about the request. `length` is that of the backend's content, where it has answered and said so.
    pub(super) fn answer_instead(
        &mut self,
        key: RequestKey,
        instead: Instead,
        length: Option<u64>,
        now: Instant,
    ) {
        let answer = match instead {
            Instead::Answer(answer) => answer,
            Instead::Failure(failed) => return self.fail_by_hook(key, failed, length, now),
        };
        let status = answer.status().as_u16();
        // Only a backend can agree to a tunnel.
        if self.requests.get(key).is_some_and(|of| opens_tunnel(of.awaiting.head.method, status)) {
            return self.fail_by_hook(key, HookFailed::Tunnel, length, now);
        }
        let date = imf_fixdate(self.wall.unix_seconds_at(now));
        let fields = match answer_head(&answer, &date, self.seed) {
            Ok(fields) => fields,
            Err(failed) => return self.fail_by_hook(key, failed, length, now),
        };
        self.drop_response(key, length, now);
        self.leave_place(key, AttemptOutcome::Abandoned, now);
        self.disarm_request(key);
        if !self.reserve_output(key, &fields) {
            return self.refuse_output(key, now);
        }
        if status == 426 {
            self.offer_upgrades(key);
        }
        self.answer_with(key, (status, Cause::HookAnswered), &fields, answer.into_body(), now);
    }

    /// 9110-15.5.22-01: whoever wrote the 426 could not say `upgrade` himself, which is a word of one connection only.
    pub(super) fn offer_upgrades(&mut self, key: RequestKey) {
        let Some(awaiting) = self.requests.get(key).map(|request| &request.awaiting) else { return };
        if let Some(route) = &awaiting.route
            && let Some(entry) = self.conns.get_mut(awaiting.front.conn)
        {
            entry.session.offer_upgrades(awaiting.front.stream, &route.upgrades);
        }
    }

    /// A hook has failed the request. `length` is that of the backend's content, where it has answered and said so.
    pub(super) fn fail_by_hook(
        &mut self,
        key: RequestKey,
        failed: HookFailed,
        length: Option<u64>,
        now: Instant,
    ) {
        self.drop_response(key, length, now);
        self.fail_request(key, Cause::HookFailed(failed), now);
    }

    /// Whether anybody reads records.
    pub(super) fn has_readers(&self) -> bool {
        self.config.records || !self.hooks.is_none()
    }

    /// Tells whoever reads records.
    pub(super) fn write_record(&mut self, record: Record) {
        if let Seat::There(hooks) = &mut self.hooks.hooks {
            hooks.record(&record);
        }
        if self.config.records {
            self.actions.push_back(crate::gateway::Action::Record(Box::new(record)));
        }
    }

    /// Asks the hooks about a request; `None` where there are none.
    ///
    /// # Errors
    /// They have panicked: without them nothing goes on.
    fn ask_hooks<T>(
        &mut self,
        key: RequestKey,
        at: Option<At>,
        now: Instant,
        call: impl FnOnce(&mut dyn Hooks, &Context<'_>, &Request) -> T,
    ) -> Result<Option<T>, HookFailed> {
        if self.hooks.is_none() {
            return Ok(None);
        }
        let Seat::There(mut hooks) = core::mem::replace(&mut self.hooks.hooks, Seat::Lent) else {
            return Err(HookFailed::Panicked);
        };
        let told = self.requests.get(key).map(|request| {
            let awaiting = &request.awaiting;
            let route = awaiting.route.as_deref();
            let upstream = at.map(|(_, endpoint)| endpoint.upstream).or(route.map(|route| route.upstream));
            let endpoint = at.and_then(|(_, endpoint)| self.registry.endpoint(endpoint));
            let client = self.client_of(awaiting.front.conn);
            let front = self.conns.get(awaiting.front.conn);
            let tls = front.and_then(|entry| entry.tls.as_deref());
            let listener = front.and_then(|entry| entry.hooks_place);
            let listener = listener.and_then(|place| self.hooks.listeners.get(conn::index(place)));
            let context = Context {
                request: awaiting.id,
                attempt: at.map_or(0, |(number, _)| number),
                route: route.map(|route| &*route.name),
                upstream: upstream.and_then(|key| self.registry.upstream(key)).map(|of| &*of.config().name),
                endpoint: endpoint.map(|of| &*of.label),
                client: &client,
                listener,
                version: awaiting.version,
                tls,
                now,
                unix_seconds: self.wall.unix_seconds_at(now),
            };
            call(&mut *hooks, &context, request)
        });
        self.hooks.hooks = Seat::There(hooks);
        Ok(told)
    }

    /// The client at the other end of a connection.
    pub(super) fn client_of(&self, conn: ConnId) -> Address {
        match self.conns.get(conn).map(|entry| &entry.side) {
            Some(Side::Front { peer, .. }) => peer.clone(),
            Some(Side::Backend(_)) | None => Address::unspecified(),
        }
    }
}

/// The head that a backend gets, where the route changes it, or a hook may. The original stays, for the next attempt
/// starts from it.
fn changed(
    spare: &mut Spare,
    original: &FieldSection,
    route: Option<&Route>,
    hooked: bool,
    seed: u64,
) -> Option<FieldSection> {
    let changes = route.map(|route| &route.request_headers).filter(|changes| !changes.is_empty());
    let authority = route.and_then(|route| route.authority.as_ref());
    if changes.is_none() && authority.is_none() && !hooked {
        return None;
    }
    let mut fields = spare.take_section();
    fields.copy_from(original);
    if let Some((authority, maps)) = authority
        && fields.replace_value(FieldName::Authority, authority.as_bytes(), seed)
    {
        // It named the other one.
        fields.retain(|line| line.facts.name != FieldName::Host);
        if let Some(asked) = original.value_of(FieldName::Authority).filter(|_| *maps) {
            map_forth(&mut fields, asked, seed);
        }
    }
    if let Some(changes) = changes {
        changes.apply(&mut fields);
    }
    Some(fields)
}

/// RFC 9110 section 8.6: what is transformed has another length.
fn drop_content_length(fields: &mut FieldSection) {
    fields.retain(|line| line.facts.name != FieldName::ContentLength);
}
