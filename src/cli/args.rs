//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Reproducible package builder and source verifier.
///
/// parton fetches upstream releases by pinned hash, checks their signatures, builds them in sealed sandboxes against
/// musl, and builds everything at least twice under different conditions to prove that the bits are the same.
#[derive(Debug, Parser)]
#[command(name = "parton", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done · 1 failed · 2 mistake in a spec or on the command line · 3 the rounds differ \
                        · 4 this machine lacks what a sealed build needs · 5 a source can't be had or proved · 130 interrupted"
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Work in this directory instead of the current one
    #[arg(short = 'C', long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub directory: Option<PathBuf>,
    /// Store directory [default: workspace setting, else $XDG_DATA_HOME/parton/store]
    #[arg(long, global = true, value_name = "DIR", env = "PARTON_STORE", help_heading = "Global options")]
    pub store: Option<PathBuf>,
    /// Profile: toolchain and flags [default: the workspace's]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub profile: Option<String>,
    /// Never open a network connection
    #[arg(long, global = true, help_heading = "Global options")]
    pub offline: bool,
    /// Print the result as JSON on standard output (schemas: docs/json.md)
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say only what failed
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Say more: build output while it comes, every wall and condition
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: When,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build packages, each at least twice, and compare the rounds
    Build(Build),
    /// List what the rounds of a build vary, and what they can
    Conditions,
    /// Look for mistakes in every spec, without fetching or building anything
    Check,
    /// Fetch and verify sources, without building
    Fetch(Fetch),
    /// Show what is known of a package's last build
    Show(Package),
    /// Print the log of a package's last build
    Log(Log),
    /// Open a shell in the jail of a package: at the failed state if its last build failed
    Shell(Shell),
    /// Say why the rounds of a package differ: build it under chosen conditions until the causes are known
    Why(Why),
    /// Say why a package would be built again
    WhyRebuild(Package),
    /// Show which package needs which
    Graph(Graph),
    /// List everything a package was built from, down to the seeds
    Closure(Package),
    /// Say how many opaque bytes of a seed can reach a package or an installed file, and by which way
    Ledger(Ledger),
    /// Diverse double-compiling: build the toolchain from a second seed too, and compare what the two come to
    Ddc(Ddc),
    /// Show what differs between two files, directories or outputs, down to what is in archives and programs
    Diff(Diff),
    /// Write a spec for the release at a URL
    New(New),
    /// Print the digests and the size of what a spec could pin: a URL, a file, a directory, a git commit
    Hash(Hash),
    /// Start a spec repository
    Init(Init),
    /// Work on the seed: the pinned binary packages that start the chain
    Seed {
        /// What to do with it.
        #[command(subcommand)]
        command: SeedCommand,
    },
    /// Remove what no package's last result refers to
    Gc(Gc),
    /// Work on the store
    Store {
        /// What to do with it.
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Say for this machine which walls of the sandbox hold, which do not, and what to do about it
    Doctor,
    /// Print a completion script for a shell
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    Man {
        /// Directory to write to [default: print parton.1]
        dir: Option<PathBuf>,
    },
}

/// Which packages.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// Packages
    #[arg(value_name = "PKG", required_unless_present = "all")]
    pub packages: Vec<String>,
    /// Every package of the workspace
    #[arg(long, conflicts_with = "packages")]
    pub all: bool,
}

/// `parton build`.
#[derive(Debug, Args)]
pub struct Build {
    /// Which packages.
    #[command(flatten)]
    pub selection: Selection,
    /// How often and how fast.
    #[command(flatten)]
    pub pace: Pace,
    /// Build the named packages again even if their results are known
    #[arg(long)]
    pub rebuild: bool,
    /// What the further rounds of the named packages vary, instead of what is its turn: names as `parton conditions` lists
    /// them, each with a level or without, or open, sealed, all; implies --rebuild
    #[arg(long, value_name = "KNOB[=LEVEL],…", value_delimiter = ',')]
    pub vary: Vec<String>,
    /// Go on with packages that do not need what failed
    #[arg(short, long)]
    pub keep_going: bool,
}

/// How often and how fast packages are built.
#[derive(Debug, Clone, Args)]
pub struct Pace {
    /// How often to build each package, rounds of earlier builds included; with 1 the result is marked unproved
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub rounds: u32,
    /// Jobs of each build [default: number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Rounds that run at the same time [default: number of processors, at most 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub parallel: Option<u32>,
    /// Do not run the packages' own tests
    #[arg(long)]
    pub no_check: bool,
}

