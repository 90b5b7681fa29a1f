//! Every table and key of the format, once: the reader, its suggestions and the reference in `docs/spec.md` all follow
//! these tables.

/// A table of the format.
#[derive(Debug)]
pub struct Table {
    /// Dotted name as written between brackets; empty for the file itself.
    pub name: &'static str,
    /// What it is for, in one line.
    pub doc: &'static str,
    /// What may stand in it.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// The key as written.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Whether the table is wrong without it.
    pub required: bool,
    /// What holds when it is absent, as shown in the reference.
    pub default: &'static str,
    /// What it means, in one line of Markdown.
    pub doc: &'static str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A string.
    Text,
    /// An array of strings.
    Texts,
    /// A whole number, not negative.
    Integer,
    /// `true` or `false`.
    Flag,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// Seconds, or text such as `"1h30m"`.
    Duration,
    /// Bytes, or text such as `"4GiB"`.
    Size,
    /// Strings under keys of the author's choice.
    Map,
    /// A table.
    Table(&'static Table),
    /// Tables in an array: `[[name]]`.
    Tables(&'static Table),
    /// Tables under names of the author's choice: `[profile.seed]`.
    Named(&'static Table),
}

impl Kind {
    /// For the reference and for "expected …".
    pub fn describe(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Texts => "a list of text".into(),
            Self::Integer => "a whole number".into(),
            Self::Flag => "`true` or `false`".into(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
                words.join(", ")
            }
            Self::Duration => "a duration".into(),
            Self::Size => "a size".into(),
            Self::Map => "a table of text".into(),
            Self::Table(_) | Self::Named(_) => "a table".into(),
            Self::Tables(_) => "a list of tables".into(),
        }
    }

    /// The table inside, if it is one.
    pub fn table(self) -> Option<&'static Table> {
        match self {
            Self::Table(table) | Self::Tables(table) | Self::Named(table) => Some(table),
            _ => None,
        }
    }
}

impl Table {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The table as one of Markdown, for the reference.
    pub fn markdown(&self) -> String {
        let mut out = String::from("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in self.keys {
            let default = if key.required { "**required**" } else { key.default };
            out.push_str(&format!("| `{}` | {} | {default} | {} |\n", key.name, key.kind.describe(), key.doc));
        }
        out
    }

    /// This table and all below it, in the order of the reference.
    pub fn all(&'static self) -> Vec<&'static Table> {
        let mut all = vec![self];
        for table in self.keys.iter().filter_map(|key| key.kind.table()) {
            for below in table.all() {
                // A pass has tables that the package has too.
                if all.iter().all(|known: &&Table| !std::ptr::eq(*known, below)) {
                    all.push(below);
                }
            }
        }
        all
    }
}

const fn must(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, required: true, default: "", doc }
}

const fn may(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, required: false, default, doc }
}

use Kind::{Choice, Duration, Flag, Integer, Map, Named, Size, Tables, Text, Texts};

/// `specs/<name>/spec.toml`.
pub static SPEC: Table = Table {
    name: "",
    doc: "One package: `specs/<name>/spec.toml`.",
    keys: &[
        must("package", Kind::Table(&PACKAGE), "What it is."),
        may("source", Tables(&SOURCE), "none", "Where the bytes come from; the first is the main source."),
        may("needs", Kind::Table(&NEEDS), "none", "Other packages."),
        must("build", Kind::Table(&BUILD), "How it is built."),
        may("check", Kind::Table(&CHECK), "none", "How it is tested."),
        may("elf", Kind::Table(&ELF), "none", "Exceptions from the check of ELF files."),
        may("limits", Kind::Table(&LIMITS), "parton's", "What one round may use."),
        may("pass", Named(&PASS), "none", "Other ways to build the same sources, by name."),
    ],
};

static PASS: Table = Table {
    name: "pass.NAME",
    doc: "Another way to build the same sources, needed as `<package>:<name>`. A table that is given here stands in place of the package's own of that name; the others are the same.",
    keys: &[
        may("profiles", Texts, "the package's", "Profiles that it can be built with."),
        may("needs", Kind::Table(&NEEDS), "the package's", "Other packages."),
        may("build", Kind::Table(&BUILD), "the package's", "How it is built."),
        may("check", Kind::Table(&CHECK), "the package's", "How it is tested; an empty `script` leaves the test out."),
        may("elf", Kind::Table(&ELF), "the package's", "Exceptions from the check of ELF files."),
        may("limits", Kind::Table(&LIMITS), "the package's", "What one round may use."),
    ],
};

static PACKAGE: Table = Table {
    name: "package",
    doc: "What it is.",
    keys: &[
        must(
            "name",
            Text,
            "Name; equal to the name of the directory. Lower-case letters, digits and `+._-`, starting with a letter or digit.",
        ),
        must("version", Text, "Upstream's version, without a leading `v`. Letters, digits and `.+_~-`."),
        must(
            "license",
            Text,
            "SPDX expression (https://spdx.org/licenses) of what the outputs are under, such as `\"MIT OR Apache-2.0\"`.",
        ),
        may("homepage", Text, "none", "Upstream's page, `http` or `https`."),
        may("summary", Text, "none", "One line for people. Not part of any hash."),
        may("profiles", Texts, "all", "Profiles that it can be built with. `--all` leaves it out with any other."),
    ],
};

