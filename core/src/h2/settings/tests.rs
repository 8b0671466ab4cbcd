//! One test a rule.

use shuntyard_requirements::req;

use super::identifier as id;
use super::*;

fn apply(role: Role, entries: &[(u16, u32)]) -> Result<(PeerSettings, SettingsChange), ConnectionError> {
    let mut settings = PeerSettings::default();
    let change = settings.apply(role, entries.iter().copied(), 32)?;
    Ok((settings, change))
}

fn cause(role: Role, identifier: u16, value: u32) -> Option<ConnectionError> {
    apply(role, &[(identifier, value)]).err()
}

const BOTH: [Role; 2] = [Role::Client, Role::Server];

#[test]
fn rfc9113_6_5_2_all_settings_are_taken_over() {
    req!("9113-6.5-02");
    let entries = [
        (id::HEADER_TABLE_SIZE, 1),
        (id::ENABLE_PUSH, 0),
        (id::MAX_CONCURRENT_STREAMS, 0),
        (id::INITIAL_WINDOW_SIZE, 4),
        (id::MAX_FRAME_SIZE, 16_385),
        (id::MAX_HEADER_LIST_SIZE, 6),
        (id::ENABLE_CONNECT_PROTOCOL, 1),
        (id::NO_RFC7540_PRIORITIES, 1),
    ];
    for role in BOTH {
        let (settings, change) = apply(role, &entries).unwrap();
        let expected = PeerSettings {
            header_table_size: 1,
            max_concurrent_streams: Some(0),
            initial_window_size: 4,
            max_frame_size: 16_385,
            max_header_list_size: Some(6),
            enable_push: false,
            enable_connect_protocol: true,
            no_rfc7540_priorities: true,
        };
        assert_eq!(settings, expected);
        assert_eq!(change.window_delta, 4 - 65_535);
        assert!(change.max_concurrent_streams);
    }
}

#[test]
fn rfc9113_6_5_2_an_empty_frame_changes_nothing() {
    let (settings, change) = apply(Role::Server, &[]).unwrap();
    assert_eq!(settings, PeerSettings::default());
    assert_eq!(change, SettingsChange::default());
}

#[test]
fn rfc9113_6_5_2_unknown_settings_are_ignored() {
    req!("9113-6.5.2-13", "9113-6.5.3-03");
    let known = [1, 2, 3, 4, 5, 6, 8, 9];
    for identifier in (0..=u16::MAX).filter(|identifier| !known.contains(identifier)) {
        let (settings, change) = apply(Role::Client, &[(identifier, u32::MAX)]).unwrap();
        assert_eq!((settings, change), (PeerSettings::default(), SettingsChange::default()));
    }
}

#[test]
fn rfc9113_6_5_2_enable_push() {
    req!("9113-6.5.2-03", "9113-6.5.2-06");
    for role in BOTH {
        assert_eq!(cause(role, id::ENABLE_PUSH, 0), None);
        assert_eq!(cause(role, id::ENABLE_PUSH, 2), Some(ConnectionError::EnablePushInvalid));
        assert_eq!(cause(role, id::ENABLE_PUSH, u32::MAX), Some(ConnectionError::EnablePushInvalid));
    }
    assert_eq!(cause(Role::Server, id::ENABLE_PUSH, 1), None);
    assert_eq!(cause(Role::Client, id::ENABLE_PUSH, 1), Some(ConnectionError::EnablePushInvalid));
}

#[test]
fn rfc9113_6_5_2_initial_window_size() {
    req!("9113-6.5.2-09");
    let invalid = Some(ConnectionError::InitialWindowSizeInvalid);
    for (value, expected) in [(0, None), (MAX_WINDOW, None), (MAX_WINDOW + 1, invalid), (u32::MAX, invalid)] {
        assert_eq!(cause(Role::Server, id::INITIAL_WINDOW_SIZE, value), expected, "{value}");
    }
}

#[test]
fn rfc9113_6_5_2_max_frame_size() {
    req!("9113-6.5.2-11");
    let invalid = Some(ConnectionError::MaxFrameSizeInvalid);
    let cases = [(0, invalid), (16_383, invalid), (16_384, None), (16_777_215, None), (1 << 24, invalid)];
    for (value, expected) in cases {
        assert_eq!(cause(Role::Client, id::MAX_FRAME_SIZE, value), expected, "{value}");
    }
}

