use super::server::{Server, head, reply, up_to, whole};
use super::{Bench, bytes, list, pin, reasons};
use parton::base::{Blake3, Event, Sha256};
use parton::fetch::{Error, Fetcher, Order, Place};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn one_file(content: &[u8]) -> Server {
    Server::files(BTreeMap::from([("/f".to_owned(), content.to_vec())]))
}

#[test]
fn a_good_server_serves() {
    let content = bytes(300_000);
    let server = one_file(&content);
    let bench = Bench::new();
    let fetched = bench.fetch(&pin(&content, &[server.url("f")])).unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
    assert_eq!((fetched.sha256, fetched.blake3, fetched.size), (Sha256::of(&content), Blake3::of(&content), 300_000));
    assert_eq!(fetched.place, Place::Upstream { url: server.url("f") });
    assert_eq!(fetched.tried, []);
    bench.assert_tidy();
    let events = bench.events.lock().unwrap();
    assert!(matches!(&events[0], Event::Started { name, total: Some(300_000), .. } if name == "file.tar"));
    assert!(matches!(events.last(), Some(Event::Finished { ok: true, .. })));
    assert!(events.iter().any(|e| matches!(e, Event::Advanced { done: 300_000, .. })));
}

#[test]
fn an_empty_file_is_a_file() {
    let server = one_file(b"");
    let bench = Bench::new();
    bench.fetch(&pin(b"", &[server.url("f")])).unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), b"");
}

