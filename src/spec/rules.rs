//! Every rule that this room reports, once: the reference lists them, and the tests show a picture of each.

/// A mistake that has a name.
#[derive(Debug)]
pub struct Rule {
    /// The name, as in `error[missing-hash]`.
    pub name: &'static str,
    /// Whether it is only a warning.
    pub warning: bool,
    /// What is wrong, in one line of Markdown.
    pub doc: &'static str,
}

const fn error(name: &'static str, doc: &'static str) -> Rule {
    Rule { name, warning: false, doc }
}

const fn warning(name: &'static str, doc: &'static str) -> Rule {
    Rule { name, warning: true, doc }
}

/// All rules, by name.
pub static RULES: &[Rule] = &[
    error("bad-commit", "A commit is not a full id of 40 hexadecimal digits."),
    error("bad-fingerprint", "A key's fingerprint is abbreviated or not hexadecimal."),
    error("bad-hash", "A hash is not hexadecimal, names its algorithm, is a placeholder or that of an empty file."),
    error("bad-name", "The name of a package has a character that is not allowed."),
    error("bad-path", "A path inside of the build's root is not absolute and plain."),
    error("bad-suite", "The name of an archive suite has a character that is not allowed."),
    error("bad-target", "A target is not a triple."),
    error("bad-template", "A mirror's template has an unknown or missing `{…}`."),
    error("bad-unit", "A duration or size is not understood."),
    error("bad-url", "A URL has no scheme that can be fetched here, no host, a user name or a stray character."),
    error("bad-variable", "No shell could set a variable of this name."),
    error("bad-version", "A version has a leading `v` or a character that is not allowed."),
    error("conflicting-keys", "A key has no meaning beside another one."),
    error("cycle", "Profiles build each other."),
    warning("deprecated-license", "A licence identifier is deprecated by SPDX."),
    error("duplicate", "A key or table is written twice."),
    error("duplicate-dir", "Two sources are unpacked to one directory."),
    error("duplicate-need", "A package is needed twice in one list."),
    error("duplicate-patch", "A patch is applied twice."),
    warning("duplicate-url", "A URL is written twice in one list."),
    error("empty-urls", "A source or signature has no URL."),
    error("empty-value", "A text that matters is empty."),
    error("encoding", "The file is not UTF-8."),
    warning("forge-archive", "A source that is called a release looks like an archive that the forge generates."),
    error("hash-length", "A hash has not the length of its algorithm."),
    warning("http-url", "A URL is not encrypted; the pin protects the content."),
    error("http-without-hash", "A source is fetched by plain http and has no hash."),
    error("key-missing", "The file of a signature's key is not there."),
    error("license", "The licence is not an SPDX expression."),
    error("missing-hash", "A source has no `sha256`."),
    error("missing-key", "A key or table that must be there is not."),
    error("missing-note", "A repack has no `origin-note`."),
    error("missing-source", "A helper has nothing to build."),
    error("missing-tree", "A git source has no digest of its tree."),
    error("name-mismatch", "The name is not that of the directory."),
    error("needs-self", "A package needs itself."),
    error("no-phases", "A script has no `install` phase."),
    warning("no-spec", "A directory in `specs` has no `spec.toml`."),
    error("no-toolchain", "A profile has neither a seed nor a toolchain, or tools that no profile builds."),
    error("nul", "A text contains a NUL character."),
    error("out-of-range", "A number is too small or too large."),
    error("patch-missing", "The file of a patch is not there."),
    error("syntax", "The file is not TOML."),
    error("too-large", "The file is larger than 1 MiB."),
    error("unknown-key", "A table has no key of this name."),
    error("unknown-profile", "A profile that is named is not declared."),
    error("unknown-table", "The file has no table of this name."),
    error("unknown-value", "A key has a fixed set of values, and this is none of them."),
    error("unsafe-path", "A path is absolute or leaves its directory."),
    warning("unused-patch", "A file in `patches` is never applied."),
    error("weak-hash", "An MD5 or SHA-1 is written where SHA-256 is needed."),
    error("wrong-type", "A value has the wrong type."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_sorted_by_name() {
        assert!(RULES.is_sorted_by(|a, b| a.name < b.name));
    }
}
