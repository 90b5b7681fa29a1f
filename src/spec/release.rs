//! Name and version of a release, guessed from its URL.

/// What a URL says about the release behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseName {
    /// Name as a package could have it: lower case.
    pub name: Option<String>,
    /// Version without `v`.
    pub version: Option<String>,
}

const ARCHIVES: [&str; 18] = [
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
    ".tar.zst",
    ".tar.lz",
    ".tar.lzma",
    ".tar.Z",
    ".tar",
    ".tgz",
    ".tbz2",
    ".tbz",
    ".txz",
    ".tlz",
    ".tzst",
    ".zip",
    ".gz",
    ".xz",
    ".git",
];

/// Path segments after the name of a repository on a forge.
const FORGE_WORDS: [&str; 10] =
    ["archive", "releases", "-", "refs", "tags", "tarball", "zipball", "tar.gz", "get", "snapshot"];

/// Words that stand for "this is a release" and not for a name.
const NOT_NAMES: [&str; 9] = ["v", "r", "rel", "release", "releases", "version", "ver", "source", "src"];

/// Guesses the name and version of a release from the URL of its archive or repository.
pub fn release_name(url: &str) -> ReleaseName {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let mut segments: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    // SourceForge ends its links with a verb.
    segments.pop_if(|last| last == "download");
    let Some(file) = segments.pop() else { return ReleaseName { name: None, version: None } };
    // What is left of the segments begins with the host, which names nothing.
    let above: &[String] = segments.get(1..).unwrap_or_default();
    let stem = stem(&file);
    let (file_name, mut version) = split(stem);
    let repository = above
        .iter()
        .position(|part| FORGE_WORDS.contains(&part.as_str()))
        .and_then(|at| at.checked_sub(1))
        .map(|at| above[at].as_str());
    let on_request =
        above.iter().any(|part| matches!(part.as_str(), "archive" | "tarball" | "zipball" | "tar.gz" | "get"));
    let usable = file_name.filter(|name| !NOT_NAMES.contains(&name.to_lowercase().as_str()));
    let name = match (repository, usable) {
        // A forge's own archive is called after the tag, whatever that is; the repository has the name.
        (Some(repository), _) if on_request => Some(repository),
        (_, Some(name)) => Some(name),
        (Some(repository), None) => Some(repository),
        (None, None) => above.iter().rev().map(String::as_str).find(|part| {
            split(part).1.is_none() && !FORGE_WORDS.contains(part) && !NOT_NAMES.contains(part) && *part != "download"
        }),
    };
    if version.is_none() && usable.is_none_or(|name| repository.is_some() && name == stem) && repository.is_some() {
        version = above.last().and_then(|part| split(part).1);
    }
    ReleaseName { name: name.and_then(package_name), version }
}

/// Percent-encoding undone as far as it occurs in file names.
fn decoded(part: &str) -> String {
    ["%2B+", "%2b+", "%7E~", "%7e~"].iter().fold(part.to_owned(), |part, pair| part.replace(&pair[..3], &pair[3..]))
}

