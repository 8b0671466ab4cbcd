//! Recordings as files: whose they are, and what becomes of them where they are damaged, cut short, full or forged.

use super::*;

#[test]
fn a_flipped_octet_is_noticed_and_its_place_named() {
    let file = recorded(&Place::new("flipped"), true);
    for at in 0..file.len() {
        let mut other = file.clone();
        other[at] ^= 1 << (at % 8);
        // What comes before is replayed, if it can be.
        let damage = match replay_octets(&other) {
            Err(ReplayError::Damaged(damage)) => damage,
            Ok(Replayed { ending: Some(Ending::Damaged(damage)), difference: None, .. }) => damage,
            outcome => panic!("octet {at}: {outcome:?}"),
        };
        assert!((damage.begin..damage.end).contains(&(at as u64)), "{at}: {damage}");
    }
}

#[test]
fn what_comes_before_a_damage_is_replayed() {
    let place = Place::new("partly");
    let mut file = recorded(&place, true);
    let whole = replay_octets(&file).unwrap();
    let at = file.windows(4).rposition(|window| window == b"SYRC").unwrap();
    *file.last_mut().unwrap() ^= 1;
    let replayed = replay_octets(&file).unwrap();
    let Some(Ending::Damaged(damage)) = &replayed.ending else { panic!("{replayed:?}") };
    assert_eq!((damage.begin, damage.end), (at as u64, file.len() as u64));
    assert_eq!((replayed.inputs, replayed.hash, &replayed.difference), (whole.inputs, whole.hash, &None));
    std::fs::write(place.file(), &file).unwrap();
    let (replayed, story) = explain(&place.file(), "1".parse().unwrap()).unwrap();
    assert!(matches!(replayed.ending, Some(Ending::Damaged(_))) && story.len() > 3, "{story:?}");

    let mut behind = recorded(&place, true);
    behind.push(b'S');
    assert!(matches!(replay_octets(&behind).unwrap().ending, Some(Ending::Damaged(_))));
}

#[test]
fn a_recording_that_breaks_off_is_replayed_as_far_as_it_goes() {
    let file = recorded(&Place::new("short"), true);
    let whole = replay_octets(&file).unwrap();
    let preamble = (0..file.len()).find(|&end| replay_octets(&file[..end]).is_ok()).unwrap();
    for end in preamble + 1..file.len() {
        let replayed = replay_octets(&file[..end]).unwrap_or_else(|error| panic!("{end}: {error}"));
        assert_eq!((replayed.ending, replayed.difference), (Some(Ending::Missing), None), "{end}");
    }
    assert_eq!(whole.ending, Some(Ending::Ended));
    assert!(matches!(replay_octets(&[]), Err(ReplayError::NoRecording)));
}

/// Whoever has a recording of somebody else replays it.
#[test]
fn few_octets_of_a_file_do_not_keep_a_replay_busy() {
    let place = Place::new("busy");
    let options = RecordingOptions { file: place.0.clone(), content: false, max_octets: 1 << 20 };
    let mut gateway = gateway(Some(options), None);
    (0..10_000).for_each(|_| assert!(gateway.poll_action().is_none()));
    drop(gateway);
    let file = place.octets();
    assert_eq!(replay_octets(&file).unwrap().difference, None);
    for mut input in [vec![ACTIONS], vec![RECEIVED, 0, 0]] {
        (1_u64 << 30).put(&mut input);
        let other = rewritten(&file, &place, |number, payload| {
            if number > 0 {
                *payload = input.clone();
            }
        });
        assert!(matches!(replay_octets(&other), Err(ReplayError::NoRecording)), "{input:?}");
    }
}

/// Secrets are in a recording.
#[test]
fn a_recording_is_for_its_owner_only_whatever_had_its_name() {
    let place = Place::new("own");
    let (file, other) = (place.file(), place.0.with_extension("other"));
    std::fs::write(&file, "of a former recording").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mode = || std::fs::symlink_metadata(&file).unwrap().permissions().mode() & 0o777;
    Writer::create(&file, 1 << 20).unwrap();
    assert_eq!((mode(), place.octets().len()), (0o600, 0));

    std::fs::write(&other, "of somebody else").unwrap();
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(&other, &file).unwrap();
    Writer::create(&file, 1 << 20).unwrap();
    assert_eq!((mode(), place.octets().len()), (0o600, 0));
    assert_eq!(std::fs::read(&other).unwrap(), b"of somebody else");
    std::fs::remove_file(&other).unwrap();

    std::fs::create_dir(&other).unwrap();
    assert!(Writer::create(&other, 1 << 20).is_err());
    std::fs::remove_dir(&other).unwrap();
}