static SOURCE: Table = Table {
    name: "source",
    doc: "One upstream artifact and how it is fixed: a file (`urls`, `sha256`) or a git commit (`git`, `commit`, `tree`).",
    keys: &[
        may(
            "urls",
            Texts,
            "–",
            "Where upstream publishes these very bits, in order of preference: `https`, `http` or `file`. Needed for a file.",
        ),
        may("sha256", Text, "–", "The pin: 64 hexadecimal digits. Needed for a file."),
        may("size", Integer, "unknown", "Size in bytes; a longer download is cut off."),
        may("signature", Kind::Table(&SIGNATURE), "none", "Upstream's detached OpenPGP signature."),
        may("vcs", Kind::Table(&VCS), "none", "The repository this release was made from; audits compare the two."),
        may(
            "origin",
            Choice(&["release", "forge", "repack"]),
            "`\"release\"`",
            "What the bits are: the file that upstream released, an archive that a forge generates from a tag, or somebody else's repack. The `urls` of a repack name the release it was made from and are not asked: mirrors and archives have it by its hash.",
        ),
        may("origin-note", Text, "none", "Why it is not upstream's own release. Needed with `origin = \"repack\"`."),
        may(
            "dir",
            Text,
            "`<name>-<version>`",
            "Directory below `/build` to unpack to. Needed for every further source that is unpacked; a file that is not unpacked is laid into it, by default into `/build`.",
        ),
        may("unpack", Flag, "`true`", "Whether it is an archive to unpack or a file to lay down as it is."),
        may("strip", Integer, "`1`", "Leading path components dropped while unpacking, at most 16."),
        may("nested", Text, "none", "Path of the archive inside of the archive that is the real source."),
        may("git", Text, "–", "Clone URL: `https`, `http`, `git` or `file`. Makes this a git source."),
        may("commit", Text, "–", "Full commit id, 40 hexadecimal digits. Needed for a git source."),
        may(
            "tree",
            Text,
            "–",
            "parton's digest of the exported tree, 64 hexadecimal digits, as `parton hash URL --commit ID` prints it. Needed for a git source.",
        ),
    ],
};

static SIGNATURE: Table = Table {
    name: "source.signature",
    doc: "A signature that is declared and does not verify is fatal.",
    keys: &[
        may("urls", Texts, "none", "Where it is published. May be left out if `sha256` is there."),
        may("sha256", Text, "none", "SHA-256 of the signature file, which can then be found by content."),
        must("key", Text, "File with the pinned public key, relative to the spec's directory."),
        must("fingerprint", Text, "Full fingerprint of the primary key: 40 or 64 hexadecimal digits, spaces allowed."),
        may(
            "over",
            Choice(&["file", "uncompressed"]),
            "`\"file\"`",
            "What was signed: the file as published, or what is inside of the compression, as kernel.org signs.",
        ),
        may(
            "may-be-missing",
            Text,
            "none",
            "Why it may be impossible to fetch; without this reason a signature that can't be had is fatal.",
        ),
        may(
            "may-be-sha1",
            Text,
            "none",
            "Why a signature that uses SHA-1 counts; without this reason it is fatal. Known collision attacks are refused either way.",
        ),
    ],
};

static VCS: Table = Table {
    name: "source.vcs",
    doc: "The repository behind a release.",
    keys: &[
        must("git", Text, "Clone URL."),
        may("tag", Text, "none", "Tag of this release."),
        may("commit", Text, "none", "Commit of this release, 40 hexadecimal digits."),
    ],
};

static NEEDS: Table = Table {
    name: "needs",
    doc: "Names of other packages of the workspace.",
    keys: &[
        may("build", Texts, "none", "Run on the build machine during the build."),
        may("host", Texts, "none", "Linked against."),
        may(
            "target",
            Texts,
            "none",
            "What a compiler's own libraries are linked against; whoever runs the compiler does not get it with it.",
        ),
        may("run", Texts, "none", "Needed at run time though not linked."),
    ],
};

static BUILD: Table = Table {
    name: "build",
    doc: "How it is built. A helper (`system`) makes the phases; `[build.phases]` replaces or adds some.",
    keys: &[
        must(
            "system",
            Choice(&["configure", "make", "script"]),
            "The helper: `./configure` and `make`; `make` alone; or only what `[build.phases]` says.",
        ),
        may("flags", Texts, "none", "Arguments of `./configure`, or variables for `make`."),
        may("targets", Texts, "make's own", "Targets of the compile phase."),
        may("install", Texts, "`[\"install\"]`", "Targets of the install phase."),
        may("dir", Text, "the source", "Directory below the main source to build in."),
        may("out-of-tree", Flag, "`false`", "Build outside of the source directory (`configure` only)."),
        may("env", Map, "none", "Variables of the environment, over the profile's."),
        may(
            "patches",
            Texts,
            "none",
            "Patch files in order of application, relative to `patches/<name>/`; applied to the main source.",
        ),
        may("phases", Kind::Table(&PHASES), "the helper's", "Shell that replaces or adds phases."),
    ],
};

