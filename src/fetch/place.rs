//! Where bytes can come from, in the order in which it is asked.

use super::{Config, Pin};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What served the bytes. Archives are named by suite and path only: which host stands behind them is the machine's
/// affair and does not belong in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Place {
    /// A configured mirror.
    Mirror {
        /// Full address, without credentials.
        url: String,
    },
    /// One of the pin's own addresses.
    Upstream {
        /// Full address, without credentials.
        url: String,
    },
    /// A place asked by digest.
    ContentMirror {
        /// Full address, without credentials.
        url: String,
    },
    /// The machine's package archive.
    Archive {
        /// The suite whose index named the file; absent when the pin itself did.
        suite: Option<String>,
        /// Below the archive's address.
        path: String,
    },
    /// A download that an earlier run had completed but not delivered.
    Cache,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mirror { url } => write!(f, "mirror {url}"),
            Self::Upstream { url } => f.write_str(url),
            Self::ContentMirror { url } => write!(f, "content mirror {url}"),
            Self::Archive { suite: Some(suite), path } if path.is_empty() => write!(f, "package archive, {suite}"),
            Self::Archive { suite: Some(suite), path } => write!(f, "package archive, {suite}: {path}"),
            Self::Archive { suite: None, path } => write!(f, "package archive: {path}"),
            Self::Cache => f.write_str("an earlier download"),
        }
    }
}

/// A place and the address to ask it at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub place: Place,
    pub url: String,
    /// Proxy of this place, if it has one of its own.
    pub proxy: Option<String>,
    /// Whether the host's name must not appear in messages.
    pub private: bool,
}

/// Every address that follows from the configuration and the pin alone: all but the archives' indexes.
pub(super) fn addresses(config: &Config, pin: &Pin) -> Vec<Address> {
    let open = |place: fn(String) -> Place, url: String| Address {
        place: place(without_credentials(&url)),
        url,
        proxy: config.proxy.clone(),
        private: false,
    };
    let mut out = Vec::new();
    for mirror in &config.mirrors {
        out.push(open(|url| Place::Mirror { url }, expand(mirror, pin)));
    }
    for url in &pin.urls {
        out.push(open(|url| Place::Upstream { url }, url.clone()));
    }
    for mirror in &config.content_mirrors {
        out.push(open(|url| Place::ContentMirror { url }, expand(mirror, pin)));
    }
    if let Some(path) = &pin.archive_path {
        for archive in &config.archives {
            out.push(Address {
                place: Place::Archive { suite: None, path: path.clone() },
                url: archive.url(path),
                proxy: archive.proxy.clone(),
                private: true,
            });
        }
    }
    out
}

/// A mirror's template for one pin. Without placeholders it is a prefix of file names.
fn expand(template: &str, pin: &Pin) -> String {
    let (name, sha256) = (escape_path(&pin.name, false), pin.sha256.to_string());
    if template.contains("{name}") || template.contains("{sha256}") {
        template.replace("{name}", &name).replace("{sha256}", &sha256)
    } else {
        format!("{}/{name}", template.trim_end_matches('/'))
    }
}

/// Percent-encodes what can not stand in a path as it is; slashes stay when `slashes`.
pub(super) fn escape_path(path: &str, slashes: bool) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b':' | b'@' => {
                out.push(char::from(byte));
            }
            b'/' if slashes => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The address without user name and password, for messages and records.
pub(super) fn without_credentials(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.into()
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Sha256;
    use std::time::SystemTime;

    #[test]
    fn the_order_is_mirrors_upstream_content_archive() {
        let mut config = Config::new("/nowhere", SystemTime::UNIX_EPOCH);
        config.mirrors = vec!["http://m.example.org/src/".into(), "http://m.example.org/{sha256}/{name}".into()];
        config.content_mirrors = vec!["http://c.example.org/{sha256}".into()];
        let sha256 = Sha256::of(b"");
        let pin = Pin {
            name: "a b.tar".into(),
            urls: vec!["https://me:secret@up.example.org/a".into()],
            sha256,
            size: None,
            archive_path: None,
        };
        let shown: Vec<String> = addresses(&config, &pin).iter().map(|a| a.place.to_string()).collect();
        assert_eq!(
            shown,
            [
                "mirror http://m.example.org/src/a%20b.tar".to_owned(),
                format!("mirror http://m.example.org/{sha256}/a%20b.tar"),
                "https://up.example.org/a".to_owned(),
                format!("content mirror http://c.example.org/{sha256}"),
            ]
        );
    }
}
