//! Which words each part of a scenario has. Every field is named here.

use shuntyard_core::config::{
    Balance, Config, ConnectionConfig, ForwardingConfig, HostPattern, PathPattern, RetryConfig, RouteConfig,
    Saturation, Scope, Timeouts, UpstreamConfig,
};

use super::word::{Slot, word_enum};
use crate::cut::Segmentation;
use crate::net::PipePolicy;
use crate::refcodec::hpack::Indexing;
use crate::scenario::{
    AdapterPlan, Backend, BackendFault, BackendMischief, ClientMischief, Exchange, GoAwayLast, Leave, Method,
    Pace, PeerPlan, Phase, RequestPlan, ResponseKind, ResponseMischief, ResponsePlan, Scenario, Session,
};

/// A field's name and the place of its value.
pub(super) type Named<'a> = (String, &'a mut dyn Slot);

/// A part of a scenario, as names and places.
pub(super) trait Fields {
    /// All of them, in a fixed order.
    fn fields(&mut self) -> Vec<Named<'_>>;
}

fn within<'a>(part: &'static str, fields: Vec<Named<'a>>) -> impl Iterator<Item = Named<'a>> {
    fields.into_iter().map(move |(name, slot)| (format!("{part}.{name}"), slot))
}

/// `words` are values; `parts` have fields of their own; `elsewhere` has lines of its own, or none. The core's types may have
/// fields that are not named here: a test finds them.
macro_rules! fields {
    ($type:ident, words: $($word:ident)*, parts: $($part:ident)*, elsewhere: $($other:ident)*) => {
        impl Fields for $type {
            fn fields(&mut self) -> Vec<Named<'_>> {
                let Self { $($word,)* $($part,)* $($other: _,)* .. } = self;
                let mut all: Vec<Named<'_>> = vec![$((stringify!($word).to_owned(), $word as &mut dyn Slot)),*];
                $(all.extend(within(stringify!($part), $part.fields()));)*
                all.shrink_to_fit();
                all
            }
        }
    };
}

fields!(ConnectionConfig, words: header_table_size encoder_table_size max_concurrent_streams initial_window_size
    stream_window_max connection_window_size max_header_list_size max_fields max_continuations max_settings max_queued_control_frames misuse_max
    max_interim_responses proxy_status authority_required extended_connect upgrades outbox_high_mark assumed_max_concurrent_streams
    max_concurrent_streams_cap, parts: , elsewhere: );
fields!(Timeouts, words: preface field_block connect response front_idle front_age backend_idle backend_age suspect_idle
    suspect_silent ping linger write_stall stream_idle,
    parts: , elsewhere: );
fields!(RetryConfig, words: attempts unprocessed_attempts budget_percent replay_octets, parts: , elsewhere: );
fields!(UpstreamConfig, words: name endpoints balance share on_saturation connections_min connections_max http1_connections_max
    assumed_streams queue_max queue_timeout, parts: retry, elsewhere: );
fields!(RouteConfig, words: name host path upstream authority map_back replace_errors timeout upgrades connect, parts: ,
    elsewhere: request_headers response_headers);
fields!(Config, words: http1 http2 max_fronts max_fronts_per_client backends_max fronts_awake ledger_octets ledger_front_octets replay_ledger_octets replay_front_octets upload_ledger_octets head_ledger_octets recv_buffer_octets via via_in_responses records,
    parts: front backend timeouts forwarding, elsewhere: upstreams routes listeners);
fields!(ForwardingConfig, words: x_forwarded forwarded obfuscate trusted, parts: , elsewhere: );
fields!(AdapterPlan, words: eager write_max read_max hostile late spurious, parts: , elsewhere: );
fields!(PipePolicy, words: capacity delay jitter gap segmentation short_writes stall reset_after fin_after,
    parts: , elsewhere: );
fields!(PeerPlan, words: initial_window window_at_open connection_extra grant_percent max_frame header_table
    max_concurrent indexing huffman block_max read later_settings pings, parts: , elsewhere: );
