use super::openpgp::Key;
use super::server::Server;
use super::{Bench, NOW, bytes, pin, reasons};
use parton::base::Sha256;
use parton::fetch::apt::{Archive, Keys};
use parton::fetch::{Error, Fetcher, Pin, Place};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

/// An archive with one suite as files by path.
struct Made {
    files: BTreeMap<String, Vec<u8>>,
    tarball: Vec<u8>,
    deb: Vec<u8>,
}

const TARBALL: &str = "pool/main/z/zap/zap_1.0~rc1.orig.tar.xz";

fn xz(plain: &str) -> Vec<u8> {
    let mut out = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    out.write_all(plain.as_bytes()).unwrap();
    out.finish().unwrap()
}

fn release(suite: &str, files: &[(&str, &[u8])], more: &str) -> String {
    let list = files.iter().fold(String::new(), |list, (name, content)| {
        format!("{list} {} {} {name}\n", Sha256::of(content), content.len())
    });
    format!("Origin: Test\nSuite: {suite}\nDate: Fri, 31 May 2024 00:00:00 UTC\n{more}SHA256:\n{list}")
}

fn make(suite: &str, key: &Key, more: &str) -> Made {
    let (tarball, deb) = (bytes(70_000), bytes(3_000));
    let sources = xz(&format!(
        "Package: zap\nChecksums-Sha256:\n {} 11 zap_1.0.dsc\n {} {} zap_1.0~rc1.orig.tar.xz\nDirectory: pool/main/z/zap\n\n",
        Sha256::of(b"dsc"),
        Sha256::of(&tarball),
        tarball.len()
    ));
    let packages = xz(&format!(
        "Package: zap\nVersion: 1.0-1\nDepends: libzap (= 1.0), cc | c-compiler, sh:any\nFilename: pool/main/z/zap/zap_1.0_amd64.deb\n\
         Size: {}\nSHA256: {hash}\n\nPackage: libzap\nVersion: 1.0-2\nProvides: cc (= 1)\nFilename: pool/new.deb\nSize: 1\nSHA256: {hash}\n\n\
         Package: libzap\nVersion: 1.0-1\nFilename: pool/old.deb\nSize: 1\nSHA256: {hash}\n",
        deb.len(),
        hash = Sha256::of(&deb)
    ));
    let indexes: [(&str, &[u8]); 2] =
        [("main/source/Sources.xz", &sources), ("main/binary-amd64/Packages.xz", &packages)];
    let signed = key.clearsign(&release(suite, &indexes, more), NOW - 3600);
    let mut files = BTreeMap::from([
        (format!("/debian/dists/{suite}/InRelease"), signed.into_bytes()),
        (format!("/debian/{TARBALL}"), tarball.clone()),
        ("/debian/pool/main/z/zap/zap_1.0_amd64.deb".to_owned(), deb.clone()),
    ]);
    for (name, content) in indexes {
        files.insert(format!("/debian/dists/{suite}/{name}"), content.to_vec());
    }
    Made { files, tarball, deb }
}

fn bench(server: &Server, keys: &[&Key], suites: &[&str]) -> Bench {
    let mut bench = Bench::new();
    let ring = bench.dir.path().join("ring.gpg");
    std::fs::write(&ring, keys.iter().flat_map(|key| key.certificate()).collect::<Vec<u8>>()).unwrap();
    bench.config.archives = vec![Archive {
        base: server.url("debian"),
        suites: vec![],
        components: vec!["main".to_owned(), "contrib".to_owned()],
        keys: vec![Keys::File(ring)],
        proxy: None,
    }];
    bench.config.archive_suites = suites.iter().map(|s| (*s).to_owned()).collect();
    bench
}

fn tarball_pin(made: &Made) -> Pin {
    let mut pin = pin(&made.tarball, &[]);
    pin.size = None;
    pin
}

#[test]
fn a_pin_is_found_by_its_digest_alone() {
    let alice = Key::alice();
    let made = make("stable", &alice, "");
    let server = Server::files(made.files.clone());
    let bench = bench(&server, &[&Key::mallory(), &alice], &["stable"]);
    let fetched = bench.fetch(&tarball_pin(&made)).unwrap();
    assert_eq!(fetched.place, Place::Archive { suite: Some("stable".into()), path: TARBALL.into() });
    assert_eq!(std::fs::read(bench.dest()).unwrap(), made.tarball);
    assert_eq!(
        server.paths(),
        [
            "/debian/dists/stable/InRelease".to_owned(),
            "/debian/dists/stable/main/source/Sources.xz".to_owned(),
            format!("/debian/{TARBALL}"),
        ]
    );
    assert_eq!(bench.said(), [] as [&str; 0]);
    bench.assert_tidy();
}