/// A file name without what tells the kind of file.
fn stem(file: &str) -> &str {
    let mut stem = ARCHIVES.iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    for ending in [".orig", ".src", "-src", "_src", "-source", "-sources", ".source", "-master", "-main", "-HEAD"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    // What Debian adds to the version of a repack is not upstream's.
    let added = ["+dfsg", ".dfsg", "+ds", "+repack"].iter().filter_map(|mark| stem.find(mark)).min();
    added.map_or(stem, |at| &stem[..at])
}

/// Splits `name-1.2.3`; either part may be absent.
fn split(stem: &str) -> (Option<&str>, Option<String>) {
    if let Some(version) = version_of(stem) {
        return (None, Some(version));
    }
    for (at, c) in stem.char_indices().skip(1) {
        if matches!(c, '-' | '_')
            && let Some(version) = version_of(&stem[at + 1..])
        {
            return (Some(&stem[..at]), Some(version));
        }
    }
    // `tzdata2026f`, `go1.24.1`: a long number or one with dots directly behind the letters.
    if let Some(at) = stem.find(|c: char| c.is_ascii_digit()).filter(|at| *at > 1) {
        let (name, rest) = stem.split_at(at);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if name.bytes().all(|b| b.is_ascii_alphabetic()) && (digits >= 4 || rest.contains('.')) {
            return (Some(name), version_of(rest));
        }
    }
    ((!stem.is_empty()).then_some(stem), None)
}

/// A version as a package could have it, from a text that is nothing but one: `v1.2`, `1_2_3`, `10.6p1`.
fn version_of(text: &str) -> Option<String> {
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let good = bare.starts_with(|c: char| c.is_ascii_digit())
        && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '~' | '-'));
    // `7zip`, `3d-tools`: a digit and a word are the beginning of a name.
    let letters = bare.bytes().skip_while(u8::is_ascii_digit).take_while(u8::is_ascii_alphabetic).count();
    let early_word = letters > 1 && !["rc", "alpha", "beta", "pre"].iter().any(|word| bare.contains(word));
    if !good || early_word {
        return None;
    }
    Some(if bare.contains('.') { bare.to_owned() } else { bare.replace('_', ".") })
}