fields!(Pace, words: frame padding think bare_end, parts: , elsewhere: );
fields!(RequestPlan, words: method host path content declare_length trailers extras bulk expect alike cancel, parts: pace, elsewhere: );
fields!(ResponsePlan, words: status kind early delay interim interim_pause declare_length trailers bulk alike reset mischief,
    parts: pace, elsewhere: );
fields!(Exchange, words: rid, parts: request response, elsewhere: );

impl Fields for Session {
    fn fields(&mut self) -> Vec<Named<'_>> {
        let Self { n, start, concurrency, patient, peer, network, exchanges: _, leave, hostile } = self;
        let [to_gateway, from_gateway] = network;
        let mut all: Vec<Named<'_>> = vec![
            ("n".to_owned(), n as &mut dyn Slot),
            ("start".to_owned(), start),
            ("concurrency".to_owned(), concurrency),
            ("patient".to_owned(), patient),
            ("leave".to_owned(), leave),
            ("hostile".to_owned(), hostile),
        ];
        all.extend(within("peer", peer.fields()));
        all.extend(within("to_gateway", to_gateway.fields()));
        all.extend(within("from_gateway", from_gateway.fields()));
        all
    }
}

impl Fields for Backend {
    fn fields(&mut self) -> Vec<Named<'_>> {
        let Self { address, connect_delay, peer, network, fault } = self;
        let [from_gateway, to_gateway] = network;
        let mut all: Vec<Named<'_>> = vec![
            ("address".to_owned(), address as &mut dyn Slot),
            ("connect_delay".to_owned(), connect_delay),
            ("fault".to_owned(), fault),
        ];
        all.extend(within("peer", peer.fields()));
        all.extend(within("from_gateway", from_gateway.fields()));
        all.extend(within("to_gateway", to_gateway.fields()));
        all
    }
}

fields!(Scenario, words: seed safety drain drain_at jumps, parts: , elsewhere: config sessions backends adapter);

