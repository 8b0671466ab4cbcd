//! `shuntyard health`: asks a running gateway how it is, where nothing else could: an image of a container often has no curl.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::address::ListenAddress;
use crate::cli::HealthArgs;
use crate::config;
use crate::failure::{Failure, plainly};
use crate::observation::admin_address;

/// An answer is a line. Whoever says more is somebody else.
const ANSWER_MAX: u64 = 16 << 10;

/// What the admin address says where all is well.
const WELL: &str = "ok";

/// Asks, and prints the answer. Whatever is wrong has the same exit code, for those who ask know two.
pub(crate) fn ask(args: &HealthArgs) -> Result<(), Failure> {
    let well = asked(args)?;
    // Whoever closed stdout has the exit code.
    let _ = writeln!(io::stdout(), "{well}");
    Ok(())
}

/// Who was asked, and the answer.
fn asked(args: &HealthArgs) -> Result<String, Failure> {
    let unwell = |reason| Failure::Unwell { reason };
    let address = admin(args)?;
    // Others may reach it or not, we are here.
    let address = admin_address(&address, true).map_err(|failure| unwell(failure.to_string()))?;
    if address.port() == 0 {
        return Err(unwell(
            "the kernel picks port 0: name the one that the gateway says at its start".to_owned(),
        ));
    }
    let path = if args.ready { "/readyz" } else { "/livez" };
    let until = Instant::now() + args.timeout;
    let refused = |address: SocketAddr, error: io::Error| {
        let late = is_late(&error);
        let why = if late { format!("no answer within {:?}", args.timeout) } else { plainly(&error) };
        format!("{address}{path}: {why}")
    };
    let (address, stream) = connect(reachable(address), until).map_err(|tried| {
        let tried: Vec<_> = tried.into_iter().map(|(address, error)| refused(address, error)).collect();
        unwell(tried.join("; "))
    })?;
    let answer = exchange(stream, address, path, until).map_err(|error| unwell(refused(address, error)))?;
    let words = verdict(&answer).map_err(|why| unwell(format!("{address}{path}: {why}")))?;
    Ok(format!("{address}{path}: {words}"))
}

/// What is said where all is well, or why it is not. Others say 200, too.
fn verdict(answer: &[u8]) -> Result<&str, String> {
    match read(answer) {
        Some((200, WELL)) => Ok(WELL),
        Some((status, words)) if status != 200 => Err(format!("{words} ({status})")),
        _ => Err("what answers there is no admin address".to_owned()),
    }
}

/// The flag's or the variable's, or else the file's.
fn admin(args: &HealthArgs) -> Result<ListenAddress, Failure> {
    let of_file =
        |path| config::admin_of(path).map_err(|refused| Failure::Unwell { reason: refused.brief() });
    match (&args.admin, &args.config) {
        (Some(admin), _) => Ok(admin.clone()),
        (None, Some(path)) => of_file(path)?.ok_or_else(|| Failure::Unwell {
            reason: format!("{}: there is no `address` in [admin]: nobody can be asked", path.display()),
        }),
        // The command line has one of them.
        (None, None) => Err(Failure::Unwell { reason: "nobody can be asked without --admin".to_owned() }),
    }
}

/// Who listens everywhere listens here, by IPv4, too: where IPv6 is switched off, [::] can be listened on and there is no ::1.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let here: &[IpAddr] = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        IpAddr::V6(ip) if ip.is_unspecified() => {
            &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]
        }
        _ => return vec![address],
    };
    here.iter().map(|&ip| SocketAddr::new(ip, address.port())).collect()
}

/// The time until then; `TimedOut` where it is over.
fn left(until: Instant) -> io::Result<Duration> {
    match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// Whether the time was over, by whatever call.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// A connection to the first of these that takes one in time, or what was wrong with each.
fn connect(
    addresses: Vec<SocketAddr>,
    until: Instant,
) -> Result<(SocketAddr, TcpStream), Vec<(SocketAddr, io::Error)>> {
    let mut tried = Vec::new();
    for address in addresses {
        match left(until).and_then(|left| TcpStream::connect_timeout(&address, left)) {
            Ok(stream) => return Ok((address, stream)),
            Err(error) => {
                let late = is_late(&error);
                tried.push((address, error));
                if late {
                    break;
                }
            }
        }
    }
    Err(tried)
}

/// One request, and all that comes of it. `TimedOut` and `WouldBlock` where that is not whole in time.
fn exchange(mut stream: TcpStream, address: SocketAddr, path: &str, until: Instant) -> io::Result<Vec<u8>> {
    let left = || left(until);
    stream.set_write_timeout(Some(left()?))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while (answer.len() as u64) < ANSWER_MAX {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// The status and the line of an answer.
fn read(answer: &[u8]) -> Option<(u16, &str)> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = response.parse(answer) else { return None };
    let content = std::str::from_utf8(answer.get(end..)?).ok()?;
    // What is no line of ours is not repeated: it may be a page.
    let words = content.trim_end();
    let is_line = words.len() <= 100 && !words.contains(char::is_control);
    Some((response.code?, if is_line { words } else { "what answers there is no admin address" }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_read_by_their_status_and_line() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\na: b\r\n\r\nok\n"), Some((200, "ok")));
        assert_eq!(read(b"HTTP/1.1 503 No\r\n\r\ndraining\n"), Some((503, "draining")));
        assert_eq!(read(b"HTTP/1.1 404 No\r\n\r\n<a>\n<b>").map(|(status, _)| status), Some(404));
        for wrong in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n\r\n\xff"] {
            assert_eq!(read(wrong), None);
        }
    }

    #[test]
    fn what_others_say_is_not_well() {
        assert_eq!(verdict(b"HTTP/1.1 200 OK\r\n\r\nok\n"), Ok("ok"));
        assert_eq!(verdict(b"HTTP/1.1 503 No\r\n\r\ndraining\n"), Err("draining (503)".to_owned()));
        for other in ["HTTP/1.1 200 OK\r\n\r\n<a>\n<b>", "HTTP/1.1 200 OK\r\n\r\nhello\n", "SSH-2.0-x\r\n"] {
            assert_eq!(verdict(other.as_bytes()), Err("what answers there is no admin address".to_owned()));
        }
    }

    /// Where the system has no ::1, whoever listens on [::] is reached by IPv4 alone.
    #[test]
    fn whoever_is_not_reached_by_ipv6_is_asked_by_ipv4() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let mut request = [0; 1024];
                let _ = client.read(&mut request).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\nok\n").unwrap();
            }
        });
        let args = HealthArgs {
            admin: Some(format!("[::]:{port}").parse().unwrap()),
            config: None,
            ready: false,
            timeout: Duration::from_secs(20),
        };
        assert_eq!(asked(&args).unwrap(), format!("127.0.0.1:{port}/livez: ok"));
    }

    #[test]
    fn whoever_listens_everywhere_is_asked_here() {
        let of = |text: &str| {
            let places = reachable(text.parse().unwrap());
            places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(of("[::]:1"), "[::1]:1 127.0.0.1:1");
        assert_eq!([of("10.0.0.1:1"), of("[::1]:1")], ["10.0.0.1:1", "[::1]:1"]);
    }

    /// One octet at a time keeps nobody waiting: the time is that of the whole answer.
    #[test]
    fn patience_ends_whatever_trickles_in() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            while client.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let begun = Instant::now();
        let until = begun + Duration::from_millis(200);
        let (_, stream) = connect(vec![address], until).unwrap();
        let error = exchange(stream, address, "/livez", until).unwrap_err();
        assert!(is_late(&error), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