#[test]
fn a_truncated_answer_is_resumed_with_the_servers_validator() {
    let content = bytes(300_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| match request.before {
        0 => up_to(request, stream, &served, 100_000),
        1 => up_to(request, stream, &served, 250_000),
        _ => whole(request, stream, &served),
    });
    let bench = Bench::new();
    bench.fetch(&pin(&content, &[server.url("f")])).unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
    let requests = server.requests();
    assert_eq!(requests.iter().map(|r| r.range()).collect::<Vec<_>>(), [None, Some(100_000), Some(250_000)]);
    assert_eq!(requests[1].headers["if-range"], "\"493e0\"");
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let content = bytes(50_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| {
        if request.before == 0 {
            up_to(request, stream, &served, 20_000);
        } else {
            reply(stream, "200 OK", &[], &served);
        }
    });
    let bench = Bench::new();
    bench.fetch(&pin(&content, &[server.url("f")])).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_sends_another_range_is_not_believed() {
    let content = bytes(50_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| match request.before {
        0 => up_to(request, stream, &served, 20_000),
        1 => {
            let range = ("Content-Range", "bytes 0-49999/50000".to_owned());
            reply(stream, "206 Partial Content", &[range], &served);
        }
        _ => whole(request, stream, &served),
    });
    let bench = Bench::new();
    bench.fetch(&pin(&content, &[server.url("f")])).unwrap();
    assert_eq!(server.requests()[2].range(), None);
}

#[test]
fn a_partial_file_longer_than_the_servers_is_dropped() {
    let content = bytes(50_000);
    let server = one_file(&content);
    let bench = Bench::new();
    let mut pin = pin(&content, &[server.url("f")]);
    pin.size = None;
    std::fs::create_dir_all(bench.part(&pin).parent().unwrap()).unwrap();
    std::fs::write(bench.part(&pin), bytes(60_000)).unwrap();
    bench.fetch(&pin).unwrap();
    assert_eq!(server.requests().iter().map(|r| r.range()).collect::<Vec<_>>(), [Some(60_000), None]);
}

#[test]
fn a_download_goes_on_in_a_later_process() {
    let content = bytes(300_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| {
        if request.before < 3 { up_to(request, stream, &served, 120_000) } else { whole(request, stream, &served) }
    });
    let bench = Bench::new();
    let pin = pin(&content, &[server.url("f")]);
    let error = bench.fetch(&pin).unwrap_err();
    assert!(reasons(&error)[0].starts_with("broke off after 120000 bytes"), "{error}");
    assert!(!bench.dest().exists());
    assert_eq!(std::fs::metadata(bench.part(&pin)).unwrap().len(), 120_000);
    bench.fetch(&pin).unwrap();
    assert_eq!(server.requests().last().unwrap().range(), Some(120_000));
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
    bench.assert_tidy();
}

#[test]
fn another_place_goes_on_where_the_first_stopped() {
    let content = bytes(200_000);
    let served = content.clone();
    let broken = Server::start(move |request, stream| up_to(request, stream, &served, 150_000));
    let good = one_file(&content);
    let bench = Bench::new();
    let fetched = bench.fetch(&pin(&content, &[broken.url("f"), good.url("f")])).unwrap();
    assert_eq!(good.requests()[0].range(), Some(150_000));
    assert_eq!(fetched.tried.len(), 1);
}

/// A torn or foreign partial file makes the digest of the whole wrong although the server is honest.
#[test]
fn old_bytes_that_do_not_fit_are_dropped_once() {
    let content = bytes(100_000);
    let server = one_file(&content);
    let bench = Bench::new();
    let pin = pin(&content, &[server.url("f")]);
    std::fs::create_dir_all(bench.part(&pin).parent().unwrap()).unwrap();
    std::fs::write(bench.part(&pin), vec![0; 40_000]).unwrap();
    let fetched = bench.fetch(&pin).unwrap();
    assert_eq!(fetched.tried, []);
    assert_eq!(server.requests().iter().map(|r| r.range()).collect::<Vec<_>>(), [Some(40_000), None]);
}

#[test]
fn a_download_that_was_complete_needs_no_network() {
    let content = bytes(1000);
    let mut bench = Bench::new();
    bench.config.offline = true;
    let pin = pin(&content, &["http://no.example.org/f".to_owned()]);
    std::fs::create_dir_all(bench.part(&pin).parent().unwrap()).unwrap();
    std::fs::write(bench.part(&pin), &content).unwrap();
    assert_eq!(bench.fetch(&pin).unwrap().place, Place::Cache);
}

#[test]
fn other_bytes_are_refused_and_the_next_place_is_asked() {
    let content = bytes(5000);
    let mut other = content.clone();
    other[77] ^= 1;
    let (bad, good) = (one_file(&other), one_file(&content));
    let mut bench = Bench::new();
    bench.config.mirrors = vec![format!("{}#{{sha256}}", bad.url("f"))];
    let fetched = bench.fetch(&pin(&content, &[good.url("f")])).unwrap();
    let expected =
        format!("serves other bytes: expected sha256 {}, found {}", Sha256::of(&content), Sha256::of(&other));
    assert_eq!(fetched.tried[0].why.to_string(), expected);
    assert!(bench.said()[0].contains("serves other bytes"), "{:?}", bench.said());
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
}

#[test]
fn wrong_bytes_everywhere_leave_nothing_behind() {
    let content = bytes(5000);
    let bad = one_file(&bytes(5001)[1..]);
    let bench = Bench::new();
    let error = bench.fetch(&pin(&content, &[bad.url("f")])).unwrap_err();
    assert!(error.is_mismatch());
    assert!(error.help().unwrap().contains("before you change the pin"));
    assert!(!bench.dest().exists());
    bench.assert_tidy();
    assert_eq!(bad.requests().len(), 1, "wrong bytes do not become right by asking again");
}

#[test]
fn a_size_that_is_announced_wrong_is_refused_before_the_transfer() {
    let server = one_file(&bytes(5000));
    let bench = Bench::new();
    let error = bench.fetch(&pin(&bytes(4000), &[server.url("f")])).unwrap_err();
    assert_eq!(reasons(&error), ["has 5000 bytes, the pin says 4000"]);
}

#[test]
fn an_endless_answer_is_stopped_at_the_pinned_size() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let server = Server::start(move |_, stream| {
        head(stream, "200 OK", &[]);
        let chunk = bytes(64 << 10);
        while stream.write_all(&chunk).is_ok() {
            counter.fetch_add(chunk.len(), Ordering::Relaxed);
        }
    });
    let bench = Bench::new();
    let error = bench.fetch(&pin(&bytes(100_000), &[server.url("f")])).unwrap_err();
    assert_eq!(reasons(&error), ["sends more than the 100000 bytes expected"]);
    bench.assert_tidy();
    let mut bench = Bench::new();
    bench.config.max_size = 200_000;
    let mut unsized_pin = pin(&bytes(10), &[server.url("f")]);
    unsized_pin.size = None;
    assert_eq!(reasons(&bench.fetch(&unsized_pin).unwrap_err()), ["sends more than the 200000 bytes expected"]);
    // What the sockets' buffers and our queue swallow, not more.
    assert!(sent.load(Ordering::Relaxed) < 64 << 20);
}