word_enum!(Balance { "least-active" => LeastActive, "round-robin" => RoundRobin });
word_enum!(Scope { "client" => Client, "worker" => Worker, "none" => None });
word_enum!(Saturation { "dial" => Dial, "queue" => Queue, "refuse" => Refuse });
word_enum!(HostPattern { "any" => Any, "exact" => Exact(host), "below" => Below(host) });
word_enum!(PathPattern { "any" => Any, "exact" => Exact(path), "prefix" => Prefix(path) });
word_enum!(Segmentation {
    "whole" => Whole, "fixed" => Fixed(n), "random" => Random(n), "frames" => FrameBoundary, "split-at" => SplitAt(n),
});
word_enum!(Indexing { "incremental" => Incremental, "without" => Without, "never" => Never, "but-path" => ButPath, "own-names" => OwnNames });
word_enum!(Method { "GET" => Get, "HEAD" => Head, "POST" => Post, "PUT" => Put });
word_enum!(Phase {
    "request-head" => RequestHead, "sent" => Sent(n), "interim" => Interim, "response-head" => ResponseHead,
});
word_enum!(ResponseKind { "echo" => Echo, "sink" => Sink, "source" => Source(n) });
word_enum!(Leave { "close" => Close, "reset" => Reset, "half-close" => HalfClose });
word_enum!(GoAwayLast {
    "newest" => Newest, "before" => Before, "none" => None, "beyond" => Beyond, "two-step" => TwoStep,
});
word_enum!(BackendFault {
    "refuse" => Refuse,
    "no-answer" => NoAnswer,
    "silent" => Silent,
    "goaway" => GoAway { after, last, code },
    "leave" => Leave { after, how },
    "reset-after" => ResetAfter(octets),
    "fin-after" => FinAfter(octets),
    "mischief" => Mischief { after, what },
});
word_enum!(ClientMischief {
    "rapid-reset" => RapidReset, "provoked-resets" => ProvokedResets, "continuations" => Continuations,
    "header-bomb" => HeaderBomb, "crumbs" => Crumbs, "pings" => Pings, "settings" => Settings,
    "empty-data" => EmptyData, "priorities" => Priorities, "window-overflow" => WindowOverflow,
    "window-flapping" => WindowFlapping, "table-flapping" => TableFlapping, "unknown-frames" => UnknownFrames,
    "idle-stream" => IdleStream, "closed-stream" => ClosedStream, "even-stream" => EvenStream,
    "old-stream" => OldStream, "push-promise" => PushPromise, "bad-padding" => BadPadding,
    "bad-pseudo" => BadPseudo, "length-mismatch" => LengthMismatch, "bad-octets" => BadOctets,
    "bad-hpack" => BadHpack, "too-large-frame" => TooLargeFrame, "zero-increment" => ZeroIncrement,
    "bad-settings" => BadSettings, "unread-answers" => UnreadAnswers, "not-http2" => NotHttp2,
    "half-frame" => HalfFrame, "window-exceeded" => WindowExceeded, "interrupted-block" => InterruptedBlock,
    "connection-fields" => ConnectionFields,
});
word_enum!(BackendMischief {
    "not-http2" => NotHttp2, "bad-hpack" => BadHpack, "push-promise" => PushPromise,
    "wrong-stream" => WrongStream, "too-large-frame" => TooLargeFrame, "window-overflow" => WindowOverflow,
    "window-exceeded" => WindowExceeded, "bad-settings" => BadSettings, "interrupted-block" => InterruptedBlock,
    "settings-flood" => SettingsFlood, "ping-flood" => PingFlood, "unknown-frames" => UnknownFrames,
});
word_enum!(ResponseMischief {
    "no-status" => NoStatus, "interim-storm" => InterimStorm, "data-first" => DataFirst,
    "data-after-end" => DataAfterEnd, "too-short" => TooShort, "too-long" => TooLong,
    "trailers-without-end" => TrailersWithoutEnd, "bad-field" => BadField, "too-many-fields" => TooManyFields,
    "stops" => Stops, "uppercase" => Uppercase, "connection-field" => ConnectionField,
    "interim-with-end" => InterimWithEnd,
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a struct's own fields, as its debug form has them.
    fn names(debug: &str) -> Vec<String> {
        let own = debug.lines().filter_map(|line| line.strip_prefix("    "));
        let own = own.filter(|line| !line.starts_with([' ', '}', ']', ')']));
        own.filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect()
    }

    fn assert_complete(part: &mut dyn Fields, debug: &str, elsewhere: &[&str]) {
        let mut there: Vec<String> = part
            .fields()
            .into_iter()
            .map(|(name, _)| name.split('.').next().unwrap_or_default().to_owned())
            .chain(elsewhere.iter().map(|&name| name.to_owned()))
            .collect();
        there.dedup();
        let missing: Vec<String> = names(debug).into_iter().filter(|name| !there.contains(name)).collect();
        assert!(missing.is_empty(), "without a word: {missing:?}");
    }

    #[test]
    fn every_limit_of_the_core_has_a_word() {
        let mut config = Config::new(Vec::new());
        let debug = format!("{config:#?}");
        assert!(names(&debug).len() > 5, "{debug}");
        // Of listeners there is one in every world.
        assert_complete(&mut config, &debug, &["listeners", "upstreams", "routes"]);
        let (debug, front) = (format!("{:#?}", config.front), &mut config.front);
        assert_complete(front, &debug, &[]);
        let (debug, timeouts) = (format!("{:#?}", config.timeouts), &mut config.timeouts);
        assert_complete(timeouts, &debug, &[]);
        let (debug, upstream) = (format!("{:#?}", config.upstreams[0]), &mut config.upstreams[0]);
        assert_complete(upstream, &debug, &[]);
        let (debug, route) = (format!("{:#?}", config.routes[0]), &mut config.routes[0]);
        assert_complete(route, &debug, &["request_headers", "response_headers"]);
    }
}