/// A process that starts again does not destroy what shows why it had to.
#[test]
fn a_former_recording_is_kept_once_and_all_files_of_a_name_are_of_one_run() {
    let place = Place::new("former");
    let folder = place.0.with_extension("d");
    std::fs::create_dir(&folder).unwrap();
    let start = |workers: usize, serves: bool| {
        let file = folder.join("r");
        let recording = RecordingOptions { file, content: false, max_octets: 1 << 20 };
        let workers = workers.try_into().unwrap();
        let options = Options { recording: Some(recording), workers, ..Options::new(Vec::new()) };
        let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
        for mut worker in equip(&Config::new(vec![backend.into()]), &options).unwrap() {
            if serves {
                worker.gateway.handle_timeout(worker.clock.now());
            }
        }
    };
    let there = || {
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    };
    let write = |name: &str| std::fs::write(folder.join(name), name).unwrap();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    ["r.0", "r.1", "r.2", "r.4", "r.0.before", "r.3.before"].into_iter().for_each(write);
    start(2, true);
    // A name that is not one behind another: who knows whose it is.
    assert_eq!(there(), "r.0 r.0.before r.1 r.1.before r.2.before r.3.before r.4");
    assert_eq!((read("r.0.before"), read("r.2.before")), (b"r.0".to_vec(), b"r.2".to_vec()));
    std::fs::remove_file(folder.join("r.3.before")).unwrap();
    let of_the_first = read("r.0");
    start(1, true);
    assert_eq!(there(), "r.0 r.0.before r.1.before r.4");
    assert_eq!(read("r.0.before"), of_the_first);
    // Somebody has taken it away: what was before it is still worth something.
    std::fs::remove_file(folder.join("r.0")).unwrap();
    // And of a run in which nothing happened, for it came to nothing after all.
    write("r.1.new");
    for _ in 0..3 {
        start(1, false);
        assert_eq!(there(), "r.0 r.0.before r.1.before r.4");
        assert_eq!(read("r.0.before"), of_the_first);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A process that cannot start is started again and again.
#[test]
fn a_start_that_fails_destroys_no_former_recording() {
    let folder = Place::new("failing").0.with_extension("d");
    std::fs::create_dir(&folder).unwrap();
    let start = |max_octets: u64| {
        let recording = RecordingOptions { file: folder.join("r"), content: false, max_octets };
        let workers = 2.try_into().unwrap();
        let options = Options { recording: Some(recording), workers, ..Options::new(Vec::new()) };
        let backend: std::net::SocketAddr = "127.0.0.1:9000".parse().unwrap();
        equip(&Config::new(vec![backend.into()]), &options).map(drop)
    };
    let refused = |outcome| matches!(outcome, Err(crate::BindError::Recording { .. }));
    let there = || {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let names = ["r.0", "r.0.before", "r.1", "r.1.before"];
    names.iter().for_each(|name| std::fs::write(folder.join(name), name).unwrap());
    let all = names.join(" ");
    // The first of two files is begun where something has the name of the second.
    std::fs::create_dir(folder.join("r.1.new")).unwrap();
    assert!(refused(start(1 << 20)) && there() == format!("{all} r.1.new"));
    std::fs::remove_dir(folder.join("r.1.new")).unwrap();
    // There is no room for what it begins with, as on a disk that is full.
    assert!(refused(start(10)) && refused(start(10)) && there() == all);
    // Its name is taken by what is no file.
    std::fs::remove_file(folder.join("r.1")).unwrap();
    std::fs::create_dir(folder.join("r.1")).unwrap();
    assert!(refused(start(1 << 20)) && there() == all);
    std::fs::remove_dir(folder.join("r.1")).unwrap();
    assert!(["r.0", "r.0.before", "r.1.before"].iter().all(|name| read(name) == name.as_bytes()));
    start(1 << 20).unwrap();
    assert_eq!((there(), read("r.0.before")), ("r.0 r.0.before r.1".to_owned(), b"r.0".to_vec()));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_full_recording_ends_and_says_so_once() {
    let place = Place::new("full");
    let notices = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&notices);
    let observer: Observer = Arc::new(move |notice| told.lock().unwrap().push(notice));
    let options = RecordingOptions { file: place.0.clone(), content: true, max_octets: 1000 };
    World::new(gateway(Some(options), Some(observer))).run();
    let notices = notices.lock().unwrap();
    let [Notice::RecordingEnded { file, .. }] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!(file, &place.file());
    assert!(place.octets().len() <= 1000);
    let replayed = replay(Path::new(file)).unwrap();
    assert_eq!((replayed.ending, replayed.difference), (Some(Ending::Full), None));
}

#[test]
fn a_file_that_cannot_be_made_is_told_at_the_start() {
    let mut options = Options::new(Vec::new());
    options.recording =
        Some(RecordingOptions { file: "/nowhere/at/all".into(), content: false, max_octets: 1 << 20 });
    let config = Config::new(vec![shuntyard_core::address::Address::Unix("/run/a".into())]);
    assert!(matches!(equip(&config, &options), Err(crate::BindError::Recording { .. })));
}

/// Nothing may come for long: a copy of the file in the meantime has all that came, and so has one whose process is killed then.
#[test]
fn what_came_is_written_soon_though_nothing_follows() {
    let place = Place::new("idle");
    let options = RecordingOptions { file: place.0.clone(), content: true, max_octets: 1 << 20 };
    let mut world = World::new(gateway(Some(options), None));
    world.client.send_request(&Request::get("http://example.com/").body(()).unwrap(), true).unwrap();
    world.turn();
    assert_eq!(replay(&place.file()).unwrap().inputs, 0);
    let at = world.gateway.poll_timeout().unwrap();
    assert!(at <= world.now + WRITE_INTERVAL, "{at:?}");
    // A deadline of the gateway's own is none of the recorder's.
    let own = shuntyard_core::gateway::Gateway::poll_timeout(&world.gateway).unwrap();
    assert!(own > at);
    world.now = at;
    world.gateway.handle_timeout(at);
    let replayed = replay(&place.file()).unwrap();
    assert_eq!((&replayed.difference, replayed.ending), (&None, Some(Ending::Missing)));
    assert!(replayed.inputs > 3, "{} inputs", replayed.inputs);
    // And then it rests, however often it is asked for actions.
    assert!(world.gateway.poll_action().is_none());
    assert_eq!(world.gateway.poll_timeout(), Some(own));
    drop(world);
    let whole = replay(&place.file()).unwrap();
    assert_eq!((whole.difference, whole.ending), (None, Some(Ending::Ended)));
    assert_eq!(whole.inputs, replayed.inputs + 1);
}