#[test]
fn a_length_that_is_never_reached_ends_after_the_attempts() {
    let server = Server::start(|request, stream| {
        let from = request.range().unwrap_or(0);
        let mut headers = vec![("Content-Length", (100_000 - from).to_string())];
        if from > 0 {
            headers.push(("Content-Range", format!("bytes {from}-99999/100000")));
        }
        head(stream, if from > 0 { "206 Partial Content" } else { "200 OK" }, &headers);
        if from == 0 {
            let _ = stream.write_all(&bytes(10_000));
        }
    });
    let bench = Bench::new();
    let error = bench.fetch(&pin(&bytes(100_000), &[server.url("f")])).unwrap_err();
    assert!(reasons(&error)[0].starts_with("broke off after 10000 bytes"), "{error}");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_drip_is_given_up() {
    let server = Server::start(|_, stream| {
        head(stream, "200 OK", &[("Content-Length", "5000".to_owned())]);
        for byte in bytes(5000) {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let mut bench = Bench::new();
    bench.config.patience.attempts = 2;
    let start = Instant::now();
    let error = bench.fetch(&pin(&bytes(5000), &[server.url("f")])).unwrap_err();
    assert!(reasons(&error)[0].starts_with("too slow"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn silence_is_given_up_before_and_after_the_headers() {
    let server = Server::start(|request, stream| {
        if request.path == "/after" {
            head(stream, "200 OK", &[("Content-Length", "5000".to_owned())]);
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        }
        std::thread::sleep(Duration::from_secs(3));
    });
    let mut bench = Bench::new();
    bench.config.patience.attempts = 1;
    let start = Instant::now();
    let error = bench.fetch(&pin(&bytes(5000), &[server.url("before"), server.url("after")])).unwrap_err();
    assert_eq!(reasons(&error), ["nothing came for 900ms", "nothing came for 400ms"]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let content = bytes(100);
    let served = content.clone();
    let server = Server::start(move |request, stream| match request.path.as_str() {
        "/once" => reply(stream, "302 Found", &[("Location", "/f".to_owned())], b""),
        "/f" => whole(request, stream, &served),
        path => reply(stream, "302 Found", &[("Location", format!("{path}x"))], b""),
    });
    let bench = Bench::new();
    let fetched = bench.fetch(&pin(&content, &[server.url("loop"), server.url("once")])).unwrap();
    assert_eq!(fetched.tried[0].why.to_string(), "more than 5 redirects");
}

#[test]
fn passing_trouble_is_waited_out_and_lasting_trouble_is_not() {
    let content = bytes(100);
    let served = content.clone();
    let server = Server::start(move |request, stream| match (request.path.as_str(), request.before) {
        ("/f", 2) => whole(request, stream, &served),
        ("/f", _) => reply(stream, "503 Service Unavailable", &[("Retry-After", "3600".to_owned())], b"later"),
        _ => reply(stream, "403 Forbidden", &[], b"no"),
    });
    let bench = Bench::new();
    let start = Instant::now();
    bench.fetch(&pin(&content, &[server.url("g"), server.url("f")])).unwrap();
    assert_eq!(server.paths(), ["/g", "/f", "/f", "/f"]);
    assert!(start.elapsed() < Duration::from_secs(1), "a server does not decide how long we wait");
}

#[test]
fn all_failures_are_listed_with_a_way_out() {
    let server = Server::files(BTreeMap::new());
    let mut bench = Bench::new();
    bench.config.content_mirrors = vec!["ftp://c.example.org/{sha256}".to_owned()];
    let pin = pin(b"x", &[server.url("f"), "http://no-such-host.invalid/f".to_owned()]);
    let error = bench.fetch(&pin).unwrap_err();
    let text = error.to_string().replace(&server.url(""), "http://HOST/");
    let hash = pin.sha256;
    assert_eq!(
        text,
        format!(
            "fetch file.tar (sha256 {hash}): no place has it\n  \
             http://HOST/f: the server answered 404\n  \
             http://no-such-host.invalid/f: the host's name does not resolve\n  \
             content mirror ftp://c.example.org/{hash}: not an address parton can fetch from ('ftp' is not http, https or file)"
        )
    );
    assert!(error.help().unwrap().contains("file:///that/directory"));
}

#[test]
fn a_host_that_does_not_resolve_costs_one_look_up() {
    let mut bench = Bench::new();
    bench.config.patience.pause = Duration::from_secs(10);
    bench.config.patience.longest_pause = Duration::from_secs(10);
    let urls = ["a", "b", "c"].map(|path| format!("http://no-such-host.invalid/{path}"));
    let start = Instant::now();
    let error = bench.fetch(&pin(b"x", &urls)).unwrap_err();
    assert_eq!(reasons(&error), ["the host's name does not resolve"; 3]);
    assert!(start.elapsed() < Duration::from_secs(5), "nothing was waited for");
}

#[test]
fn a_refused_connection_is_a_reason() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    drop(listener);
    let error = bench.fetch(&pin(b"x", &[url])).unwrap_err();
    assert!(reasons(&error)[0].starts_with("no connection ("), "{error}");
}

#[test]
fn files_of_this_machine_are_a_place() {
    let bench = Bench::new();
    let content = bytes(200_000);
    let path = bench.dir.path().join("with space");
    std::fs::write(&path, &content).unwrap();
    let url = |path: &std::path::Path| reqwest::Url::from_file_path(path).unwrap().to_string();
    let urls = [url(&bench.dir.path().join("missing")), url(bench.dir.path()), url(&path)];
    let fetched = bench.fetch(&pin(&content, &urls)).unwrap();
    assert_eq!(fetched.tried.len(), 2);
    assert!(fetched.tried[1].why.to_string().ends_with("is not a regular file"), "{:?}", fetched.tried);
    assert!(path.exists());
}

#[test]
fn offline_opens_no_connection_but_reads_files() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let mut bench = Bench::new();
    bench.config.offline = true;
    bench.config.mirrors = vec![url.clone()];
    let error = bench.fetch(&pin(b"x", std::slice::from_ref(&url))).unwrap_err();
    assert!(matches!(error, Error::Offline { .. }));
    assert!(error.to_string().contains("parton is offline"), "{error}");
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    std::fs::write(bench.dir.path().join("here"), b"x").unwrap();
    bench.fetch(&pin(b"x", &[url, format!("file://{}/here", bench.dir.path().display())])).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn many_are_fetched_at_once_and_answered_in_order() {
    let busy = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&busy), Arc::clone(&most));
    let server = Server::start(move |request, stream| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(80));
        now.fetch_sub(1, Ordering::SeqCst);
        if request.path == "/4" {
            reply(stream, "404 Not Found", &[], b"")
        } else {
            whole(request, stream, request.path.as_bytes())
        }
    });
    let mut bench = Bench::new();
    bench.config.max_parallel = 3;
    let order = |n: usize| Order {
        pin: pin(format!("/{n}").as_bytes(), &[server.url(&n.to_string())]),
        dest: bench.dir.path().join(n.to_string()),
    };
    let orders: Vec<Order> = (0..9).map(order).collect();
    let results = Fetcher::new(bench.config.clone()).fetch_all(&orders, &|_| {}, &bench.cancel);
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), n != 4, "{n}");
        if n != 4 {
            assert_eq!(std::fs::read(&orders[n].dest).unwrap(), format!("/{n}").as_bytes());
        }
    }
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[test]
fn the_same_pin_twice_at_once_is_served_twice() {
    let content = bytes(100_000);
    let server = one_file(&content);
    let bench = Bench::new();
    let order = |n: usize| Order { pin: pin(&content, &[server.url("f")]), dest: bench.dir.path().join(n.to_string()) };
    let orders = [order(0), order(1)];
    let results = Fetcher::new(bench.config.clone()).fetch_all(&orders, &|_| {}, &bench.cancel);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[test]
fn a_wish_to_stop_is_heard_at_once_and_keeps_what_came() {
    let content = bytes(500_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| {
        if request.before == 0 {
            head(stream, "200 OK", &[("Content-Length", served.len().to_string())]);
            let _ = stream.write_all(&served[..200_000]);
            std::thread::sleep(Duration::from_secs(3));
        } else {
            whole(request, stream, &served);
        }
    });
    let mut bench = Bench::new();
    bench.config.patience.idle = Duration::from_secs(60);
    let pin = pin(&content, &[server.url("f")]);
    let cancel = bench.cancel.clone();
    let start = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        cancel.cancel();
    });
    assert!(matches!(bench.fetch(&pin), Err(Error::Cancelled { .. })));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(!bench.dest().exists());
    assert_eq!(std::fs::metadata(bench.part(&pin)).unwrap().len(), 200_000);
    bench.cancel = parton::base::Cancel::new();
    bench.fetch(&pin).unwrap();
    assert_eq!(server.requests()[1].range(), Some(200_000));
}