#[test]
fn indexes_are_kept_while_young_and_renewed_when_old() {
    let alice = Key::alice();
    let made = make("stable", &alice, "");
    let server = Server::files(made.files.clone());
    let mut bench = bench(&server, &[&alice], &["stable", "absent"]);
    let missing = pin(b"nowhere to be found", &[]);
    let ask = |bench: &Bench| reasons(&bench.fetch(&missing).unwrap_err());
    let expected = ["its index lists no file with this sha256", "no archive of this machine has such a suite"];
    assert_eq!(ask(&bench), expected);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(ask(&bench), expected);
    assert_eq!(server.requests().len(), 3, "both answers are remembered");
    bench.config.now += Duration::from_secs(25 * 3600);
    assert_eq!(ask(&bench), expected);
    assert_eq!(
        server.paths()[3..],
        ["/debian/dists/stable/InRelease", "/debian/dists/absent/InRelease"],
        "an index that did not change is not fetched again"
    );
    bench.config.offline = true;
    bench.config.now += Duration::from_secs(100 * 24 * 3600);
    assert_eq!(ask(&bench)[0], expected[0]);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn an_archive_that_is_gone_leaves_its_index() {
    let alice = Key::alice();
    let made = make("stable", &alice, "");
    let server = Server::files(made.files.clone());
    let mut bench = bench(&server, &[&alice], &["stable"]);
    bench.fetch(&tarball_pin(&made)).unwrap();
    drop(server);
    bench.config.now += Duration::from_secs(25 * 3600);
    std::fs::remove_file(bench.dest()).unwrap();
    let error = bench.fetch(&tarball_pin(&made)).unwrap_err();
    assert!(bench.said()[0].contains("a newer index could not be had"), "{:?}", bench.said());
    let text = error.to_string();
    assert!(text.contains(&format!("package archive, stable: {TARBALL}: no connection")), "{text}");
    assert!(!text.contains("127.0.0.1"), "an archive's host is nobody's business: {text}");
}

#[test]
fn an_index_by_another_key_or_changed_or_of_another_suite_is_not_used() {
    let (alice, mallory) = (Key::alice(), Key::mallory());
    let good = make("stable", &alice, "");
    let why = |files: BTreeMap<String, Vec<u8>>, key: &Key| {
        let server = Server::files(files);
        let bench = bench(&server, &[key], &["stable"]);
        let why = reasons(&bench.fetch(&tarball_pin(&good)).unwrap_err()).remove(0);
        assert_eq!(server.requests().len(), 1, "nothing it names is asked for");
        why
    };
    let with = |old: &str, new: &str| {
        let mut files = good.files.clone();
        let text = String::from_utf8(files["/debian/dists/stable/InRelease"].clone()).unwrap().replace(old, new);
        files.insert("/debian/dists/stable/InRelease".into(), text.into_bytes());
        files
    };
    assert!(why(good.files.clone(), &mallory).contains("the signature is not by"));
    assert!(why(with("Origin: Test", "Origin: Evil"), &alice).contains("BAD signature"));
    assert!(why(with("-----BEGIN PGP SIGNED", "Suite: x\n-----BEGIN PGP SIGNED"), &alice).contains("does not begin"));
    let mut replayed = good.files.clone();
    replayed.insert(
        "/debian/dists/stable/InRelease".into(),
        make("oldstable", &alice, "").files["/debian/dists/oldstable/InRelease"].clone(),
    );
    assert!(why(replayed, &alice).contains("it is the list of another suite, oldstable"));
}

#[test]
fn an_index_file_that_does_not_match_the_list_is_not_used() {
    let alice = Key::alice();
    let mut made = make("stable", &alice, "");
    let sources = made.files.get_mut("/debian/dists/stable/main/source/Sources.xz").unwrap();
    let last = sources.len() - 1;
    sources[last] ^= 1;
    let server = Server::files(made.files.clone());
    let error = bench(&server, &[&alice], &["stable"]).fetch(&tarball_pin(&made)).unwrap_err();
    assert!(reasons(&error)[0].starts_with("serves other bytes"), "{error}");
}

#[test]
fn an_index_past_its_date_still_locates_and_says_so_once() {
    let alice = Key::alice();
    let made = make("stable", &alice, "Valid-Until: Fri, 31 May 2024 06:00:00 UTC\n");
    let server = Server::files(made.files.clone());
    let bench = bench(&server, &[&alice], &["stable"]);
    let fetcher = Fetcher::new(bench.config.clone());
    bench.fetch_with(&fetcher, &tarball_pin(&made)).unwrap();
    bench.fetch_with(&fetcher, &tarball_pin(&made)).unwrap();
    assert_eq!(
        bench.said(),
        ["note: package archive, stable: the index was valid until 2024-05-31; \
          it is used to locate files only, the pins' digests decide"]
    );
}

#[test]
fn a_file_that_is_gone_in_one_suite_is_asked_for_in_the_next() {
    let alice = Key::alice();
    let mut made = make("stable", &alice, "");
    let mut other = make("next", &alice, "");
    made.files.remove(&format!("/debian/{TARBALL}"));
    other.files.remove(&format!("/debian/{TARBALL}"));
    made.files.extend(other.files);
    // In the second suite the same file lies elsewhere.
    let sources = xz(&format!(
        "Directory: pool/new\nChecksums-Sha256:\n {} {} zap.tar\n",
        Sha256::of(&made.tarball),
        made.tarball.len()
    ));
    let list = release("next", &[("main/source/Sources.xz", &sources)], "Acquire-By-Hash: yes\n");
    made.files.insert("/debian/dists/next/InRelease".into(), alice.clearsign(&list, NOW - 60).into_bytes());
    let by_hash = format!("/debian/dists/next/main/source/by-hash/SHA256/{}", Sha256::of(&sources));
    made.files.insert(by_hash.clone(), sources);
    made.files.insert("/debian/pool/new/zap.tar".into(), made.tarball.clone());
    let server = Server::files(made.files.clone());
    let bench = bench(&server, &[&alice], &["stable", "next"]);
    let fetched = bench.fetch(&tarball_pin(&made)).unwrap();
    assert_eq!(fetched.place.to_string(), "package archive, next: pool/new/zap.tar");
    assert_eq!(fetched.tried[0].why.to_string(), "the server answered 404");
    assert!(server.paths().contains(&by_hash));
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let alice = Key::alice();
    let made = make("stable", &alice, "");
    let server = Server::files(made.files.clone());
    let bench = bench(&server, &[&alice], &["stable"]);
    bench.fetch(&tarball_pin(&made)).unwrap();
    let apt = bench.config.cache.join("apt");
    let dir = apt.join(super::list(&apt).remove(0));
    for (file, damage) in [("main.by-hash", &b"partonBH"[..]), ("InRelease", b"x"), ("checked", b"x")] {
        std::fs::write(dir.join(file), damage).unwrap();
        bench.fetch(&tarball_pin(&made)).unwrap();
    }
    assert_eq!(super::list(&dir), ["InRelease", "checked", "lock", "main.by-hash"]);
}

#[test]
fn packages_are_resolved_by_name_and_fetched_by_path() {
    let alice = Key::alice();
    let made = make("stable", &alice, "");
    let server = Server::files(made.files.clone());
    let bench = bench(&server, &[&alice], &["stable"]);
    let fetcher = Fetcher::new(bench.config.clone());
    let packages = fetcher.packages("stable", "main", "amd64", &|_| {}, &bench.cancel).unwrap();
    assert_eq!(packages.release.signature.fingerprint, alice.fingerprint());
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();

    let alone = packages.resolve(&names(&["zap"]), &names(&["sh"])).unwrap();
    assert_eq!(
        alone.unlisted.iter().map(|u| u.alternatives.join("|")).collect::<Vec<_>>(),
        ["cc|c-compiler", "libzap"]
    );
    let both = packages.resolve(&names(&["zap", "libzap", "zap"]), &[]).unwrap();
    assert_eq!(both.unlisted.iter().map(|u| u.alternatives.join("|")).collect::<Vec<_>>(), ["sh"]);
    assert_eq!(both.packages[0].path, "pool/new.deb", "the higher version");

    let error = packages.resolve(&names(&["zip", "zap", "nothing-like-it"]), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "resolve packages in suite stable: no package 'nothing-like-it', 'zip' (did you mean 'zap'?)"
    );

    let fetched = bench.fetch_with(&fetcher, &both.packages[1].pin()).unwrap();
    assert_eq!(std::fs::read(bench.dest()).unwrap(), made.deb);
    let path = "pool/main/z/zap/zap_1.0_amd64.deb".to_owned();
    assert_eq!(fetched.place, Place::Archive { suite: None, path });

    let error = fetcher.packages("unstable", "main", "amd64", &|_| {}, &bench.cancel).unwrap_err();
    assert!(error.to_string().contains("read the package index of suite unstable"), "{error}");
    let error = Fetcher::new(Bench::new().config).packages("s", "main", "amd64", &|_| {}, &bench.cancel);
    assert!(matches!(error.unwrap_err(), Error::Apt(parton::fetch::apt::Error::NoArchive { .. })));
}

#[test]
fn an_archive_in_a_directory_works_offline() {
    let alice = Key::alice();
    let made = make("stable", &alice, "");
    let server = Server::files(BTreeMap::new());
    let mut bench = bench(&server, &[&alice], &["stable"]);
    for (path, content) in &made.files {
        let path = bench.dir.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    bench.config.archives[0].base = format!("file:{}/debian", bench.dir.path().display());
    bench.config.offline = true;
    bench.fetch(&tarball_pin(&made)).unwrap();
}