#[test]
fn rfc8441_3_enable_connect_protocol() {
    req!("8441-3-01");
    let invalid = Some(ConnectionError::EnableConnectProtocolInvalid);
    for (value, expected) in [(0, None), (1, None), (2, invalid)] {
        assert_eq!(cause(Role::Client, id::ENABLE_CONNECT_PROTOCOL, value), expected, "{value}");
    }
    let returned = apply(Role::Client, &[(id::ENABLE_CONNECT_PROTOCOL, 1), (id::ENABLE_CONNECT_PROTOCOL, 0)]);
    assert_eq!(returned.err(), invalid);
}

#[test]
fn rfc9218_2_1_no_rfc7540_priorities() {
    req!("9218-2.1-01", "9218-2.1-02");
    assert_eq!(cause(Role::Client, id::NO_RFC7540_PRIORITIES, 1), None);
    let invalid = Some(ConnectionError::NoRfc7540PrioritiesInvalid);
    assert_eq!(cause(Role::Client, id::NO_RFC7540_PRIORITIES, 2), invalid);
}

#[test]
fn rfc9113_6_5_3_the_last_of_several_values_holds() {
    req!("9113-6.5.3-02");
    let size = id::INITIAL_WINDOW_SIZE;
    let (settings, change) = apply(Role::Client, &[(size, 0), (size, MAX_WINDOW), (size, 10)]).unwrap();
    assert_eq!((settings.initial_window_size, change.window_delta), (10, 10 - 65_535));
}

#[test]
fn rfc7541_4_2_the_smallest_table_size_in_between_is_told() {
    let table = |values: &[u32]| {
        let entries: Vec<_> = values.iter().map(|&value| (id::HEADER_TABLE_SIZE, value)).collect();
        let (_, change) = apply(Role::Server, &entries).unwrap();
        change.header_table_size.map(|change| (change.smallest, change.last))
    };
    assert_eq!(table(&[4096]), None);
    assert_eq!(table(&[100, 0, 4096]), Some((0, 4096)));
    assert_eq!(table(&[8192]), Some((8192, 8192)));
    assert_eq!(table(&[8192, 4096]), None);
    assert_eq!(table(&[8192, 5000]), Some((5000, 5000)));
    assert_eq!(table(&[100]), Some((100, 100)));
}

#[test]
fn rfc9113_10_5_a_frame_with_too_many_settings_is_refused() {
    let entries = [(0xff, 0); 33];
    assert_eq!(apply(Role::Server, &entries).err(), Some(ConnectionError::SettingsTooMany));
    assert!(apply(Role::Server, &entries[1..]).is_ok());
}

#[test]
fn we_announce_what_differs_from_the_defaults() {
    let default = ConnectionConfig::default();
    let client = LocalSettings::new(&default, Role::Client).entries();
    assert_eq!(*client, [(id::ENABLE_PUSH, 0), (id::MAX_HEADER_LIST_SIZE, 65_536)]);
    let config = ConnectionConfig { header_table_size: 0, initial_window_size: 1, ..default };
    let server = LocalSettings::new(&config, Role::Server).entries();
    let expected = [
        (id::HEADER_TABLE_SIZE, 0),
        (id::MAX_CONCURRENT_STREAMS, 100),
        (id::NO_RFC7540_PRIORITIES, 1),
        (id::INITIAL_WINDOW_SIZE, 1),
        (id::MAX_HEADER_LIST_SIZE, 65_536),
    ];
    assert_eq!(*server, expected);
}

#[test]
fn what_we_announce_a_peer_of_ours_takes_over() {
    let config = ConnectionConfig { header_table_size: 0, initial_window_size: 1, ..Default::default() };
    for (ours, theirs) in [(Role::Client, Role::Server), (Role::Server, Role::Client)] {
        let local = LocalSettings::new(&config, ours);
        let (peer, change) = apply(theirs, &local.entries()).unwrap();
        assert_eq!((peer.header_table_size, peer.initial_window_size), (0, 1));
        assert_eq!((peer.enable_push, change.window_delta), (ours == Role::Server, -65_534));
    }
}

#[test]
fn rfc9113_6_5_3_one_frame_one_acknowledgement() {
    let config = ConnectionConfig { initial_window_size: 100_000, ..Default::default() };
    let mut settings = LocalSettings::new(&config, Role::Server);
    assert!(!settings.is_acknowledged());
    let expected = Acknowledged { header_table_size: 4096, window_delta: 100_000 - 65_535 };
    assert_eq!(settings.acknowledge(), Ok(expected));
    assert!(settings.is_acknowledged());
    assert_eq!(settings.acknowledge(), Err(ConnectionError::SettingsAckUnexpected));
}

#[test]
fn an_idle_connection_stays_small() {
    assert!(size_of::<PeerSettings>() + size_of::<LocalSettings>() <= 64);
}