static PHASES: Table = Table {
    name: "build.phases",
    doc: "Plain `sh` for each phase, run with `-eu` in the source directory; an empty text leaves the phase out.",
    keys: &[
        may("prepare", Text, "nothing", "After unpacking and patching."),
        may("configure", Text, "the helper's", "Choose what to build."),
        may("compile", Text, "the helper's", "Build it."),
        may("install", Text, "the helper's", "Copy what was built below `$OUT`."),
        may("finish", Text, "nothing", "Last touches below `$OUT`."),
    ],
};

static CHECK: Table = Table {
    name: "check",
    doc: "How it is tested.",
    keys: &[must("script", Text, "Shell run after the install phase; the package is refused if it fails.")],
};

static ELF: Table = Table {
    name: "elf",
    doc: "Exceptions from the check that ELF files ask only for what declared packages provide.",
    keys: &[may(
        "allow-needed",
        Texts,
        "none",
        "Libraries and interpreters that may be asked for though no needed package provides them.",
    )],
};

static LIMITS: Table = Table {
    name: "limits",
    doc: "What one round may use; what is absent keeps parton's default.",
    keys: &[
        may("time", Duration, "6 hours", "For one round."),
        may("silence", Duration, "1 hour", "Without a line of output."),
        may("memory", Size, "three quarters of the machine's", "All processes together, with what lies in `/tmp`."),
        may("disk", Size, "40 GiB", "Everything written during the round; the output, with the holes in its files."),
        may("processes", Integer, "4096", "Processes and threads at once."),
        may("descriptors", Integer, "4096", "Open files of one process."),
        may("output", Size, "256 MiB", "What the phases print."),
    ],
};

/// `parton.toml`.
pub static WORKSPACE: Table = Table {
    name: "",
    doc: "The workspace: `parton.toml`.",
    keys: &[
        must("workspace", Kind::Table(&WORKSPACE_TABLE), "What holds for every spec."),
        may("fetch", Kind::Table(&FETCH), "none", "Where else bytes may come from."),
        must("profile", Named(&PROFILE), "Toolchains by name."),
    ],
};

static WORKSPACE_TABLE: Table = Table {
    name: "workspace",
    doc: "What holds for every spec.",
    keys: &[
        must("profile", Text, "Name of the profile that is used unless the command line says otherwise."),
        may("store", Text, "the user's", "Store directory; relative to the workspace, or absolute."),
    ],
};

static FETCH: Table = Table {
    name: "fetch",
    doc: "Where else bytes may come from. Whoever serves them: they must have the pinned hash.",
    keys: &[
        may(
            "mirrors",
            Texts,
            "none",
            "Asked before the pin's own URLs: prefixes under which files lie by name, or templates with `{name}` or `{sha256}`.",
        ),
        may("content-mirrors", Texts, "none", "Asked last, by hash: templates with `{sha256}`."),
        may(
            "archive-suites",
            Texts,
            "none",
            "Suites of the Debian-style archive that the machine's own package manager is configured for, whose signed source index is searched for pins by hash.",
        ),
    ],
};

static PROFILE: Table = Table {
    name: "profile.NAME",
    doc: "What the build machine's root is made of and what the compiler is told.",
    keys: &[
        may("seed", Text, "none", "Seed lock file, relative to the workspace: the lowest layer of the root."),
        may("toolchain", Text, "none", "Profile that builds `tools` and `libraries`. Without a seed it is needed."),
        may("tools", Texts, "none", "Packages of that profile that are in every root, over the seed."),
        may("libraries", Texts, "none", "Packages of that profile that everything is linked against."),
        must("target", Text, "Target triple."),
        may(
            "build",
            Text,
            "the target",
            "Triple of the machine that builds, where it is another: `configure` is then told both, and `[check]` is left out: what was built can not run there.",
        ),
        may("sysroot", Text, "`\"/\"`", "Where packages that are linked against are shown; absolute."),
        must("interpreter", Text, "The loader that every dynamic program must name; absolute."),
        may("provides", Texts, "none", "Libraries that the profile itself provides."),
        may("env", Map, "none", "Environment of every build."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_declared_twice_and_every_doc_is_a_sentence() {
        for table in SPEC.all().into_iter().chain(WORKSPACE.all()) {
            for (i, key) in table.keys.iter().enumerate() {
                assert!(table.keys[..i].iter().all(|k| k.name != key.name), "{}.{} twice", table.name, key.name);
                assert!(key.doc.ends_with('.'), "{}.{}: no full stop", table.name, key.name);
                assert!(key.required == key.default.is_empty(), "{}.{}: default", table.name, key.name);
                assert!(!key.doc.contains('|'), "{}.{}: a bar ends a column", table.name, key.name);
            }
        }
    }
}