/// `parton ddc`.
#[derive(Debug, Args)]
pub struct Ddc {
    /// Packages to compare [default: the tools and libraries that the profile makes for others]
    #[arg(value_name = "PKG")]
    pub packages: Vec<String>,
    /// The other profile [default: the one that the profile, or the one that built its tools, names as `diverse`]
    #[arg(long, value_name = "PROFILE")]
    pub with: Option<String>,
    /// Compare what is known, without building anything
    #[arg(long)]
    pub known: bool,
    /// How often and how fast.
    #[command(flatten)]
    pub pace: Pace,
}

/// `parton diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// File, directory, digest of a tree in the store, or package: PKG or PKG@PROFILE, whose last output is meant
    #[arg(value_name = "A")]
    pub a: String,
    /// The same to compare it with
    #[arg(value_name = "B")]
    pub b: String,
    /// Write a page for a browser too, with everything in one file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Show at most so many places in each file and in each part of one
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub places: u32,
    /// Look so deep into parts within parts
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(0..=64))]
    pub depth: u32,
}

/// `parton fetch`.
#[derive(Debug, Args)]
pub struct Fetch {
    /// Which packages.
    #[command(flatten)]
    pub selection: Selection,
}

/// A command on one package.
#[derive(Debug, Args)]
pub struct Package {
    /// Package
    #[arg(value_name = "PKG")]
    pub package: String,
}

/// `parton ledger`.
#[derive(Debug, Args)]
pub struct Ledger {
    /// Package, a file that one installs (`/usr/lib/libz.so`), or a copy of such a file
    #[arg(value_name = "PKG|FILE")]
    pub what: String,
}

/// `parton log`.
#[derive(Debug, Args)]
pub struct Log {
    /// Package
    #[arg(value_name = "PKG")]
    pub package: String,
    /// Which round
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub round: u32,
}

/// `parton shell`.
#[derive(Debug, Args)]
pub struct Shell {
    /// Package
    #[arg(value_name = "PKG")]
    pub package: String,
    /// Run this instead of an interactive shell
    #[arg(short, long, value_name = "SCRIPT")]
    pub command: Option<String>,
    /// Start from unpacked sources even if a failed state was kept
    #[arg(long)]
    pub fresh: bool,
}

/// `parton why`.
#[derive(Debug, Args)]
pub struct Why {
    /// Package
    #[arg(value_name = "PKG")]
    pub package: String,
    /// How many builds there may be in all; it ends earlier when every cause is certain
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=500))]
    pub builds: u32,
    /// Jobs of each build that does not vary them [default: number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Forget what earlier runs of this command built
    #[arg(long)]
    pub fresh: bool,
}

/// `parton graph`.
#[derive(Debug, Args)]
pub struct Graph {
    /// Packages to start from [default: all]
    #[arg(value_name = "PKG")]
    pub packages: Vec<String>,
    /// How to draw
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: GraphFormat,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// An indented tree
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, as forges render it
    Mermaid,
}

/// `parton new`.
#[derive(Debug, Args)]
pub struct New {
    /// Where upstream publishes the release
    #[arg(value_name = "URL")]
    pub url: String,
    /// Name of the package [default: from the URL]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write here [default: specs/NAME/spec.toml]; - prints
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `parton hash`.
#[derive(Debug, Args)]
pub struct Hash {
    /// URL, file or directory; with --commit a repository
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Commit of a git repository
    #[arg(long, value_name = "ID")]
    pub commit: Option<String>,
}

/// `parton init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Directory to start in; made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
}

/// `parton seed …`.
#[derive(Debug, Subcommand)]
pub enum SeedCommand {
    /// Find the recipe's packages in the archive's signed index and write the lock
    Resolve,
    /// List the seed's packages and their sizes
    Show,
    /// Pack the profile's tools and libraries into one archive that can be a seed itself
    Export {
        /// Write the archive here, and its lock beside it [default: specs/PROFILE-seed.tar.zst]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `parton gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `parton store …`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Hash everything again and name what is damaged
    Verify {
        /// Set damaged objects aside, so that the next build makes them anew
        #[arg(long)]
        repair: bool,
    },
    /// Print the store's directory, or a package's output in it
    Path {
        /// Package
        #[arg(value_name = "PKG")]
        package: Option<String>,
    },
}