const CHILD: &str = "PARTON_TEST_KILLED_FETCH";

/// Not a test of its own: the process that [`a_killed_fetch_leaves_only_the_part`] kills.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent test passes its address and directory this way")]
fn child_that_is_killed() {
    let Ok(args) = std::env::var(CHILD) else { return };
    let (url, dir) = args.split_once(' ').unwrap();
    let mut bench = Bench::new();
    bench.config.partial = std::path::Path::new(dir).join("cache/partial");
    bench.config.patience.idle = Duration::from_secs(60);
    let fetcher = Fetcher::new(bench.config.clone());
    let dest = std::path::Path::new(dir).join("dest");
    fetcher.fetch(&pin(&bytes(500_000), &[url.to_owned()]), &dest, &|_| {}, &bench.cancel).unwrap();
}

#[test]
fn a_killed_fetch_leaves_only_the_part() {
    let content = bytes(500_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| {
        if request.before == 0 {
            head(stream, "200 OK", &[("Content-Length", served.len().to_string())]);
            let _ = stream.write_all(&served[..200_000]);
            std::thread::sleep(Duration::from_secs(5));
        } else {
            whole(request, stream, &served);
        }
    });
    let bench = Bench::new();
    let pin = pin(&content, &[server.url("f")]);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fetch::http::child_that_is_killed", "--nocapture"])
        .env(CHILD, format!("{} {}", server.url("f"), bench.dir.path().display()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while std::fs::metadata(bench.part(&pin)).map_or(0, |m| m.len()) < 200_000 {
        assert!(start.elapsed() < Duration::from_secs(60), "the child got nowhere");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(list(bench.dir.path()), ["cache"]);
    bench.fetch(&pin).unwrap();
    assert_eq!(server.requests()[1].range(), Some(200_000));
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
}

#[test]
fn a_destination_on_another_file_system_is_reached_by_copying() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = Bench::new();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    if other.path().metadata().unwrap().dev() == bench.dir.path().metadata().unwrap().dev() {
        return;
    }
    let content = bytes(300_000);
    let server = one_file(&content);
    let fetcher = Fetcher::new(bench.config.clone());
    let dest = other.path().join("f");
    fetcher.fetch(&pin(&content, &[server.url("f")]), &dest, &|_| {}, &bench.cancel).unwrap();
    assert_eq!(std::fs::read(&dest).unwrap(), content);
    assert_eq!(list(other.path()), ["f"]);
    bench.assert_tidy();
}

#[test]
fn a_disk_that_says_no_ends_the_fetch_at_once() {
    let content = bytes(100);
    let (first, second) = (one_file(&content), one_file(&content));
    let bench = Bench::new();
    let fetcher = Fetcher::new(bench.config.clone());
    let dest = bench.dir.path().join("no/such/directory/f");
    let pin = pin(&content, &[first.url("f"), second.url("f")]);
    let error = fetcher.fetch(&pin, &dest, &|_| {}, &bench.cancel).unwrap_err();
    assert!(matches!(error, Error::Disk { .. }), "{error}");
    assert_eq!(second.requests().len(), 0);
    assert!(bench.part(&pin).exists(), "the bytes are not thrown away");
}

#[test]
fn what_an_address_serves_can_be_had_for_pinning() {
    let content = bytes(200_000);
    let served = content.clone();
    let server = Server::start(move |request, stream| match request.before {
        0 => up_to(request, stream, &served, 70_000),
        _ => whole(request, stream, &served),
    });
    let bench = Bench::new();
    let fetcher = Fetcher::new(bench.config.clone());
    let fetched = fetcher.fetch_unpinned(&server.url("f"), &bench.dest(), &|_| {}, &bench.cancel).unwrap();
    assert_eq!((fetched.sha256, fetched.size), (Sha256::of(&content), 200_000));
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
    let error = fetcher.fetch_unpinned("ftp://u:p@example.org/", &bench.dest(), &|_| {}, &bench.cancel).unwrap_err();
    assert!(error.to_string().starts_with("fetch ftp://example.org/: not an address"), "{error}");
    bench.assert_tidy();
}

#[test]
fn a_proxy_is_asked_instead_of_the_host() {
    let content = bytes(100);
    let served = content.clone();
    let proxy = Server::start(move |request, stream| whole(request, stream, &served));
    let mut bench = Bench::new();
    bench.config.proxy = Some(proxy.url(""));
    bench.config.no_proxy = Some("direct.invalid".to_owned());
    let urls = ["http://direct.invalid/f".to_owned(), "http://no-such-host.invalid/f".to_owned()];
    let fetched = bench.fetch(&pin(&content, &urls)).unwrap();
    assert_eq!(fetched.tried.len(), 1);
    assert_eq!(proxy.paths(), ["http://no-such-host.invalid/f"]);
}

/// A TLS server for any number of connections, with a certificate that only `keys/tls-ca.pem` vouches for.
///
/// Made with `openssl req -x509` and `openssl x509 -req`: P-256, a hundred years, for 127.0.0.1; the authority's key is gone.
fn tls_server(content: Vec<u8>) -> u16 {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let chain = CertificateDer::pem_slice_iter(include_bytes!("keys/tls-server.pem")).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("keys/tls-server.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, content, config) = (stream.unwrap(), content.clone(), Arc::clone(&config));
            std::thread::spawn(move || {
                let mut connection = rustls::ServerConnection::new(config).unwrap();
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                let mut request = [0; 4096];
                if std::io::Read::read(&mut tls, &mut request).is_ok_and(|n| n > 0) {
                    let head =
                        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", content.len());
                    let _ = tls.write_all(head.as_bytes()).and_then(|()| tls.write_all(&content));
                }
                connection.send_close_notify();
                let _ = connection.complete_io(&mut stream);
            });
        }
    });
    port
}

#[test]
fn https_trusts_the_given_authorities_and_no_others() {
    let content = bytes(100_000);
    let url = format!("https://127.0.0.1:{}/f", tls_server(content.clone()));
    let mut bench = Bench::new();
    bench.config.ca_bundles = vec!["/no/such/bundle".into(), bench.dir.path().join("ca.pem")];
    let pin = pin(&content, &[url]);
    let start = Instant::now();
    let error = bench.fetch(&pin).unwrap_err();
    assert_eq!(reasons(&error), ["the server's certificate is not trusted (UnknownIssuer)"]);
    assert!(start.elapsed() < Duration::from_secs(1));
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fetch/keys/tls-ca.pem"), &bench.config.ca_bundles[1])
        .unwrap();
    bench.fetch(&pin).unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), content);
}
