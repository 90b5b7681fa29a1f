use super::Bench;
use super::server::{Server, head};
use parton::base::Cancel;
use parton::fetch::Fetcher;
use parton::fetch::git::{EntryKind, Error, Exported};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// A repository made by git itself. Returns the commit of its tag, which has a child, and the one before.
fn repository(dir: &Path) -> (String, String) {
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .args(args)
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs([("GIT_AUTHOR_DATE", "1600000000 +0200"), ("GIT_COMMITTER_DATE", "1600000000 +0200")])
            .args(["-q"].iter().filter(|_| args[0] == "commit"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main", "."]);
    git(&["config", "user.name", "t"]);
    git(&["config", "user.email", "t@example.org"]);
    std::fs::create_dir_all(dir.join("sub/deep")).unwrap();
    std::fs::write(dir.join("sub/deep/a"), "a\r\nb\n$Id$\n").unwrap();
    std::fs::write(dir.join("run"), "#!/bin/sh\n").unwrap();
    std::fs::write(dir.join("hidden"), "kept\n").unwrap();
    std::fs::write(dir.join(".gitattributes"), "* text=auto ident\nhidden export-ignore\n").unwrap();
    std::fs::set_permissions(dir.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("../../etc/passwd", dir.join("sub/link")).unwrap();
    git(&["-c", "core.autocrlf=false", "add", "."]);
    git(&["commit", "-m", "one"]);
    let first = git(&["rev-parse", "HEAD"]);
    std::fs::write(dir.join("more"), "more\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "-m", "two"]);
    git(&["tag", "-a", "-m", "release", "v2"]);
    let tagged = git(&["rev-parse", "HEAD"]);
    git(&["commit", "--allow-empty", "-m", "three"]);
    (tagged, first)
}

fn fetch(bench: &Bench, url: &str, commit: &str) -> Result<Exported, Error> {
    Fetcher::new(bench.config.clone()).git(url, commit, &bench.dest(), &|_| {}, &bench.cancel)
}

fn check_export(bench: &Bench, exported: &Exported, files: usize) {
    let dest = bench.dest();
    assert_eq!(exported.time, 1_600_000_000);
    assert_eq!(exported.entries.len(), files);
    assert!(!dest.join(".git").exists());
    assert_eq!(std::fs::read(dest.join("hidden")).unwrap(), b"kept\n", "attributes leave nothing out");
    assert!(std::fs::read_to_string(dest.join("sub/deep/a")).unwrap().contains("$Id$"));
    assert_eq!(std::fs::read_link(dest.join("sub/link")).unwrap(), Path::new("../../etc/passwd"));
    for (path, mode) in [("run", 0o755), ("hidden", 0o644), ("sub", 0o755), ("sub/deep/a", 0o644)] {
        let meta = dest.join(path).symlink_metadata().unwrap();
        assert_eq!(meta.mode() & 0o7777, mode, "{path}");
        assert_eq!(meta.mtime(), 1_600_000_000, "{path}");
    }
    assert_eq!(dest.join("sub/link").symlink_metadata().unwrap().mtime(), 1_600_000_000);
    let run = exported.entries.iter().find(|e| e.path.as_bytes() == b"run").unwrap();
    assert_eq!((run.kind, run.size), (EntryKind::Executable, 10));
    let beside = super::list(dest.parent().unwrap());
    assert!(!beside.iter().any(|name| name.starts_with(".git-")), "no scratch is left: {beside:?}");
}

#[test]
fn a_commit_of_a_local_repository_is_exported() {
    let mut bench = Bench::new();
    bench.config.offline = true;
    let source = bench.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let (_, first) = repository(&source);
    let exported = fetch(&bench, &format!("file://{}", source.display()), &first).unwrap();
    assert_eq!(exported.commit, first);
    check_export(&bench, &exported, 5);
}

#[test]
fn what_can_not_be_had_is_refused_by_name() {
    let mut bench = Bench::new();
    let source = bench.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let (tagged, _) = repository(&source);
    let url = format!("file://{}", source.display());
    let unknown = "0123456789012345678901234567890123456789";
    assert!(matches!(fetch(&bench, &url, unknown).unwrap_err(), Error::NoCommit { .. }));
    assert!(matches!(fetch(&bench, &url, &tagged[..12]).unwrap_err(), Error::CommitId(_)));
    assert!(matches!(fetch(&bench, "ssh://example.org/x", &tagged).unwrap_err(), Error::Address { .. }));
    assert!(matches!(fetch(&bench, "/plain/path", &tagged).unwrap_err(), Error::Address { .. }));
    let missing = fetch(&bench, "file:///no/such/repository", &tagged).unwrap_err();
    assert!(matches!(missing, Error::Remote { .. }), "{missing}");
    let cancelled = Cancel::new();
    cancelled.cancel();
    let fetcher = Fetcher::new(bench.config.clone());
    let stopped = fetcher.git(&url, &tagged, &bench.dest(), &|_| {}, &cancelled).unwrap_err();
    assert!(matches!(stopped, Error::Cancelled { .. }), "{stopped}");
    bench.config.offline = true;
    for url in ["https://example.org/x", "git://example.org/x"] {
        assert!(matches!(fetch(&bench, url, &tagged).unwrap_err(), Error::Offline { .. }));
    }
    assert!(!bench.dest().exists());
    fetch(&bench, &url, &tagged).unwrap();
    let again = fetch(&bench, &url, &tagged).unwrap_err();
    assert!(matches!(again, Error::Disk { .. }), "what is there is not overwritten: {again}");
}

#[test]
fn submodules_are_refused_by_name() {
    let bench = Bench::new();
    let source = bench.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let (tagged, _) = repository(&source);
    let run = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(&source).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    run(&["update-index", "--add", "--cacheinfo", &format!("160000,{tagged},vendor/thing")]);
    run(&["commit", "-q", "-m", "module"]);
    let error = fetch(&bench, &format!("file://{}", source.display()), &run(&["rev-parse", "HEAD"])).unwrap_err();
    assert!(error.to_string().starts_with("export vendor/thing of commit"), "{error}");
    assert!(!bench.dest().exists());
    assert_eq!(super::list(bench.dir.path()), ["source"]);
}

/// `git http-backend` behind the loopback server.
fn http_backend(root: &Path, any_commit: bool) -> Server {
    let root = root.to_owned();
    Server::start(move |request, stream| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        if let Some(rest) = path.strip_prefix("/moved/") {
            let location = if query.is_empty() { format!("/{rest}") } else { format!("/{rest}?{query}") };
            head(stream, "301 Moved Permanently", &[("Location", location), ("Content-Length", "0".to_owned())]);
            return;
        }
        let mut backend = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &request.method)
            .env("CONTENT_TYPE", request.headers.get("content-type").map_or("", String::as_str))
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "uploadpack.allowReachableSHA1InWant")
            .env("GIT_CONFIG_VALUE_0", if any_commit { "true" } else { "false" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = backend.stdin.take().unwrap();
        stdin.write_all(&request.body).unwrap();
        drop(stdin);
        let output = backend.wait_with_output().unwrap().stdout;
        let split = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let headers = String::from_utf8_lossy(&output[..split]).into_owned();
        let pairs: Vec<(&str, String)> =
            headers.lines().filter_map(|l| l.split_once(": ")).map(|(n, v)| (n, v.to_owned())).collect();
        let status = pairs.iter().find(|(n, _)| *n == "Status").map_or("200 OK".to_owned(), |(_, v)| v.clone());
        head(stream, &status, &pairs);
        let _ = stream.write_all(&output[split + 4..]);
    })
}

#[test]
fn one_commit_alone_over_http() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    std::fs::create_dir_all(root.join("source")).unwrap();
    let (tagged, first) = repository(&root.join("source"));
    let server = http_backend(&root, true);
    let exported = fetch(&bench, &server.url("moved/source/.git"), &first).unwrap();
    assert!(exported.shallow);
    check_export(&bench, &exported, 5);
    assert!(server.paths().contains(&"/source/.git/git-upload-pack".to_owned()), "{:?}", server.paths());
    std::fs::remove_dir_all(bench.dest()).unwrap();
    check_export(&bench, &fetch(&bench, &server.url("source/.git"), &tagged).unwrap(), 6);
    let error = fetch(&bench, &server.url("nothing"), &tagged).unwrap_err();
    assert!(error.to_string().contains("the server answered 404"), "{error}");
}

#[test]
fn a_tag_alone_or_everything_where_a_server_gives_no_commit_by_id() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    std::fs::create_dir_all(root.join("source")).unwrap();
    let (tagged, first) = repository(&root.join("source"));
    let server = http_backend(&root, false);
    let exported = fetch(&bench, &server.url("source/.git"), &first).unwrap();
    assert!(!exported.shallow);
    check_export(&bench, &exported, 5);
    std::fs::remove_dir_all(bench.dest()).unwrap();
    let exported = fetch(&bench, &server.url("source/.git"), &tagged).unwrap();
    assert!(exported.shallow);
    check_export(&bench, &exported, 6);
}

#[test]
fn a_server_that_hangs_is_given_up() {
    let server = Server::start(|_, stream| {
        head(stream, "200 OK", &[("Content-Type", "application/x-git-upload-pack-advertisement".to_owned())]);
        std::thread::sleep(std::time::Duration::from_secs(4));
    });
    let bench = Bench::new();
    let start = std::time::Instant::now();
    let error = fetch(&bench, &server.url("x"), "0123456789012345678901234567890123456789").unwrap_err();
    assert!(error.to_string().contains("nothing came for"), "{error}");
    assert!(start.elapsed() < std::time::Duration::from_secs(2));
}