/// The nearest name that a package may have.
fn package_name(name: &str) -> Option<String> {
    let kept =
        name.to_lowercase().chars().filter(|c| c.is_ascii_alphanumeric() || "+._-".contains(*c)).collect::<String>();
    let trimmed = kept.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '+').trim_start_matches('+');
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_of_real_releases() {
        let table = [
            ("https://zlib.net/fossils/zlib-1.3.1.tar.gz", "zlib", "1.3.1"),
            ("https://github.com/madler/zlib/releases/download/v1.3.1/zlib-1.3.1.tar.gz", "zlib", "1.3.1"),
            (
                "https://github.com/openssl/openssl/releases/download/openssl-3.5.6/openssl-3.5.6.tar.gz",
                "openssl",
                "3.5.6",
            ),
            ("https://github.com/openssl/openssl/archive/refs/tags/OpenSSL_1_1_1w.tar.gz", "openssl", "1.1.1w"),
            ("https://github.com/a/tool/archive/refs/tags/v1.2.3.tar.gz", "tool", "1.2.3"),
            ("https://codeload.github.com/a/tool/tar.gz/refs/tags/v1.2.3", "tool", "1.2.3"),
            ("https://codeload.github.com/a/tool/tar.gz/v1.2.3", "tool", "1.2.3"),
            ("https://gitlab.example.org/group/tool/-/archive/2.0/tool-2.0.tar.bz2", "tool", "2.0"),
            ("https://git.sr.ht/~sircmpwn/scdoc/archive/1.11.5.tar.gz", "scdoc", "1.11.5"),
            ("https://github.com/sqlite/sqlite/archive/refs/tags/version-3.53.4.tar.gz", "sqlite", "3.53.4"),
            ("https://github.com/libexpat/libexpat/releases/download/R_2_8_3/expat-2.8.3.tar.gz", "expat", "2.8.3"),
            ("https://github.com/libexpat/libexpat/archive/refs/tags/R_2_8_3.tar.gz", "libexpat", "2.8.3"),
            ("https://github.com/systemd/systemd/archive/refs/tags/v257.13.tar.gz", "systemd", "257.13"),
            ("https://github.com/rhboot/efivar/archive/refs/tags/38.tar.gz", "efivar", "38"),
            ("https://github.com/a/tool/releases/download/v4.5/source.tar.gz", "tool", "4.5"),
            ("http://archive.example.org/pool/main/t/tree/tree_2.1.orig.tar.xz", "tree", "2.1"),
            ("rsync_3.4.1+ds1.orig.tar.xz", "rsync", "3.4.1"),
            ("https://curl.se/download/curl-8.23.0~rc3.tar.xz", "curl", "8.23.0~rc3"),
            ("https://busybox.net/downloads/busybox-1.38.0.tar.bz2", "busybox", "1.38.0"),
            ("https://musl.libc.org/releases/musl-1.2.5.tar.gz", "musl", "1.2.5"),
            ("https://sourceware.org/pub/bzip2/bzip2-1.0.8.tar.gz", "bzip2", "1.0.8"),
            ("https://ftp.gnu.org/gnu/bash/bash-5.2.15.tar.gz", "bash", "5.2.15"),
            ("https://ftp.gnu.org/gnu/gcc/gcc-14.2.0/gcc-14.2.0.tar.xz", "gcc", "14.2.0"),
            ("https://www.kernel.org/pub/linux/utils/util-linux/v2.41/util-linux-2.41.tar.xz", "util-linux", "2.41"),
            ("https://cdn.example.org/openbsd/OpenSSH/portable/openssh-10.6p1.tar.gz", "openssh", "10.6p1"),
            ("https://www.sudo.ws/dist/sudo-1.9.16p2.tar.gz", "sudo", "1.9.16p2"),
            (
                "https://invisible-island.net/archives/ncurses/current/ncurses-6.6+20251231.tgz",
                "ncurses",
                "6.6+20251231",
            ),
            (
                "https://invisible-island.net/archives/ncurses/current/ncurses-6.6%2B20251231.tgz",
                "ncurses",
                "6.6+20251231",
            ),
            ("https://data.iana.org/time-zones/releases/tzdata2026f.tar.gz", "tzdata", "2026f"),
            ("https://go.dev/dl/go1.24.1.src.tar.gz", "go", "1.24.1"),
            ("https://nodejs.org/dist/v22.1.0/node-v22.1.0.tar.xz", "node", "22.1.0"),
            ("https://www.python.org/ftp/python/3.13.18/Python-3.13.18.tar.xz", "python", "3.13.18"),
            ("https://boost.example.org/release/1.86.0/source/boost_1_86_0.tar.bz2", "boost", "1.86.0"),
            (
                "https://github.com/iputils/iputils/releases/download/20250605/iputils-20250605.tar.xz",
                "iputils",
                "20250605",
            ),
            ("https://download.example.org/libxml2/2.15/libxml2-2.15.4.tar.xz", "libxml2", "2.15.4"),
            ("https://download.example.org/gtk+/3.24/gtk+-3.24.49.tar.xz", "gtk+", "3.24.49"),
            (
                "https://sourceforge.net/projects/e2fsprogs/files/e2fsprogs/v1.47.2/e2fsprogs-1.47.2.tar.gz/download",
                "e2fsprogs",
                "1.47.2",
            ),
            ("https://example.org/procps/Production/procps-ng-4.0.4.tar.xz", "procps-ng", "4.0.4"),
            ("https://example.org/openssl-3.0.0-beta1.tar.gz", "openssl", "3.0.0-beta1"),
            ("https://www.sqlite.org/2025/sqlite-autoconf-3530400.tar.gz", "sqlite-autoconf", "3530400"),
            ("https://example.org/7zip-24.09.tar.xz", "7zip", "24.09"),
            ("https://github.com/kmod-project/kmod/archive/refs/tags/v34.2.tar.gz?x=1#y", "kmod", "34.2"),
            ("file:///srv/sources/lz4-1.10.0.tar.gz", "lz4", "1.10.0"),
        ];
        for (url, name, version) in table {
            let found = release_name(url);
            let wanted = ReleaseName { name: Some(name.into()), version: Some(version.into()) };
            assert_eq!(found, wanted, "{url}");
        }
    }

    #[test]
    fn repositories_and_files_without_a_version() {
        for (url, name) in [
            ("https://github.com/madler/zlib", Some("zlib")),
            ("https://github.com/madler/zlib.git", Some("zlib")),
            ("https://example.org/libxml2.tar.gz", Some("libxml2")),
            ("https://example.org/tool-master.tar.gz", Some("tool")),
            ("", None),
            ("https://", None),
        ] {
            assert_eq!(release_name(url), ReleaseName { name: name.map(str::to_owned), version: None }, "{url}");
        }
    }
}
